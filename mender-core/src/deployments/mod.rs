//! Deployments: orders to bring devices to a release, and what becomes of them.
//!
//! A **deployment** names a release and the devices that were meant. Each device has a **row** in it:
//! waiting until it first asks, then a **record** with a status, which the device reports. A
//! deployment ends when every device has ended, or when a user aborts it.
//!
//! | state of a deployment | what devices get | what ends it |
//! |---|---|---|
//! | filling | nothing yet | its last row is written |
//! | open | it | the last device ends; an abort |
//! | closing | nothing | its last row is closed |
//! | closed | nothing | |
//!
//! ```
//! use mender_core::{
//!     Ctx, Mender,
//!     deployments::{Course, NewDeployment, Whom},
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! let mender = Mender::in_memory().build()?;
//! let new = NewDeployment {
//!     name: "tonight".into(),
//!     artifact_name: "release-1".into(),
//!     force_installation: false,
//!     whom: Whom::Devices(vec!["pump-1".parse()?]),
//!     course: Course::default(),
//! };
//! let refused = mender.deployments().create(&Ctx::system(Default::default()), new).await;
//! assert_eq!(refused.unwrap_err().what, "No artifact for the deployment");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod adviser;
mod events;
pub mod logic;
mod model;
mod query;
mod react;
mod service;
mod store;

pub use adviser::Adviser;
pub use events::DeploymentEvent;
pub use logic::{NewPhase, Phases, Selection};
pub use model::{
    Approval, Audience, Batch, Budget, CHUNK, Cause, Conduct, Deployment, DeploymentId,
    DeploymentSettings, DeviceDeployment, DeviceIds, Ended, Hold, Late, Log, Message, Outcome,
    Payload, Phase, Reason, Remedy, Request, Rollout, Score, Side, Stage, State, Status, Tally,
    Targets, Threshold, Uniform, UnknownStatus, Window, ZONE_ATTRIBUTE, Zone, next_opening,
};
pub use query::{DeploymentQuery, Progress, words};
pub(crate) use react::{Settle, UsageOf};
pub use service::{
    Burst, Config, ConfigurationLink, Considered, Course, Explanation, Instructions, Named,
    NewConfiguration, NewDeployment, Pace, Service, Shown, ShownDevice, Streamed, Whom,
};
pub(crate) use service::{
    Complete, Count, Delta, Fleet, Parts, Releases, Tiers, Walk, Watch, WatchTenant,
};
pub use store::Store;
