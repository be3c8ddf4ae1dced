//! Ports, pure domain logic and services of an over-the-air device management server.

pub mod artifacts;
pub mod auth;
pub mod blob;
pub mod bus;
pub mod commit;
pub mod ctx;
pub mod deployments;
pub mod env;
pub mod error;
pub mod event;
pub mod feed;
pub mod id;
pub mod index;
pub mod inventory;
pub mod jobs;
mod kernel;
pub mod kit;
pub mod lifecycle;
pub mod mail;
pub mod memo;
mod mender;
pub mod outbound;
pub mod outbox;
pub mod page;
mod port;
mod presence;
pub mod quota;
pub mod search;
pub mod secret;
pub mod signature;
#[cfg(feature = "simulated")]
pub mod simulated;
pub mod tenants;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token;
pub mod users;

pub use commit::{Change, Commit, Stamped};
pub use ctx::{Actor, Ctx, Scope};
pub use env::{Env, Time};
pub use error::{Error, Result, StoreError, StoreResult};
pub use event::{Event, Subscriber};
pub use id::{DeviceId, EventId, NodeId, TenantId, UserId, Version};
pub use mender::{Base, Builder, Mender, Stores};
