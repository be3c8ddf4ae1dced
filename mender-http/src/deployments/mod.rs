//! Deployments over HTTP.

mod answer;
mod conduct;
mod configuration;
mod devices;
mod error;
mod internal;
mod lists;
mod logs;
mod management;
mod records;
mod settings;
mod wire;

use mender_core::{Mender, deployments::DeploymentId};
use utoipa::OpenApi;

use crate::{artifacts::is_uuid, error::ApiError, routes::Routes};

#[derive(OpenApi)]
#[openapi(paths(
    management::create,
    management::create_for_group,
    management::create_for_filter,
    management::get,
    management::change,
    management::abort,
    conduct::pause,
    conduct::resume,
    conduct::approve,
    settings::get,
    settings::put,
    management::statistics,
    management::statistics_list,
    management::targets,
    lists::v1,
    lists::v2,
    records::all,
    records::list,
    logs::log,
    logs::formatted,
    logs::explain,
    records::history,
    records::explain,
    records::abort_device,
    records::reset,
    devices::next,
    devices::ask,
    devices::ask_v2,
    devices::control_map,
    devices::report,
    devices::put_log,
    configuration::download,
    configuration::create,
    internal::alive,
    internal::health,
    internal::list,
    internal::records,
    internal::history,
    internal::decommission,
    internal::groups,
    internal::last,
))]
struct Document;

/// Returns the endpoints.
#[must_use]
pub fn routes() -> Routes<Mender> {
    management_routes()
        .merge(device_routes())
        .merge(internal_routes())
        .document(&Document::openapi())
}

fn management_routes() -> Routes<Mender> {
    const ALL: &str = "/api/management/v1/deployments/deployments";
    const STATISTICS: &str = "/api/management/v1/deployments/deployments/statistics/list";
    const DEVICE: &str = "/api/management/v1/deployments/deployments/devices/{device}";
    const HISTORY: &str = "/api/management/v1/deployments/deployments/devices/{device}/history";
    const SETTINGS: &str = "/api/management/v1/deployments/settings";
    const APPROVE: &str = "/api/management/v1/deployments/deployments/{id}/phases/{phase}/approve";
    const LOG: &str = "/api/management/v1/deployments/deployments/{id}/devices/{device}/log";
    const FORMATTED: &str =
        "/api/management/v1alpha1/deployments/deployments/{id}/devices/{device}/log";
    const EXPLAINED: &str =
        "/api/management/v1alpha1/deployments/deployments/{id}/devices/{device}/log/explain";
    Routes::new()
        .get(ALL, lists::v1)
        .post(ALL, management::create)
        .post(
            "/api/management/v1/deployments/deployments/group/{name}",
            management::create_for_group,
        )
        .post(STATISTICS, management::statistics_list)
        .get("/api/management/v1/deployments/deployments/{id}", management::get)
        .patch("/api/management/v1/deployments/deployments/{id}", management::change)
        .put("/api/management/v1/deployments/deployments/{id}/status", management::abort)
        .post("/api/management/v1/deployments/deployments/{id}/pause", conduct::pause)
        .post("/api/management/v1/deployments/deployments/{id}/resume", conduct::resume)
        .post(APPROVE, conduct::approve)
        .get(SETTINGS, settings::get)
        .put(SETTINGS, settings::put)
        .get("/api/management/v1/deployments/deployments/{id}/statistics", management::statistics)
        .get("/api/management/v1/deployments/deployments/{id}/device_list", management::targets)
        .get("/api/management/v1/deployments/deployments/{id}/devices", records::all)
        .get("/api/management/v1/deployments/deployments/{id}/devices/list", records::list)
        .get(LOG, logs::log)
        .get(FORMATTED, logs::formatted)
        .get(EXPLAINED, logs::explain)
        .get(DEVICE, records::history)
        .get("/api/management/v1/deployments/devices/{device}/explain", records::explain)
        .delete(DEVICE, records::abort_device)
        .delete(HISTORY, records::reset)
        .get("/api/management/v2/deployments/deployments", lists::v2)
        .post("/api/management/v2/deployments/deployments", management::create_for_filter)
}

fn device_routes() -> Routes<Mender> {
    const NEXT: &str = "/api/devices/v1/deployments/device/deployments/next";
    const CONTROL_MAP: &str =
        "/api/devices/v2/deployments/device/deployments/{id}/update_control_map";
    const CONFIGURATION: &str =
        "/api/devices/v1/deployments/download/configuration/{deployment}/{device_type}/{device}";
    Routes::new()
        .get(NEXT, devices::next)
        .post(NEXT, devices::ask)
        .post("/api/devices/v2/deployments/device/deployments/next", devices::ask_v2)
        .get(CONTROL_MAP, devices::control_map)
        .put("/api/devices/v1/deployments/device/deployments/{id}/status", devices::report)
        .put("/api/devices/v1/deployments/device/deployments/{id}/log", devices::put_log)
        .get(CONFIGURATION, configuration::download)
}

fn internal_routes() -> Routes<Mender> {
    const DEVICE: &str =
        "/api/internal/v1/deployments/tenants/{tenant}/deployments/devices/{device}";
    const CONFIGURE: &str = "/api/internal/v1/deployments/tenants/{tenant}/configuration\
                             /deployments/{id}/devices/{device}";
    Routes::new()
        .get("/api/internal/v1/deployments/tenants/{tenant}/deployments", internal::list)
        .get("/api/internal/v1/deployments/tenants/{tenant}/deployments/devices", internal::records)
        .get(DEVICE, internal::history)
        .delete(DEVICE, internal::decommission)
        .get(
            "/api/internal/v1/deployments/tenants/{tenant}/deployments/{id}/groups",
            internal::groups,
        )
        .post(
            "/api/internal/v1/deployments/tenants/{tenant}/devices/deployments/last",
            internal::last,
        )
        .post(CONFIGURE, configuration::create)
}

/// Reads the id of a deployment in a path.
fn deployment_id(text: &str) -> Result<DeploymentId, ApiError> {
    if !is_uuid(text) {
        return Err(ApiError::bad_request("ID is not a valid UUID"));
    }
    text.to_ascii_lowercase().parse().map_err(ApiError::internal)
}
