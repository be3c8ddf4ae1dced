use axum::body::Body;
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

use super::TestApp;

impl TestApp {
    /// Begins a request.
    #[must_use]
    pub fn request(&self, method: Method, path: &str) -> TestRequest<'_> {
        let request = http::Request::builder().method(method).uri(path);
        TestRequest { app: self, request, body: Body::empty() }
    }

    /// Begins a GET.
    #[must_use]
    pub fn get(&self, path: &str) -> TestRequest<'_> {
        self.request(Method::GET, path)
    }

    /// Begins a POST.
    #[must_use]
    pub fn post(&self, path: &str) -> TestRequest<'_> {
        self.request(Method::POST, path)
    }

    /// Begins a PUT.
    #[must_use]
    pub fn put(&self, path: &str) -> TestRequest<'_> {
        self.request(Method::PUT, path)
    }

    /// Begins a PATCH.
    #[must_use]
    pub fn patch(&self, path: &str) -> TestRequest<'_> {
        self.request(Method::PATCH, path)
    }

    /// Begins a DELETE.
    #[must_use]
    pub fn delete(&self, path: &str) -> TestRequest<'_> {
        self.request(Method::DELETE, path)
    }
}

/// A request to a [`TestApp`].
#[derive(Debug)]
pub struct TestRequest<'a> {
    app: &'a TestApp,
    request: http::request::Builder,
    body: Body,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct TestAnswer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl TestRequest<'_> {
    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Sends this token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sends the user's token.
    #[must_use]
    pub fn admin(self) -> Self {
        let token = self.app.token.clone();
        self.bearer(&token)
    }

    /// Sends these bytes.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let length = body.len().to_string();
        self.body = body.into();
        self.header("content-length", &length)
    }

    /// Sends these bytes in chunks, without saying how many there are.
    #[must_use]
    pub fn chunked(mut self, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let chunks: Vec<_> = body
            .chunks(16 * 1024)
            .map(|chunk| Ok::<_, std::convert::Infallible>(Bytes::copy_from_slice(chunk)))
            .collect();
        self.body = Body::from_stream(futures_util::stream::iter(chunks));
        self.header("transfer-encoding", "chunked")
    }

    /// Sends JSON.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// Sends the request, to the internal listener where the path is one of its own.
    ///
    /// # Panics
    /// Where the request is malformed.
    #[expect(clippy::expect_used, reason = "a malformed request is a mistake in the test")]
    pub async fn send(self) -> TestAnswer {
        let request = self.request.body(self.body).expect("a request");
        let routers = &self.app.routers;
        let internal = request.uri().path().starts_with("/api/internal/");
        let router = if internal { &routers.internal } else { &routers.public };
        let response = match router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("the body is read").to_bytes();
        TestAnswer { status: parts.status, headers: parts.headers, body }
    }
}

impl TestAnswer {
    /// Returns the body as text.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the claim of the test fails")]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// Returns the body as JSON.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// Checks the status.
    ///
    /// # Panics
    /// Where it is another, with the body.
    #[track_caller]
    #[must_use]
    pub fn assert_status(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{:?}", self.body);
        self
    }
}
