//! HTTP calls to the world: webhooks, integrations, workflow tasks.

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::{StoreError, StoreResult};

/// A request to send.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OutboundRequest {
    /// The method.
    pub method: String,
    /// The absolute URL.
    pub url: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// What came back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OutboundAnswer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body, cut at the adapter's limit.
    pub body: Bytes,
}

/// Sends HTTP requests, within the adapter's limits of time, size and addresses.
#[async_trait]
pub trait Outbound: Send + Sync + 'static {
    /// Sends a request and waits for the answer, whatever its status.
    async fn send(&self, request: OutboundRequest) -> StoreResult<OutboundAnswer>;
}

/// Sends nothing: the default until an adapter is given.
#[derive(Debug, Default)]
pub struct NoOutbound;

#[async_trait]
impl Outbound for NoOutbound {
    async fn send(&self, _: OutboundRequest) -> StoreResult<OutboundAnswer> {
        Err(StoreError::unavailable("outgoing HTTP is not configured"))
    }
}
