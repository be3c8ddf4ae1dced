//! Tools for tests of a server, embedded or remote.

mod app;
pub mod hostile;
pub mod transcript;

pub use app::{Clock, Setup, TestAnswer, TestApp, TestRequest, TestTenant};
