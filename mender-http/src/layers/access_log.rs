//! One line of log for every request, when its last byte has gone or the client has.
//!
//! Queries of paths that need no token are not logged, because signed links and log-ins carry
//! their secrets there; nor are path parameters named `{secret}` or `{token}`.

use std::{
    borrow::Cow,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    response::Response,
};
use http::{HeaderValue, Method, Uri, header::USER_AGENT};
use http_body::{Frame, SizeHint};
use mender_core::{Actor, Ctx, Env, Time};
use tokio::time::Instant;
use tracing::Instrument;

use crate::{
    audience::Audience,
    dispatch::Matched,
    error::ApiError,
    identity::Glimpse,
    layers::{client, request_id::RequestId},
};

/// The client went away before it had the answer.
const GONE: u16 = 499;

/// Written when it is dropped, so that no way out of a request goes unlogged.
struct Line {
    start: Instant,
    method: Method,
    uri: Uri,
    audience: Audience,
    /// The pattern of the route, which is logged in place of the path.
    route: Option<&'static str>,
    at: Time,
    client: Option<IpAddr>,
    protocol: http::Version,
    user_agent: Option<HeaderValue>,
    request_id: Arc<str>,
    read: Arc<AtomicU64>,
    written: u64,
    status: u16,
    finished: bool,
    params: String,
    caller: Option<Ctx>,
    service: bool,
    claims: Glimpse,
    error: Option<ApiError>,
}

impl Drop for Line {
    fn drop(&mut self) {
        let status = if self.finished { self.status } else { GONE };
        count(&self.method, self.route, status, self.start.elapsed());
        let (mut user, mut device) = (None, None);
        let tenant = self.caller.as_ref().map(|ctx| ctx.tenant.as_str());
        match self.caller.as_ref().map(|ctx| &ctx.actor) {
            Some(Actor::User(id)) => user = Some(id.as_str()),
            Some(Actor::Device(id)) => device = Some(id.as_str()),
            _ => {}
        }
        let caller = match self.caller.as_ref().map(|ctx| &ctx.actor) {
            Some(Actor::User(_)) => Some("user"),
            Some(Actor::Device(_)) => Some("device"),
            Some(Actor::System) => Some("service"),
            None => self.service.then_some("service"),
        };
        let plan = self.claims.plan.as_deref().filter(|_| caller.is_some());
        // Of a refused token: only what its bearer claims.
        let sub = self.claims.sub.as_deref().filter(|_| caller.is_none());
        let client = self.client.map(|address| address.to_string());
        let error = self.error.as_ref().and_then(|e| e.cause().or(e.text()));
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    method = %self.method, path = self.route.unwrap_or(self.uri.path()),
                    path_params = self.params, qs = query(self.audience, &self.uri),
                    ts = %self.at, clientip = client, caller, sub, plan,
                    r#type = ?self.protocol, useragent = &*text(self.user_agent.as_ref()), status,
                    responsetime = ?self.start.elapsed(), byteswritten = self.written,
                    bytesprocessed = self.read.load(Relaxed), request_id = &*self.request_id,
                    user_id = user, device_id = device, tenant_id = tenant, error,
                    "request"
                )
            };
        }
        match status {
            500.. => line!(error),
            400.. => line!(warn),
            _ => line!(info),
        }
    }
}

/// Counts a request. Labels are from what we know, because series stay for ever.
fn count(method: &Method, route: Option<&'static str>, status: u16, took: Duration) {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    let method = KNOWN.into_iter().find(|known| method == known).unwrap_or("other");
    let route = route.unwrap_or("none");
    let labels = [("method", method), ("route", route)];
    metrics::histogram!("mender_http_request_seconds", &labels).record(took);
    let status = status.to_string();
    metrics::counter!(
        "mender_http_requests_total", "method" => method, "route" => route, "status" => status
    )
    .increment(1);
}

/// What lines need besides the request.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) env: Env,
    pub(crate) proxies: Option<u8>,
}

