//! The contract of the ports on every adapter that can be reached.

mod support;

use std::process::ExitCode;

#[cfg(feature = "postgres")]
use mender_core::StoreError;
use mender_core::testing::contract::{Adapter, Harness, main as run};
use support::Fresh;

fn harness(fresh: Fresh) -> Harness {
    Harness::new(fresh.store).keep(fresh.dir)
}

fn main() -> ExitCode {
    let mut adapters = Vec::new();
    #[cfg(feature = "sqlite")]
    adapters.push(Adapter::new("sqlite", async || {
        harness(support::done(support::sqlite::fresh().await))
    }));
    #[cfg(feature = "postgres")]
    let url = support::server("postgres", "MENDER_TEST_POSTGRES");
    #[cfg(feature = "postgres")]
    if let Some(url) = url.clone() {
        adapters.push(Adapter::new("postgres", move || {
            let url = url.clone();
            async move { harness(support::done(support::postgres::fresh(&url).await)) }
        }));
    }
    let code = run(adapters);
    #[cfg(feature = "postgres")]
    if let Some(url) = url {
        let runtime = tokio::runtime::Runtime::new().map_err(StoreError::unavailable);
        support::done(runtime).block_on(support::postgres::clean(&url));
    }
    code
}
