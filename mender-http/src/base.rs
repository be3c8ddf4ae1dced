//! Where clients reach the server.

use axum::extract::FromRequestParts;
use http::{HeaderName, header::HOST, request::Parts};
use mender_core::Mender;

use crate::error::ApiError;

/// The request came over a listener that speaks TLS; an extension of requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Secure;

/// The URL that the client reaches the server by: the configured one, or the one that it used.
pub(crate) struct Base(pub(crate) String);

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

impl FromRequestParts<Mender> for Base {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, mender: &Mender) -> Result<Self, ApiError> {
        if !mender.public_url().is_empty() {
            return Ok(Self(mender.public_url().to_owned()));
        }
        let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let host = header(FORWARDED_HOST).or_else(|| header(HOST)).unwrap_or("localhost");
        let spoken = if parts.extensions.get::<Secure>().is_some() { "https" } else { "http" };
        let scheme = header(FORWARDED_PROTO).unwrap_or(spoken);
        Ok(Self(format!("{scheme}://{host}")))
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    async fn base(mender: &Mender, request: http::request::Builder) -> String {
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        Base::from_request_parts(&mut parts, mender).await.unwrap().0
    }

    #[tokio::test]
    async fn the_base_is_what_is_configured_or_what_the_client_used() {
        let plain = || Request::get("/x").header(HOST, "a:8080");
        let open = Mender::in_memory().build().unwrap();
        assert_eq!(base(&open, plain()).await, "http://a:8080");
        assert_eq!(base(&open, plain().extension(Secure)).await, "https://a:8080");
        let proxied = plain().header(FORWARDED_HOST, "b").header(FORWARDED_PROTO, "https");
        assert_eq!(base(&open, proxied).await, "https://b");
        assert_eq!(base(&open, Request::get("/x")).await, "http://localhost");
        let known = Mender::in_memory().public_url("https://c/ota").build().unwrap();
        assert_eq!(base(&known, plain()).await, "https://c/ota");
    }
}
