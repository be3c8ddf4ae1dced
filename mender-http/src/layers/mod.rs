//! The layers around the routes. From the outside in:
//!
//! 1. compression
//! 2. [`request_id`]: an id for every request, on every answer
//! 3. access log: one line for every request
//! 4. errors: ids get into their bodies
//! 5. security headers (public listener)
//! 6. CORS (public listener, only where origins are configured)
//! 7. panics become 500
//! 8. authentication, before anything else is checked; then [`ratelimit`](crate::ratelimit)
//! 9. routing: 404, 405, `OPTIONS`, slashes; then limits of size and time

pub(crate) mod access_log;
pub(crate) mod client;
pub(crate) mod compression;
pub(crate) mod cors;
pub(crate) mod panic;
pub mod request_id;
pub(crate) mod security;
