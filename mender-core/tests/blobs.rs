//! The contract of places for blobs in memory.

use std::process::ExitCode;

use mender_core::{
    blob::MemoryBlobs,
    testing::blobs::{Adapter, Harness, main as run},
};

fn main() -> ExitCode {
    run(vec![Adapter::new("memory", async || Harness::new(MemoryBlobs::default()))])
}
