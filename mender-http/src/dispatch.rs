//! From a request to its handler, and the answers where there is none.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{OriginalUri, Request},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ALLOW, CONTENT_LENGTH, LOCATION},
};
use http_body_util::Limited;

use crate::{
    error::ApiError,
    path::Params,
    routes::{Answer, Call, Endpoint, Fit, Tree, names},
};

/// The route that a request took; an extension of its response, for the log.
#[derive(Clone, Debug)]
pub(crate) struct Matched {
    pub(crate) path: &'static str,
    pub(crate) params: Params,
    pub(crate) streaming: bool,
}

/// What a request without a stream may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) body_bytes: u64,
    pub(crate) time: Duration,
}

pub(crate) struct Dispatch<S> {
    tree: Tree<S>,
    state: S,
    bounds: Bounds,
}

impl<S: Clone + Send + Sync + 'static> Dispatch<S> {
    pub(crate) fn new(tree: Tree<S>, state: S, bounds: Bounds) -> Self {
        Self { tree, state, bounds }
    }

    /// Returns the handler, or the answer.
    fn route(&self, request: &Request) -> Result<(Call<S>, Matched), Box<Response>> {
        let path = request.uri().path();
        let mut fits = self.tree.find(path);
        if fits.is_empty() {
            return Err(Box::new(self.elsewhere(request)));
        }
        let by_method = |fit: &Fit<'_, S>| {
            let mut targets = fit.targets.iter();
            targets.position(|t| t.endpoint.method == *request.method())
        };
        let best = fits.iter().enumerate().find_map(|(i, f)| Some((i, by_method(f)?)));
        let Some((fit, target)) = best else {
            return Err(Box::new(wrong_method(request.method(), &fits)));
        };
        let Fit { targets, values } = fits.swap_remove(fit);
        let Endpoint { path, streaming, .. } = targets[target].endpoint;
        let matched =
            Matched { path, params: Params(names(path).zip(values).collect()), streaming };
        Ok((targets[target].call.clone(), matched))
    }

    /// Has the handler of the route answer a request.
    pub(crate) async fn dispatch(&self, mut request: Request) -> Response {
        let (call, matched) = match self.route(&request) {
            Ok(found) => found,
            Err(answer) => return *answer,
        };
        let state = self.state.clone();
        request.extensions_mut().insert(matched.params.clone());
        let mut response = if matched.streaming {
            call(request, state).await
        } else {
            bounded(request, self.bounds, |request| call(request, state)).await
        };
        response.extensions_mut().insert(matched);
        response
    }

    /// The answer for a path that does not exist: a redirect where it does with or without a
    /// slash at its end, else 404.
    fn elsewhere(&self, request: &Request) -> Response {
        let toggle = |path: &str| match path.strip_suffix('/') {
            Some(path) => path.to_owned(),
            None => format!("{path}/"),
        };
        let method = request.method();
        let knows = |fit: &Fit<'_, S>| {
            let mut endpoints = fit.targets.iter().map(|t| &t.endpoint);
            endpoints.any(|e| e.method == *method || (e.options && *method == Method::OPTIONS))
        };
        let path = request.uri().path();
        if path.len() < 2 || !self.tree.find(&toggle(path)).iter().any(knows) {
            return ApiError::no_route().into_response();
        }
        let original = request.extensions().get::<OriginalUri>();
        let original = original.map_or(request.uri(), |uri| &uri.0);
        let query = original.query().map(|q| format!("?{q}")).unwrap_or_default();
        // One slash in front: two would name another host.
        let to = toggle(original.path());
        let to = format!("/{}{query}", to.trim_start_matches('/'));
        let status = match *method {
            Method::GET => StatusCode::MOVED_PERMANENTLY,
            _ => StatusCode::TEMPORARY_REDIRECT,
        };
        match HeaderValue::from_str(&to) {
            Ok(to) => (status, [(LOCATION, to)]).into_response(),
            Err(_) => ApiError::no_route().into_response(),
        }
    }
}

fn wrong_method<S>(method: &Method, fits: &[Fit<'_, S>]) -> Response {
    let mut methods: Vec<&Method> = Vec::new();
    let endpoints = || fits.iter().flat_map(|fit| fit.targets).map(|t| &t.endpoint);
    for endpoint in endpoints() {
        if !methods.contains(&&endpoint.method) {
            methods.push(&endpoint.method);
        }
    }
    let options = endpoints().any(|endpoint| endpoint.options);
    if options && *method == Method::OPTIONS {
        // Compat: a line for each method here, all in one line with 405.
        let mut headers = HeaderMap::new();
        let of_deployments =
            |endpoint: &Endpoint| endpoint.path.split('/').nth(4) == Some("deployments");
        if endpoints().any(of_deployments) {
            // Compat: this service names it as well.
            methods.push(&Method::OPTIONS);
        }
        for method in methods {
            if let Ok(value) = HeaderValue::from_str(method.as_str()) {
                headers.append(ALLOW, value);
            }
        }
        return (StatusCode::OK, headers).into_response();
    }
    if options {
        methods.push(&Method::OPTIONS);
    }
    let allow: Vec<_> = methods.iter().map(|method| method.as_str()).collect();
    let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    match HeaderValue::from_str(&allow.join(", ")) {
        Ok(allow) => error.with_header(ALLOW, allow).into_response(),
        Err(_) => error.into_response(),
    }
}

fn declared_length(headers: &HeaderMap) -> u64 {
    let length = headers.get(CONTENT_LENGTH).and_then(|n| n.to_str().ok());
    length.and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Returns the 413 of a body that is too large.
#[must_use]
pub(crate) fn too_large() -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "http: request body too large")
}

async fn bounded(
    request: Request,
    bounds: Bounds,
    call: impl FnOnce(Request) -> Answer,
) -> Response {
    let limit = bounds.body_bytes;
    if declared_length(request.headers()) > limit {
        return too_large().into_response();
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let request = request.map(|body| Body::new(Limited::new(body, limit)));
    match tokio::time::timeout(bounds.time, call(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::unavailable("the request took too long").into_response(),
    }
}
