//! Request ids, and error bodies that name them.

use std::sync::Arc;

use axum::{extract::Request, response::Response};
use http::{HeaderName, HeaderValue, header::CONTENT_LENGTH};
use mender_core::Env;

use crate::error::ApiError;

/// The header that carries the id of a request.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-men-requestid");

/// How much of an id is logged and goes into events, in characters. Answers name it whole.
const NOTED: usize = 256;

/// The id of the request, cut to what is noted of it; an extension of the request.
#[derive(Clone, Debug)]
pub struct RequestId(pub Arc<str>);

/// Strips headers that only a service in front of the internal listener may set.
pub(crate) fn strip(request: &mut Request) {
    let headers = request.headers_mut();
    let forged: Vec<_> =
        headers.keys().filter(|name| name.as_str().starts_with("x-men-rbac-")).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
}

/// Takes the id that the client gave, or makes one.
pub(crate) async fn assign<F>(
    env: &Env,
    mut request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response
where
    F: Future<Output = Response>,
{
    let headers = request.headers_mut();
    let value = match headers.get(REQUEST_ID).filter(|value| !value.is_empty()) {
        Some(value) => value.clone(),
        None => HeaderValue::from_str(&env.uuid()).unwrap_or(HeaderValue::from_static("-")),
    };
    headers.insert(REQUEST_ID, value.clone());
    let text = String::from_utf8_lossy(value.as_bytes());
    let noted = text.char_indices().nth(NOTED).map_or(&*text, |(end, _)| &text[..end]);
    request.extensions_mut().insert(RequestId(noted.into()));
    let mut response = next(request).await;
    response.headers_mut().insert(REQUEST_ID, value);
    response
}

/// Writes the id into the body of an error.
pub(crate) async fn render<F>(request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let id = request.headers().get(REQUEST_ID).cloned();
    let mut response = next(request).await;
    let error = response.extensions().get::<ApiError>();
    let body = error.filter(|error| error.text().is_some()).zip(id);
    let body = body.map(|(error, id)| error.body(&String::from_utf8_lossy(id.as_bytes())));
    if let Some(body) = body {
        *response.body_mut() = body.into();
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    response
}

impl<S: Sync> axum::extract::FromRequestParts<S> for RequestId {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        _: &S,
    ) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().cloned().unwrap_or_else(|| Self("".into())))
    }
}
