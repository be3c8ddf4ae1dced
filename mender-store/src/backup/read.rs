//! A file that is whole, or none.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use mender_core::{Time, secret::Secret};
use ring::digest::{Context, SHA256};
use serde::Deserialize;
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{
    BackupError, KeyFile, Watch, chunks,
    form::{BLOBS, BLOCK, FORMAT, KEYS, MANIFEST, Manifest, SUMS, TABLES, TAIL, TRAILER, tail},
};
use crate::sql::{Chunk, MIGRATIONS};

/// How much is read at once.
const READ: usize = 256 << 10;

/// A manifest or key that is larger was not written by us.
const SMALL: u64 = 1 << 20;

/// A backup that is whole, of a form that this program knows.
#[derive(Debug)]
pub struct BackupFile {
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) manifest: Manifest,
    keys: Vec<KeyFile>,
}

/// What a file holds, in its order.
pub(super) enum Item {
    Rows(Chunk),
    Blob(String, u64),
    Bytes(Bytes),
    Sum(String, String),
    End,
}

/// What a program of any version can read.
#[derive(Deserialize)]
struct AnyManifest {
    format: u32,
}

impl BackupFile {
    /// Opens a backup and reads all of it once, so that it is known to be as it was written.
    ///
    /// # Errors
    /// [`BackupError::NoBackup`], [`BackupError::Damaged`], [`BackupError::Newer`],
    /// [`BackupError::File`].
    pub async fn open(
        path: &Path,
        watch: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<Self, BackupError> {
        let (path, watch): (_, Watch) = (path.to_owned(), Arc::new(watch));
        let opened = spawn_blocking(move || open(path, &watch)).await;
        opened.map_err(|e| BackupError::damaged(e.to_string()))?
    }

    /// Returns when the backup was taken.
    #[must_use]
    pub fn created(&self) -> Time {
        self.manifest.created
    }

    /// Returns the version of its schema.
    #[must_use]
    pub fn schema(&self) -> i64 {
        self.manifest.schema
    }

    /// Returns the keys of the server.
    #[must_use]
    pub fn keys(&self) -> &[KeyFile] {
        &self.keys
    }
}

fn open(path: PathBuf, watch: &Watch) -> Result<BackupFile, BackupError> {
    let failed = BackupError::file(&path);
    let mut file = File::open(&path).map_err(&failed)?;
    let mut first = Vec::new();
    let name = format!("{MANIFEST}\0");
    (&file).take(name.len() as u64).read_to_end(&mut first).map_err(&failed)?;
    if first != name.as_bytes() {
        return Err(BackupError::NoBackup);
    }
    verify(&mut file, watch).map_err(&failed)??;
    file.rewind().map_err(&failed)?;
    let (manifest, keys) = head(&file)?;
    Ok(BackupFile { path, file, manifest, keys })
}

/// Compares the checksum.
fn verify(file: &mut File, watch: &Watch) -> io::Result<Result<(), BackupError>> {
    let size = file.metadata()?.len();
    let wrong = |why: &str| Ok(Err(BackupError::damaged(why)));
    if size < TAIL + BLOCK || !size.is_multiple_of(BLOCK) {
        return wrong("its end is missing");
    }
    file.rewind()?;
    let (mut sum, mut read, mut buffer) = (Context::new(&SHA256), 0, vec![0; READ]);
    let mut content = (&*file).take(size - TAIL);
    loop {
        match content.read(&mut buffer)? {
            0 => break,
            n => {
                sum.update(&buffer[..n]);
                read += n as u64;
                watch(read);
            }
        }
    }
    let mut end = Vec::new();
    file.take(TAIL + 1).read_to_end(&mut end)?;
    if end == tail(&sum.finish())? {
        return Ok(Ok(()));
    }
    let trailer = format!("{TRAILER}\0");
    if end.starts_with(trailer.as_bytes()) {
        wrong("its checksum is not that of its content")
    } else {
        wrong("its end is missing")
    }
}

fn damaged(error: impl std::fmt::Display) -> BackupError {
    BackupError::damaged(error.to_string())
}

fn small(entry: &mut impl Read) -> Result<Vec<u8>, BackupError> {
    let mut bytes = Vec::new();
    entry.take(SMALL).read_to_end(&mut bytes).map_err(damaged)?;
    Ok(bytes)
}

fn name(entry: &tar::Entry<'_, impl Read>) -> Result<String, BackupError> {
    String::from_utf8(entry.path_bytes().into_owned()).map_err(damaged)
}

/// Reads what comes first.
fn head(file: &File) -> Result<(Manifest, Vec<KeyFile>), BackupError> {
    let mut archive = tar::Archive::new(BufReader::new(file));
    let mut entries = archive.entries().map_err(damaged)?;
    let lacks = || BackupError::damaged("it has no manifest");
    let mut first = entries.next().ok_or_else(lacks)?.map_err(damaged)?;
    let manifest = manifest(&small(&mut first)?)?;
    let mut keys = Vec::new();
    for entry in entries {
        let mut entry = entry.map_err(damaged)?;
        let path = name(&entry)?;
        let Some(name) = path.strip_prefix(KEYS) else { break };
        if name.is_empty() || name.starts_with('.') || name.contains('/') {
            return Err(BackupError::damaged("a key without a name"));
        }
        let pem = Secret::new(String::from_utf8(small(&mut entry)?).map_err(damaged)?);
        let signs = manifest.signing_key.as_deref() == Some(name);
        keys.push(KeyFile { name: name.to_owned(), pem, signs });
    }
    Ok((manifest, keys))
}

fn manifest(bytes: &[u8]) -> Result<Manifest, BackupError> {
    let AnyManifest { format } = serde_json::from_slice(bytes).map_err(damaged)?;
    if format != FORMAT {
        return Err(BackupError::Newer(format!("its form is {format}, known is {FORMAT}")));
    }
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(damaged)?;
    let (schema, known) = (manifest.schema, MIGRATIONS.last().map_or(0, |last| last.version));
    if schema > known {
        let what = format!("its schema has version {schema}, known are those up to {known}");
        return Err(BackupError::Newer(what));
    }
    Ok(manifest)
}

/// What a thread reads.
pub(super) type Items = mpsc::Receiver<Result<Item, BackupError>>;

/// Reads the file again, in a thread.
pub(super) fn items(file: File, watch: Watch) -> Items {
    let (send, items) = mpsc::channel(4);
    spawn_blocking(move || {
        let end = match pass(&file, &watch, &|item| send.blocking_send(Ok(item)).is_ok()) {
            Ok(true) => Ok(Item::End),
            // Nobody listens any more.
            Ok(false) => return,
            Err(error) => Err(error),
        };
        let _ = send.blocking_send(end);
    });
    items
}

/// Passes on what comes; tells whether all of it was heard.
fn pass(mut file: &File, watch: &Watch, hear: &dyn Fn(Item) -> bool) -> Result<bool, BackupError> {
    file.rewind().map_err(damaged)?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(READ, file));
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        watch(entry.raw_file_position());
        let path = name(&entry)?;
        let heard = if let Some(path) = path.strip_prefix(TABLES) {
            let table = path.split('/').next().unwrap_or_default();
            hear(Item::Rows(chunks::decode(table, &mut entry).map_err(damaged)?))
        } else if let Some(key) = path.strip_prefix(BLOBS) {
            let at = entry.raw_file_position();
            hear(Item::Blob(key.to_owned(), entry.size())) && bytes(&mut entry, at, watch, hear)?
        } else if let Some(key) = path.strip_prefix(SUMS) {
            let sum = String::from_utf8(small(&mut entry)?).map_err(damaged)?;
            hear(Item::Sum(key.to_owned(), sum))
        } else if path == TRAILER {
            return Ok(true);
        } else {
            // What was read before.
            path == MANIFEST || path.starts_with(KEYS)
        };
        if !heard {
            return Ok(false);
        }
    }
    Err(BackupError::damaged("it has no end"))
}

fn bytes(
    entry: &mut impl Read,
    at: u64,
    watch: &Watch,
    hear: &dyn Fn(Item) -> bool,
) -> Result<bool, BackupError> {
    let (mut buffer, mut done) = (vec![0; READ], at);
    loop {
        match entry.read(&mut buffer).map_err(damaged)? {
            0 => return Ok(true),
            n if !hear(Item::Bytes(Bytes::copy_from_slice(&buffer[..n]))) => return Ok(false),
            n => {
                done += n as u64;
                watch(done);
            }
        }
    }
}
