//! Pages of other origins, where the operator lets them call us.

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};

/// Answers preflights of known origins, before authentication, and marks answers to them.
/// Everything else, any other `OPTIONS` included, passes as if this layer were not there.
///
/// The origin `*` is any, without credentials: pages must bring their token themselves.
pub(crate) async fn allow<F>(
    origins: &[String],
    request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response
where
    F: Future<Output = Response>,
{
    let any = origins.iter().any(|origin| origin == "*");
    let known = |origin: &&HeaderValue| {
        any || origins.iter().any(|known| known.as_bytes() == origin.as_bytes())
    };
    let Some(origin) = request.headers().get(ORIGIN).filter(known).cloned() else {
        let mut response = next(request).await;
        response.headers_mut().append(VARY, ORIGIN.into());
        return response;
    };
    let asks = request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if asks && request.method() == Method::OPTIONS {
        preflight(request.headers())
    } else {
        next(request).await
    };
    let exposed = HeaderValue::from_static("link, location, x-total-count, x-men-requestid");
    let allowed = if any { HeaderValue::from_static("*") } else { origin };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    headers.append(VARY, ORIGIN.into());
    response
}

fn preflight(asked: &HeaderMap) -> Response {
    let methods = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE, HEAD");
    let mut headers = HeaderMap::new();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    if let Some(names) = asked.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    (StatusCode::NO_CONTENT, headers).into_response()
}
