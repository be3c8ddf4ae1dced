//! The built program, as operators and scripts use it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod databases;
mod inventory;
mod serving;
mod simulate;
mod stopping;
mod support;
mod tls;
mod uploads;
