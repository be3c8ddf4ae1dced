//! Blobs in S3, Azure Blob Storage and Google Cloud Storage.
//!
//! The data path is that of `object_store`: parts, retries, ranges. What differs from one vendor to
//! the other is behind [`Vendor`]: signed links, and what is said where a bucket can't be used.

#[cfg(feature = "azure")]
pub(crate) mod azure;
#[cfg(feature = "gcs")]
pub(crate) mod gcs;
#[cfg(feature = "s3")]
pub(crate) mod s3;
mod upload;
#[cfg(any(feature = "s3", feature = "gcs"))]
mod v4;
pub(crate) mod web;

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _};
use mender_core::{
    Env, StoreError, StoreResult, Time,
    blob::{Audience, BlobKey, Blobs, ByteStream, Link, LinkTo, once},
};
use object_store::{
    Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, RetryConfig, path::Path,
};
use reqwest::{Client, Method};
use tokio_util::task::TaskTracker;

/// How long a link to a store is good that the server follows itself at once.
const AT_ONCE: Duration = Duration::from_secs(300);

/// What differs from one vendor to the other.
#[async_trait]
pub(crate) trait Vendor: Send + Sync + 'static {
    /// Names the bucket in errors.
    fn place(&self) -> String;

    /// Makes a link, whether or not there is a blob; `None` where the credentials can't sign.
    async fn link(
        &self,
        key: &BlobKey,
        to: LinkTo<'_>,
        audience: Audience,
        valid_for: Duration,
        now: Time,
    ) -> StoreResult<Option<Link>>;

    /// Checks that the bucket is there and lets us in.
    async fn check(&self, client: &Client, now: Time) -> StoreResult<()>;
}

/// Blobs of a vendor's bucket.
pub(crate) struct Cloud {
    pub(crate) data: Arc<dyn ObjectStore>,
    pub(crate) vendor: Arc<dyn Vendor>,
    pub(crate) client: Client,
    /// How large the parts are that blobs are sent in.
    pub(crate) part: usize,
    /// Uploads that are being undone.
    pub(crate) tasks: TaskTracker,
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud").field("place", &self.vendor.place()).finish_non_exhaustive()
    }
}

/// How often what fails is tried again: who waits for the answer has little patience.
pub(crate) fn retries() -> RetryConfig {
    RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() }
}

fn path(key: &BlobKey) -> Path {
    Path::from(key.as_str())
}

impl Cloud {
    fn failed(&self, error: &Error) -> StoreError {
        StoreError::unavailable(format!("{}: {}", self.vendor.place(), web::reason(error)))
    }

    /// Tells whether the part begins beyond the end of the blob.
    async fn is_beyond(&self, key: &BlobKey, part: &Range<u64>) -> StoreResult<Option<bool>> {
        Ok(self.blob_size(key).await?.map(|size| part.start >= size))
    }
}

#[async_trait]
impl Blobs for Cloud {
    async fn put_blob(&self, key: &BlobKey, bytes: ByteStream) -> StoreResult<u64> {
        upload::put(self, path(key), bytes).await
    }

    async fn blob_size(&self, key: &BlobKey) -> StoreResult<Option<u64>> {
        match self.data.head(&path(key)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    async fn blob(
        &self,
        key: &BlobKey,
        part: Option<Range<u64>>,
    ) -> StoreResult<Option<ByteStream>> {
        if let Some(part) = part.as_ref().filter(|part| part.is_empty()) {
            return Ok(self.is_beyond(key, part).await?.map(|_| once("")));
        }
        // Why: stores count in 63 bits.
        let range = part.clone().map(|part| match i64::try_from(part.end) {
            Ok(_) => GetRange::Bounded(part),
            Err(_) => GetRange::Offset(part.start),
        });
        let options = GetOptions { range, ..GetOptions::default() };
        let error = match self.data.get_opts(&path(key), options).await {
            Ok(found) => {
                let place = self.vendor.place();
                let named = move |error: Error| {
                    StoreError::unavailable(format!("{place}: {}", web::reason(&error)))
                };
                return Ok(Some(found.into_stream().map_err(named).boxed()));
            }
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => error,
        };
        // Stores refuse what begins beyond the end, each in its own way.
        if let Some(part) = part {
            match self.is_beyond(key, &part).await? {
                None => return Ok(None),
                Some(true) => return Ok(Some(once(""))),
                Some(false) => {}
            }
        }
        Err(self.failed(&error))
    }

    async fn delete_blob(&self, key: &BlobKey) -> StoreResult<()> {
        // Why: a plain request, which every store knows, where `object_store` sends a batch.
        let now = Env::system().now();
        let link = self.vendor.link(key, LinkTo::Delete, Audience::Internal, AT_ONCE, now).await?;
        let Some(link) = link else {
            return match self.data.delete(&path(key)).await {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(self.failed(&error)),
            };
        };
        let answer = web::ask(&self.client, Method::DELETE, &link.uri, "").await;
        let answer = answer.map_err(|error| error.at(&self.vendor.place()))?;
        if answer.status.is_success() || answer.status == 404 && !answer.is_about_bucket() {
            return Ok(());
        }
        Err(answer.refusal(&self.vendor.place()))
    }

    async fn link_to(
        &self,
        key: &BlobKey,
        to: LinkTo<'_>,
        audience: Audience,
        valid_for: Duration,
        now: Time,
    ) -> StoreResult<Option<Link>> {
        let link = self.vendor.link(key, to, audience, valid_for, now).await?;
        let reads = matches!(to, LinkTo::Read { .. });
        if link.is_some() && reads && self.blob_size(key).await?.is_none() {
            let what = format!("{}: {key}", self.vendor.place());
            return Err(StoreError::corrupt(what, "it does not exist"));
        }
        Ok(link)
    }

    async fn check_blobs(&self) -> StoreResult<()> {
        self.vendor.check(&self.client, Env::system().now()).await
    }
}
