//! Releases and artifacts are found the same in every store as in memory, and as core says.
//!
//! `MENDER_TEST_CASES` sets how many random histories there are.

#![cfg(any(feature = "sqlite", feature = "postgres", feature = "mongodb"))]

mod support;

use mender_core::{kit::MemoryStores, testing::release_queries::releases_alike};
use support::done;

#[expect(clippy::disallowed_methods, reason = "the environment says how long to look")]
fn cases(usual: u64) -> u64 {
    let wanted = std::env::var("MENDER_TEST_CASES").ok();
    wanted.and_then(|n| n.parse().ok()).unwrap_or(usual)
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn sqlite_finds_what_memory_finds() {
    for seed in 0..cases(64) {
        let fresh = done(support::sqlite::fresh().await);
        releases_alike(seed, &MemoryStores::default(), &fresh.store).await;
        drop(fresh.dir);
    }
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn postgres_finds_what_memory_finds() {
    let Some(url) = support::postgres::server() else {
        return;
    };
    for seed in 0..cases(64).div_ceil(4) {
        let fresh = done(support::postgres::fresh(&url).await);
        releases_alike(seed, &MemoryStores::default(), &fresh.store).await;
    }
    support::postgres::clean(&url).await;
}

#[cfg(feature = "mongodb")]
#[tokio::test]
async fn mongodb_finds_what_memory_finds() {
    let Some(url) = support::server("mongodb") else {
        return;
    };
    for seed in 0..cases(64).div_ceil(16) {
        let name = mender_core::Env::system().uuid().replace('-', "");
        let docs = mender_store::MongoDocs::open(&format!("{url}/t{name}")).await;
        let stores = mender_store::MongoStores::new(done(docs));
        releases_alike(seed, &MemoryStores::default(), &stores).await;
    }
}
