//! A server over a database never differs from one in memory.
//!
//! `MENDER_TEST_CASES` sets how many random histories are run.

#![cfg(any(feature = "sqlite", feature = "postgres", feature = "mongodb"))]

mod support;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use std::sync::{Mutex, PoisonError};

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use mender_core::StoreResult;
use mender_core::{Builder, Mender, kit::MemoryStores, testing::lockstep};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use support::Fresh;
use support::done;

const STEPS: usize = 120;

#[expect(clippy::disallowed_methods, reason = "the environment says how long to look")]
fn cases(usual: u64) -> u64 {
    let wanted = std::env::var("MENDER_TEST_CASES").ok();
    wanted.and_then(|n| n.parse().ok()).unwrap_or(usual)
}

fn built(builder: Builder) -> Mender {
    builder.build().unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a history beside memory; `open` opens an empty database.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
async fn in_step(seed: u64, open: impl AsyncFn() -> StoreResult<Fresh>) {
    let dirs = Mutex::new(Vec::new());
    let memory = async |builder: Builder| built(builder.stores(MemoryStores::default()));
    let stored = async |builder: Builder| {
        let Fresh { store, dir } = done(open().await);
        let mut dirs = dirs.lock().unwrap_or_else(PoisonError::into_inner);
        dirs.push(dir);
        built(builder.stores(store))
    };
    lockstep(seed, STEPS, memory, stored).await;
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn sqlite_keeps_step_with_memory() {
    for seed in 0..cases(64) {
        Box::pin(in_step(seed, support::sqlite::fresh)).await;
    }
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn postgres_keeps_step_with_memory() {
    let Some(url) = support::postgres::server() else {
        return;
    };
    for seed in 0..cases(64).div_ceil(8) {
        Box::pin(in_step(seed, async || support::postgres::fresh(&url).await)).await;
    }
    support::postgres::clean(&url).await;
}

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn mongodb_keeps_step_with_memory() {
    let Some(url) = support::server("mongodb") else {
        return;
    };
    let memory = async |builder: Builder| built(builder.stores(MemoryStores::default()));
    let stored = async |builder: Builder| {
        let name = mender_core::Env::system().uuid().replace('-', "");
        let docs = mender_store::MongoDocs::open(&format!("{url}/t{name}")).await;
        built(builder.stores(mender_store::MongoStores::new(done(docs))))
    };
    for seed in 0..cases(64).div_ceil(16) {
        Box::pin(lockstep(seed, STEPS, memory, stored)).await;
    }
}
