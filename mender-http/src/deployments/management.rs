use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header::LOCATION};
use mender_core::{
    Ctx, Mender,
    deployments::{DeploymentId, NewDeployment, Status, Whom},
};
use serde_json::{Map, Value};

use super::{
    answer::{self, Draft},
    deployment_id, error, wire,
};
use crate::{authenticate::UserCaller, body::Body, error::ApiError, json::Json, path::Path};

const TAG: &str = "deployments";

/// What a location begins with.
const BELOW: &str = "/api/management/v1/deployments/deployments/";

/// How many deployments may be asked about at once.
const MAX_IDS: usize = 100;

async fn created(mender: &Mender, ctx: &Ctx, new: NewDeployment) -> Result<Response, ApiError> {
    let id = mender.deployments().create(ctx, new).await.map_err(error::create)?;
    let location = HeaderValue::try_from(format!("{BELOW}{id}")).map_err(ApiError::internal)?;
    Ok((StatusCode::CREATED, [(LOCATION, location)]).into_response())
}

/// Creates a deployment for some devices, or for all that are accepted.
#[utoipa::path(post, path = "/api/management/v1/deployments/deployments", tag = TAG,
    request_body = wire::NewDeployment,
    responses(
        (status = 201, description = "created; `Location` names it",
         headers(("Location" = String))),
        (status = 400, description = "malformed, or for no devices", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 403, description = "devices or a release that the user may not use",
         body = wire::ErrorBody),
        (status = 409, description = "the same is open", body = wire::ErrorBody),
        (status = 422, description = "no such release", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn create(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Body(body): Body<wire::NewDeployment>,
) -> Result<Response, ApiError> {
    created(&mender, &ctx, body.read()?).await
}

/// Creates a deployment for the accepted devices of a group.
#[utoipa::path(post, path = "/api/management/v1/deployments/deployments/group/{name}", tag = TAG,
    params(("name" = String, Path, description = "the group")),
    request_body = wire::NewDeployment,
    responses(
        (status = 201, description = "created; `Location` names it",
         headers(("Location" = String))),
        (status = 400, description = "malformed, or no device is in the group",
         body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 403, description = "devices or a release that the user may not use",
         body = wire::ErrorBody),
        (status = 409, description = "the same is open", body = wire::ErrorBody),
        (status = 422, description = "no such release", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn create_for_group(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(group): Path<String>,
    Body(body): Body<wire::NewDeployment>,
) -> Result<Response, ApiError> {
    let new = body.read_for_group()?;
    created(&mender, &ctx, NewDeployment { whom: Whom::Group(group), ..new }).await
}

/// Creates a deployment for whichever accepted devices fit a saved filter when they ask.
#[utoipa::path(post, path = "/api/management/v2/deployments/deployments", tag = TAG,
    request_body = wire::NewDeployment,
    responses(
        (status = 201, description = "created; `Location` names it",
         headers(("Location" = String))),
        (status = 400, description = "malformed, or no such filter", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 403, description = "a user of some groups only", body = wire::ErrorBody),
        (status = 409, description = "the same is open", body = wire::ErrorBody),
        (status = 422, description = "no such release", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn create_for_filter(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Body(body): Body<wire::NewDeployment>,
) -> Result<Response, ApiError> {
    created(&mender, &ctx, body.read_for_filter()?).await
}

/// Shows a deployment.
#[utoipa::path(get, path = "/api/management/v1/deployments/deployments/{id}", tag = TAG,
    params(("id" = String, Path, description = "the deployment")),
    responses(
        (status = 200, description = "the deployment", body = wire::Deployment),
        (status = 400, description = "no id", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn get(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let shown = mender.deployments().deployment(&ctx, &deployment_id(&id)?).await;
    let mut draft = Draft::default();
    draft.deployment(shown.map_err(error::other)?).map_err(error::other)?;
    answer::json(HeaderMap::new(), draft.filled(&mender, &ctx), error::other).await
}

/// Says anew where the devices of a deployment wait for a word.
#[utoipa::path(patch, path = "/api/management/v1/deployments/deployments/{id}", tag = TAG,
    params(("id" = String, Path, description = "the deployment")),
    request_body = wire::Change,
    responses(
        (status = 204, description = "changed"),
        (status = 400, description = "no id, or malformed", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 409, description = "it has no such map, or has ended", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn change(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
    Body(body): Body<wire::Change>,
) -> Result<StatusCode, ApiError> {
    let id = deployment_id(&id)?;
    let changed = mender.deployments().set_control_map(&ctx, &id, body.read()?).await;
    changed.map_err(error::other)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Aborts a deployment.
#[utoipa::path(put, path = "/api/management/v1/deployments/deployments/{id}/status", tag = TAG,
    params(("id" = String, Path, description = "the deployment")),
    request_body = wire::NewStatus,
    responses(
        (status = 204, description = "aborted"),
        (status = 400, description = "no id, or another status", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "never; kept for readers of older documents"),
        (status = 422, description = "it has ended, or there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn abort(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
    Body(body): Body<wire::NewStatus>,
) -> Result<StatusCode, ApiError> {
    let id = deployment_id(&id)?;
    if body.status()? != Status::Aborted {
        return Err(ApiError::bad_request("Unexpected deployment status"));
    }
    mender.deployments().abort(&ctx, &id).await.map_err(error::abort)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Counts the devices of a deployment by status.
#[utoipa::path(get, path = "/api/management/v1/deployments/deployments/{id}/statistics", tag = TAG,
    params(("id" = String, Path, description = "the deployment")),
    responses(
        (status = 200, description = "how many have which status",
         body = wire::Counts),
        (status = 400, description = "no id", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn statistics(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
) -> Result<Json<wire::Counts>, ApiError> {
    let id = deployment_id(&id)?;
    let found = mender.deployments().statistics(&ctx, &[id]).await.map_err(error::other)?;
    let missing = || ApiError::new(StatusCode::NOT_FOUND, "Resource not found");
    let (_, tally) = found.into_iter().next().ok_or_else(missing)?;
    Ok(Json(wire::Counts::of(&tally)))
}

/// Counts the devices of several deployments by status.
#[utoipa::path(post, path = "/api/management/v1/deployments/deployments/statistics/list",
    tag = TAG,
    request_body = wire::Ids,
    responses(
        (status = 200, description = "those that are there", body = Vec<wire::Statistics>),
        (status = 400, description = "malformed, or too many", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "none of them is there", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn statistics_list(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Body(body): Body<wire::Ids>,
) -> Result<Response, ApiError> {
    let ids = body.deployment_ids;
    if ids.is_empty() {
        // Compat: an object, not a list.
        return Ok(Json(Value::Object(Map::new())).into_response());
    }
    if ids.len() > MAX_IDS {
        return Err(ApiError::bad_request("the length must be between 1 and 100"));
    }
    let faults: Vec<String> = ids
        .iter()
        .enumerate()
        .filter(|(_, id)| deployment_id(id).is_err())
        .map(|(at, _)| format!("{at}: must be a valid UUID"))
        .collect();
    if !faults.is_empty() {
        return Err(ApiError::bad_request(format!("{}.", faults.join("; "))));
    }
    let mut ids: Vec<DeploymentId> =
        ids.iter().map(|id| deployment_id(id)).collect::<Result<_, _>>()?;
    ids.sort();
    ids.dedup();
    let found = mender.deployments().statistics(&ctx, &ids).await.map_err(error::other)?;
    if found.is_empty() {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "Deployment not found"));
    }
    let found: Vec<_> = found.into_iter().map(wire::Statistics::of).collect();
    Ok(Json(found).into_response())
}

/// Lists the devices that a deployment was created for.
#[utoipa::path(get, path = "/api/management/v1/deployments/deployments/{id}/device_list",
    tag = TAG,
    params(("id" = String, Path, description = "the deployment")),
    responses(
        (status = 200, description = "their ids", body = Vec<String>),
        (status = 400, description = "no id", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn targets(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let targets = mender.deployments().targets(&ctx, &deployment_id(&id)?).await;
    let targets = answer::ids(targets.map_err(error::other)?);
    answer::json(HeaderMap::new(), targets, error::other).await
}
