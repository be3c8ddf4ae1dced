//! What an answer leaves unread of its request.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use http::{HeaderValue, Response, header::CONNECTION};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::{sync::oneshot, time::timeout};

/// How many bytes are read for the sake of the connection.
const BYTES: usize = 256 * 1024;

/// For how long.
const TIME: Duration = Duration::from_secs(2);

/// The body of a request; what is unread of it when it is dropped goes back.
pub(super) struct Lent<B> {
    body: Option<B>,
    back: Option<oneshot::Sender<B>>,
}

/// Gets back what is unread.
pub(super) struct Unread<B>(oneshot::Receiver<B>);

/// Lends a body to whom answers the request.
pub(super) fn lend<B>(body: B) -> (Lent<B>, Unread<B>) {
    let (back, unread) = oneshot::channel();
    (Lent { body: Some(body), back: Some(back) }, Unread(unread))
}

impl<B> Drop for Lent<B> {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.body.take(), self.back.take()) {
            // Where nobody waits for it, the connection is gone.
            let _ = back.send(body);
        }
    }
}

impl<B: HttpBody + Unpin> HttpBody for Lent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), B::size_hint)
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> Unread<B> {
    /// Reads the rest of a request that was answered without it, so that the next one can follow
    /// on the connection; where that is too much, tells the client that none can.
    pub(super) async fn settle(mut self, mut response: Response<Body>) -> Response<Body> {
        let Ok(mut body) = self.0.try_recv() else {
            return response;
        };
        let rest = async {
            let mut left = BYTES;
            while let Some(Ok(frame)) = body.frame().await {
                let size = frame.data_ref().map_or(0, Bytes::len);
                left = left.checked_sub(size)?;
            }
            Some(())
        };
        if !matches!(timeout(TIME, rest).await, Ok(Some(()))) {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
