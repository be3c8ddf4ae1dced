//! Backups: everything that a server keeps, in one file, taken while it serves.
//!
//! | module | what lives there |
//! |---|---|
//! | `form` | the file: a tar archive that ends in the checksum of all before |
//! | `chunks` | rows of tables as text |
//! | `named` | which blobs the rows name |
//! | `partial` | a file that is not yet whole |
//! | `write` | from a server to a file |
//! | `read` | a file that is whole, or none |
//! | `restore` | from a file to an empty place |
//!
//! The rows are those of one state of the database, and then come the blobs that they name: blobs
//! outlive their artifact by a day. Rows are the same for every SQL database, so a backup of SQLite
//! can be restored into PostgreSQL, and the reverse.
//!
//! ```
//! # #[cfg(feature = "sqlite")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use mender_core::{Env, blob::MemoryBlobs};
//! use mender_store::{Backup, BackupFile, SqlStore};
//!
//! # let dir = tempfile::tempdir()?;
//! # let database = |name: &str| format!("sqlite://{}/{name}", dir.path().display());
//! let path = dir.path().join("monday.backup");
//! let store = SqlStore::open(&database("mender.db")).await?.migrate().await?;
//! let blobs = Arc::new(MemoryBlobs::default());
//! let written = Backup::of(&store, blobs).write(&path, Env::system().now()).await?;
//! assert!(written.missing.is_empty());
//!
//! let backup = BackupFile::open(&path, |_| {}).await?;
//! let empty = SqlStore::open(&database("restored.db")).await?;
//! let restored = backup.restore(&empty, &MemoryBlobs::default(), |_| {}).await?;
//! assert_eq!(restored.rows, written.rows);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sqlite"))]
//! # fn main() {}
//! ```

mod chunks;
mod error;
mod form;
mod named;
mod partial;
mod read;
mod restore;
mod write;

use std::sync::Arc;

use mender_core::secret::Secret;

pub use error::BackupError;
pub use read::BackupFile;
pub use write::Backup;

/// Is told how many bytes are done.
type Watch = Arc<dyn Fn(u64) + Send + Sync>;

/// A private key of the server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyFile {
    /// The name of its file: the number in it is part of every token.
    pub name: String,
    /// The key, PEM.
    pub pem: Secret,
    /// Whether it signs; the others only verify.
    pub signs: bool,
}

/// What was backed up or restored.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// How many rows.
    pub rows: u64,
    /// How many blobs.
    pub blobs: u64,
    /// How many bytes the file has.
    pub bytes: u64,
    /// Blobs that the database names and that were not there as it describes them: they are not in
    /// the backup.
    pub missing: Vec<String>,
}
