//! End-to-end cases over the whole server, in this process.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic where tests would")]

mod access_log;
mod auth_bad_input;
mod auth_tokens;
mod docs;
mod endpoints;
mod json_bodies;
mod license;
mod rate_limits;
mod support;
mod unknown_ids;
