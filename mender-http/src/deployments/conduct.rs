//! What users decide about a deployment while it goes on.

use axum::extract::State;
use http::StatusCode;
use mender_core::Mender;

use super::{deployment_id, error, wire};
use crate::{authenticate::UserCaller, body::Body, error::ApiError, path::Path};

const TAG: &str = "deployments";

/// Has no further device begin a deployment. Devices that began go on.
#[utoipa::path(post, path = "/api/management/v1/deployments/deployments/{id}/pause", tag = TAG,
    params(("id" = String, Path, description = "the deployment")),
    request_body = wire::Pause,
    responses(
        (status = 204, description = "paused, now or before"),
        (status = 400, description = "no id, or malformed", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 403, description = "a deployment that the user may not reach",
         body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 409, description = "it has ended", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn pause(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
    Body(body): Body<wire::Pause>,
) -> Result<StatusCode, ApiError> {
    let paused = mender.deployments().pause(&ctx, &deployment_id(&id)?, &body.reason).await;
    paused.map_err(error::other)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Has devices begin again. Thresholds count anew.
#[utoipa::path(post, path = "/api/management/v1/deployments/deployments/{id}/resume", tag = TAG,
    params(("id" = String, Path, description = "the deployment")),
    responses(
        (status = 204, description = "devices begin"),
        (status = 400, description = "no id", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 403, description = "a deployment that the user may not reach",
         body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 409, description = "it has ended", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn resume(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    mender.deployments().resume(&ctx, &deployment_id(&id)?).await.map_err(error::other)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a phase begin that needs the word of another user than the one who created the deployment.
#[utoipa::path(post,
    path = "/api/management/v1/deployments/deployments/{id}/phases/{phase}/approve", tag = TAG,
    params(
        ("id" = String, Path, description = "the deployment"),
        ("phase" = String, Path, description = "the phase"),
    ),
    responses(
        (status = 204, description = "approved, now or before"),
        (status = 400, description = "no id", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 403, description = "the user created the deployment, or may not reach it",
         body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 409, description = "it has ended, or the phase needs no approval",
         body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn approve(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path((id, phase)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let approved = mender.deployments().approve(&ctx, &deployment_id(&id)?, &phase).await;
    approved.map_err(error::other)?;
    Ok(StatusCode::NO_CONTENT)
}
