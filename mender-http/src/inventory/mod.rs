//! Inventory over HTTP: attributes, tags, static groups, searches and saved filters.

mod devices;
mod error;
mod filters;
mod groups;
mod internal;
mod internal_v2;
mod list;
mod management;
mod management_v2;
mod management_v2alpha1;
mod wire;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Uri};
use mender_core::{
    Mender,
    inventory::{AttributeName, Found},
    page::{MAX_PAGE, PageRequest},
};
use utoipa::OpenApi;

use crate::{
    error::ApiError,
    json::Json,
    page::{Paging, Rest, TOTAL_COUNT},
    routes::Routes,
};

#[derive(OpenApi)]
#[openapi(paths(
    devices::replace,
    devices::merge,
    devices::replace_anywhere,
    devices::merge_anywhere,
    management::list,
    management::get,
    management::clear,
    management::put_tags,
    management::patch_tags,
    management::group,
    management::put_group,
    management::leave_group,
    groups::list,
    groups::delete,
    groups::devices,
    groups::add,
    groups::remove,
    management_v2::search,
    management_v2::attributes,
    management_v2::statistics,
    filters::create,
    filters::list,
    filters::get,
    filters::put,
    filters::delete,
    filters::search,
    management_v2alpha1::search,
    management_v2alpha1::components,
    internal::alive,
    internal::health,
    internal::new_tenant,
    internal::delete_tenant,
    internal::create,
    internal::remove,
    internal::set_statuses,
    internal::write_scope,
    internal::write,
    internal::groups,
    internal::reindex,
    internal::check_groups,
    internal_v2::search,
    internal_v2::statistics,
    internal_v2::filter,
))]
struct Document;

/// What the paths of version 1 begin with.
const V1: &str = "/api/management/v1/inventory/";

/// What they begin with behind gateways that rewrite them.
const LEGACY: &str = "/api/0.1.0/";

/// Returns the endpoints.
#[must_use]
pub fn routes() -> Routes<Mender> {
    Routes::new()
        .put("/api/devices/v1/inventory/device/attributes", devices::replace)
        .patch("/api/devices/v1/inventory/device/attributes", devices::merge)
        // Compat: gateways take any path below for an upload.
        .put("/api/devices/v1/inventory/{*rest}", devices::replace)
        .patch("/api/devices/v1/inventory/{*rest}", devices::merge)
        .merge(v1_routes())
        .merge(legacy_routes())
        .merge(v2_routes())
        .merge(internal_routes())
        .document(&Document::openapi())
}

fn v1_routes() -> Routes<Mender> {
    const GROUP: &str = "/api/management/v1/inventory/devices/{id}/group";
    const MEMBERS: &str = "/api/management/v1/inventory/groups/{name}/devices";
    Routes::new()
        .get("/api/management/v1/inventory/devices", management::list)
        .get("/api/management/v1/inventory/devices/{id}", management::get)
        .delete("/api/management/v1/inventory/devices/{id}", management::clear)
        .put("/api/management/v1/inventory/devices/{id}/tags", management::put_tags)
        .patch("/api/management/v1/inventory/devices/{id}/tags", management::patch_tags)
        .get(GROUP, management::group)
        .put(GROUP, management::put_group)
        .delete("/api/management/v1/inventory/devices/{id}/group/{name}", management::leave_group)
        .get("/api/management/v1/inventory/groups", groups::list)
        .delete("/api/management/v1/inventory/groups/{name}", groups::delete)
        .get(MEMBERS, groups::devices)
        .patch(MEMBERS, groups::add)
        .delete(MEMBERS, groups::remove)
}

/// Compat: what gateways make of the paths of version 1 before they hand requests on.
fn legacy_routes() -> Routes<Mender> {
    Routes::new()
        .put("/api/0.1.0/attributes", devices::replace)
        .patch("/api/0.1.0/attributes", devices::merge)
        .get("/api/0.1.0/devices", management::list)
        .get("/api/0.1.0/devices/{id}", management::get)
        .delete("/api/0.1.0/devices/{id}", management::clear)
        .put("/api/0.1.0/devices/{id}/tags", management::put_tags)
        .patch("/api/0.1.0/devices/{id}/tags", management::patch_tags)
        .get("/api/0.1.0/devices/{id}/group", management::group)
        .put("/api/0.1.0/devices/{id}/group", management::put_group)
        .delete("/api/0.1.0/devices/{id}/group/{name}", management::leave_group)
        .get("/api/0.1.0/groups", groups::list)
        .delete("/api/0.1.0/groups/{name}", groups::delete)
        .get("/api/0.1.0/groups/{name}/devices", groups::devices)
        .patch("/api/0.1.0/groups/{name}/devices", groups::add)
        .delete("/api/0.1.0/groups/{name}/devices", groups::remove)
}

