//! Static groups, of version 1.

use axum::{
    extract::{OriginalUri, Request, State},
    response::{IntoResponse, Response},
};
use mender_core::{
    DeviceId, Mender,
    inventory::{GroupName, InvalidGroup},
};

use super::{error, paging, wire};
use crate::{
    authenticate::UserCaller,
    body::{self, JsonError},
    error::ApiError,
    json::Json,
    page::Rest,
    path::Path,
    query::Query,
};

const TAG: &str = "inventory";

fn invalid(why: InvalidGroup) -> ApiError {
    ApiError::bad_request(why.to_string())
}

/// Reads ids of devices. What can be no id is unknown, and left out.
async fn ids(request: Request) -> Result<Vec<DeviceId>, ApiError> {
    let refused =
        |error: JsonError| ApiError::bad_request(format!("invalid payload schema: {error}"));
    let bytes = body::read(request).await.map_err(refused)?;
    let wire::Ids(ids) = body::decode(&bytes, false).map_err(refused)?;
    if ids.is_empty() {
        return Err(ApiError::bad_request("no device IDs present in payload"));
    }
    Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
}

/// Lists the static groups that devices are in.
#[utoipa::path(get, path = "/api/management/v1/inventory/groups", tag = TAG,
    params(("status" = Option<String>, Query,
        description = "only groups with a device of this status")),
    responses(
        (status = 200, description = "the names, in order", body = Vec<String>),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn list(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    query: Query,
) -> Result<Json<Vec<String>>, ApiError> {
    let status = query.first("status").filter(|status| !status.is_empty());
    Ok(Json(mender.inventory().groups(&ctx, status).await.map_err(error::other)?))
}

/// Takes all devices out of a static group, which is no more then.
#[utoipa::path(delete, path = "/api/management/v1/inventory/groups/{name}", tag = TAG,
    params(("name" = String, Path, description = "the group")),
    responses(
        (status = 200, description = "how many devices were in it", body = wire::Counts),
        (status = 400, description = "no name of a group", body = wire::ErrorBody),
        (status = 403, description = "none of the caller's groups", body = wire::ErrorBody),
        (status = 404, description = "never; kept for readers of older documents"),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn delete(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(name): Path<String>,
) -> Result<Json<wire::Counts>, ApiError> {
    let group = GroupName::legacy(&name).map_err(invalid)?;
    let moved = mender.inventory().clear_group(&ctx, &group).await.map_err(error::other)?;
    Ok(Json(moved.into()))
}

/// Lists the ids of the devices in a static group.
#[utoipa::path(get, path = "/api/management/v1/inventory/groups/{name}/devices", tag = TAG,
    params(
        ("name" = String, Path, description = "the group"),
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 500, default 20"),
    ),
    responses(
        (status = 200, description = "the ids", body = Vec<String>,
         headers(("X-Total-Count" = u64), ("Link" = String))),
        (status = 400, description = "bad parameters", body = wire::ErrorBody),
        (status = 404, description = "no device is in it", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn devices(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(name): Path<String>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, ApiError> {
    let paging = paging(&uri)?;
    let found = mender.inventory().group_devices(&ctx, &name, paging.page).await;
    let (ids, total) = found.map_err(error::group)?;
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    Ok((paging.headers(Rest::Total(total)), Json(ids)).into_response())
}

/// Moves devices to a static group; those that are unknown are passed over.
#[utoipa::path(patch, path = "/api/management/v1/inventory/groups/{name}/devices", tag = TAG,
    params(("name" = String, Path, description = "the group")),
    request_body = Vec<String>,
    responses(
        (status = 200, description = "how many are known, and moved", body = wire::Counts),
        (status = 400, description = "bad name or ids", body = wire::ErrorBody),
        (status = 403, description = "out of the caller's groups", body = wire::ErrorBody),
        (status = 404, description = "never; kept for readers of older documents"),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn add(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<wire::Counts>, ApiError> {
    body::check_type(request.headers(), "application/json")?;
    let group: GroupName = name.parse().map_err(invalid)?;
    let ids = ids(request).await?;
    let moved = mender.inventory().move_to_group(&ctx, &group, &ids).await;
    Ok(Json(moved.map_err(error::other)?.into()))
}

/// Takes devices out of a static group.
#[utoipa::path(delete, path = "/api/management/v1/inventory/groups/{name}/devices", tag = TAG,
    params(("name" = String, Path, description = "the group")),
    request_body = Vec<String>,
    responses(
        (status = 200, description = "how many were in it", body = wire::Counts),
        (status = 400, description = "bad name or ids", body = wire::ErrorBody),
        (status = 403, description = "out of the caller's groups", body = wire::ErrorBody),
        (status = 404, description = "never; kept for readers of older documents"),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn remove(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<wire::Counts>, ApiError> {
    let group = GroupName::legacy(&name).map_err(invalid)?;
    let ids = ids(request).await?;
    let moved = mender.inventory().remove_from_group(&ctx, &group, &ids).await;
    Ok(Json(moved.map_err(error::other)?.into()))
}
