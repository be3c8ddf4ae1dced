use axum::{
    extract::{OriginalUri, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode, Uri};
use mender_core::{
    Ctx, DeviceId, Mender,
    deployments::{Shown, ShownDevice, Status},
    page::MAX_PAGE,
};

use super::{
    answer::{self, Draft},
    deployment_id, error, wire,
};
use crate::{
    authenticate::UserCaller,
    error::ApiError,
    json::Json,
    page::{Paging, Rest},
    path::Path,
    query::Query,
};

const TAG: &str = "deployments, devices";

/// How many records of a device a page has.
const MAX_HISTORY: u32 = 20;

/// Reads which statuses are meant; none are all of them. Of several values the first counts.
pub(super) fn statuses(query: &Query) -> Result<Vec<Status>, ApiError> {
    let all = |fits: fn(&Status) -> bool| Status::ALL.into_iter().filter(fits).collect();
    match query.first("status").unwrap_or_default() {
        "" => Ok(Vec::new()),
        "pause" => Ok(Status::PAUSES.to_vec()),
        "active" => Ok(all(|status| status.is_active())),
        "finished" => Ok(all(|status| status.is_final())),
        text => match text.parse() {
            Ok(status) => Ok(vec![status]),
            Err(_) => Err(ApiError::bad_request("status: must be a valid value")),
        },
    }
}

/// Reads the id of a device; what can be none has had nothing.
pub(super) fn device_id(text: &str) -> Option<DeviceId> {
    text.parse().ok()
}

/// Lists the devices of a deployment that have asked.
#[utoipa::path(get, path = "/api/management/v1/deployments/deployments/{id}/devices", tag = TAG,
    params(("id" = String, Path, description = "the deployment")),
    responses(
        (status = 200, description = "the devices", body = Vec<wire::Device>),
        (status = 400, description = "no id", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "there is no such deployment", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn all(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let devices = mender.deployments().all_devices(&ctx, &deployment_id(&id)?).await;
    let devices = answer::devices(devices.map_err(error::devices)?);
    answer::json(HeaderMap::new(), devices, error::devices).await
}

/// Lists the devices of a deployment that have asked, page by page.
#[utoipa::path(get, path = "/api/management/v1/deployments/deployments/{id}/devices/list",
    tag = TAG,
    params(
        ("id" = String, Path, description = "the deployment"),
        ("status" = Option<String>, Query,
         description = "a status, or `pause`, `active` or `finished`"),
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 500, default 20"),
    ),
    responses(
        (status = 200, description = "the devices", body = Vec<wire::Device>,
         headers(("X-Total-Count" = u64), ("Link" = String))),
        (status = 400, description = "no id, or a bad parameter", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "there is no such deployment", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn list(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, ApiError> {
    let (id, statuses) = (deployment_id(&id)?, statuses(&query)?);
    let paging = Paging::of(&uri, MAX_PAGE)?;
    let devices = mender.deployments().devices(&ctx, &id, &statuses, paging.page).await;
    let (devices, total) = devices.map_err(error::devices)?;
    let devices: Vec<_> = devices.into_iter().map(wire::Device::of).collect();
    Ok((paging.headers(Rest::Total(total)), Json(devices)).into_response())
}

/// Reads the paging of a device's history.
pub(super) fn history_paging(uri: &Uri) -> Result<Paging, ApiError> {
    let paging = Paging::of(uri, u32::MAX)?;
    if paging.page.size > MAX_HISTORY {
        // Compat: the text of another fault.
        let what = "invalid per_page query: value must be a non-zero positive integer";
        return Err(ApiError::bad_request(what));
    }
    Ok(paging)
}

pub(super) async fn shown(
    mender: &Mender,
    ctx: &Ctx,
    paging: &Paging,
    (records, total): (Vec<(ShownDevice, Option<Shown>)>, u64),
) -> Result<Response, ApiError> {
    let draft = Draft::list(records, Draft::record).map_err(error::other)?;
    let headers = paging.headers(Rest::Total(total));
    answer::json(headers, draft.filled(mender, ctx), error::other).await
}

/// Shows a page of what a device has had.
pub(super) async fn page_of(
    mender: &Mender,
    ctx: &Ctx,
    device: &str,
    uri: &Uri,
    query: &Query,
) -> Result<Response, ApiError> {
    let statuses = statuses(query)?;
    let paging = history_paging(uri)?;
    let Some(device) = device_id(device) else {
        return shown(mender, ctx, &paging, (Vec::new(), 0)).await;
    };
    let found = mender.deployments().history(ctx, &device, &statuses, paging.page).await;
    shown(mender, ctx, &paging, found.map_err(error::other)?).await
}

/// Lists what a device has had, the newest first.
#[utoipa::path(get, path = "/api/management/v1/deployments/deployments/devices/{device}",
    tag = TAG,
    params(
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
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn history(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(device): Path<String>,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, ApiError> {
    page_of(&mender, &ctx, &device, &uri, &query).await
}

/// Explains what a device would be told if it asked now, and what it was told last.
#[utoipa::path(get, path = "/api/management/v1/deployments/devices/{device}/explain", tag = TAG,
    params(("device" = String, Path, description = "the device")),
    responses(
        (status = 200, description = "why it gets an update, or gets none",
         body = wire::Explanation),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 403, description = "a device that the user may not reach",
         body = wire::ErrorBody),
        (status = 404, description = "no id of a device", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn explain(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(device): Path<String>,
) -> Result<Json<wire::Explanation>, ApiError> {
    let none = || ApiError::new(StatusCode::NOT_FOUND, "Resource not found");
    let device = device_id(&device).ok_or_else(none)?;
    let explained = mender.deployments().explain(&ctx, &device).await.map_err(error::other)?;
    Ok(Json(wire::Explanation::of(explained)))
}

/// Takes a device out of every deployment that it has not ended.
#[utoipa::path(delete, path = "/api/management/v1/deployments/deployments/devices/{device}",
    tag = TAG,
    params(("device" = String, Path, description = "the device")),
    responses(
        (status = 204, description = "aborted"),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn abort_device(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(device): Path<String>,
) -> Result<StatusCode, ApiError> {
    if let Some(device) = device_id(&device) {
        mender.deployments().abort_device(&ctx, &device).await.map_err(error::other)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets what a device ended: it gets again what is still open.
#[utoipa::path(delete,
    path = "/api/management/v1/deployments/deployments/devices/{device}/history", tag = TAG,
    params(("device" = String, Path, description = "the device")),
    responses(
        (status = 204, description = "forgotten"),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn reset(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(device): Path<String>,
) -> Result<StatusCode, ApiError> {
    if let Some(device) = device_id(&device) {
        mender.deployments().reset_history(&ctx, &device).await.map_err(error::other)?;
    }
    Ok(StatusCode::NO_CONTENT)
}
