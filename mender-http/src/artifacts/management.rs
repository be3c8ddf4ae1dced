use axum::{
    extract::{OriginalUri, State},
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use mender_core::{
    Mender,
    artifacts::{Artifact, ArtifactQuery, ArtifactSort, Text},
    page::MAX_PAGE,
};

use super::{artifact_id, error, link, show, wire};
use crate::{
    authenticate::UserCaller,
    base::Base,
    body::{Body, Item},
    error::ApiError,
    json::Json,
    page::{Paging, Rest},
    path::Path,
    query::Query,
};

const TAG: &str = "artifacts";

fn shown(artifacts: Vec<Artifact>) -> Json<Vec<wire::Artifact>> {
    Json(artifacts.into_iter().map(wire::Artifact::of).collect())
}

fn query_of(query: &Query) -> ArtifactQuery {
    ArtifactQuery {
        name: query.given("name").map(Text::contains),
        description: query.given("description").map(Text::contains),
        device_type: query.given("device_type").map(Text::contains),
        ..ArtifactQuery::default()
    }
}

/// Lists all artifacts.
#[utoipa::path(get, path = "/api/management/v1/deployments/artifacts", tag = TAG,
    params(
        ("name" = Option<String>, Query, description = "a part of the name"),
        ("description" = Option<String>, Query, description = "a part of the description"),
        ("device_type" = Option<String>, Query, description = "a part of a device type"),
    ),
    responses(
        (status = 200, description = "the artifacts", body = Vec<wire::Artifact>),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn all(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    query: Query,
) -> Result<Response, ApiError> {
    let artifacts = mender.artifacts().all_artifacts(&ctx, query_of(&query)).await;
    Ok(shown(artifacts.map_err(error::other)?).into_response())
}

/// Lists artifacts page by page.
#[utoipa::path(get, path = "/api/management/v1/deployments/artifacts/list", tag = TAG,
    params(
        ("name" = Option<String>, Query, description = "a part of the name"),
        ("description" = Option<String>, Query, description = "a part of the description"),
        ("device_type" = Option<String>, Query, description = "a part of a device type"),
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 500, default 20"),
        ("sort" = Option<String>, Query, description = "`name` or `modified`, `:asc` or `:desc`"),
    ),
    responses(
        (status = 200, description = "the artifacts", body = Vec<wire::Artifact>,
         headers(("X-Total-Count" = u64), ("Link" = String))),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn list(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, ApiError> {
    let paging = Paging::lenient(&uri);
    let mut wanted = query_of(&query);
    if let Some((field, direction)) = query.first("sort").and_then(|sort| sort.split_once(':')) {
        let sort = match field {
            "name" => Some(ArtifactSort::Name),
            "modified" => Some(ArtifactSort::Modified),
            // Compat: those are fields of releases.
            "artifacts_count" | "tags" => Some(ArtifactSort::Id),
            _ => None,
        };
        wanted.sort = sort.unwrap_or_default();
        wanted.descending = sort.is_some() && direction == "desc";
    }
    let artifacts = mender.artifacts();
    let total = artifacts.count_artifacts(&ctx, wanted.clone()).await.map_err(error::other)?;
    let found = artifacts.artifacts(&ctx, wanted, paging.page).await.map_err(error::other)?;
    Ok((paging.headers(Rest::Total(total)), shown(found)).into_response())
}

/// A text that is wanted as a whole, or its beginning where it ends in `*`.
fn whole(text: &str) -> Text {
    match text.strip_suffix('*') {
        None => Text::Is(vec![text.to_owned()]),
        Some(start) => match start.strip_suffix('\\') {
            Some(literal) => Text::Is(vec![format!("{literal}*")]),
            None => Text::starts_any_case(start),
        },
    }
}

fn filter_error(why: &str) -> ApiError {
    ApiError::bad_request(format!("invalid filter: {why}"))
}

/// How many names a filter may have.
const MAX_NAMES: usize = 100;

/// How many bytes a name in a filter may have.
const MAX_NAME: usize = 4096;

fn names(query: &Query) -> Result<Option<Text>, ApiError> {
    let (mut exact, mut starts) = (Vec::new(), Vec::new());
    for text in query.all("name").map(whole) {
        match text {
            Text::Is(names) => exact.extend(names),
            text => starts.push(text),
        }
    }
    if !exact.is_empty() && !starts.is_empty() {
        return Err(filter_error("cannot filter by both exact names and name prefix"));
    }
    if starts.len() > 1 {
        return Err(filter_error("NamePrefixes: the length must be no more than 1."));
    }
    if exact.len() > MAX_NAMES {
        return Err(filter_error("ExactNames: the length must be no more than 100."));
    }
    if exact.iter().any(|name| name.len() > MAX_NAME) {
        return Err(filter_error("ExactNames: the length must be no more than 4096."));
    }
    Ok(if exact.is_empty() { starts.pop() } else { Some(Text::Is(exact)) })
}

/// Finds artifacts by names, or the beginnings of names.
#[utoipa::path(get, path = "/api/management/v2/deployments/artifacts", tag = TAG,
    params(
        ("name" = Option<Vec<String>>, Query, description = "names, or one beginning and `*`"),
        ("description" = Option<String>, Query, description = "a description, or beginning and `*`"),
        ("device_type" = Option<String>, Query, description = "a device type, or beginning and `*`"),
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 500, default 20"),
    ),
    responses(
        (status = 200, description = "the artifacts", body = Vec<wire::Artifact>,
         headers(("Link" = String))),
        (status = 400, description = "a bad filter", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn find(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, ApiError> {
    let size = query.first("per_page").and_then(|text| text.parse::<i64>().ok());
    if size.is_some_and(|size| size > i64::from(MAX_PAGE)) {
        return Err(filter_error("PerPage: must be no greater than 500."));
    }
    let paging = Paging::lenient(&uri);
    let wanted = ArtifactQuery {
        name: names(&query)?,
        description: query.given("description").map(whole),
        device_type: query.given("device_type").map(whole),
        ..ArtifactQuery::default()
    };
    let artifacts = mender.artifacts();
    let found = artifacts.find_artifacts(&ctx, wanted, paging.page).await.map_err(error::other)?;
    Ok((paging.links(Rest::More(found.more)), shown(found.items)).into_response())
}

/// Shows an artifact.
#[utoipa::path(get, path = "/api/management/v1/deployments/artifacts/{id}", tag = TAG,
    params(("id" = String, Path, description = "the artifact")),
    responses(
        (status = 200, description = "the artifact", body = wire::Artifact),
        (status = 400, description = "no id", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn get(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
) -> Result<Json<wire::Artifact>, ApiError> {
    show(&mender, &ctx, &id).await
}

/// Describes an artifact anew.
#[utoipa::path(put, path = "/api/management/v1/deployments/artifacts/{id}", tag = TAG,
    params(("id" = String, Path, description = "the artifact")),
    request_body = wire::Description,
    responses(
        (status = 204, description = "described"),
        (status = 400, description = "a malformed request", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 422, description = "a deployment used it", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn describe(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
    Body(body): Body<Option<Item<wire::Description>>>,
) -> Result<StatusCode, ApiError> {
    let id = artifact_id(&id)?;
    let Some(Item(body)) = body else {
        return Err(ApiError::bad_request("Validating request body: null"));
    };
    let described = mender.artifacts().describe(&ctx, &id, &body.description).await;
    described.map_err(error::describe)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes an artifact.
#[utoipa::path(delete, path = "/api/management/v1/deployments/artifacts/{id}", tag = TAG,
    params(("id" = String, Path, description = "the artifact")),
    responses(
        (status = 204, description = "deleted"),
        (status = 400, description = "no id", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 409, description = "an open deployment uses it", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn delete(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let deleted = mender.artifacts().delete_artifact(&ctx, &artifact_id(&id)?).await;
    deleted.map_err(error::other)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Links to the bytes of an artifact.
#[utoipa::path(get, path = "/api/management/v1/deployments/artifacts/{id}/download", tag = TAG,
    params(("id" = String, Path, description = "the artifact")),
    responses(
        (status = 200, description = "the link", body = wire::Link),
        (status = 400, description = "no id", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn download(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
    Base(base): Base,
) -> Result<Json<wire::Link>, ApiError> {
    link(&mender, &ctx, &id, &base).await
}

/// Shows how much may be stored.
#[utoipa::path(get, path = "/api/management/v1/deployments/limits/{name}", tag = TAG,
    params(("name" = String, Path, description = "`storage`")),
    responses(
        (status = 200, description = "bytes", body = wire::Limit),
        (status = 400, description = "another limit", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn storage_limit(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(name): Path<String>,
) -> Result<Json<wire::Limit>, ApiError> {
    if name != "storage" {
        return Err(ApiError::bad_request(format!("unsupported limit {name}")));
    }
    let usage = mender.artifacts().storage(&ctx).await.map_err(error::other)?;
    // Compat: 0 is no limit, and then nothing is told of what is used.
    let limit =
        usage.limit.map_or(wire::Limit::new(0, 0), |limit| wire::Limit::new(limit, usage.used));
    Ok(Json(limit))
}

/// Shows how much may be stored.
#[utoipa::path(get, path = "/api/management/v1/deployments/limits/storage", tag = TAG,
    responses(
        (status = 200, description = "bytes; 0 is no limit", body = wire::Limit),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
#[expect(dead_code, reason = "documents the only name of `storage_limit`")]
pub(super) fn storage() {}

/// Shows which artifacts may be stored, and whose signatures are trusted.
#[utoipa::path(get, path = "/api/management/v1/deployments/settings/verification", tag = TAG,
    responses(
        (status = 200, description = "the policy and the keys", body = wire::Verifying),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn verification(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
) -> Result<Json<wire::Verifying>, ApiError> {
    let settings = mender.artifacts().settings(&ctx).await.map_err(error::other)?;
    Ok(Json(wire::Verifying::of(settings)))
}

/// Says which artifacts may be stored from now on, and whose signatures are trusted.
#[utoipa::path(put, path = "/api/management/v1/deployments/settings/verification", tag = TAG,
    request_body = wire::Verifying,
    responses(
        (status = 204, description = "from now on"),
        (status = 400, description = "no such key or policy", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn set_verification(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Body(body): Body<wire::Verifying>,
) -> Result<StatusCode, ApiError> {
    let (policy, keys) = body.read();
    mender.artifacts().trust(&ctx, policy, &keys).await.map_err(error::other)?;
    Ok(StatusCode::NO_CONTENT)
}
