//! The built program, as operators and scripts use it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backup;
mod bus;
mod commands;
mod databases;
mod demo;
mod doctor;
mod fleet;
mod inventory;
mod refusals;
mod serving;
mod shell;
mod simulate;
mod stopping;
mod support;
mod tls;
mod uploads;
