//! Something to back up, and what it consists of.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::StreamExt as _;
use mender_core::{
    Builder, Time,
    artifacts::blob_of,
    blob::{BlobKey, Blobs as _, MemoryBlobs, collect, once},
    kit::MemoryStores,
    secret::Secret,
    testing::{lockstep, release_queries::releases_alike},
};
use mender_store::{
    Backup, BackupError, BackupFile, SqlStore,
    backup::{KeyFile, Summary},
    sql::{Batch, Stmt, Val},
    vals,
};

use crate::{
    places::{Fresh, Kind},
    support::done,
};

const ODD: Stmt = Stmt::new(
    "INSERT INTO jobs (kind, key, lane, due_at, lease_until, attempt, payload, error, dead_at)
    VALUES ($1, $2, '', $3, $4, 0, $5, '', $6)",
);

const ARTIFACT: Stmt = Stmt::new(
    "INSERT INTO artifacts_artifacts (tenant_id, release_id, id, added, nth, name, content, size,
        stored, modified) VALUES ('', 'r', $1, 1, 0, 'r', '{}', 700, 1, 1)",
);

const NAMED: Stmt = Stmt::new("SELECT tenant_id, id, size FROM artifacts_artifacts");

/// When backups are taken.
pub(crate) const NOW: Time = Time(1_767_268_800_123);

/// What a database consists of: the rows of each table, by their columns' names.
pub(crate) type Tables = BTreeMap<String, Vec<Vec<(String, String)>>>;

/// Reads everything that is moved.
pub(crate) async fn tables(store: &SqlStore) -> Tables {
    let mut dump = done(store.sql().driver().dump().await);
    let mut tables = Tables::new();
    while let Some(chunk) = dump.chunks.next().await {
        let chunk = done(chunk);
        let columns = &chunk.columns;
        let named = |row: Vec<Val>| {
            let mut row: Vec<_> =
                columns.iter().cloned().zip(row.iter().map(|val| format!("{val:?}"))).collect();
            row.sort();
            row
        };
        let rows = tables.entry(chunk.table).or_default();
        rows.extend(chunk.rows.into_iter().map(named));
    }
    for rows in tables.values_mut() {
        rows.sort();
    }
    tables
}

/// A server's data.
pub(crate) struct Source {
    pub(crate) store: SqlStore,
    pub(crate) blobs: MemoryBlobs,
    pub(crate) dir: tempfile::TempDir,
    _database: Option<tempfile::TempDir>,
}

impl Source {
    async fn empty(kind: &Kind) -> Self {
        let Fresh { store, dir: database } = kind.empty().await;
        let (blobs, dir) = (MemoryBlobs::default(), tempfile::tempdir().unwrap());
        Self { store, blobs, dir, _database: database }
    }

    /// Adds odd rows, and an artifact with its blob.
    async fn with_odd_rows(self) -> Self {
        let (min, max) = (i64::MIN, i64::MAX);
        let odd = "\u{1}\n\t\"\\ é \u{fffd} 😀 \u{10ffff} '; DROP TABLE jobs; --";
        let batch = Batch::of(ODD, vals!["a", odd, min, max, "{}", Val::Null])
            .then(ODD, vals!["b", "", 0_i64, -1_i64, "x".repeat(3000), 7_i64])
            .then(ARTIFACT, vals!["one"]);
        done(self.store.sql().run(batch).await);
        let key = BlobKey::new("one").unwrap();
        done(self.blobs.put_blob(&key, once(vec![9_u8; 700])).await);
        self
    }

    /// A database with a few rows, and a blob.
    pub(crate) async fn small(kind: &Kind) -> Self {
        Self::empty(kind).await.with_odd_rows().await
    }

    /// A database with what random histories leave, and every blob that it names.
    pub(crate) async fn random(kind: &Kind, seed: u64) -> Self {
        let source = Self::empty(kind).await;
        releases_alike(seed, &MemoryStores::default(), &source.store).await;
        let memory =
            async |builder: Builder| builder.stores(MemoryStores::default()).build().unwrap();
        let stored = async |builder: Builder| builder.stores(source.store.clone()).build().unwrap();
        Box::pin(lockstep(seed, 200, memory, stored)).await;
        for row in done(source.store.sql().read(NAMED, vals![]).await) {
            let (tenant, id) = (row.parse("tenant_id").unwrap(), row.parse("id").unwrap());
            let size = usize::try_from(row.int("size").unwrap()).unwrap();
            let bytes: Vec<u8> = row.text("id").unwrap().bytes().cycle().take(size).collect();
            let key = blob_of(&tenant, &id).unwrap();
            done(source.blobs.put_blob(&key, once(bytes)).await);
        }
        source.with_odd_rows().await
    }

    /// The server's keys, which need be none for this.
    pub(crate) fn keys() -> [KeyFile; 2] {
        let key = |name: &str, signs| KeyFile {
            name: name.into(),
            pem: Secret::new(format!("the key {name}")),
            signs,
        };
        [key("private.id.3.pem", true), key("private.pem", false)]
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) async fn back_up(&self, path: &Path) -> Result<Summary, BackupError> {
        let backup = Backup::of(&self.store, Arc::new(self.blobs.clone()));
        backup.keys(Self::keys()).write(path, NOW).await
    }
}

/// Opens a backup and restores it.
pub(crate) async fn restore(
    path: &Path,
    store: &SqlStore,
    blobs: &MemoryBlobs,
) -> Result<Summary, BackupError> {
    let backup = BackupFile::open(path, |_| {}).await?;
    backup.restore(store, blobs, |_| {}).await
}

/// Reads a blob.
pub(crate) async fn blob(blobs: &MemoryBlobs, key: &str) -> Option<bytes::Bytes> {
    let key = BlobKey::new(key).unwrap();
    let bytes = done(blobs.blob(&key, None).await)?;
    Some(done(collect(bytes).await))
}
