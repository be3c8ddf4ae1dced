//! From a file to an empty place.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use mender_core::{
    StoreError, StoreResult,
    blob::{BlobKey, Blobs, ByteStream},
    env::hex,
};
use ring::digest::{Context, SHA256};
use tokio::sync::mpsc;

use super::{
    BackupError, BackupFile, Summary,
    read::{Item, Items, items},
};
use crate::{
    SqlStore,
    sql::{Fill, MIGRATIONS},
};

impl BackupFile {
    /// Restores into a database without rows, which gets its schema here, and a place for blobs
    /// that has none of those. All of it is there in the end, or nothing but the schema; a
    /// process that is killed may leave blobs.
    ///
    /// # Errors
    /// [`BackupError::Occupied`] where there is something; [`BackupError::Damaged`],
    /// [`BackupError::Store`].
    pub async fn restore(
        self,
        store: &SqlStore,
        blobs: &dyn Blobs,
        watch: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<Summary, BackupError> {
        self.prepare(store).await?;
        let mut fill = store.sql.driver().fill().await?;
        let failed = BackupError::file(&self.path);
        let bytes = self.file.metadata().map_err(failed)?.len();
        let mut done = Summary { bytes, ..Summary::default() };
        let mut put = Vec::new();
        let items = items(self.file, Arc::new(watch));
        let mut restored = load(items, &mut *fill, blobs, &mut done, &mut put).await;
        if restored.is_ok() {
            restored = fill.finish().await.map_err(Into::into);
        }
        if let Err(error) = restored {
            for key in put {
                if let Err(error) = blobs.delete_blob(&key).await {
                    tracing::warn!(%key, %error, "a blob stays although nothing was restored");
                }
            }
            return Err(error);
        }
        if MIGRATIONS.iter().any(|migration| migration.version > self.manifest.schema) {
            store.clone().migrate().await?;
        }
        Ok(done)
    }

    /// Gives an empty database the schema of the backup.
    async fn prepare(&self, store: &SqlStore) -> Result<(), BackupError> {
        let driver = store.sql.driver();
        let (applied, schema) = (driver.version().await?, self.manifest.schema);
        if applied > 0
            && let Some(table) = driver.occupied().await?
        {
            return Err(BackupError::Occupied(format!("the database has rows in {table}")));
        }
        if applied > schema {
            return Err(BackupError::Occupied(format!(
                "the database has schema version {applied} already, and the backup {schema}"
            )));
        }
        if applied < schema {
            let known = MIGRATIONS.iter().take_while(|migration| migration.version <= schema);
            driver.migrate(&MIGRATIONS[..known.count()]).await?;
        }
        Ok(())
    }
}

async fn load(
    mut items: Items,
    fill: &mut dyn Fill,
    blobs: &dyn Blobs,
    done: &mut Summary,
    put: &mut Vec<BlobKey>,
) -> Result<(), BackupError> {
    while let Some(item) = items.recv().await {
        match item? {
            Item::Rows(chunk) => {
                done.rows += chunk.rows.len() as u64;
                fill.add(chunk).await?;
            }
            Item::Blob(name, size) => {
                let no_key = || BackupError::damaged("a blob without a key");
                let key = BlobKey::new(name).ok_or_else(no_key)?;
                put_blob(&mut items, blobs, &key, size, put).await?;
                done.blobs += 1;
            }
            Item::Bytes(_) | Item::Sum(..) => return Err(BackupError::damaged("a stray blob")),
            Item::End => return Ok(()),
        }
    }
    Err(BackupError::damaged("it has no end"))
}

async fn put_blob(
    items: &mut Items,
    blobs: &dyn Blobs,
    key: &BlobKey,
    size: u64,
    put: &mut Vec<BlobKey>,
) -> Result<(), BackupError> {
    if blobs.blob_size(key).await?.is_some() {
        return Err(BackupError::Occupied(format!("the place for blobs has {key} already")));
    }
    let (send, mut received) = mpsc::channel(4);
    let bytes: ByteStream = Box::pin(stream::poll_fn(move |cx| received.poll_recv(cx)));
    let written = async {
        let written = blobs.put_blob(key, bytes).await;
        if written.is_ok() {
            put.push(key.clone());
        }
        written
    };
    let (written, sum) = tokio::join!(written, forward(items, send, size));
    // Where the file can't be read, that is why the blob can't be written.
    let sum = sum?;
    written?;
    match items.recv().await {
        Some(Ok(Item::Sum(of, told))) if of == key.as_str() && told == sum => {}
        Some(Err(error)) => return Err(error),
        _ => return Err(BackupError::damaged(format!("blob {key} has another checksum"))),
    }
    if blobs.blob_size(key).await? != Some(size) {
        let why = "it has another size than what was written";
        return Err(StoreError::corrupt(format!("blob {key}"), why).into());
    }
    Ok(())
}

/// Passes the bytes of a blob on; returns their checksum.
async fn forward(
    items: &mut Items,
    send: mpsc::Sender<StoreResult<Bytes>>,
    size: u64,
) -> Result<String, BackupError> {
    let (mut sum, mut left) = (Context::new(&SHA256), size);
    while left > 0 {
        let chunk = match items.recv().await {
            Some(Ok(Item::Bytes(chunk))) => chunk,
            other => {
                // So that no half of a blob becomes visible.
                let _ = send.send(Err(StoreError::unavailable("the backup ended"))).await;
                return Err(match other {
                    Some(Err(error)) => error,
                    _ => BackupError::damaged("a blob is cut off"),
                });
            }
        };
        left = left.saturating_sub(chunk.len() as u64);
        sum.update(&chunk);
        if send.send(Ok(chunk)).await.is_err() {
            break;
        }
    }
    Ok(hex(sum.finish().as_ref()))
}
