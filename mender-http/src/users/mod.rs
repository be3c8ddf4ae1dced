//! Users over HTTP: log-in, sessions and accounts.

mod error;
mod internal;
mod management;
mod wire;

use mender_core::Mender;
use utoipa::OpenApi;

use crate::routes::Routes;

#[derive(OpenApi)]
#[openapi(paths(
    management::log_in,
    management::log_out,
    management::list,
    management::create,
    management::get,
    internal::verify,
))]
struct Document;

/// Returns the endpoints.
#[must_use]
pub fn routes() -> Routes<Mender> {
    Routes::new()
        .post("/api/management/v1/useradm/auth/login", management::log_in)
        .post("/api/management/v1/useradm/auth/logout", management::log_out)
        .get("/api/management/v1/useradm/users", management::list)
        .post("/api/management/v1/useradm/users", management::create)
        .get("/api/management/v1/useradm/users/{id}", management::get)
        .get("/api/internal/v1/useradm/auth/verify", internal::verify)
        .post("/api/internal/v1/useradm/auth/verify", internal::verify)
        .document(&Document::openapi())
}
