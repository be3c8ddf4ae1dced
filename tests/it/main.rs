//! End-to-end cases over the whole server, in this process.

mod access_log;
mod auth_bad_input;
mod auth_tokens;
mod docs;
mod endpoints;
mod license;
mod rate_limits;
mod support;