fn v2_routes() -> Routes<Mender> {
    const FILTERS: &str = "/api/management/v2/inventory/filters";
    const FILTER: &str = "/api/management/v2/inventory/filters/{id}";
    const COMPONENTS: &str = "/api/management/v2alpha1/inventory/devices/{id}/components";
    Routes::new()
        .post("/api/management/v2/inventory/filters/search", management_v2::search)
        .get("/api/management/v2/inventory/filters/attributes", management_v2::attributes)
        .get("/api/management/v2/inventory/statistics", management_v2::statistics)
        .post(FILTERS, filters::create)
        .get(FILTERS, filters::list)
        .get(FILTER, filters::get)
        .put(FILTER, filters::put)
        .delete(FILTER, filters::delete)
        .get("/api/management/v2/inventory/filters/{id}/search", filters::search)
        .post("/api/management/v2alpha1/inventory/identities/search", management_v2alpha1::search)
        .get(COMPONENTS, management_v2alpha1::components)
}

fn internal_routes() -> Routes<Mender> {
    const STATUS: &str = "/api/internal/v1/inventory/tenants/{tenant}/devices/status/{status}";
    const DEVICE: &str = "/api/internal/v1/inventory/tenants/{tenant}/devices/{id}";
    const SCOPE: &str =
        "/api/internal/v1/inventory/tenants/{tenant}/device/{id}/attribute/scope/{scope}";
    const WRITE: &str = "/api/internal/v1/inventory/tenants/{tenant}/device/{id}/attributes";
    const GROUPS: &str = "/api/internal/v1/inventory/tenants/{tenant}/devices/{id}/groups";
    const REINDEX: &str = "/api/internal/v1/inventory/tenants/{tenant}/devices/{id}/reindex";
    const CHECK: &str = "/api/internal/v1/inventory/tenants/{tenant}/test/devices/groups";
    const FILTER: &str = "/api/internal/v2/inventory/tenants/{tenant}/filters/{id}";
    Routes::new()
        .post("/api/internal/v1/inventory/tenants", internal::new_tenant)
        .delete("/api/internal/v1/inventory/tenants/{tenant}", internal::delete_tenant)
        .post("/api/internal/v1/inventory/tenants/{tenant}/devices", internal::create)
        .delete(DEVICE, internal::remove)
        .post(STATUS, internal::set_statuses)
        .patch(SCOPE, internal::write_scope)
        .patch(WRITE, internal::write)
        .get(GROUPS, internal::groups)
        .post(REINDEX, internal::reindex)
        .post(CHECK, internal::check_groups)
        .post("/api/internal/v2/inventory/tenants/{tenant}/filters/search", internal_v2::search)
        .get("/api/internal/v2/inventory/tenants/{tenant}/statistics", internal_v2::statistics)
        .get(FILTER, internal_v2::filter)
}

/// Reads which page is asked for. Links lead to the public path, whatever a gateway made of it.
fn paging(uri: &Uri) -> Result<Paging, ApiError> {
    Ok(Paging::of(uri, MAX_PAGE)?.moved(LEGACY, V1))
}

/// The header with the number of all.
fn total(count: u64) -> HeaderMap {
    HeaderMap::from_iter([(TOTAL_COUNT, count.into())])
}

/// The headers of lists that link to their neighbours, but not to the last page.
fn links_and_total(paging: &Paging, count: u64) -> HeaderMap {
    let PageRequest { size, .. } = paging.page;
    let mut headers = paging.links(Rest::More(paging.page.skip() + u64::from(size) < count));
    headers.extend(total(count));
    headers
}

/// Answers with devices, and these attributes of them; all where none are named.
fn answer(headers: HeaderMap, found: Found, shown: &[AttributeName]) -> Response {
    let devices = found.devices.into_iter().map(|device| wire::Device::showing(device, shown));
    (headers, Json(devices.collect::<Vec<_>>())).into_response()
}
