//! One connection.

use std::{convert::Infallible, pin::pin};

use axum::Router;
use http::{Request, header::EXPECT};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceExt;

use super::{
    Limits, Peer, Stop,
    patience::{Patient, Turn},
    unread,
};

/// Answers the requests of a connection until either side ends it.
pub(super) async fn serve<I>(stream: I, peer: Peer, router: Router, limits: Limits, stop: &Stop)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let turn = Turn::default();
    let stream = Patient::new(stream, turn.clone(), limits);
    let service = service_fn(move |mut request: Request<Incoming>| {
        turn.ask();
        request.extensions_mut().insert(peer);
        let waits = request.headers().contains_key(EXPECT);
        let (head, body) = request.into_parts();
        let (lent, unread) = unread::lend(body);
        let (turn, asked) = (turn.clone(), router.clone().oneshot(Request::from_parts(head, lent)));
        async move {
            let response = asked.await?;
            // Who waits to be told to go on sends nothing after an answer.
            let response = if waits { response } else { unread.settle(response).await };
            Ok::<_, Infallible>(turn.answer(response))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(limits.headers)
        .max_buf_size(limits.head_bytes)
        // Compat: small clients look for `Retry-After` and `Date` in just these letters.
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let mut draining = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, peer = %peer.0, "a connection broke");
                }
                return;
            }
            () = stop.hard.cancelled() => return,
            () = stop.soft.cancelled(), if !draining => {
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
