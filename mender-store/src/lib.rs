//! Storage adapters of the Mender server: SQL databases, document databases, local files.

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod connect;
#[cfg(feature = "fs")]
mod fs;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[doc(hidden)]
pub mod sql;

#[cfg(feature = "mongodb")]
pub use crate::mongodb::{MongoDocs, MongoStores};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use connect::{Role, SqlOptions, SqlStore};
#[cfg(feature = "fs")]
pub use fs::LocalBlobs;
