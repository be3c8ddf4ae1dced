//! What the listeners answer.

use std::time::Duration;

use axum::{
    Router,
    extract::State,
    http::{Method, StatusCode},
    routing::any_service,
};
use mender_core::Mender;
use mender_http::{ApiError, Gateway, Routers, Routes, router};
use tokio_util::sync::CancellationToken;

use crate::{
    settings::{Settings, Wrong},
    telemetry::Metrics,
};

/// How long questions of operators may take: who asks gives up soon, and asks again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Returns the routers of both listeners, with `more` routes beside those of the areas. Once
/// `stopping` is cancelled the server is not ready any more.
pub(crate) fn routers(
    mender: &Mender,
    settings: &Settings,
    metrics: &Metrics,
    stopping: &CancellationToken,
    more: fn() -> Routes<Mender>,
) -> Result<Routers, Wrong> {
    let mut http = settings.server.gateway(mender.env());
    http.rate_limits = settings.limits.limits(mender.env())?;
    let gateway = match settings.server.trust_gateway {
        true => Gateway::Trusted,
        false => Gateway::None,
    };
    let Routers { public, internal } = mender_http::server_with(mender, &http, gateway, more);
    http.request_timeout = PATIENCE;
    let operations = router::internal(operations(metrics, stopping), mender.clone(), None, &http);
    let internal = Router::new()
        .route("/ready", any_service(operations.clone()))
        .route("/metrics", any_service(operations))
        .fallback_service(internal);
    Ok(Routers { public, internal })
}

/// For operators: metrics, and whether traffic should come here.
fn operations(metrics: &Metrics, stopping: &CancellationToken) -> Routes<Mender> {
    let (metrics, stopping) = (metrics.clone(), stopping.clone());
    let ready = async move |State(mender): State<Mender>| {
        if stopping.is_cancelled() {
            return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping"));
        }
        mender.ready().await.map(|()| "ready\n").map_err(ApiError::from)
    };
    let render = async move |State(mender): State<Mender>| metrics.render(&mender).await;
    Routes::new()
        .get("/ready", ready.clone())
        .on(Method::HEAD, "/ready", ready)
        .get("/metrics", render)
}
