//! Two servers in memory never differ.

#![expect(clippy::unwrap_used, reason = "a server in memory is always built")]

use mender_core::{Builder, Mender, kit::MemoryStores, testing::lockstep};

async fn memory(builder: Builder) -> Mender {
    builder.stores(MemoryStores::default()).build().unwrap()
}

#[tokio::test]
async fn memory_keeps_step_with_memory() {
    for seed in 0..16 {
        Box::pin(lockstep(seed, 150, memory, memory)).await;
    }
}

#[tokio::test]
#[should_panic(expected = "the left side answers")]
async fn a_difference_is_found_and_told() {
    let drifting = async |builder: Builder| {
        let mender = memory(builder).await;
        let _ = mender.env().uuid();
        mender
    };
    Box::pin(lockstep(1, 50, memory, drifting)).await;
}
