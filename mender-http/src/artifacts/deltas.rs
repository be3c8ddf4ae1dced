use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ETAG, IF_MATCH, LOCATION},
};
use mender_core::{
    Ctx, Mender,
    artifacts::{DeltaQuery, DeltaSettings, DeltaSort},
    page::PageRequest,
};

use super::{error, is_uuid, wire};
use crate::{
    authenticate::UserCaller,
    body::Body,
    error::ApiError,
    json::Json,
    page::{Paging, Rest},
    path::Path,
    query::Query,
};

const TAG: &str = "artifacts";

/// What the client has seen of what it changes.
pub(super) fn seen(headers: &HeaderMap) -> Option<String> {
    let seen = headers.get(IF_MATCH)?;
    let seen = String::from_utf8_lossy(seen.as_bytes());
    Some(seen.trim_matches('"').to_owned()).filter(|seen| !seen.is_empty())
}

/// An answer that shows how deltas are made.
pub(super) fn shown(settings: Option<DeltaSettings>) -> Result<Response, ApiError> {
    let mut headers = HeaderMap::new();
    if let Some(settings) = &settings {
        let etag = format!("\"{}\"", settings.etag());
        headers.insert(ETAG, HeaderValue::try_from(etag).map_err(ApiError::internal)?);
    }
    Ok((headers, Json(wire::DeploymentsConfig::of(settings))).into_response())
}

