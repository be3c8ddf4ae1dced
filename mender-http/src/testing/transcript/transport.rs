//! How requests reach the server, and how time passes there.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::router::Routers;

/// Which listener a request goes to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// The public one.
    Public,
    /// The internal one.
    Internal,
    /// That of a service which the reference has on its own address; ours is the internal one.
    Service(String),
}

/// Carries requests to a server. Their URIs have only path and query.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a request; the error is in words.
    async fn send(
        &self,
        target: Target,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, String>;

    /// Lets this time pass, and what the server does meanwhile happen.
    async fn settle(&self, wait: Duration);

    /// Returns the base URL of the workflow engine, as seen by the server under test.
    fn workflows_url(&self) -> String;
}

/// Moves the clock of an in-process server and lets it finish its work.
#[async_trait]
pub trait Settle: Send + Sync {
    /// Lets this time pass.
    async fn settle(&self, wait: Duration);
}

/// A server in this process, called without a network.
#[derive(Clone)]
pub struct InProcess {
    routers: Routers,
    settle: Arc<dyn Settle>,
}

impl std::fmt::Debug for InProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InProcess").finish_non_exhaustive()
    }
}

impl InProcess {
    /// Calls these routers.
    pub fn new(routers: Routers, settle: impl Settle + 'static) -> Self {
        Self { routers, settle: Arc::new(settle) }
    }
}

#[async_trait]
impl Transport for InProcess {
    async fn send(
        &self,
        target: Target,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, String> {
        let router: Router = match target {
            Target::Public => self.routers.public.clone(),
            Target::Internal | Target::Service(_) => self.routers.internal.clone(),
        };
        let is_head = request.method() == http::Method::HEAD;
        let answer = match router.oneshot(request.map(Body::from)).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?;
        // On a network, nothing follows the head of an answer to HEAD.
        let body = if is_head { Bytes::new() } else { body.to_bytes() };
        Ok(Response::from_parts(parts, body))
    }

    async fn settle(&self, wait: Duration) {
        self.settle.settle(wait).await;
    }

    fn workflows_url(&self) -> String {
        "http://workflows.invalid".into()
    }
}
