//! Blobs in local files.

use std::{
    io::{self, BufWriter, ErrorKind, SeekFrom, Write as _},
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use mender_core::{
    StoreError, StoreResult, Time,
    blob::{Audience, BlobKey, Blobs, ByteStream, Link, LinkTo},
};
use tokio::{
    fs::{self, File},
    io::{AsyncReadExt as _, AsyncSeekExt as _},
    task::{JoinHandle, spawn_blocking},
};

/// How much is read at once.
const CHUNK: usize = 128 << 10;

/// How much is gathered before it is written.
const BATCH: usize = 4 << 20;

/// How much is written at once.
const BUFFER: usize = 1 << 20;

/// Where blobs lie until they are whole. No key begins with a dot.
const PARTIAL: &str = ".partial";

/// Blobs as files of a directory. What is stored survives a crash of the machine.
#[derive(Clone, Debug)]
pub struct LocalBlobs {
    dir: PathBuf,
    next: Arc<AtomicU64>,
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.display().to_string();
    move |error| StoreError::unavailable(io::Error::new(error.kind(), format!("{path}: {error}")))
}

fn found<T>(path: &Path, answer: io::Result<T>) -> StoreResult<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

/// Something slow that is done with a file, whether or not it is waited for.
type Writing = JoinHandle<io::Result<std::fs::File>>;

async fn written(path: &Path, writing: Writing) -> StoreResult<std::fs::File> {
    writing.await.map_err(io::Error::other).flatten().map_err(failed(path))
}

/// Takes about as much as is written at once; less only at the end.
async fn gather(bytes: &mut ByteStream) -> StoreResult<(Vec<Bytes>, usize)> {
    let (mut batch, mut gathered) = (Vec::new(), 0);
    while gathered < BATCH {
        let Some(chunk) = bytes.next().await else { break };
        let chunk = chunk?;
        gathered += chunk.len();
        batch.push(chunk);
    }
    Ok((batch, gathered))
}

/// Makes a file that is locked while somebody writes it.
fn create(path: &Path) -> io::Result<std::fs::File> {
    let file = std::fs::File::create(path)?;
    match file.lock() {
        // Then nobody can tell whether it is dead, and it is never removed.
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(file),
        locked => locked.map(|()| file),
    }
}

/// Removes what processes left behind that were killed while they wrote.
fn remove_dead(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let Ok(file) = std::fs::File::open(&path) else { continue };
        // An empty one may have been made just now, and is yet to be locked.
        if file.try_lock().is_ok() && file.metadata()?.len() > 0 {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn write_out(mut file: std::fs::File, batch: &[Bytes]) -> io::Result<std::fs::File> {
    // Small chunks become large writes; large ones go as they are.
    let mut buffer = BufWriter::with_capacity(BUFFER, &mut file);
    batch.iter().try_for_each(|chunk| buffer.write_all(chunk))?;
    buffer.flush()?;
    drop(buffer);
    Ok(file)
}

async fn sync_dir(dir: &Path) -> StoreResult<()> {
    let file = File::open(dir).await.map_err(failed(dir))?;
    file.sync_all().await.map_err(failed(dir))
}

impl LocalBlobs {
    /// Uses a directory, making it where there is none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the directory can't be made or written.
    pub fn new(dir: impl Into<PathBuf>) -> StoreResult<Self> {
        let dir = dir.into();
        let partial = dir.join(PARTIAL);
        std::fs::create_dir_all(&partial).map_err(failed(&partial))?;
        remove_dead(&partial).map_err(failed(&partial))?;
        Ok(Self { dir, next: Arc::default() })
    }

    fn path(&self, key: &BlobKey) -> PathBuf {
        self.dir.join(key.as_str())
    }

    /// Returns a name that no other upload of this or another process has.
    fn partial(&self) -> PathBuf {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{:p}-{n}", std::process::id(), Arc::as_ptr(&self.next));
        self.dir.join(PARTIAL).join(name)
    }

    /// Writes what comes while the next of it is waited for, and syncs it.
    async fn write(partial: &Arc<Partial>, mut bytes: ByteStream) -> StoreResult<u64> {
        let path = &partial.0;
        let mut writing = partial.writing(create);
        let (mut size, mut is_all) = (0, false);
        while !is_all {
            let gathered = gather(&mut bytes).await;
            let file = written(path, writing).await?;
            let (batch, gathered) = gathered?;
            is_all = gathered < BATCH;
            size += gathered as u64;
            writing = partial.writing(move |_| write_out(file, &batch));
        }
        let file = written(path, writing).await?;
        written(path, partial.writing(move |_| file.sync_all().map(|()| file))).await?;
        Ok(size)
    }

    /// Makes the directories above a file, each synced into the one above it.
    async fn make_dirs(&self, dir: &Path) -> StoreResult<()> {
        let mut missing = Vec::new();
        for above in dir.ancestors().take_while(|above| *above != self.dir) {
            if fs::try_exists(above).await.map_err(failed(above))? {
                break;
            }
            missing.push(above);
        }
        if missing.is_empty() {
            return Ok(());
        }
        fs::create_dir_all(dir).await.map_err(failed(dir))?;
        for made in missing {
            sync_dir(made.parent().unwrap_or(&self.dir)).await?;
        }
        Ok(())
    }

    async fn publish(&self, partial: &Path, path: &Path) -> StoreResult<()> {
        let dir = path.parent().unwrap_or(&self.dir);
        self.make_dirs(dir).await?;
        fs::rename(partial, path).await.map_err(failed(path))?;
        sync_dir(dir).await
    }
}

/// Deletes the file of an upload that did not end well, also when it is cancelled: as soon as
/// nothing is done with it any more.
struct Partial(PathBuf);

impl Partial {
    fn writing(
        self: &Arc<Self>,
        work: impl FnOnce(&Path) -> io::Result<std::fs::File> + Send + 'static,
    ) -> Writing {
        let partial = self.clone();
        spawn_blocking(move || work(&partial.0))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After the rename there is none.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn chunks(file: File, left: u64, path: PathBuf) -> ByteStream {
    let read = |(mut file, left, path): (File, u64, PathBuf)| async move {
        let want = CHUNK.min(usize::try_from(left).unwrap_or(CHUNK));
        if want == 0 {
            return None;
        }
        let mut chunk = vec![0; want];
        match file.read(&mut chunk).await {
            Ok(0) => None,
            Ok(n) => {
                chunk.truncate(n);
                Some((Ok(chunk.into()), (file, left - n as u64, path)))
            }
            Err(error) => Some((Err(failed(&path)(error)), (file, 0, path))),
        }
    };
    Box::pin(stream::unfold((file, left, path), read))
}

#[async_trait]
impl Blobs for LocalBlobs {
    async fn put_blob(&self, key: &BlobKey, bytes: ByteStream) -> StoreResult<u64> {
        let partial = Arc::new(Partial(self.partial()));
        let size = Self::write(&partial, bytes).await?;
        self.publish(&partial.0, &self.path(key)).await?;
        Ok(size)
    }

    async fn blob_size(&self, key: &BlobKey) -> StoreResult<Option<u64>> {
        let path = self.path(key);
        let meta = found(&path, fs::metadata(&path).await)?;
        Ok(meta.filter(std::fs::Metadata::is_file).map(|m| m.len()))
    }

    async fn blob(
        &self,
        key: &BlobKey,
        part: Option<Range<u64>>,
    ) -> StoreResult<Option<ByteStream>> {
        let path = self.path(key);
        let Some(mut file) = found(&path, File::open(&path).await)? else {
            return Ok(None);
        };
        let size = file.metadata().await.map_err(failed(&path))?.len();
        let part = part.unwrap_or(0..size);
        let start = part.start.min(size);
        let left = part.end.min(size).saturating_sub(start);
        let to = SeekFrom::Start(start);
        file.seek(to).await.map_err(failed(&path))?;
        Ok(Some(chunks(file, left, path)))
    }

    async fn delete_blob(&self, key: &BlobKey) -> StoreResult<()> {
        let path = self.path(key);
        found(&path, fs::remove_file(&path).await).map(drop)
    }

    async fn link_to(
        &self,
        _: &BlobKey,
        _: LinkTo<'_>,
        _: Audience,
        _: Duration,
        _: Time,
    ) -> StoreResult<Option<Link>> {
        Ok(None)
    }

    async fn check_blobs(&self) -> StoreResult<()> {
        let probe = Partial(self.partial());
        fs::write(&probe.0, b"ok").await.map_err(failed(&probe.0))
    }
}

#[cfg(test)]
mod tests {
    use mender_core::blob::{collect, once};

    use super::*;

    #[tokio::test]
    async fn blobs_are_whole_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = LocalBlobs::new(dir.path()).unwrap();
        let key = BlobKey::new("tenant/a/b.mender").unwrap();
        let broken =
            stream::iter([Ok(Bytes::from_static(b"he")), Err(StoreError::unavailable("cut"))]);
        assert!(blobs.put_blob(&key, Box::pin(broken)).await.is_err());
        assert!(blobs.blob(&key, None).await.unwrap().is_none());
        assert_eq!(std::fs::read_dir(dir.path().join(PARTIAL)).unwrap().count(), 0);

        assert_eq!(blobs.put_blob(&key, once("hello")).await.unwrap(), 5);
        assert_eq!(blobs.blob_size(&key).await.unwrap(), Some(5));
        let part = blobs.blob(&key, Some(3..99)).await.unwrap().unwrap();
        assert_eq!(collect(part).await.unwrap(), "lo");
        let none = blobs.blob(&key, Some(7..9)).await.unwrap().unwrap();
        assert_eq!(collect(none).await.unwrap(), "");

        blobs.delete_blob(&key).await.unwrap();
        blobs.delete_blob(&key).await.unwrap();
        assert_eq!(blobs.blob_size(&key).await.unwrap(), None);
        blobs.check_blobs().await.unwrap();
    }

    #[test]
    fn what_the_dead_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let partial = dir.path().join(PARTIAL);
        std::fs::create_dir(&partial).unwrap();
        let mut alive = create(&partial.join("alive")).unwrap();
        alive.write_all(b"x").unwrap();
        std::fs::write(partial.join("dead"), b"x").unwrap();
        std::fs::write(partial.join("new"), b"").unwrap();
        LocalBlobs::new(dir.path()).unwrap();
        let left = std::fs::read_dir(&partial).unwrap().map(|entry| entry.unwrap().file_name());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, ["alive", "new"]);
    }

    #[tokio::test]
    async fn large_blobs_are_streamed() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = LocalBlobs::new(dir.path()).unwrap();
        let key = BlobKey::new("large").unwrap();
        let bytes: Vec<u8> = (0..CHUNK * 3 + 7).map(|n| (n % 251) as u8).collect();
        blobs.put_blob(&key, once(bytes.clone())).await.unwrap();
        let stored = blobs.blob(&key, None).await.unwrap().unwrap();
        assert_eq!(collect(stored).await.unwrap(), bytes);
    }
}
