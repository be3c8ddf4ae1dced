//! The inventory over HTTP, on memory: what the transcripts in `tests/compat` leave out.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic where tests would")]

mod bad_input;
mod filters;
mod gateway;
mod identities;
mod internal;
mod isolation;
mod reports;
mod scope;
mod support;
