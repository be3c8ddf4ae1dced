//! The Mender server. Also the template for a distribution of your own: subscribers, stores and
//! routes are added to the [`Distribution`] here.

use std::process::ExitCode;

use mender_server::Distribution;

#[tokio::main]
async fn main() -> ExitCode {
    Distribution::new().run().await
}
