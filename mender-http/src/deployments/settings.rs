//! What is kept for a tenant about deployments.

use axum::extract::State;
use http::StatusCode;
use mender_core::Mender;

use super::{error, wire};
use crate::{authenticate::UserCaller, body::Body, error::ApiError, json::Json};

const TAG: &str = "deployments";

/// Shows what holds for all deployments together.
#[utoipa::path(get, path = "/api/management/v1/deployments/settings", tag = TAG,
    responses(
        (status = 200, description = "the settings", body = wire::TenantSettings),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 403, description = "the user is limited to some devices or releases",
         body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn get(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
) -> Result<Json<wire::TenantSettings>, ApiError> {
    let budget = mender.deployments().download_budget(&ctx).await.map_err(error::other)?;
    Ok(Json(wire::TenantSettings::of(budget)))
}

/// Says what holds for all deployments together. What is left out is not limited.
#[utoipa::path(put, path = "/api/management/v1/deployments/settings", tag = TAG,
    request_body = wire::TenantSettings,
    responses(
        (status = 204, description = "from now on"),
        (status = 400, description = "malformed, or a budget that lets nothing through",
         body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 403, description = "the user is limited to some devices or releases",
         body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn put(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Body(body): Body<wire::TenantSettings>,
) -> Result<StatusCode, ApiError> {
    let set = mender.deployments().set_download_budget(&ctx, body.read()).await;
    set.map_err(error::create)?;
    Ok(StatusCode::NO_CONTENT)
}
