//! What the listeners answer.

use std::sync::Arc;

use axum::{Router, routing::get};
use mender_core::Mender;
use mender_http::{
    ApiError, Authenticate, Routers, Routes, app, authenticate::TrustGateway, builtin::BuiltIn,
    router,
};

use crate::{settings::Settings, telemetry::Metrics};

/// Returns the routers of both listeners, with `more` routes beside those of the areas.
pub(crate) fn routers(
    mender: &Mender,
    settings: &Settings,
    metrics: &Metrics,
    more: fn() -> Routes<Mender>,
) -> Routers {
    let routes = || app::routes(mender).merge(more());
    let http = settings.server.gateway(mender.env());
    let builtin = BuiltIn::new(mender.clone()).with_limits(http.rate_limits.clone());
    let builtin = Arc::new(builtin);
    let gateway = settings.server.trust_gateway;
    let gateway = gateway.then(|| Arc::new(TrustGateway) as Arc<dyn Authenticate>);
    let Routers { public, internal } = router::routers(routes, mender, builtin, gateway, &http);
    Routers { public, internal: operations(mender, metrics).fallback_service(internal) }
}

/// For operators: metrics, and whether traffic should come here.
fn operations(mender: &Mender, metrics: &Metrics) -> Router {
    let (ready, counted) = (mender.clone(), mender.clone());
    let metrics = metrics.clone();
    let ready = async move || {
        let answer = ready.ready().await;
        answer.map(|()| "ready\n").map_err(ApiError::from)
    };
    let render = async move || metrics.render(&counted).await;
    Router::new().route("/ready", get(ready)).route("/metrics", get(render))
}
