use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt as _, stream};

/// Bounds what the reader of a form keeps in memory: it looks for the end of a head in all that has
/// come, and would take in whatever is there.
#[derive(Clone, Default)]
pub(super) struct Meter(Arc<AtomicUsize>);

impl Meter {
    /// Lets so many bytes pass from here on.
    pub(super) fn allow(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    fn take(&self, bytes: usize) -> io::Result<()> {
        let left = self.0.load(Ordering::Relaxed);
        if left == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "message too large"));
        }
        // A piece may have the end of a head, and much of what follows it.
        self.allow(left.saturating_sub(bytes));
        Ok(())
    }

    /// Hands on one piece at a time, and no more than is allowed.
    pub(super) fn measure<E: std::error::Error + Send + Sync + 'static>(
        &self,
        body: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let (meter, mut body, mut rests) = (self.clone(), body.boxed(), false);
        stream::poll_fn(move |cx| {
            if std::mem::take(&mut rests) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let piece = std::task::ready!(body.poll_next_unpin(cx));
            rests = true;
            Poll::Ready(piece.map(|piece| {
                let piece = piece.map_err(io::Error::other)?;
                meter.take(piece.len()).map(|()| piece)
            }))
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    fn endless() -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        stream::repeat_with(|| Ok(Bytes::from_static(&[b'a'; 1000])))
    }

    #[tokio::test]
    async fn no_more_passes_than_is_allowed() {
        let meter = Meter::default();
        meter.allow(4500);
        let passed: Vec<_> = meter.measure(endless()).take(6).collect().await;
        assert_eq!(passed.iter().filter(|piece| piece.is_ok()).count(), 5);
        assert_eq!(passed[5].as_ref().unwrap_err().to_string(), "message too large");
    }

    #[tokio::test]
    async fn pieces_pass_one_by_one() {
        let meter = Meter::default();
        meter.allow(usize::MAX);
        let mut pieces = meter.measure(endless());
        for _ in 0..3 {
            assert!(poll!(pieces.next()).is_ready());
            assert!(poll!(pieces.next()).is_pending());
        }
    }
}
