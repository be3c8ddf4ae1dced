//! The contract of the ports on every adapter that can be reached.

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mongodb"))]
mod support;

use std::process::ExitCode;

use mender_core::testing::contract::{Adapter, main as run};

#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn harness(
    fresh: mender_core::StoreResult<support::Fresh>,
) -> mender_core::testing::contract::Harness {
    let fresh = support::done(fresh);
    mender_core::testing::contract::Harness::new(fresh.store).keep(fresh.dir)
}

fn sqlite() -> Option<Adapter> {
    #[cfg(not(feature = "sqlite"))]
    return None;
    #[cfg(feature = "sqlite")]
    Some(Adapter::new("sqlite", async || harness(support::sqlite::fresh().await)))
}

fn postgres() -> Option<Adapter> {
    #[cfg(not(feature = "postgres"))]
    return None;
    #[cfg(feature = "postgres")]
    support::postgres::server().map(|url| {
        Adapter::new("postgres", move || {
            let url = url.clone();
            async move { harness(support::postgres::fresh(&url).await) }
        })
    })
}

fn mongodb() -> Option<Adapter> {
    #[cfg(not(feature = "mongodb"))]
    return None;
    #[cfg(feature = "mongodb")]
    support::server("mongodb").map(|url| {
        Adapter::new("mongodb", move || {
            let name = mender_core::Env::system().uuid().replace('-', "");
            let url = format!("{url}/t{name}");
            async move {
                let docs = support::done(mender_store::MongoDocs::open(&url).await);
                let stores = mender_store::MongoStores::new(docs);
                mender_core::testing::contract::Harness::new(stores)
            }
        })
    })
}

/// Removes what servers keep beyond the life of the process.
fn clean() {
    #[cfg(feature = "postgres")]
    if let Some(url) = support::postgres::server() {
        let runtime = tokio::runtime::Runtime::new().map_err(mender_core::StoreError::unavailable);
        support::done(runtime).block_on(support::postgres::clean(&url));
    }
}

fn main() -> ExitCode {
    let adapters = sqlite().into_iter().chain(postgres()).chain(mongodb());
    let code = run(adapters.collect());
    clean();
    code
}
