//! Device authentication over HTTP.

mod devices;
mod error;
mod internal;
mod management;
mod wire;

use mender_core::Mender;
use utoipa::OpenApi;

use crate::routes::Routes;

#[derive(OpenApi)]
#[openapi(paths(
    devices::request,
    management::list,
    management::search,
    management::preauthorize,
    management::count,
    management::get,
    management::decommission,
    management::delete_set,
    management::set_status,
    management::put_status,
    management::revoke,
    management::limit,
    management::max_devices,
    management::limits,
    management::flags,
    management::auto_auth,
    management::license,
    management::accept_rules,
    management::put_accept_rules,
    internal::alive,
    internal::health,
    internal::verify,
    internal::revoke,
    internal::get_max_devices,
    internal::put_max_devices,
    internal::delete_max_devices,
    internal::get_limit,
    internal::put_limit,
    internal::delete_limit,
    internal::get_limits,
    internal::put_limits,
    internal::delete_limits,
    internal::limits_of_tenants,
    internal::new_tenant,
    internal::delete_tenant,
    internal::list,
    internal::count,
    internal::remove,
    internal::patch,
    internal::status,
    internal::external,
))]
struct Document;

/// Returns the endpoints.
#[must_use]
pub fn routes() -> Routes<Mender> {
    const DEVICES: &str = "/api/management/v2/devauth/devices";
    Routes::new()
        .post("/api/devices/v1/authentication/auth_requests", devices::request)
        .get(DEVICES, management::list)
        .post(DEVICES, management::preauthorize)
        .post("/api/management/v2/devauth/devices/search", management::search)
        .get("/api/management/v2/devauth/devices/count", management::count)
        .get("/api/management/v2/devauth/devices/{id}", management::get)
        .delete("/api/management/v2/devauth/devices/{id}", management::decommission)
        .put("/api/management/v2/devauth/devices/{id}/flags", management::flags)
        .delete("/api/management/v2/devauth/devices/{id}/auth/{aid}", management::delete_set)
        .get("/api/management/v2/devauth/devices/{id}/auth/{aid}/status", management::set_status)
        .put("/api/management/v2/devauth/devices/{id}/auth/{aid}/status", management::put_status)
        .delete("/api/management/v2/devauth/tokens/{id}", management::revoke)
        .get("/api/management/v2/devauth/limits/devices", management::limits)
        .get("/api/management/v2/devauth/limits/{name}", management::limit)
        .post("/api/management/v2/devauth/auto-auth", management::auto_auth)
        .get("/api/management/v2/devauth/license", management::license)
        .get("/api/management/v2/devauth/accept-rules", management::accept_rules)
        .put("/api/management/v2/devauth/accept-rules", management::put_accept_rules)
        .merge(internal_routes())
        .document(&Document::openapi())
}

fn internal_routes() -> Routes<Mender> {
    const LIMIT: &str = "/api/internal/v1/devauth/tenant/{tenant}/limits/{name}";
    const LIMITS: &str = "/api/internal/v1/devauth/tenant/{tenant}/limits";
    const DEVICE: &str = "/api/internal/v1/devauth/tenants/{tenant}/devices/{id}";
    Routes::new()
        .get("/api/internal/v1/devauth/tokens/verify", internal::verify)
        .post("/api/internal/v1/devauth/tokens/verify", internal::verify)
        .delete("/api/internal/v1/devauth/tokens", internal::revoke)
        .get("/api/internal/v1/devauth/tenant/limits", internal::limits_of_tenants)
        .get(LIMITS, internal::get_limits)
        .put(LIMITS, internal::put_limits)
        .delete(LIMITS, internal::delete_limits)
        .get(LIMIT, internal::get_limit)
        .put(LIMIT, internal::put_limit)
        .delete(LIMIT, internal::delete_limit)
        .post("/api/internal/v1/devauth/tenants", internal::new_tenant)
        .delete("/api/internal/v1/devauth/tenants/{tenant}", internal::delete_tenant)
        .get("/api/internal/v1/devauth/tenants/{tenant}/devices", internal::list)
        .get("/api/internal/v1/devauth/tenants/{tenant}/devices/count", internal::count)
        .delete(DEVICE, internal::remove)
        .patch(DEVICE, internal::patch)
        .get("/api/internal/v1/devauth/tenants/{tenant}/devices/{id}/status", internal::status)
        .put("/api/internal/v1/devauth/tenants/{tenant}/devices/{id}/external", internal::external)
}
