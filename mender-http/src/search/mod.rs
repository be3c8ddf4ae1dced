//! Reports over HTTP: searches of devices and of what deployments did on them, and their numbers.

mod error;
mod internal;
mod management;
mod records;
mod wire;

use mender_core::Mender;
use utoipa::OpenApi;

use crate::routes::Routes;

#[derive(OpenApi)]
#[openapi(paths(
    management::search,
    management::aggregate,
    management::attributes,
    management::search_attributes,
    records::search,
    records::aggregate,
    internal::alive,
    internal::health,
    internal::search,
))]
struct Document;

/// Returns the endpoints.
#[must_use]
pub fn routes() -> Routes<Mender> {
    Routes::new()
        .post("/api/management/v1/reporting/devices/search", management::search)
        .get(
            "/api/management/v1/reporting/devices/search/attributes",
            management::search_attributes,
        )
        .post("/api/management/v1/reporting/devices/aggregate", management::aggregate)
        .get("/api/management/v1/reporting/devices/attributes", management::attributes)
        .post("/api/management/v1/reporting/deployments/devices/search", records::search)
        .post("/api/management/v1/reporting/deployments/devices/aggregate", records::aggregate)
        .post("/api/internal/v1/reporting/tenants/{tenant}/devices/search", internal::search)
        .document(&Document::openapi())
}
