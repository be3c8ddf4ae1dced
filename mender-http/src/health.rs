//! `alive` and `health` of every service that the server stands in for.

use std::sync::Arc;

use async_trait::async_trait;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use crate::{error::ApiError, json::Json, routes::Routes};

/// Tells whether the server can do its work.
#[async_trait]
pub trait Health: Send + Sync + 'static {
    /// Returns what is wrong, in words for operators.
    async fn check(&self) -> Result<(), String>;
}

/// A server that is always healthy.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlwaysHealthy;

#[async_trait]
impl Health for AlwaysHealthy {
    async fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

macro_rules! services {
    ($($name:literal)+) => {
        [$((
            concat!("/api/internal/v1/", $name, "/alive"),
            concat!("/api/internal/v1/", $name, "/health"),
        )),+]
    };
}

const SERVICES: [(&str, &str); 11] = services!(
    "useradm" "devauth" "inventory" "deployments" "deviceconfig" "deviceconnect" "iot-manager"
    "tenantadm" "auditlogs" "devicemonitor" "reporting"
);

/// Returns the routes, over a check that all services share.
pub fn routes<S: Clone + Send + Sync + 'static>(health: Arc<dyn Health>) -> Routes<S> {
    let alive = async || StatusCode::NO_CONTENT;
    let mut routes = Routes::new();
    for (alive_path, health_path) in SERVICES {
        // Compat: this one service says 500.
        let failed = if alive_path.contains("deviceconfig") {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        let health = health.clone();
        routes = routes.get(alive_path, alive).get(health_path, move || check(health, failed));
    }
    routes
        .get("/status", async || Json(json!({"status": "ok"})))
        .get("/api/v1/health", move || check(health, StatusCode::SERVICE_UNAVAILABLE))
}

async fn check(health: Arc<dyn Health>, failed: StatusCode) -> Response {
    match health.check().await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(text) => ApiError::new(failed, text).into_response(),
    }
}
