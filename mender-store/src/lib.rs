//! Storage adapters of the Mender server: SQL databases and local files.

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod connect;
#[cfg(feature = "fs")]
mod fs;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[doc(hidden)]
pub mod sql;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use connect::{Role, SqlOptions, SqlStore};
#[cfg(feature = "fs")]
pub use fs::LocalBlobs;
