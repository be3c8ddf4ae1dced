//! The contract of buses on every adapter that can be reached, and what only one of them has.

#[cfg(feature = "nats")]
#[path = "bus/nats.rs"]
mod nats;
#[cfg(feature = "nats")]
#[path = "bus/proxy.rs"]
mod proxy;
#[cfg(feature = "nats")]
#[path = "support/server.rs"]
mod server;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    #[cfg(feature = "nats")]
    let trials = nats::trials();
    #[cfg(not(feature = "nats"))]
    let trials = Vec::new();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
