//! From a server to a file.

use std::{
    fs::File,
    io::{self, BufWriter, Read},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use futures_util::StreamExt as _;
use mender_core::{Time, blob::Blobs, env::hex};
use ring::digest::{Context, SHA256};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};

use super::{
    BackupError, KeyFile, Summary, Watch, chunks,
    form::{BLOBS, FORMAT, KEYS, MANIFEST, Manifest, SUMS, Summing, TABLES, end, header},
    named::{Blob, Named},
    partial::Partial,
};
use crate::{SqlStore, sql::Chunk};

/// A backup to be taken.
#[must_use = "nothing is written until `write` is called"]
pub struct Backup {
    store: SqlStore,
    blobs: Arc<dyn Blobs>,
    keys: Vec<KeyFile>,
    watch: Watch,
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// What the thread does that writes.
enum Step {
    Entry(String, Bytes),
    Rows(String, Chunk),
    /// A large entry, whose bytes follow.
    Begin(String, u64),
    Bytes(Bytes),
    End,
}

/// A file that is being written. Without `publish` it goes away.
struct Sink {
    steps: mpsc::Sender<Step>,
    done: JoinHandle<io::Result<u64>>,
    partial: Partial,
}

impl Backup {
    /// A backup of a database and of the blobs that it names.
    pub fn of(store: &SqlStore, blobs: Arc<dyn Blobs>) -> Self {
        Self { store: store.clone(), blobs, keys: Vec::new(), watch: Arc::new(|_| {}) }
    }

    /// Adds the keys of the server: with them whoever reads the file can make tokens.
    pub fn keys(mut self, keys: impl IntoIterator<Item = KeyFile>) -> Self {
        self.keys.extend(keys);
        self
    }

    /// Has somebody be told now and then how many bytes are done.
    pub fn watch(mut self, watch: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.watch = Arc::new(watch);
        self
    }

    /// Writes a new file that only its owner may read. It is there once it is whole and synced.
    ///
    /// # Errors
    /// [`BackupError::Exists`] where there is such a file already; [`BackupError::File`],
    /// [`BackupError::Store`].
    pub async fn write(self, path: &Path, now: Time) -> Result<Summary, BackupError> {
        let mut sink = Sink::create(path, self.watch.clone())?;
        let done = match self.send(&sink, now).await {
            Ok(done) => sink.end().await.map(|bytes| Summary { bytes, ..done }),
            // Where the thread ended early, it knows better why.
            Err(error) => Err(sink.failed().await.unwrap_or(error)),
        };
        let done = done?;
        sink.partial.publish(path).map_err(BackupError::new_file(path))?;
        Ok(done)
    }

    async fn send(self, sink: &Sink, created: Time) -> Result<Summary, BackupError> {
        let mut dump = self.store.sql.driver().dump().await?;
        let signs = self.keys.iter().find(|key| key.signs);
        let manifest = Manifest {
            format: FORMAT,
            schema: dump.version,
            database: dump.kind.to_owned(),
            created,
            signing_key: signs.map(|key| key.name.clone()),
        };
        let manifest = serde_json::to_vec_pretty(&manifest);
        let corrupt = |e| mender_core::StoreError::corrupt("manifest", e);
        sink.entry(MANIFEST.to_owned(), manifest.map_err(corrupt)?).await?;
        for key in &self.keys {
            let pem = key.pem.expose().as_bytes().to_vec();
            sink.entry(format!("{KEYS}{}", key.name), pem).await?;
        }
        let (mut done, mut named, mut n) = (Summary::default(), Named::default(), 0);
        while let Some(chunk) = dump.chunks.next().await {
            let chunk = chunk?;
            named.note(&chunk)?;
            n += 1;
            done.rows += chunk.rows.len() as u64;
            let name = format!("{TABLES}{}/{n:08}.jsonl.zst", chunk.table);
            sink.step(Step::Rows(name, chunk)).await?;
        }
        // Ends the transaction.
        drop(dump);
        for blob in named.blobs() {
            self.send_blob(sink, &blob, &mut done).await?;
        }
        Ok(done)
    }

