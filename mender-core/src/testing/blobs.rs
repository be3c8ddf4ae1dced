//! The contract of [`Blobs`]: what every place for blobs must do.
//!
//! ```no_run
//! use mender_core::{blob::MemoryBlobs, testing::blobs};
//!
//! fn main() -> std::process::ExitCode {
//!     let memory = async || blobs::Harness::new(MemoryBlobs::default());
//!     blobs::main(vec![blobs::Adapter::new("memory", memory)])
//! }
//! ```
#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

mod links;

use std::{any::Any, fmt, ops::Range, pin::pin, sync::Arc};

use bytes::Bytes;
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::{Either, join_all, select},
    stream,
};
use tokio::sync::Notify;

pub use super::suite::main;
use super::suite::{Claimed, claims};
use crate::{
    blob::{BlobKey, Blobs, ByteStream, collect, once},
    env::Env,
    error::{StoreError, StoreResult},
    outbound::Outbound,
};

/// More than one part of any store's uploads, and no multiple of them.
const LARGE: usize = (12 << 20) + 7;

/// A place for blobs, for one case. It need not be empty.
#[derive(Clone)]
pub struct Harness {
    /// The place under test.
    pub blobs: Arc<dyn Blobs>,
    client: Option<Arc<dyn Outbound>>,
    believes: bool,
    prefix: String,
    kept: Arc<Vec<Box<dyn Any + Send + Sync>>>,
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Harness {
    /// A harness over a place for blobs.
    pub fn new(blobs: impl Blobs) -> Self {
        Self {
            blobs: Arc::new(blobs),
            client: None,
            believes: false,
            prefix: format!("contract-{}", Env::system().uuid()),
            kept: Arc::default(),
        }
    }

    /// Sets what follows links, where the store makes some.
    #[must_use]
    pub fn client(mut self, client: impl Outbound) -> Self {
        self.client = Some(Arc::new(client));
        self
    }

    /// For imitations of a store that look at no signature.
    #[must_use]
    pub fn believes_signatures(mut self) -> Self {
        self.believes = true;
        self
    }

    /// Keeps something until the case is over, for instance the directory of the blobs.
    #[must_use]
    pub fn keep(mut self, what: impl Any + Send + Sync) -> Self {
        let mut kept = Arc::into_inner(self.kept).unwrap_or_default();
        kept.push(Box::new(what));
        self.kept = Arc::new(kept);
        self
    }

    /// A key that no other case uses.
    fn key(&self, name: &str) -> BlobKey {
        BlobKey::new(format!("{}/{name}", self.prefix)).unwrap()
    }

    async fn put(&self, key: &BlobKey, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        let size = bytes.len() as u64;
        assert_eq!(self.blobs.put_blob(key, once(bytes)).await.unwrap(), size);
    }

    async fn all(&self, key: &BlobKey) -> Option<Bytes> {
        self.read(key, None).await
    }

    async fn read(&self, key: &BlobKey, part: Option<Range<u64>>) -> Option<Bytes> {
        match self.blobs.blob(key, part).await.unwrap() {
            Some(bytes) => Some(collect(bytes).await.unwrap()),
            None => None,
        }
    }

    async fn is_missing(&self, key: &BlobKey) {
        assert_eq!(self.all(key).await, None);
        assert_eq!(self.blobs.blob_size(key).await.unwrap(), None);
    }
}

/// A claim that every place for blobs must fulfil.
pub type Case = super::suite::Case<Harness>;

/// An implementation of [`Blobs`], to be tested.
pub type Adapter = super::suite::Adapter<Harness>;

claims!["blobs":
    an_unknown_blob_is_none,
    a_blob_is_returned_as_it_was_stored,
    an_empty_blob_is_a_blob,
    a_part_is_cut_at_the_end,
    a_blob_is_replaced_as_a_whole,
    a_deleted_blob_is_gone,
    a_blob_of_many_parts_is_returned_as_it_was_stored,
    a_stream_that_fails_leaves_what_was_there,
    an_upload_that_is_cancelled_leaves_what_was_there,
    one_of_several_uploads_of_a_key_is_there_as_a_whole,
    a_place_that_works_passes_its_check,
];

/// Returns every case.
#[must_use]
pub fn cases() -> Vec<Case> {
    [CASES, links::CASES].concat()
}

impl Claimed for Harness {
    fn cases() -> Vec<Case> {
        cases()
    }
}

/// Bytes that repeat at no size that is a power of two, so that parts can't be mistaken.
fn noise(size: usize, seed: usize) -> Bytes {
    const PERIOD: usize = 65_521;
    let block = (0..PERIOD).map(|n| ((n + seed).wrapping_mul(2_654_435_761) >> 13) as u8);
    let mut bytes = block.collect::<Vec<u8>>().repeat(size / PERIOD + 1);
    bytes.truncate(size);
    bytes.into()
}

/// The bytes in chunks of odd sizes.
fn chunks(bytes: &Bytes) -> Vec<StoreResult<Bytes>> {
    let (mut rest, mut chunks) = (bytes.clone(), Vec::new());
    for size in [1, 0, 4096, 70_001, 1_000_003].into_iter().cycle() {
        if rest.is_empty() {
            break;
        }
        chunks.push(Ok(rest.split_to(size.min(rest.len()))));
    }
    chunks
}

fn streamed(bytes: &Bytes) -> ByteStream {
    stream::iter(chunks(bytes)).boxed()
}

async fn an_unknown_blob_is_none(h: &Harness) {
    let key = h.key("ghost");
    h.is_missing(&key).await;
    for part in [0..1, 5..5, 7..9] {
        assert_eq!(h.read(&key, Some(part)).await, None);
    }
    h.blobs.delete_blob(&key).await.unwrap();
}

async fn a_blob_is_returned_as_it_was_stored(h: &Harness) {
    let (key, other) = (h.key("a/b-1_2.mender"), h.key("a/b-1_2.mender2"));
    h.put(&key, "hello").await;
    assert_eq!(h.all(&key).await.unwrap(), "hello");
    assert_eq!(h.blobs.blob_size(&key).await.unwrap(), Some(5));
    h.is_missing(&other).await;
    h.put(&other, "x").await;
    assert_eq!(h.all(&key).await.unwrap(), "hello");
}

async fn an_empty_blob_is_a_blob(h: &Harness) {
    let key = h.key("empty");
    let nothing = stream::empty().boxed();
    assert_eq!(h.blobs.put_blob(&key, nothing).await.unwrap(), 0);
    assert_eq!(h.all(&key).await.unwrap(), "");
    assert_eq!(h.blobs.blob_size(&key).await.unwrap(), Some(0));
    assert_eq!(h.read(&key, Some(0..10)).await.unwrap(), "");
}

async fn a_part_is_cut_at_the_end(h: &Harness) {
    let key = h.key("part");
    h.put(&key, "hello").await;
    for (part, expected) in [
        (0..5, "hello"),
        (1..3, "el"),
        (3..99, "lo"),
        (0..u64::MAX, "hello"),
        (2..2, ""),
        (5..9, ""),
        (7..9, ""),
        (u64::MAX - 1..u64::MAX, ""),
    ] {
        assert_eq!(h.read(&key, Some(part.clone())).await.unwrap(), expected, "{part:?}");
    }
}

async fn a_blob_is_replaced_as_a_whole(h: &Harness) {
    let key = h.key("replaced");
    for bytes in [noise(70_000, 1), noise(10, 2), noise(LARGE, 3), noise(0, 4)] {
        assert_eq!(h.blobs.put_blob(&key, streamed(&bytes)).await.unwrap(), bytes.len() as u64);
        assert!(h.all(&key).await.unwrap() == bytes);
    }
}

async fn a_deleted_blob_is_gone(h: &Harness) {
    let (key, other) = (h.key("deleted"), h.key("deleted2"));
    for round in 0..3 {
        h.put(&key, format!("round {round}")).await;
        h.put(&other, "stays").await;
        h.blobs.delete_blob(&key).await.unwrap();
        h.blobs.delete_blob(&key).await.unwrap();
        h.is_missing(&key).await;
        assert_eq!(h.all(&other).await.unwrap(), "stays");
    }
}

async fn a_blob_of_many_parts_is_returned_as_it_was_stored(h: &Harness) {
    let key = h.key("large");
    let bytes = noise(LARGE, 0);
    assert_eq!(h.blobs.put_blob(&key, streamed(&bytes)).await.unwrap(), LARGE as u64);
    assert_eq!(h.blobs.blob_size(&key).await.unwrap(), Some(LARGE as u64));
    assert!(h.all(&key).await.unwrap() == bytes);
    let middle = (5 << 20) - 3..(10 << 20) + 3;
    let part = h.read(&key, Some(middle.start as u64..middle.end as u64)).await.unwrap();
    assert!(part == bytes.slice(middle));
}

async fn a_stream_that_fails_leaves_what_was_there(h: &Harness) {
    let failure = || Err(StoreError::unavailable("cut"));
    for size in [0, 10, LARGE] {
        let (new, old) = (h.key(&format!("new-{size}")), h.key(&format!("old-{size}")));
        h.put(&old, "old").await;
        for key in [&new, &old] {
            let broken = chunks(&noise(size, 0)).into_iter().chain([failure()]);
            let put = h.blobs.put_blob(key, stream::iter(broken).boxed());
            let error = put.await.unwrap_err().to_string();
            assert!(error.contains("cut"), "{error}");
        }
        h.is_missing(&new).await;
        assert_eq!(h.all(&old).await.unwrap(), "old");
    }
}

async fn an_upload_that_is_cancelled_leaves_what_was_there(h: &Harness) {
    for size in [0, 10, LARGE] {
        let (new, old) = (h.key(&format!("new-{size}")), h.key(&format!("old-{size}")));
        h.put(&old, "old").await;
        for key in [&new, &old] {
            let taken = Arc::new(Notify::new());
            let told = taken.clone();
            let never = stream::once(async move {
                told.notify_one();
                std::future::pending().await
            });
            let bytes = stream::iter(chunks(&noise(size, 0))).chain(never).boxed();
            let put = pin!(h.blobs.put_blob(key, bytes));
            let all_taken = pin!(taken.notified());
            assert!(matches!(select(put, all_taken).await, Either::Right(_)));
        }
        h.is_missing(&new).await;
        assert_eq!(h.all(&old).await.unwrap(), "old");
    }
}

async fn one_of_several_uploads_of_a_key_is_there_as_a_whole(h: &Harness) {
    let key = h.key("raced");
    let all: Vec<Bytes> = (0..4).map(|n| noise(LARGE - n * 4_000_000, n)).collect();
    let puts = all.iter().map(|bytes| h.blobs.put_blob(&key, streamed(bytes)).boxed());
    let answers = join_all(puts).await;
    // Some stores fail those that were overtaken.
    let done = answers.iter().zip(&all).filter(|(answer, _)| answer.is_ok());
    let done: Vec<&Bytes> = done.map(|(_, bytes)| bytes).collect();
    let stored = h.all(&key).await.unwrap();
    assert!(done.contains(&&stored), "{answers:?}");
    assert_eq!(h.blobs.blob_size(&key).await.unwrap(), Some(stored.len() as u64));
}

async fn a_place_that_works_passes_its_check(h: &Harness) {
    h.blobs.check_blobs().await.unwrap();
}
