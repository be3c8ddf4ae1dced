//! Large binary objects: artifacts and recordings.
//!
//! Bytes go through the server by [`Blobs::put_blob`] and [`Blobs::blob`], or past it: by a [`Link`]
//! that the store signed and that clients follow without credentials.

mod link;
mod memory;
mod settings;

use std::{fmt, ops::Range, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;

pub use link::{ARTIFACT_TYPE, Audience, Link, LinkTo, disposition};
pub use memory::{MemoryBlobs, MemoryBuckets};
pub use settings::{BlobSettings, BlobStoreType};

use crate::{
    env::Time,
    error::{StoreError, StoreResult},
};

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
    /// Stores a blob under its key, replacing what was there, and returns its size. What is stored
    /// survives a crash. Where the stream ends in an error, or the future is dropped, nothing is
    /// stored and what was there stays.
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

    /// Makes a link that is good from `now` on for about `valid_for`; the link tells how long.
    /// `None` where the store has no links of its own: then the server serves the blob itself. To
    /// link to a blob that can't be read as it is not there is [`StoreError::Corrupt`].
    async fn link_to(
        &self,
        key: &BlobKey,
        to: LinkTo<'_>,
        audience: Audience,
        valid_for: Duration,
        now: Time,
    ) -> StoreResult<Option<Link>>;

    /// Checks that the store can be reached and lets us in. Cheap enough for health checks.
    async fn check_blobs(&self) -> StoreResult<()>;
}

/// Opens the stores that tenants bring.
#[async_trait]
pub trait OpenBlobs: Send + Sync + 'static {
    /// Opens a store. It may be asked for each use: nothing is sent before the store is used, so
    /// whether it works tells [`Blobs::check_blobs`].
    async fn open_blobs(&self, settings: &BlobSettings) -> StoreResult<Arc<dyn Blobs>>;
}

#[async_trait]
impl<T: Blobs + ?Sized> Blobs for Arc<T> {
    async fn put_blob(&self, key: &BlobKey, bytes: ByteStream) -> StoreResult<u64> {
        (**self).put_blob(key, bytes).await
    }

    async fn blob_size(&self, key: &BlobKey) -> StoreResult<Option<u64>> {
        (**self).blob_size(key).await
    }

    async fn blob(
        &self,
        key: &BlobKey,
        part: Option<Range<u64>>,
    ) -> StoreResult<Option<ByteStream>> {
        (**self).blob(key, part).await
    }

    async fn delete_blob(&self, key: &BlobKey) -> StoreResult<()> {
        (**self).delete_blob(key).await
    }

    async fn link_to(
        &self,
        key: &BlobKey,
        to: LinkTo<'_>,
        audience: Audience,
        valid_for: Duration,
        now: Time,
    ) -> StoreResult<Option<Link>> {
        (**self).link_to(key, to, audience, valid_for, now).await
    }

    async fn check_blobs(&self) -> StoreResult<()> {
        (**self).check_blobs().await
    }
}

#[async_trait]
impl<T: OpenBlobs + ?Sized> OpenBlobs for Arc<T> {
    async fn open_blobs(&self, settings: &BlobSettings) -> StoreResult<Arc<dyn Blobs>> {
        (**self).open_blobs(settings).await
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

    async fn link_to(
        &self,
        _: &BlobKey,
        _: LinkTo<'_>,
        _: Audience,
        _: Duration,
        _: Time,
    ) -> StoreResult<Option<Link>> {
        no_blobs()
    }

    /// Nothing is wrong with what is not there.
    async fn check_blobs(&self) -> StoreResult<()> {
        Ok(())
    }
}

/// Opens nothing: for servers whose tenants bring no stores.
#[derive(Debug, Default)]
pub struct NoBlobStores;

#[async_trait]
impl OpenBlobs for NoBlobStores {
    async fn open_blobs(&self, _: &BlobSettings) -> StoreResult<Arc<dyn Blobs>> {
        Err(StoreError::unavailable("stores that tenants bring can't be opened"))
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
}
