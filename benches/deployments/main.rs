//! Brings an update to a fleet of simulated devices, and measures what devices and users ask of
//! deployments, over HTTP, with few of them and with many.
//!
//! `cargo bench --bench deployments [-- dir [part...] [devices...]]`
//!
//! The parts are `update`, `large`, `polls` and `paths`, or all of them. Fleets of these sizes are
//! measured one after the other. Uses SQLite in a folder below `dir`, or PostgreSQL where
//! `MENDER_TEST_POSTGRES` is set.

mod finished;
mod fleet;
mod large;
mod paths;
mod polls;
mod server;
#[path = "../support/mod.rs"]
mod support;

use mender_core::testing::Simulated;

use server::Server;
use support::{Fault, Places, load::Devices, memory};

/// How many devices an active deployment of those has that others wait beside.
pub(crate) const TARGETS: usize = 10_000;

/// The device of this number.
pub(crate) fn simulated(n: usize) -> Simulated {
    let number = u32::try_from(n).unwrap_or(u32::MAX);
    Simulated::new(number, &fleet::profile(), 1, mender::Time(0))
}

/// What is measured of a fleet.
const PARTS: [&str; 4] = ["update", "large", "polls", "paths"];

/// The devices that are updated where that is not measured: of something that ended, others are
/// made.
const FEW: usize = 100;

async fn measure(server: &Server, size: usize, parts: &[String]) -> Result<(), Fault> {
    let has = |part: &str| parts.is_empty() || parts.iter().any(|known| known == part);
    let updated = if has("update") { size } else { size.min(FEW) };
    let template = fleet::update(server, updated).await?;
    if has("large") {
        large::measure_all(server, size).await?;
    }
    if has("polls") {
        polls::measure_all(server, size, &template).await?;
    }
    if has("paths") {
        paths::measure_all(server, size).await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    // Cargo adds `--bench`.
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let dir = args.next().unwrap_or_else(|| ".".into());
    let (parts, sizes): (Vec<_>, Vec<_>) = args.partition(|arg| PARTS.contains(&arg.as_str()));
    let mut sizes = sizes.iter().map(|size| size.parse()).collect::<Result<Vec<usize>, _>>()?;
    if sizes.is_empty() {
        sizes = vec![1000, 100_000];
    }
    let mut places = Places::new(&dir)?;
    let devices = Devices { identity: |n| simulated(n).identity(), is_pending: |_| false };
    let mut measured = Ok(());
    for size in sizes {
        let server = Server::new(places.stored(size, devices).await?).await?;
        measured = measure(&server, size, &parts).await;
        println!("  {}", memory());
        server.stop().await;
        if measured.is_err() {
            break;
        }
    }
    places.remove().await?;
    measured
}
