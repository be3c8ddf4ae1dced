//! Storage adapters of the Mender server.

#[cfg(feature = "mongodb")]
mod mongodb;

#[cfg(feature = "mongodb")]
pub use crate::mongodb::{MongoDocs, MongoStores};