    async fn send_blob(
        &self,
        sink: &Sink,
        blob: &Blob,
        done: &mut Summary,
    ) -> Result<(), BackupError> {
        let key = &blob.key;
        let is_missing = |size: Option<u64>| blob.size.is_some() && blob.size != size;
        let size = self.blobs.blob_size(key).await?;
        let bytes = match size {
            Some(_) if !is_missing(size) => self.blobs.blob(key, None).await?,
            _ => None,
        };
        let (Some(size), Some(mut bytes)) = (size, bytes) else {
            if blob.size.is_some() {
                done.missing.push(key.to_string());
            }
            return Ok(());
        };
        sink.step(Step::Begin(format!("{BLOBS}{key}"), size)).await?;
        let (mut sum, mut read) = (Context::new(&SHA256), 0);
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk?;
            read += chunk.len() as u64;
            sum.update(&chunk);
            sink.step(Step::Bytes(chunk)).await?;
        }
        if read != size {
            let why = "it is not as long as it was said to be";
            return Err(mender_core::StoreError::corrupt(format!("blob {key}"), why).into());
        }
        sink.entry(format!("{SUMS}{key}"), hex(sum.finish().as_ref())).await?;
        done.blobs += 1;
        Ok(())
    }
}

impl Sink {
    fn create(path: &Path, watch: Watch) -> Result<Self, BackupError> {
        // A link that leads nowhere is there as well.
        if path.symlink_metadata().is_ok() {
            return Err(BackupError::Exists(path.display().to_string()));
        }
        let (partial, file) = Partial::create(path).map_err(BackupError::file(path))?;
        let (steps, received) = mpsc::channel(8);
        let done = spawn_blocking(move || write(file, received, &watch));
        Ok(Self { steps, done, partial })
    }

    async fn step(&self, step: Step) -> Result<(), BackupError> {
        let ended = |_| {
            let why = io::Error::other("the thread that writes has ended");
            BackupError::file(&self.partial.path)(why)
        };
        self.steps.send(step).await.map_err(ended)
    }

    async fn entry(&self, name: String, bytes: impl Into<Bytes>) -> Result<(), BackupError> {
        self.step(Step::Entry(name, bytes.into())).await
    }

    async fn end(&mut self) -> Result<u64, BackupError> {
        let sent = self.step(Step::End).await;
        let written = (&mut self.done).await.map_err(io::Error::other).flatten();
        let written = written.map_err(BackupError::file(&self.partial.path))?;
        sent.map(|()| written)
    }

    /// Waits for the thread; returns why it ended, unless that is what it was told.
    async fn failed(&mut self) -> Option<BackupError> {
        let (steps, _) = mpsc::channel(1);
        self.steps = steps;
        match (&mut self.done).await.map_err(io::Error::other).flatten() {
            Err(error) if error.kind() != io::ErrorKind::ConnectionAborted => {
                Some(BackupError::file(&self.partial.path)(error))
            }
            _ => None,
        }
    }
}

/// What comes of being told nothing more. No file fails with this kind, and nothing tries again.
fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "cut off")
}

/// Writes what it is told; returns the size of the file.
fn write(file: File, mut steps: mpsc::Receiver<Step>, watch: &Watch) -> io::Result<u64> {
    let to = BufWriter::with_capacity(1 << 20, file);
    let mut tar = tar::Builder::new(Summing::new(to, watch.clone()));
    loop {
        match steps.blocking_recv().ok_or_else(cut_off)? {
            Step::Entry(name, bytes) => {
                tar.append_data(&mut header(bytes.len() as u64), name, &bytes[..])?;
            }
            Step::Rows(name, chunk) => {
                let bytes = chunks::encode(&chunk)?;
                tar.append_data(&mut header(bytes.len() as u64), name, &bytes[..])?;
            }
            Step::Begin(name, size) => {
                let body = Body { steps: &mut steps, chunk: Bytes::new(), left: size };
                tar.append_data(&mut header(size), name, body)?;
            }
            Step::Bytes(_) => return Err(io::Error::other("an entry that is too long")),
            Step::End => break,
        }
    }
    let sum = tar.get_ref().sum();
    end(&mut tar, &sum)?;
    let to = tar.into_inner()?.into_inner();
    let file = to.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

/// The bytes of a large entry.
struct Body<'a> {
    steps: &'a mut mpsc::Receiver<Step>,
    chunk: Bytes,
    left: u64,
}

impl Read for Body<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.left > 0 && self.chunk.is_empty() {
            match self.steps.blocking_recv().ok_or_else(cut_off)? {
                Step::Bytes(chunk) => self.chunk = chunk,
                _ => return Err(io::Error::other("an entry that is too short")),
            }
        }
        let n = self.chunk.len().min(to.len());
        let n = n.min(usize::try_from(self.left).unwrap_or(n));
        to[..n].copy_from_slice(&self.chunk.split_to(n));
        self.left -= n as u64;
        Ok(n)
    }
}
