//! Backups: what is restored is what was there, whole, or nothing is.

#![cfg(any(feature = "sqlite", feature = "postgres"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod damage;
mod files;
mod places;
mod round_trip;
mod snapshot;
mod source;
#[path = "../support/server.rs"]
mod support;
