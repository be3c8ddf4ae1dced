//! Searches find what memory finds, where next to nothing is sorted.

use mender_core::{
    Builder, Mender,
    kit::MemoryStores,
    testing::inventory_queries::{searches_alike, sorted_searches_alike},
};

use super::support::{databases, setting};

fn built(builder: Builder) -> Mender {
    builder.build().unwrap()
}

#[tokio::test]
async fn indexes_give_the_order_that_sorting_gives() {
    let cases = setting("MENDER_TEST_CASES").map_or(24, |n| n.parse().unwrap());
    for seed in 0..cases {
        for db in databases().await {
            let memory = async |builder: Builder| built(builder.stores(MemoryStores::default()));
            let stored = async |builder: Builder| built(builder.stores(db.store.clone()));
            searches_alike(seed, memory, stored).await;
        }
    }
}

#[tokio::test]
async fn devices_are_sorted_by_what_is_asked_for_as_in_memory() {
    for db in databases().await {
        let memory = async |builder: Builder| built(builder.stores(MemoryStores::default()));
        let stored = async |builder: Builder| built(builder.stores(db.store.clone()));
        sorted_searches_alike(memory, stored).await;
    }
}
