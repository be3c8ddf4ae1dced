//! Device authentication: which devices exist, which keys they may use, and the tokens they get.
//!
//! A **device** is an identity. An **auth set** is one key that claims it. A user accepts or
//! rejects sets; at most one set of a device is accepted, and only that one gets **tokens**. The
//! status of a device is that of its strongest set.
//!
//! | from \ to | accepted | rejected | pending | preauthorized | deleted |
//! |---|---|---|---|---|---|
//! | (none) | auto-accept rule | – | auth request | preauthorize | – |
//! | pending | user, rule | user | no change | preauthorize with force | user |
//! | rejected | user | no change | user | preauthorize with force | user |
//! | accepted | no change | user, or another set of the device is accepted | user | preauthorize with force | user |
//! | preauthorized | the device asks | refused | refused | no change | user |

mod events;
pub mod logic;
mod model;
mod react;
mod service;
mod store;

pub use events::DeviceEvent;
pub use model::{
    AcceptRule, AuthSet, AuthSetId, AuthTenant, Device, DeviceFilter, ExternalId, Identity,
    InvalidIdentity, Limit, MAX_SETS, Seen, Status, Tier, Unknown, Usage,
};
pub(crate) use react::{CountUsage, FollowGroups};
pub use service::{AuthRequest, Config, DeviceView, Preauthorization, Service, Verified};
pub use store::Store;
