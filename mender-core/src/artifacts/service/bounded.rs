//! Bytes that come from outside, and how many of them may.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt as _;

use crate::{
    artifacts::service::Service,
    blob::{BlobKey, ByteStream},
    error::{Error, Kind, Result, StoreError},
    id::TenantId,
};

/// How many bytes may come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Just as many, where that was announced.
    pub(super) exactly: Option<u64>,
    /// No more than this.
    pub(super) at_most: u64,
}

fn too_large() -> Error {
    Error::new(Kind::TooLarge, "Artifact file too large")
}

impl Bounds {
    /// The bounds of what was announced to have this size, or nothing was announced.
    pub(super) fn new(size: Option<u64>, at_most: u64) -> Result<Self> {
        // Compat: zero is no size.
        let exactly = size.filter(|size| *size > 0);
        if exactly.is_some_and(|size| size > at_most) {
            return Err(Error::invalid("size", "Artifact file too large"));
        }
        Ok(Self { exactly, at_most })
    }

    /// Returns how many of so many bytes are too many.
    pub(super) fn beyond(self, size: u64) -> u64 {
        size.saturating_sub(self.exactly.unwrap_or(self.at_most))
    }

    /// Checks how many bytes came by now.
    pub(super) fn check(self, size: u64) -> Result<()> {
        if self.beyond(size) > 0 { Err(too_large()) } else { Ok(()) }
    }

    /// Checks how many bytes came in all.
    pub(super) fn check_end(self, size: u64) -> Result<()> {
        if self.exactly.is_some_and(|exactly| size < exactly) {
            return Err(Error::invalid("size", "unexpected EOF"));
        }
        Ok(())
    }
}

impl Service {
    /// Stores bytes within their bounds, or nothing.
    pub(super) async fn put_bounded(
        &self,
        tenant: &TenantId,
        key: &BlobKey,
        bytes: impl Stream<Item = Result<Bytes>> + Send + 'static,
        bounds: Bounds,
    ) -> Result<()> {
        // Why the stream broke; the store would only say that it did.
        let refusal = Arc::new(Mutex::new(None));
        let noted = refusal.clone();
        let mut size = 0;
        let check = move |piece: Option<Result<Bytes>>| {
            let checked = match piece {
                Some(piece) => piece.and_then(|piece| {
                    size += piece.len() as u64;
                    bounds.check(size).map(|()| piece)
                }),
                None => bounds.check_end(size).map(|()| Bytes::new()),
            };
            checked.map_err(|error| {
                *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                StoreError::unavailable("refused")
            })
        };
        let ended = futures_util::stream::once(async { None });
        let bounded: ByteStream = Box::pin(bytes.map(Some).chain(ended).map(check));
        let put = self.blobs(tenant).await?.put_blob(key, bounded).await;
        match refusal.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(refusal) => Err(refusal),
            None => Ok(put.map(drop)?),
        }
    }
}