pub(crate) async fn log<F>(log: &Log, request: Request, next: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let audience = Audience::of(request.method(), request.uri().path());
    let id = request.extensions().get::<RequestId>();
    let request_id = id.map_or_else(|| "".into(), |RequestId(id)| id.clone());
    let read = Arc::new(AtomicU64::new(0));
    let mut line = Line {
        start: Instant::now(),
        method: request.method().clone(),
        uri: request.uri().clone(),
        audience,
        route: None,
        at: log.env.now(),
        client: log.proxies.and_then(|proxies| client::address(&request, proxies)),
        protocol: request.version(),
        user_agent: request.headers().get(USER_AGENT).cloned(),
        request_id: request_id.clone(),
        read: read.clone(),
        written: 0,
        status: 0,
        finished: false,
        params: String::new(),
        caller: None,
        service: audience == Audience::Internal,
        claims: match audience {
            Audience::Devices | Audience::Management => Glimpse::of(request.headers()),
            _ => Glimpse::default(),
        },
        error: None,
    };
    let request = request.map(|body| {
        let line = Err(read);
        Body::new(Counted { body, line })
    });
    let span = tracing::info_span!("request", id = &*request_id);
    let response = next(request).instrument(span).await;
    line.status = response.status().as_u16();
    let extensions = response.extensions();
    line.error = extensions.get().cloned();
    line.caller = extensions.get().cloned();
    if let Some(Matched { path, params, .. }) = extensions.get() {
        line.route = Some(path);
        let shown = |name: &&str| !["secret", "token"].contains(name);
        let params: Vec<_> = params
            .0
            .iter()
            .map(|(name, value)| match Some(name).filter(|name| shown(name)) {
                Some(name) => format!("{name}={value}"),
                None => format!("{name}=…"),
            })
            .collect();
        line.params = params.join(" ");
    }
    line.finished = response.body().is_end_stream() || line.method == Method::HEAD;
    response.map(|body| {
        let line = Ok(line);
        Body::new(Counted { body, line })
    })
}

/// Returns the query, unless it may be what opens the path.
fn query(audience: Audience, uri: &Uri) -> Option<String> {
    let query = uri.query().filter(|_| audience != Audience::Anyone)?;
    let of_deployments = uri.path().split('/').nth(4) == Some("deployments");
    Some(if of_deployments { redacted(query) } else { query.to_owned() })
}

/// Leaves out what users call things, as the reference server does for deployments.
fn redacted(query: &str) -> String {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((key @ ("name" | "search" | "artifact_name" | "device_type"), _)) => {
            format!("{key}=REDACTED")
        }
        _ => pair.to_owned(),
    };
    query.split('&').map(pair).collect::<Vec<_>>().join("&")
}

fn text(value: Option<&HeaderValue>) -> Cow<'_, str> {
    String::from_utf8_lossy(value.map(HeaderValue::as_bytes).unwrap_or_default())
}

/// Counts what passes: for the line of a response, or into the counter of a request.
struct Counted {
    body: Body,
    line: Result<Line, Arc<AtomicU64>>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let ended = self.body.is_end_stream();
        let length = match &polled {
            Poll::Ready(Some(Ok(frame))) => frame.data_ref().map_or(0, Bytes::len) as u64,
            _ => 0,
        };
        match &mut self.line {
            Ok(line) => {
                line.written += length;
                line.finished |= ended || matches!(polled, Poll::Ready(None));
            }
            Err(read) => {
                read.fetch_add(length, Relaxed);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_call_things_is_left_out_where_deployments_are_asked_for() {
        let shown =
            |uri: &'static str| query(Audience::Management, &Uri::from_static(uri)).unwrap();
        let uri = "/api/management/v1/deployments/artifacts/list?name=secret&page=2&device_type=x";
        assert_eq!(shown(uri), "name=REDACTED&page=2&device_type=REDACTED");
        assert_eq!(shown("/api/management/v1/inventory/devices?name=a"), "name=a");
        let link = Uri::from_static("/api/storage/v1/x?token=secret");
        assert_eq!(query(Audience::Anyone, &link), None);
    }
}
