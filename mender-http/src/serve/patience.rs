//! How long a connection waits for its client.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use http::{Response, StatusCode};
use http_body::{Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::Limits;

/// Whose turn it is on a connection: the client's to ask, or ours to answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    asked: AtomicUsize,
    answered: AtomicUsize,
}

impl Turn {
    /// The head of a request is complete.
    pub(super) fn ask(&self) {
        self.0.asked.fetch_add(1, Relaxed);
    }

    /// Makes it the client's turn once the last byte of the response was taken.
    pub(super) fn answer(&self, response: Response<Body>) -> Response<Body> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // No request follows: the connection belongs to the other protocol now.
            return response;
        }
        let answering = Answering(self.clone());
        response.map(|body| Body::new(Answer { body, _answering: answering }))
    }

    fn asked(&self) -> usize {
        self.0.asked.load(Relaxed)
    }

    fn is_clients(&self) -> bool {
        self.0.answered.load(Relaxed) == self.asked()
    }
}

struct Answering(Turn);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.answered.fetch_add(1, Relaxed);
    }
}

struct Answer {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What the client is to send next, and until when.
struct Awaited {
    /// How many requests there were before.
    after: usize,
    /// Whether the head has begun.
    begun: bool,
    until: Pin<Box<Sleep>>,
}

/// A stream that ends when its client takes too long to ask, and breaks when it takes too long
/// to read.
pub(super) struct Patient<I> {
    inner: I,
    turn: Turn,
    limits: Limits,
    awaited: Option<Awaited>,
    unread: Option<Pin<Box<Sleep>>>,
}

impl<I> Patient<I> {
    pub(super) fn new(inner: I, turn: Turn, limits: Limits) -> Self {
        Self { inner, turn, limits, awaited: None, unread: None }
    }

    /// Passes on how far writing came, unless it has been stuck for too long.
    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.unread = None;
            return polled;
        }
        let limit = self.limits.write_timeout;
        let unread = self.unread.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(unread.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Returns what is awaited, if it is the client's turn.
    fn awaited(&mut self) -> Option<&mut Awaited> {
        if !self.turn.is_clients() {
            self.awaited = None;
            return None;
        }
        let after = self.turn.asked();
        let idle: Duration = self.limits.idle_timeout;
        let until = || Box::pin(sleep(idle));
        let known = self.awaited.take().filter(|awaited| awaited.after == after);
        let awaited = known.unwrap_or_else(|| Awaited { after, begun: false, until: until() });
        Some(self.awaited.insert(awaited))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Patient<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        let came = buffer.filled().len() > before;
        let (head, idle) = (self.limits.head_timeout, self.limits.idle_timeout);
        let writing = self.unread.is_some();
        let Some(awaited) = self.awaited() else {
            return polled;
        };
        if came && !awaited.begun {
            awaited.begun = true;
            awaited.until.as_mut().reset(Instant::now() + head);
        }
        if polled.is_pending() {
            ready!(awaited.until.as_mut().poll(cx));
            if writing {
                // It still reads the last answer, in its own time.
                let more = if awaited.begun { head } else { idle };
                awaited.until.as_mut().reset(Instant::now() + more);
                ready!(awaited.until.as_mut().poll(cx));
            }
            // As if the client had gone.
            return Poll::Ready(Ok(()));
        }
        polled
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Patient<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.written(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.written(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.written(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.written(cx, polled)
    }
}

#[cfg(test)]
mod tests;
