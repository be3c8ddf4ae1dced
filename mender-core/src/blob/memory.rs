//! Blobs in memory: the model that adapters are compared with, and the double for tests.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    blob::{
        Audience, BlobKey, BlobSettings, Blobs, ByteStream, Link, LinkTo, OpenBlobs, collect, once,
    },
    env::Time,
    error::{StoreError, StoreResult},
};

/// Blobs in memory, for tests. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryBlobs {
    blobs: Arc<Mutex<BTreeMap<BlobKey, Bytes>>>,
}

impl MemoryBlobs {
    fn map(&self) -> MutexGuard<'_, BTreeMap<BlobKey, Bytes>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
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
        Ok(())
    }
}

/// Stores in memory that tenants may bring, by the name of their bucket.
#[derive(Clone, Debug, Default)]
pub struct MemoryBuckets {
    buckets: Arc<Mutex<BTreeMap<String, Arc<MemoryBlobs>>>>,
}

impl MemoryBuckets {
    fn map(&self) -> MutexGuard<'_, BTreeMap<String, Arc<MemoryBlobs>>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a bucket, making it where there is none.
    pub fn bucket(&self, name: impl Into<String>) -> Arc<MemoryBlobs> {
        self.map().entry(name.into()).or_default().clone()
    }
}

#[async_trait]
impl OpenBlobs for MemoryBuckets {
    async fn open_blobs(&self, settings: &BlobSettings) -> StoreResult<Arc<dyn Blobs>> {
        match self.map().get(&settings.bucket) {
            Some(bucket) => Ok(bucket.clone()),
            None => {
                let name = &settings.bucket;
                Err(StoreError::unavailable(format!("bucket '{name}' does not exist")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn parts_are_cut_at_the_end() {
        let blobs = MemoryBlobs::default();
        let key = BlobKey::new("a").unwrap();
        blobs.put_blob(&key, once("hello")).await.unwrap();
        let part = blobs.blob(&key, Some(3..99)).await.unwrap().unwrap();
        assert_eq!(collect(part).await.unwrap(), "lo");
    }

    #[tokio::test]
    async fn a_store_is_found_by_its_bucket() {
        let buckets = MemoryBuckets::default();
        let settings = BlobSettings::s3("eu-west-1", "theirs");
        assert!(buckets.open_blobs(&settings).await.is_err());
        let key = BlobKey::new("a").unwrap();
        buckets.bucket("theirs").put_blob(&key, once("x")).await.unwrap();
        let opened = buckets.open_blobs(&settings).await.unwrap();
        assert_eq!(opened.blob_size(&key).await.unwrap(), Some(1));
    }
}
