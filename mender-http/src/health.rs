//! `alive` and `health` of every service that the server stands in for.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use crate::{error::ApiError, json::Json, routes::Routes};

/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(5);

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
    let checked = tokio::time::timeout(PATIENCE, health.check()).await;
    match checked.unwrap_or_else(|_| Err("the check took too long".to_owned())) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(text) => ApiError::new(failed, text).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stuck;

    #[async_trait]
    impl Health for Stuck {
        async fn check(&self) -> Result<(), String> {
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_has_failed() {
        let start = tokio::time::Instant::now();
        let answer = check(Arc::new(Stuck), StatusCode::SERVICE_UNAVAILABLE).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(start.elapsed(), PATIENCE);
    }
}