/// Shows whether deltas are made, and how.
#[utoipa::path(get, path = "/api/management/v1/deployments/config", tag = TAG,
    responses(
        (status = 200, description = "the configuration; empty where nobody made any",
         body = wire::DeploymentsConfig, headers(("ETag" = String))),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn config(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
) -> Result<Response, ApiError> {
    shown(mender.artifacts().delta_settings(&ctx).await.map_err(error::other)?)
}

/// Chooses how deltas are encoded from now on.
#[utoipa::path(put, path = "/api/management/v1/deployments/config/binary_delta", tag = TAG,
    params(("If-Match" = Option<String>, Header, description = "only where it has this ETag")),
    request_body = wire::ChosenArgs,
    responses(
        (status = 204, description = "from now on"),
        (status = 400, description = "unknown, or outside of the limits", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "nothing is configured", body = wire::ErrorBody),
        (status = 409, description = "no deltas are made", body = wire::ErrorBody),
        (status = 412, description = "it has another ETag", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn choose(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    headers: HeaderMap,
    Body(body): Body<wire::ChosenArgs>,
) -> Result<StatusCode, ApiError> {
    let (args, seen) = (body.read(), seen(&headers));
    let chosen = mender.artifacts().choose_delta_args(&ctx, args, seen.as_deref()).await;
    chosen.map_err(error::delta_config)?;
    Ok(StatusCode::NO_CONTENT)
}

/// How jobs shall be sorted.
fn sorted(query: &Query) -> Result<DeltaQuery, ApiError> {
    let text = query.first("sort").filter(|text| !text.is_empty()).unwrap_or("status:asc");
    let unknown = || ApiError::bad_request(format!("invalid sort query: \"{text}\""));
    let (key, direction) = text.split_once(':').ok_or_else(unknown)?;
    let sort = match key {
        "status" => DeltaSort::Status,
        "started" => DeltaSort::Started,
        "from_version" | "from_release" => DeltaSort::From,
        "to_version" | "to_release" => DeltaSort::To,
        _ => return Err(unknown()),
    };
    let descending = match direction {
        "asc" => false,
        "desc" => true,
        _ => return Err(unknown()),
    };
    Ok(DeltaQuery { sort, descending, ..DeltaQuery::default() })
}

/// Lists the jobs that make deltas.
#[utoipa::path(get, path = "/api/management/v2/deployments/deployments/releases/delta/jobs",
    tag = TAG,
    params(
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "20; at most 500"),
        ("sort" = Option<String>, Query, description =
            "`status`, `started`, `from_version` or `to_version`, then `:asc` or `:desc`"),
    ),
    responses(
        (status = 200, description = "the jobs; `X-Total-Count` is the number of all",
         body = Vec<wire::DeltaJob>, headers(("X-Total-Count" = u64), ("Link" = String))),
        (status = 400, description = "a malformed parameter", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 403, description = "for users of all releases", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn jobs(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    paging: Paging,
    query: Query,
) -> Result<Response, ApiError> {
    let query = sorted(&query)?;
    let found = mender.artifacts().delta_jobs(&ctx, &query, paging.page).await;
    let (jobs, total) = found.map_err(error::other)?;
    let jobs: Vec<_> = jobs.into_iter().map(wire::DeltaJob::of).collect();
    Ok((paging.headers(Rest::Total(total)), Json(jobs)).into_response())
}

/// Shows a job that makes a delta.
#[utoipa::path(get, path = "/api/management/v2/deployments/deployments/releases/delta/jobs/{id}",
    tag = TAG,
    params(("id" = String, Path, description = "the job")),
    responses(
        (status = 200, description = "the job", body = wire::DeltaJobDetails),
        (status = 400, description = "no id", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 403, description = "for users of all releases", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn job(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
) -> Result<Json<wire::DeltaJobDetails>, ApiError> {
    if !is_uuid(&id) {
        return Err(ApiError::bad_request("ID is not a valid UUID"));
    }
    let id = id.to_ascii_lowercase().parse().map_err(ApiError::internal)?;
    let job = mender.artifacts().delta_job(&ctx, &id).await.map_err(error::other)?;
    Ok(Json(wire::DeltaJobDetails::of(job)))
}

/// Has a delta made ahead of a deployment.
#[utoipa::path(post, path = "/api/management/v2/deployments/deployments/releases/delta/jobs",
    tag = TAG,
    request_body = wire::NewDelta,
    responses(
        (status = 202, description = "a job makes it; `Location` names it",
         headers(("Location" = String))),
        (status = 400, description = "a malformed request", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 403, description = "for users of all releases", body = wire::ErrorBody),
        (status = 404, description = "no such releases, or no images for the same devices",
         body = wire::ErrorBody),
        (status = 409, description = "there is a delta, or there can be none",
         body = wire::ErrorBody),
        (status = 429, description = "as many wait as may", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn make(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Body(body): Body<wire::NewDelta>,
) -> Result<Response, ApiError> {
    let wire::NewDelta { from_version, to_version, device_type } = body;
    if from_version.is_empty() || to_version.is_empty() {
        return Err(ApiError::bad_request("from_version and to_version must be provided"));
    }
    let names = (from_version.as_str(), to_version.as_str());
    let made = mender.artifacts().make_delta(&ctx, names, device_type.as_deref()).await;
    let job = made.map_err(error::make_delta)?;
    // Compat: relative to this path, as everywhere.
    let location =
        format!("/api/management/v2/deployments/deployments/releases/delta/jobs/{}", job.id);
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)]).into_response())
}

/// Shows the job that makes the delta which a deployment asked for.
#[utoipa::path(get,
    path = "/api/management/v1/deployments/{deployment}/devices/{device}/delta/status", tag = TAG,
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("device" = String, Path, description = "one of its devices"),
    ),
    responses(
        (status = 200, description = "the job", body = wire::WorkflowJob),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 403, description = "a deployment or a device that the user may not see",
         body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn status(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path((deployment, device)): Path<(String, String)>,
) -> Result<Json<wire::WorkflowJob>, ApiError> {
    let none = || ApiError::new(StatusCode::NOT_FOUND, "Resource not found");
    let query = DeltaQuery { deployment: Some(deployment.clone()), ..DeltaQuery::default() };
    let (Ok(id), Ok(device)) = (deployment.parse(), device.parse()) else { return Err(none()) };
    let reach = mender.deployments().check_reach(&ctx, &id, &device).await;
    reach.map_err(error::other)?;
    // Whoever may see both may see what is made for them.
    let ctx = Ctx::system(ctx.tenant.clone());
    let found = mender.artifacts().delta_jobs(&ctx, &query, PageRequest::new(1, 1)).await;
    let job = found.map_err(error::other)?.0.pop();
    Ok(Json(wire::WorkflowJob::of(job.ok_or_else(none)?)))
}
