//! The contract of places for blobs on every adapter that can be reached, and what only one of them
//! has.

#[cfg(feature = "azure")]
#[path = "blobs/azure.rs"]
mod azure;
#[cfg(any(feature = "s3", feature = "azure", feature = "gcs"))]
#[path = "blobs/client.rs"]
mod client;
#[cfg(feature = "gcs")]
#[path = "blobs/gcs.rs"]
mod gcs;
#[cfg(feature = "s3")]
#[path = "blobs/s3.rs"]
mod s3;
#[path = "support/server.rs"]
mod server;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use mender_core::testing::blobs::Adapter;

fn local() -> Option<Adapter> {
    #[cfg(not(feature = "fs"))]
    return None;
    #[cfg(feature = "fs")]
    Some(Adapter::new("local", async || {
        let dir = server::done(tempfile::tempdir());
        let url = format!("file://{}", dir.path().display());
        let blobs = server::done(mender_store::BlobOptions::default().open(&url).await);
        mender_core::testing::blobs::Harness::new(blobs).keep(dir)
    }))
}

/// Runs what only one store has, in a runtime of its own.
#[cfg(any(feature = "s3", feature = "azure", feature = "gcs"))]
fn trial<F: Future<Output = ()>>(name: &str, run: impl FnOnce() -> F + Send + 'static) -> Trial {
    Trial::test(name, move || {
        tokio::runtime::Runtime::new()?.block_on(run());
        Ok(())
    })
}

fn main() -> ExitCode {
    let mut trials: Vec<Trial> = local().into_iter().flat_map(Adapter::into_trials).collect();
    #[cfg(feature = "s3")]
    trials.extend(s3::trials());
    #[cfg(feature = "azure")]
    trials.extend(azure::trials());
    #[cfg(feature = "gcs")]
    trials.extend(gcs::trials());
    libtest_mimic::run(&Arguments::from_args(), std::mem::take(&mut trials)).exit_code()
}
