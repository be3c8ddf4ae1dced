use axum::{
    extract::{OriginalUri, State},
    response::Response,
};
use http::StatusCode;
use mender_core::{Mender, artifacts::ReleaseKind};
use serde_json::json;

use super::{error, named, release_page, release_query, tags_of, wire};
use crate::{
    authenticate::UserCaller, body::Body, error::ApiError, json::Json, page::Paging, path::Path,
    query::Query,
};

const TAG: &str = "releases";

/// Lists releases page by page.
#[utoipa::path(get, path = "/api/management/v2/deployments/deployments/releases", tag = TAG,
    params(
        ("name" = Option<String>, Query, description = "a part of the name"),
        ("tag" = Option<Vec<String>>, Query, description = "tags, of which one is enough"),
        ("update_type" = Option<String>, Query, description = "the type of a payload"),
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 500, default 20"),
        ("sort" = Option<String>, Query,
         description = "`name`, `modified`, `artifacts_count` or `tags`, `:asc` or `:desc`"),
    ),
    responses(
        (status = 200, description = "the releases", body = Vec<wire::Release>,
         headers(("X-Total-Count" = u64), ("Link" = String))),
        (status = 400, description = "never; kept for readers of older documents"),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn list(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, ApiError> {
    let wanted = release_query(&query);
    release_page(&mender, &ctx, wanted, &Paging::lenient(&uri), wire::Release::of).await
}

/// Shows a release.
#[utoipa::path(get, path = "/api/management/v2/deployments/deployments/releases/{name}", tag = TAG,
    params(("name" = String, Path, description = "the release")),
    responses(
        (status = 200, description = "the release", body = wire::Release),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn get(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(name): Path<String>,
) -> Result<Json<wire::Release>, ApiError> {
    let release = mender.artifacts().release(&ctx, &named(name)?).await.map_err(error::other)?;
    Ok(Json(wire::Release::of(release)))
}

/// Notes something about a release.
#[utoipa::path(patch, path = "/api/management/v2/deployments/deployments/releases/{name}",
    tag = TAG,
    params(("name" = String, Path, description = "the release")),
    request_body = wire::Notes,
    responses(
        (status = 204, description = "noted"),
        (status = 400, description = "a malformed request", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn note(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(name): Path<String>,
    Body(body): Body<wire::Notes>,
) -> Result<StatusCode, ApiError> {
    let noted = mender.artifacts().note(&ctx, &named(name)?, &body.notes).await;
    noted.map_err(error::notes)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a release these tags, and no others.
#[utoipa::path(put, path = "/api/management/v2/deployments/deployments/releases/{name}/tags",
    tag = TAG,
    params(("name" = String, Path, description = "the release")),
    request_body = Vec<String>,
    responses(
        (status = 204, description = "tagged"),
        (status = 400, description = "bad or too many tags", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 409, description = "too many different tags", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn tag(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(name): Path<String>,
    Body(wire::Tags(tags)): Body<wire::Tags>,
) -> Result<StatusCode, ApiError> {
    let tags = tags_of(&tags)?;
    mender.artifacts().tag(&ctx, &named(name)?, &tags).await.map_err(error::notes)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes releases with all of their artifacts.
#[utoipa::path(delete, path = "/api/management/v2/deployments/deployments/releases", tag = TAG,
    params(("name" = Vec<String>, Query, description = "the releases")),
    responses(
        (status = 204, description = "deleted, or unknown"),
        (status = 400, description = "none is named", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 409, description = "open deployments use one of them", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn delete(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    query: Query,
) -> Result<StatusCode, ApiError> {
    let names: Vec<String> = query.all("name").map(str::to_owned).collect();
    if names.is_empty() {
        return Err(ApiError::bad_request("at least one release name has to be provided"));
    }
    let used = mender.artifacts().delete_releases(&ctx, &names).await.map_err(error::other)?;
    if used.is_empty() {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::new(StatusCode::CONFLICT, "release(s) used in active deployment")
        .with_field("active_deployments", json!(used)))
}

/// Lists the tags that any release has.
#[utoipa::path(get, path = "/api/management/v2/deployments/releases/all/tags", tag = TAG,
    responses(
        (status = 200, description = "the tags", body = Vec<String>),
        (status = 400, description = "never; kept for readers of older documents"),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 409, description = "never; kept for readers of older documents"),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn tags(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
) -> Result<Json<Vec<String>>, ApiError> {
    let tags = mender.artifacts().release_tags(&ctx, Some(ReleaseKind::Release)).await;
    Ok(Json(tags.map_err(error::other)?))
}

/// Lists the types of payloads that were ever stored.
#[utoipa::path(get, path = "/api/management/v2/deployments/releases/all/types", tag = TAG,
    responses(
        (status = 200, description = "the types", body = Vec<String>),
        (status = 400, description = "never; kept for readers of older documents"),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn kinds(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
) -> Result<Json<Vec<String>>, ApiError> {
    let kinds = mender.artifacts().kinds(&ctx).await.map_err(error::other)?;
    Ok(Json(kinds.into_iter().collect()))
}
