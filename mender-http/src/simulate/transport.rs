//! How requests reach a server.

use std::{fmt, future::Future};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response};
use tower::ServiceExt as _;

/// Why there was no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lost {
    /// There was no connection.
    Unreachable(String),
    /// The server is not who it should be.
    Untrusted(String),
    /// The connection broke off.
    Broken(String),
    /// It took too long.
    Late,
}

impl Lost {
    /// Returns what it is called in reports.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Untrusted(_) => "untrusted",
            Self::Broken(_) => "broken off",
            Self::Late => "timed out",
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) | Self::Untrusted(why) | Self::Broken(why) => f.write_str(why),
            Self::Late => f.write_str("it took too long"),
        }
    }
}

/// Carries requests to one server.
pub trait Transport: Send + Sync {
    /// Sends a request. Its URI begins with the path, as the server has it, or is whole where
    /// the server named another place.
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> impl Future<Output = Result<Response<Body>, Lost>> + Send;
}

/// Calls a router in this process, without a socket.
#[derive(Clone, Debug)]
pub struct InProcess(Router);

impl From<Router> for InProcess {
    fn from(router: Router) -> Self {
        Self(router)
    }
}

impl Transport for InProcess {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Body>, Lost> {
        let (mut parts, body) = request.into_parts();
        // What is named whole is a link of the server to itself.
        if let Some(path) = parts.uri.path_and_query() {
            parts.uri = path.clone().into();
        }
        let request = Request::from_parts(parts, Body::from(body));
        match self.0.clone().oneshot(request).await {
            Ok(answer) => Ok(answer),
            Err(never) => match never {},
        }
    }
}
