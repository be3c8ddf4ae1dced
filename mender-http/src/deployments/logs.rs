//! What devices wrote down, for users.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use mender_core::{
    DeviceId, Mender,
    deployments::{DeploymentId, logic},
};

use super::{error, records::device_id, wire};
use crate::{authenticate::UserCaller, error::ApiError, path::Path, query::Query};

const TAG: &str = "deployments, devices";

fn ids((id, device): (String, String)) -> Result<(DeploymentId, DeviceId), ApiError> {
    let missing = || ApiError::new(StatusCode::NOT_FOUND, "Resource not found");
    Ok((id.parse().map_err(|_| missing())?, device_id(&device).ok_or_else(missing)?))
}

fn plain(text: String) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("text/plain"))], text).into_response()
}

/// Shows what a device wrote down.
#[utoipa::path(get,
    path = "/api/management/v1/deployments/deployments/{id}/devices/{device}/log", tag = TAG,
    params(
        ("id" = String, Path, description = "the deployment"),
        ("device" = String, Path, description = "the device"),
    ),
    responses(
        (status = 200, description = "a line for each message", body = String,
         content_type = "text/plain"),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn log(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(path): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let (id, device) = ids(path)?;
    let log = mender.deployments().log(&ctx, &id, &device).await.map_err(error::other)?;
    Ok(plain(log.text()))
}

/// Shows what a device wrote down, as it is or as somebody who explains it would read it.
#[utoipa::path(get,
    path = "/api/management/v1alpha1/deployments/deployments/{id}/devices/{device}/log", tag = TAG,
    params(
        ("id" = String, Path, description = "the deployment"),
        ("device" = String, Path, description = "the device"),
        ("format" = Option<String>, Query,
         description = "`text`, or `text-redacted`: without secrets and addresses"),
    ),
    responses(
        (status = 200, description = "a line for each message", body = String,
         content_type = "text/plain"),
        (status = 400, description = "no such format", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn formatted(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(path): Path<(String, String)>,
    query: Query,
) -> Result<Response, ApiError> {
    let is_redacted = match query.first("format").unwrap_or_default() {
        "" | "text" => false,
        "text-redacted" => true,
        _ => return Err(ApiError::bad_request("format: must be a valid value")),
    };
    let (id, device) = ids(path)?;
    let log = mender.deployments().log(&ctx, &id, &device).await.map_err(error::other)?;
    let text = log.text();
    Ok(plain(if is_redacted { logic::redacted(&text) } else { text }))
}

/// Explains what a device wrote down. Nobody does unless the server was given somebody who can,
/// and the tenant agreed.
#[utoipa::path(get,
    path = "/api/management/v1alpha1/deployments/deployments/{id}/devices/{device}/log/explain",
    tag = TAG,
    params(
        ("id" = String, Path, description = "the deployment"),
        ("device" = String, Path, description = "the device"),
    ),
    responses(
        (status = 200, description = "what went wrong", body = String,
         content_type = "text/plain"),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 403, description = "the tenant has not agreed", body = wire::ErrorBody),
        (status = 404, description = "there is no log, or nobody explains any",
         body = wire::ErrorBody),
        (status = 429, description = "asked too often", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn explain(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(path): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let (id, device) = ids(path)?;
    let explained = mender.deployments().explain_log(&ctx, &id, &device).await;
    Ok(plain(explained.map_err(error::other)?))
}
