//! The contract of the ports on the stores in memory.

use std::process::ExitCode;

use mender_core::{
    kit::MemoryStores,
    testing::contract::{Adapter, Harness, main as run},
};

fn main() -> ExitCode {
    run(vec![Adapter::new("memory", async || Harness::new(MemoryStores::default()))])
}
