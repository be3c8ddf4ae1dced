use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use mender_core::{
    Actor, Ctx, DeviceId, Mender,
    deployments::{DeploymentId, Request},
};

use super::{configuration, deployment_id, error, wire};
use crate::{
    authenticate::DeviceCaller,
    base::Base,
    body::Body,
    error::{ApiError, Faults},
    json::Json,
    path::Path,
    query::Query,
};

const TAG: &str = "deployments, device API";

fn device(ctx: &Ctx) -> Result<&DeviceId, ApiError> {
    match &ctx.actor {
        Actor::Device(device) => Ok(device),
        _ => Err(ApiError::unauthorized("unauthorized")),
    }
}

/// Tells a device what to do.
async fn answer(
    mender: &Mender,
    ctx: &Ctx,
    request: &Request,
    base: &str,
) -> Result<Response, ApiError> {
    use mender_core::deployments::Instructions::{Configure, Install};
    let device = device(ctx)?;
    let found =
        mender.deployments().next(ctx, device, request, base).await.map_err(error::other)?;
    let update = match found {
        None => return Ok(StatusCode::NO_CONTENT.into_response()),
        Some(Install { deployment, artifact, link, control_map }) => {
            wire::Update::install(&deployment, *artifact, link, control_map)
        }
        Some(Configure { deployment }) => {
            configuration::update(mender, ctx, &deployment, device, request, base)?
        }
    };
    Ok(Json(update).into_response())
}

/// Tells a device what to do next.
#[utoipa::path(get, path = "/api/devices/v1/deployments/device/deployments/next", tag = TAG,
    params(
        ("artifact_name" = String, Query, description = "what the device runs"),
        ("device_type" = String, Query, description = "its type"),
    ),
    responses(
        (status = 200, description = "what to install", body = wire::Update),
        (status = 204, description = "nothing"),
        (status = 400, description = "a parameter is missing", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "never; kept for readers of older documents"),
        (status = 409, description = "it said something else before", body = wire::ErrorBody),
        (status = 429, description = "too many devices begin now", body = wire::ErrorBody,
         headers(("Retry-After" = u64))),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn next(
    State(mender): State<Mender>,
    DeviceCaller(ctx): DeviceCaller,
    Base(base): Base,
    query: Query,
) -> Result<Response, ApiError> {
    let text = |name: &str| query.first(name).unwrap_or_default().to_owned();
    let request = Request {
        artifact_name: text("artifact_name"),
        device_type: text("device_type"),
        ..Request::default()
    };
    wire::check(&request)?;
    answer(&mender, &ctx, &request, &base).await
}

/// Tells a device what to do next, which tells what it provides.
#[utoipa::path(post, path = "/api/devices/v1/deployments/device/deployments/next", tag = TAG,
    request_body = wire::Provides,
    responses(
        (status = 200, description = "what to install", body = wire::Update),
        (status = 204, description = "nothing"),
        (status = 400, description = "malformed", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "never; kept for readers of older documents"),
        (status = 409, description = "it said something else before", body = wire::ErrorBody),
        (status = 429, description = "too many devices begin now", body = wire::ErrorBody,
         headers(("Retry-After" = u64))),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn ask(
    State(mender): State<Mender>,
    DeviceCaller(ctx): DeviceCaller,
    Base(base): Base,
    Body(body): Body<wire::Provides>,
) -> Result<Response, ApiError> {
    answer(&mender, &ctx, &body.read()?, &base).await
}

/// Tells a device what to do next, which tells what it provides.
#[utoipa::path(post, path = "/api/devices/v2/deployments/device/deployments/next", tag = TAG,
    request_body = wire::ProvidesV2,
    responses(
        (status = 200, description = "what to install", body = wire::Update),
        (status = 204, description = "nothing"),
        (status = 400, description = "malformed", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "never; kept for readers of older documents"),
        (status = 409, description = "it said something else before", body = wire::ErrorBody),
        (status = 429, description = "too many devices begin now", body = wire::ErrorBody,
         headers(("Retry-After" = u64))),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn ask_v2(
    State(mender): State<Mender>,
    DeviceCaller(ctx): DeviceCaller,
    Base(base): Base,
    Body(body): Body<wire::ProvidesV2>,
) -> Result<Response, ApiError> {
    answer(&mender, &ctx, &body.read()?, &base).await
}

/// Tells a device where it is to wait.
#[utoipa::path(get,
    path = "/api/devices/v2/deployments/device/deployments/{id}/update_control_map", tag = TAG,
    params(("id" = String, Path, description = "the deployment")),
    responses(
        (status = 200, description = "where to wait", body = wire::ControlMap),
        (status = 400, description = "no id", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "the device has nothing to do with it", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn control_map(
    State(mender): State<Mender>,
    DeviceCaller(ctx): DeviceCaller,
    Path(id): Path<String>,
) -> Result<Json<wire::ControlMap>, ApiError> {
    let id = deployment_id(&id)?;
    let map = mender.deployments().control_map(&ctx, &id, device(&ctx)?).await;
    Ok(Json(wire::ControlMap { update_control_map: map.map_err(error::other)? }))
}

/// Stores how far a device is.
#[utoipa::path(put, path = "/api/devices/v1/deployments/device/deployments/{id}/status", tag = TAG,
    params(("id" = String, Path, description = "the deployment")),
    request_body = wire::NewStatus,
    responses(
        (status = 204, description = "stored"),
        (status = 400, description = "no status that devices report", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "the device has nothing to do with it", body = wire::ErrorBody),
        (status = 409, description = "it was aborted", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn report(
    State(mender): State<Mender>,
    DeviceCaller(ctx): DeviceCaller,
    Path(id): Path<String>,
    Body(body): Body<wire::NewStatus>,
) -> Result<StatusCode, ApiError> {
    let status = body.status()?;
    let mut faults = Faults::default();
    if !status.is_reportable() {
        faults.add("status", "must be a valid value");
    }
    if body.substate.len() > mender_core::deployments::logic::MAX_SUBSTATE {
        faults.add("substate", "the length must be no more than 200");
    }
    faults.check()?;
    let unknown = |_| ApiError::new(StatusCode::NOT_FOUND, "Resource not found");
    let id: DeploymentId = id.parse().map_err(unknown)?;
    let stored = mender.deployments().report(&ctx, &id, device(&ctx)?, status, &body.substate);
    stored.await.map_err(error::other)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Stores what a device wrote down.
#[utoipa::path(put, path = "/api/devices/v1/deployments/device/deployments/{id}/log", tag = TAG,
    params(("id" = String, Path, description = "the deployment")),
    request_body = wire::NewLog,
    responses(
        (status = 204, description = "stored"),
        (status = 400, description = "no messages", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "the device has nothing to do with it", body = wire::ErrorBody),
        (status = 413, description = "too large", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn put_log(
    State(mender): State<Mender>,
    DeviceCaller(ctx): DeviceCaller,
    Path(id): Path<String>,
    Body(body): Body<wire::NewLog>,
) -> Result<StatusCode, ApiError> {
    let messages = body.read(mender.env().now())?;
    let unknown = |_| ApiError::new(StatusCode::NOT_FOUND, "Deployment not found");
    let id: DeploymentId = id.parse().map_err(unknown)?;
    let stored = mender.deployments().put_log(&ctx, &id, device(&ctx)?, messages).await;
    stored.map_err(error::log)?;
    Ok(StatusCode::NO_CONTENT)
}
