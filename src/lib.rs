//! Over-the-air device management: the SDK, and the server assembled from it.
//!
#![doc = include_str!("../README.md")]

pub use async_trait::async_trait;
pub use mender_core::*;
pub use mender_http as http;
pub use mender_store as store;

#[cfg(doctest)]
#[doc = include_str!("../CONTRIBUTING.md")]
struct Contributing;
