//! Errors as clients see them.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    error::Error as _,
    fmt::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use axum::response::{IntoResponse, Response};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use mender_core::error::{Error, Kind};
use serde_json::Value;

use crate::json;

/// An error answer: a status and a body `{"error": …, "request_id": …}`, or no body.
///
/// The id of the request is added by [`layers::request_id`](crate::layers::request_id), so that
/// errors need no context where they arise. The cause of a 5xx is logged and never sent.
#[derive(Clone, Debug)]
pub struct ApiError {
    status: StatusCode,
    text: Option<Cow<'static, str>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    extra: Vec<(String, Value)>,
    cause: Option<Arc<str>>,
    bare: bool,
}

impl ApiError {
    /// An error with this text.
    pub fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            text: Some(text.into()),
            headers: Vec::new(),
            extra: Vec::new(),
            cause: None,
            bare: false,
        }
    }

    /// An error with an empty body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self { text: None, ..Self::new(status, "") }
    }

    /// 400 with this text.
    pub fn bad_request(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// 401 with this text.
    pub fn unauthorized(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, text)
    }

    /// 404 as for a path that does not exist.
    #[must_use]
    pub fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not found")
    }

    /// 500; the cause goes to the log.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error").because(cause)
    }

    /// 503 with `Retry-After`; the cause goes to the log.
    pub fn unavailable(cause: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "service unavailable")
            .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
            .because(cause)
    }

    /// 429 with `Retry-After`.
    pub fn too_many(text: impl Into<Cow<'static, str>>, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self::new(StatusCode::TOO_MANY_REQUESTS, text)
            .with_header(RETRY_AFTER, seconds.max(1).into())
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Adds a field to the body.
    #[must_use]
    pub fn with_field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.push((name.into(), value.into()));
        self
    }

    /// Leaves the id of the request out of the body.
    #[must_use]
    pub fn without_request_id(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Keeps the cause, for the log.
    #[must_use]
    pub fn because(mut self, cause: impl std::fmt::Display) -> Self {
        self.cause = Some(cause.to_string().into());
        self
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the text, `None` where the body is empty.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// Returns the cause, for the log.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Returns the body of the answer to the request with this id.
    #[must_use]
    pub fn body(&self, request_id: &str) -> bytes::Bytes {
        let Some(text) = &self.text else {
            return bytes::Bytes::new();
        };
        let string = |text: &str| json::bytes(&text).unwrap_or_default();
        let mut out = b"{\"error\":".to_vec();
        out.extend_from_slice(&string(text));
        if !request_id.is_empty() && !self.bare {
            out.extend_from_slice(b",\"request_id\":");
            out.extend_from_slice(&string(request_id));
        }
        for (name, value) in &self.extra {
            out.push(b',');
            out.extend_from_slice(&string(name));
            out.push(b':');
            out.extend_from_slice(&json::bytes(value).unwrap_or_default());
        }
        out.push(b'}');
        out.into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(self.body("").into());
        *response.status_mut() = self.status;
        for (name, value) in &self.headers {
            response.headers_mut().append(name, value.clone());
        }
        if self.text.is_some() {
            let headers = response.headers_mut();
            headers.entry(CONTENT_TYPE).or_insert(json::CONTENT);
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Error> for ApiError {
    /// The default form of an error; areas map their own texts before it comes to this.
    fn from(error: Error) -> Self {
        let status = match error.kind {
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Invalid { .. } => StatusCode::BAD_REQUEST,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
            Kind::LimitReached => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::TooMany { wait } => return Self::too_many(error.what, wait),
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Unavailable => return Self::unavailable(chain(&error)),
            _ => return Self::internal(chain(&error)),
        };
        let cause = chain(&error);
        Self::new(status, error.what).because(cause)
    }
}

fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        // Writing to a string does not fail.
        let _ = write!(text, ": {source}");
        next = source.source();
    }
    text
}

/// The body of an error, for the document of the interface.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "documents what [`ApiError`] writes")]
pub(crate) struct ErrorBody {
    error: String,
    request_id: String,
}

/// What is wrong with a body, by field.
#[derive(Debug, Default)]
pub(crate) struct Faults(BTreeMap<&'static str, String>);

impl Faults {
    pub(crate) fn add(&mut self, field: &'static str, fault: impl Into<String>) {
        self.0.insert(field, fault.into());
    }

    /// Notes a fault, if there is one.
    pub(crate) fn note(&mut self, field: &'static str, fault: Option<impl Into<String>>) {
        if let Some(fault) = fault {
            self.add(field, fault);
        }
    }

    pub(crate) fn check(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// All faults in one line, in the order of the fields' names.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (field, fault)) in self.0.iter().enumerate() {
            let between = if at == 0 { "" } else { "; " };
            write!(f, "{between}{field}: {fault}")?;
        }
        f.write_str(".")
    }
}

impl From<Faults> for ApiError {
    fn from(faults: Faults) -> Self {
        Self::bad_request(faults.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_of_failures_stay_inside() {
        let error = Error::internal("row 5 is odd").because("secret detail");
        let error = ApiError::from(error);
        assert_eq!(error.body("r1"), r#"{"error":"internal error","request_id":"r1"}"#);
        assert_eq!(error.cause(), Some("row 5 is odd: secret detail"));
    }

    #[test]
    fn texts_are_escaped_for_html() {
        let error = ApiError::bad_request("<a&b>").with_field("metadata", "<");
        assert_eq!(error.body(""), r#"{"error":"\u003ca\u0026b\u003e","metadata":"\u003c"}"#);
    }

    #[test]
    fn unavailable_says_when_to_come_back() {
        let response = ApiError::unavailable("x").into_response();
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key(RETRY_AFTER));
    }

    #[test]
    fn empty_errors_have_no_content_type() {
        let response = ApiError::empty(StatusCode::NOT_FOUND).into_response();
        assert!(response.headers().is_empty());
    }
}
