//! Storage adapters of the Mender server: SQL databases, document databases, local files, cloud
//! storage, search engines, message brokers.

#[cfg(feature = "_sql")]
pub mod backup;
#[cfg(any(feature = "fs", feature = "_cloud"))]
mod blobs;
#[cfg(feature = "_cloud")]
mod cloud;
#[cfg(feature = "_sql")]
mod connect;
#[doc(hidden)]
pub mod files;
#[cfg(feature = "fs")]
mod fs;
#[cfg(feature = "mongodb")]
mod mongodb;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "opensearch")]
mod opensearch;
#[cfg(feature = "_sql")]
#[doc(hidden)]
pub mod sql;

#[cfg(feature = "mongodb")]
pub use crate::mongodb::{MongoDocs, MongoStores};
#[cfg(feature = "_sql")]
pub use backup::{Backup, BackupError, BackupFile};
#[cfg(any(feature = "fs", feature = "_cloud"))]
pub use blobs::{BlobOptions, TenantBlobs};
#[cfg(feature = "_sql")]
pub use connect::{Role, SqlOptions, SqlStore};
#[cfg(feature = "fs")]
pub use fs::LocalBlobs;
#[cfg(feature = "nats")]
pub use nats::NatsBus;
#[cfg(feature = "opensearch")]
pub use opensearch::{OpenSearch, OpenSearchOptions};
