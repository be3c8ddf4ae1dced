use axum::{
    extract::{OriginalUri, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ETAG, IF_MATCH},
};
use mender_core::{
    Ctx, DeviceId, Mender,
    inventory::{AttributeName, GroupName, How},
};

use super::{error, list, paging, wire};
use crate::{
    authenticate::UserCaller,
    body::Body,
    error::ApiError,
    json::Json,
    page::Rest,
    path::{self, Path},
    query::Query,
};

const TAG: &str = "inventory";

/// Lists devices, by the values of attributes.
#[utoipa::path(get, path = "/api/management/v1/inventory/devices", tag = TAG,
    params(
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 500, default 20"),
        ("sort" = Option<String>, Query, description = "`[scope/]name[:asc|:desc]`"),
        ("has_group" = Option<bool>, Query, description = "whether it is in a group"),
        ("group" = Option<String>, Query, description = "the group that it is in"),
        ("name" = Option<String>, Query,
         description = "any other parameter is an attribute, `[scope/]name`, and its value"),
    ),
    responses(
        (status = 200, description = "the devices", body = Vec<wire::Device>,
         headers(("X-Total-Count" = u64), ("Link" = String))),
        (status = 400, description = "bad parameters", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn list(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, ApiError> {
    let paging = paging(&uri)?;
    let search = list::search(&Query::of(&uri))?;
    let found = mender.inventory().search(&ctx, &search, paging.page).await;
    let found = found.map_err(error::search)?;
    Ok(super::answer(paging.headers(Rest::Total(found.total)), found, &[]))
}

/// Shows a device; its `ETag` is that of its tags.
#[utoipa::path(get, path = "/api/management/v1/inventory/devices/{id}", tag = TAG,
    params(("id" = String, Path, description = "the device")),
    responses(
        (status = 200, description = "the device", body = wire::Device,
         headers(("ETag" = String))),
        (status = 403, description = "out of the caller's groups", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn get(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = path::id(&id, "device", error::device)?;
    let device = mender.inventory().device(&ctx, &id).await.map_err(error::device)?;
    let mut headers = HeaderMap::new();
    if let Some(etag) = &device.etag {
        // Compat: without quotes.
        headers.insert(ETAG, HeaderValue::try_from(etag).map_err(ApiError::internal)?);
    }
    Ok((headers, Json(wire::Device::of(device))).into_response())
}

/// Removes everything that the device reported.
#[utoipa::path(delete, path = "/api/management/v1/inventory/devices/{id}", tag = TAG,
    params(("id" = String, Path, description = "the device")),
    responses(
        (status = 204, description = "removed, or unknown"),
        (status = 403, description = "out of the caller's groups", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn clear(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    // What can be no id is unknown, and that is no error.
    if let Ok(id) = id.parse() {
        mender.inventory().clear(&ctx, &id).await.map_err(error::other)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn tag(
    mender: &Mender,
    ctx: &Ctx,
    id: &str,
    headers: &HeaderMap,
    tags: wire::Attributes,
    how: How,
) -> Result<StatusCode, ApiError> {
    if id.is_empty() {
        return Err(ApiError::bad_request("device id cannot be empty"));
    }
    let tags = tags.read(Some(AttributeName::TAGS))?;
    let seen = headers.get(IF_MATCH).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let seen = seen.as_deref().filter(|seen| !seen.is_empty());
    let Ok(id) = id.parse::<DeviceId>() else {
        // As for any device that is unknown.
        return match seen {
            Some(_) => Err(ApiError::new(StatusCode::PRECONDITION_FAILED, "ETag does not match")),
            None => Ok(StatusCode::OK),
        };
    };
    let tagged = mender.inventory().tag(ctx, &id, tags, how, seen).await;
    tagged.map_err(error::conditional)?;
    Ok(StatusCode::OK)
}

/// Sets all tags of a device; others are removed.
#[utoipa::path(put, path = "/api/management/v1/inventory/devices/{id}/tags", tag = TAG,
    params(
        ("id" = String, Path, description = "the device"),
        ("If-Match" = Option<String>, Header, description = "only where the tags have this ETag"),
    ),
    request_body = Vec<wire::Attribute>,
    responses(
        (status = 200, description = "set, or the device is unknown"),
        (status = 400, description = "bad or too many tags", body = wire::ErrorBody),
        (status = 403, description = "out of the caller's groups", body = wire::ErrorBody),
        (status = 404, description = "never; kept for readers of older documents"),
        (status = 412, description = "the tags have another ETag", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn put_tags(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(tags): Body<wire::Attributes>,
) -> Result<StatusCode, ApiError> {
    tag(&mender, &ctx, &id, &headers, tags, How::Replace).await
}

/// Sets some tags of a device; others stay.
#[utoipa::path(patch, path = "/api/management/v1/inventory/devices/{id}/tags", tag = TAG,
    params(
        ("id" = String, Path, description = "the device"),
        ("If-Match" = Option<String>, Header, description = "only where the tags have this ETag"),
    ),
    request_body = Vec<wire::Attribute>,
    responses(
        (status = 200, description = "set, or the device is unknown"),
        (status = 400, description = "bad or too many tags", body = wire::ErrorBody),
        (status = 403, description = "out of the caller's groups", body = wire::ErrorBody),
        (status = 404, description = "never; kept for readers of older documents"),
        (status = 412, description = "the tags have another ETag", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn patch_tags(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(tags): Body<wire::Attributes>,
) -> Result<StatusCode, ApiError> {
    tag(&mender, &ctx, &id, &headers, tags, How::Merge).await
}

/// Shows the static group of a device.
#[utoipa::path(get, path = "/api/management/v1/inventory/devices/{id}/group", tag = TAG,
    params(("id" = String, Path, description = "the device")),
    responses(
        (status = 200, description = "the group, or null", body = wire::Group),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 403, description = "out of the caller's groups", body = wire::ErrorBody),
        (status = 404, description = "there is no such device", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn group(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
) -> Result<Json<wire::Group>, ApiError> {
    let id = path::id(&id, "device", error::device)?;
    let device = mender.inventory().device(&ctx, &id).await.map_err(error::device)?;
    Ok(Json(wire::Group { group: device.group().map(str::to_owned) }))
}

/// Moves a device to a static group.
#[utoipa::path(put, path = "/api/management/v1/inventory/devices/{id}/group", tag = TAG,
    params(("id" = String, Path, description = "the device")),
    request_body = wire::Group,
    responses(
        (status = 204, description = "moved"),
        (status = 400, description = "no name of a group", body = wire::ErrorBody),
        (status = 403, description = "out of the caller's groups", body = wire::ErrorBody),
        (status = 404, description = "there is no such device", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn put_group(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
    Body(body): Body<wire::Group>,
) -> Result<StatusCode, ApiError> {
    let group = body.group.unwrap_or_default().parse::<GroupName>();
    let group = group.map_err(|why| ApiError::bad_request(format!("group: {why}.")))?;
    let id = path::id(&id, "device", error::device)?;
    mender.inventory().set_group(&ctx, &id, &group).await.map_err(error::device)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a device out of its static group.
#[utoipa::path(delete, path = "/api/management/v1/inventory/devices/{id}/group/{name}", tag = TAG,
    params(
        ("id" = String, Path, description = "the device"),
        ("name" = String, Path, description = "the group"),
    ),
    responses(
        (status = 204, description = "it is in no group now"),
        (status = 403, description = "out of the caller's groups", body = wire::ErrorBody),
        (status = 404, description = "no such device in this group", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn leave_group(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path((id, name)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let id = path::id(&id, "device", error::device)?;
    mender.inventory().unset_group(&ctx, &id, &name).await.map_err(error::device)?;
    Ok(StatusCode::NO_CONTENT)
}
