//! Listeners: HTTP/1.1, plain or with TLS, with limits and an orderly end.

mod connection;
mod patience;
mod tls;
mod unread;

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use axum::{Extension, Router};
use tokio::{net::TcpStream, sync::Semaphore};
use tokio_rustls::server::TlsStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::base::Secure;

pub use crate::layers::client::Peer;
pub use tls::{Tls, TlsFiles};

/// What clients may use.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// How many connections are open at once; more wait.
    pub connections: usize,
    /// How long the head of a request may take, from its first byte.
    pub head_timeout: Duration,
    /// How long a connection may be idle before a request.
    pub idle_timeout: Duration,
    /// How long a client may read nothing of what is ready for it.
    pub write_timeout: Duration,
    /// How long the TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How many header lines a request has.
    pub headers: usize,
    /// How long the head of a request is, in bytes.
    pub head_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            head_timeout: Duration::from_secs(10),
            // Long, because devices keep their connections between polls.
            idle_timeout: Duration::from_secs(120),
            write_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            headers: 100,
            head_bytes: 64 * 1024,
        }
    }
}

/// How a listener ends.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// No new connections; requests that have begun are answered.
    pub soft: CancellationToken,
    /// Every connection is closed now.
    pub hard: CancellationToken,
}

/// A bound address.
#[derive(Debug)]
pub struct Listener {
    socket: std::net::TcpListener,
    tls: Option<Arc<Tls>>,
    limits: Limits,
}

impl Listener {
    /// Binds an address, such as `127.0.0.1:8080` or `[::]:443`.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let socket = std::net::TcpListener::bind(address)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, tls: None, limits: Limits::default() })
    }

    /// Speaks TLS.
    #[must_use]
    pub fn with_tls(mut self, tls: Arc<Tls>) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Sets what clients may use.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Returns the address, with the port that was chosen.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Answers requests until `stop.soft`, then until every connection has ended or `stop.hard`.
    pub async fn serve(self, router: Router, stop: Stop) -> io::Result<()> {
        let Self { socket, tls, limits } = self;
        let router = if tls.is_some() { router.layer(Extension(Secure)) } else { router };
        let socket = tokio::net::TcpListener::from_std(socket)?;
        let slots = Arc::new(Semaphore::new(limits.connections));
        let tasks = TaskTracker::new();
        loop {
            let next = async {
                let slot = slots.clone().acquire_owned().await;
                (slot, socket.accept().await)
            };
            let (slot, accepted) = tokio::select! {
                biased;
                () = stop.soft.cancelled() => break,
                () = stop.hard.cancelled() => break,
                next = next => next,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely: others must end first.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (router, tls, stop) = (router.clone(), tls.clone(), stop.clone());
            tasks.spawn(async move {
                let _open = Open::new();
                let served = async {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "small packets are delayed");
                    }
                    match tls {
                        None => connection::serve(stream, Peer(peer), router, limits, &stop).await,
                        Some(tls) => {
                            let peer = Peer(peer);
                            let stream = handshake(&tls, stream, peer, limits, &stop).await;
                            if let Some(stream) = stream {
                                connection::serve(stream, peer, router, limits, &stop).await;
                            }
                        }
                    }
                };
                Box::pin(served).await;
                drop(slot);
            });
        }
        drop(socket);
        tasks.close();
        tasks.wait().await;
        Ok(())
    }
}

/// Returns the stream, unless the client fails or the server stops.
async fn handshake(
    tls: &Tls,
    stream: TcpStream,
    Peer(peer): Peer,
    limits: Limits,
    stop: &Stop,
) -> Option<TlsStream<TcpStream>> {
    let ended = tokio::select! {
        ended = tokio::time::timeout(limits.handshake_timeout, tls.accept(stream)) => ended,
        () = stop.soft.cancelled() => return None,
        () = stop.hard.cancelled() => return None,
    };
    match ended {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => tracing::debug!(%error, %peer, "no handshake"),
        Err(_) => tracing::debug!(%peer, "the handshake took too long"),
    }
    None
}

/// Counts a connection while it is open.
struct Open(metrics::Gauge);

impl Open {
    fn new() -> Self {
        let gauge = metrics::gauge!("mender_http_connections");
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

#[cfg(test)]
mod tests;
