//! Searches find the same in a SQL database as in memory.
//!
//! `MENDER_TEST_CASES` sets how many random inventories there are.

#![cfg(any(feature = "sqlite", feature = "postgres"))]

mod support;

use std::sync::{Mutex, PoisonError};

use mender_core::{
    Builder, Mender, StoreResult, kit::MemoryStores, testing::inventory_queries::searches_alike,
};
use support::{Fresh, done};

#[expect(clippy::disallowed_methods, reason = "the environment says how long to look")]
fn cases(usual: u64) -> u64 {
    let wanted = std::env::var("MENDER_TEST_CASES").ok();
    wanted.and_then(|n| n.parse().ok()).unwrap_or(usual)
}

fn built(builder: Builder) -> Mender {
    builder.build().unwrap_or_else(|error| panic!("{error}"))
}

/// Searches beside memory; `open` opens an empty database.
async fn alike(seed: u64, open: impl AsyncFn() -> StoreResult<Fresh>) {
    let dirs = Mutex::new(Vec::new());
    let memory = async |builder: Builder| built(builder.stores(MemoryStores::default()));
    let stored = async |builder: Builder| {
        let Fresh { store, dir } = done(open().await);
        dirs.lock().unwrap_or_else(PoisonError::into_inner).push(dir);
        built(builder.stores(store))
    };
    searches_alike(seed, memory, stored).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn sqlite_finds_what_memory_finds() {
    for seed in 0..cases(64) {
        alike(seed, support::sqlite::fresh).await;
    }
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn postgres_finds_what_memory_finds() {
    let Some(url) = support::postgres::server() else {
        return;
    };
    for seed in 0..cases(64).div_ceil(4) {
        alike(seed, async || support::postgres::fresh(&url).await).await;
    }
    support::postgres::clean(&url).await;
}
