//! Storage adapters of the Mender server: SQL databases, document databases, local files, cloud
//! storage, search engines.

#[cfg(any(feature = "fs", feature = "_cloud"))]
mod blobs;
#[cfg(feature = "_cloud")]
mod cloud;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod connect;
#[cfg(feature = "fs")]
mod fs;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(feature = "opensearch")]
mod opensearch;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[doc(hidden)]
pub mod sql;

#[cfg(feature = "mongodb")]
pub use crate::mongodb::{MongoDocs, MongoStores};
#[cfg(any(feature = "fs", feature = "_cloud"))]
pub use blobs::{BlobOptions, TenantBlobs};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use connect::{Role, SqlOptions, SqlStore};
#[cfg(feature = "fs")]
pub use fs::LocalBlobs;
#[cfg(feature = "opensearch")]
pub use opensearch::{OpenSearch, OpenSearchOptions};
