//! The contract of buses within one process.

use std::process::ExitCode;

use mender_core::{
    bus::LocalBus,
    testing::bus::{Adapter, Harness, main as run},
};

fn main() -> ExitCode {
    run(vec![Adapter::new("local", async || {
        let bus = LocalBus::default();
        Harness::new(bus.clone(), bus)
    })])
}
