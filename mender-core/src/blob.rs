//! Large binary objects: artifacts and recordings.

use std::{collections::BTreeMap, fmt, ops::Range, pin::Pin, sync::Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;

use crate::error::{StoreError, StoreResult};

/// A stream of bytes.
pub type ByteStream = Pin<Box<dyn Stream<Item = StoreResult<Bytes>> + Send>>;

/// Names a blob: segments of letters, digits, `-`, `_` and `.`, joined by `/`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BlobKey(String);

impl BlobKey {
    /// The key with this text; `None` where it is none.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let segment = |s: &str| !s.is_empty() && !s.starts_with('.') && s.chars().all(plain);
        (text.len() <= 512 && text.split('/').all(segment)).then_some(Self(text))
    }

    /// Returns the key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Holds blobs. A blob is visible once, whole, when `put_blob` has returned.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Stores a blob under its key, replacing what was there, and returns its size.
    async fn put_blob(&self, key: &BlobKey, bytes: ByteStream) -> StoreResult<u64>;

    /// Returns the size of a blob; `None` where there is none.
    async fn blob_size(&self, key: &BlobKey) -> StoreResult<Option<u64>>;

    /// Returns a part of a blob, or all of it; `None` where there is none. A part beyond the
    /// end is cut.
    async fn blob(
        &self,
        key: &BlobKey,
        part: Option<Range<u64>>,
    ) -> StoreResult<Option<ByteStream>>;

    /// Deletes a blob; one that is not there is no error.
    async fn delete_blob(&self, key: &BlobKey) -> StoreResult<()>;

    /// Checks that blobs can be stored and read.
    async fn check_blobs(&self) -> StoreResult<()>;
}

/// Blobs in memory, for tests.
#[derive(Debug, Default)]
pub struct MemoryBlobs {
    blobs: Mutex<BTreeMap<BlobKey, Bytes>>,
}

impl MemoryBlobs {
    fn map(&self) -> std::sync::MutexGuard<'_, BTreeMap<BlobKey, Bytes>> {
        self.blobs.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Reads a stream to its end.
///
/// # Errors
/// The first error of the stream.
pub async fn collect(mut bytes: ByteStream) -> StoreResult<Bytes> {
    let mut all = Vec::new();
    while let Some(chunk) = std::future::poll_fn(|cx| bytes.as_mut().poll_next(cx)).await {
        all.extend_from_slice(&chunk?);
    }
    Ok(all.into())
}

/// A stream of these bytes.
#[must_use]
pub fn once(bytes: impl Into<Bytes>) -> ByteStream {
    Box::pin(Once(Some(bytes.into())))
}

struct Once(Option<Bytes>);

impl Stream for Once {
    type Item = StoreResult<Bytes>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::Poll::Ready(self.0.take().map(Ok))
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn put_blob(&self, key: &BlobKey, bytes: ByteStream) -> StoreResult<u64> {
        let bytes = collect(bytes).await?;
        let size = bytes.len() as u64;
        self.map().insert(key.clone(), bytes);
        Ok(size)
    }

    async fn blob_size(&self, key: &BlobKey) -> StoreResult<Option<u64>> {
        Ok(self.map().get(key).map(|bytes| bytes.len() as u64))
    }

    async fn blob(
        &self,
        key: &BlobKey,
        part: Option<Range<u64>>,
    ) -> StoreResult<Option<ByteStream>> {
        let found = self.map().get(key).cloned();
        let cut = |bytes: Bytes| match part {
            None => bytes,
            Some(part) => {
                let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
                bytes.slice(at(part.start)..at(part.end.max(part.start)))
            }
        };
        Ok(found.map(|bytes| once(cut(bytes))))
    }

    async fn delete_blob(&self, key: &BlobKey) -> StoreResult<()> {
        self.map().remove(key);
        Ok(())
    }

    async fn check_blobs(&self) -> StoreResult<()> {
        Ok(())
    }
}

/// Refuses everything: for servers and tools that hold no blobs.
#[derive(Debug, Default)]
pub struct NoBlobs;

fn no_blobs<T>() -> StoreResult<T> {
    Err(StoreError::unavailable("no blob store is configured"))
}

#[async_trait]
impl Blobs for NoBlobs {
    async fn put_blob(&self, _: &BlobKey, _: ByteStream) -> StoreResult<u64> {
        no_blobs()
    }

    async fn blob_size(&self, _: &BlobKey) -> StoreResult<Option<u64>> {
        no_blobs()
    }

    async fn blob(&self, _: &BlobKey, _: Option<Range<u64>>) -> StoreResult<Option<ByteStream>> {
        no_blobs()
    }

    async fn delete_blob(&self, _: &BlobKey) -> StoreResult<()> {
        no_blobs()
    }

    async fn check_blobs(&self) -> StoreResult<()> {
        no_blobs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_cannot_leave_their_folder() {
        for bad in ["", "/a", "a//b", "../a", "a/../b", "a/.hidden", "a b", "a\\b", "a/"] {
            assert_eq!(BlobKey::new(bad), None, "{bad}");
        }
        assert!(BlobKey::new("tenant/artifact-1.mender").is_some());
    }

    #[tokio::test]
    async fn parts_are_cut_at_the_end() {
        let blobs = MemoryBlobs::default();
        let key = BlobKey::new("a").unwrap();
        blobs.put_blob(&key, once("hello")).await.unwrap();
        let part = blobs.blob(&key, Some(3..99)).await.unwrap().unwrap();
        assert_eq!(collect(part).await.unwrap(), "lo");
    }
}
