use axum::{
    extract::{OriginalUri, State},
    response::Response,
};
use http::StatusCode;
use mender_core::{DeviceId, Mender};

use super::{deployment_id, error, lists, records, wire};
use crate::{
    authenticate::Internal, body::Body, error::ApiError, json::Json, path::Path, query::Query,
};

const TAG: &str = "deployments, internal";

/// Tells that the server runs.
#[utoipa::path(get, path = "/api/internal/v1/deployments/alive", tag = TAG,
    responses((status = 204, description = "it does")))]
#[expect(dead_code, reason = "documents a route that all areas share")]
pub(super) fn alive() {}

/// Tells whether the server can work.
#[utoipa::path(get, path = "/api/internal/v1/deployments/health", tag = TAG,
    responses(
        (status = 204, description = "it can"),
        (status = 503, description = "something is missing", body = wire::ErrorBody),
    ))]
#[expect(dead_code, reason = "documents a route that all areas share")]
pub(super) fn health() {}

/// Lists the deployments of a tenant page by page.
#[utoipa::path(get, path = "/api/internal/v1/deployments/tenants/{tenant}/deployments", tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("status" = Option<String>, Query, description = "`pending`, `inprogress` or `finished`"),
        ("type" = Option<String>, Query, description = "`software` or `configuration`"),
        ("search" = Option<String>, Query, description = "words of a name"),
        ("created_before" = Option<i64>, Query, description = "seconds since 1970"),
        ("created_after" = Option<i64>, Query, description = "seconds since 1970"),
        ("sort" = Option<String>, Query, description = "`asc` or `desc`, by creation"),
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 500, default 20"),
    ),
    responses(
        (status = 200, description = "the deployments", body = Vec<wire::Deployment>,
         headers(("X-Total-Count" = u64), ("Link" = String))),
        (status = 400, description = "no tenant, or a bad parameter", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn list(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, ApiError> {
    // Compat: here alone the tenant has to be named.
    if ctx.tenant.as_str().is_empty() {
        return Err(ApiError::bad_request("missing tenant ID"));
    }
    lists::page(&mender, &ctx, &uri, lists::v1_query(&query)?).await
}

/// Lists records by their ids.
#[utoipa::path(get, path = "/api/internal/v1/deployments/tenants/{tenant}/deployments/devices",
    tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("id" = Vec<String>, Query, description = "ids of records"),
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 20, default 20"),
    ),
    responses(
        (status = 200, description = "the records", body = Vec<wire::Record>,
         headers(("X-Total-Count" = u64), ("Link" = String))),
        (status = 400, description = "no ids, or a bad parameter", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn records(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, ApiError> {
    let ids: Vec<String> = query.all("id").map(str::to_owned).collect();
    if ids.is_empty() {
        return Err(ApiError::bad_request("id: cannot be blank"));
    }
    let paging = records::history_paging(&uri)?;
    let found = mender.deployments().records(&ctx, &ids, paging.page).await;
    records::shown(&mender, &ctx, &paging, found.map_err(error::other)?).await
}

/// Lists what a device has had, the newest first.
#[utoipa::path(get,
    path = "/api/internal/v1/deployments/tenants/{tenant}/deployments/devices/{device}", tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("device" = String, Path, description = "the device"),
        ("status" = Option<String>, Query,
         description = "a status, or `pause`, `active` or `finished`"),
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 20, default 20"),
    ),
    responses(
        (status = 200, description = "the records", body = Vec<wire::Record>,
         headers(("X-Total-Count" = u64), ("Link" = String))),
        (status = 400, description = "a bad parameter", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn history(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(device): Path<String>,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, ApiError> {
    records::page_of(&mender, &ctx, &device, &uri, &query).await
}

/// Takes a device that is no more out of its deployments.
#[utoipa::path(delete,
    path = "/api/internal/v1/deployments/tenants/{tenant}/deployments/devices/{device}", tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("device" = String, Path, description = "the device"),
    ),
    responses(
        (status = 204, description = "decommissioned"),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn decommission(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(device): Path<String>,
) -> Result<StatusCode, ApiError> {
    if let Some(device) = records::device_id(&device) {
        mender.deployments().decommission(&ctx, &device).await.map_err(error::other)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the groups that a deployment concerns.
#[utoipa::path(get,
    path = "/api/internal/v1/deployments/tenants/{tenant}/deployments/{id}/groups", tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("id" = String, Path, description = "the deployment"),
    ),
    responses(
        (status = 200, description = "the groups", body = wire::Groups),
        (status = 400, description = "no id", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn groups(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(id): Path<String>,
) -> Result<Json<wire::Groups>, ApiError> {
    let groups = mender.deployments().groups(&ctx, &deployment_id(&id)?).await;
    Ok(Json(wire::Groups { groups: groups.map_err(error::other)? }))
}

/// Shows the last final status of devices.
#[utoipa::path(post,
    path = "/api/internal/v1/deployments/tenants/{tenant}/devices/deployments/last", tag = TAG,
    params(("tenant" = String, Path, description = "the tenant")),
    request_body = wire::DeviceIds,
    responses(
        (status = 200, description = "of those that have one", body = wire::LastStatuses),
        (status = 400, description = "malformed, none or too many", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn last(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Body(body): Body<wire::DeviceIds>,
) -> Result<Json<wire::LastStatuses>, ApiError> {
    let devices: Vec<DeviceId> =
        body.device_ids.iter().filter_map(|id| records::device_id(id)).collect();
    // What can be no id has had nothing.
    if devices.is_empty() && !body.device_ids.is_empty() {
        return Ok(Json(wire::LastStatuses::of(Vec::new())));
    }
    let found = mender.deployments().last_statuses(&ctx, &devices).await;
    Ok(Json(wire::LastStatuses::of(found.map_err(error::other)?)))
}
