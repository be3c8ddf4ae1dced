//! Fleets of simulated devices that speak the real protocol.
//!
//! A [`Simulation`] brings a [`Plan`] to a server over HTTP or HTTPS: keys, tokens, inventory,
//! polls, downloads, reports, logs, and whatever goes wrong. A few tasks hold all devices, so that
//! one process may be a hundred thousand of them. In tests a [`Courier`] over [`InProcess`] has
//! `mender_core::testing::Fleet` call a router on virtual time, without a socket.
//!
//! ```no_run
//! use mender_core::Env;
//! use mender_http::simulate::{Plan, Simulation};
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn example() -> Result<(), mender_http::simulate::Fault> {
//! let plan = Plan::new("http://127.0.0.1:8080", 1000);
//! let simulation = Simulation::prepare(plan, &Env::system()).await?;
//! let (watch, stop) = (simulation.watch(), CancellationToken::new());
//! let report = simulation.run(stop).await?; // meanwhile `watch.report()` tells how it stands
//! println!("{report}");
//! # Ok(())
//! # }
//! ```

mod checks;
mod client;
mod courier;
mod fault;
mod histogram;
mod kept;
mod keys;
mod plan;
mod report;
mod run;
mod shard;
#[cfg(test)]
mod tests;
mod transport;
mod user;
mod wire;

pub use client::{Client, Trust};
pub use courier::Courier;
pub use fault::Fault;
pub use histogram::Histogram;
pub use keys::{DeviceKey, KeyShares, Keyring};
pub use plan::{Plan, Storm};
pub use report::{Failed, Latency, Report};
pub use run::{Simulation, Watch};
pub use transport::{InProcess, Lost, Transport};
pub use user::User;
pub use wire::Kind;
