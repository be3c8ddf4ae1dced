use axum::{
    extract::{OriginalUri, State},
    response::{IntoResponse as _, Response},
};
use mender_core::{
    Mender,
    artifacts::{ReleaseQuery, Text},
};

use super::{error, release_page, release_query, wire};
use crate::{authenticate::UserCaller, error::ApiError, json::Json, page::Paging, query::Query};

const TAG: &str = "releases";

/// What the lists of version 1 are filtered by.
fn query_of(query: &Query) -> ReleaseQuery {
    ReleaseQuery {
        description: query.given("description").map(Text::contains),
        device_type: query.given("device_type").map(|text| Text::Is(vec![text.to_owned()])),
        tags: Vec::new(),
        ..release_query(query)
    }
}

/// Lists all releases by name.
#[utoipa::path(get, path = "/api/management/v1/deployments/deployments/releases", tag = TAG,
    params(
        ("name" = Option<String>, Query, description = "a part of the name"),
        ("description" = Option<String>, Query, description = "a part of a description"),
        ("device_type" = Option<String>, Query, description = "a device type"),
        ("update_type" = Option<String>, Query, description = "the type of a payload"),
    ),
    responses(
        (status = 200, description = "the releases", body = Vec<wire::ReleaseV1>),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn all(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    query: Query,
) -> Result<Response, ApiError> {
    let wanted = ReleaseQuery { descending: false, sort: Default::default(), ..query_of(&query) };
    let found = mender.artifacts().all_releases(&ctx, wanted).await.map_err(error::other)?;
    let releases: Vec<_> = found.into_iter().map(wire::ReleaseV1::of).collect();
    Ok(Json(releases).into_response())
}

/// Lists releases page by page.
#[utoipa::path(get, path = "/api/management/v1/deployments/deployments/releases/list", tag = TAG,
    params(
        ("name" = Option<String>, Query, description = "a part of the name"),
        ("description" = Option<String>, Query, description = "a part of a description"),
        ("device_type" = Option<String>, Query, description = "a device type"),
        ("update_type" = Option<String>, Query, description = "the type of a payload"),
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 500, default 20"),
        ("sort" = Option<String>, Query,
         description = "`name`, `modified`, `artifacts_count` or `tags`, `:asc` or `:desc`"),
    ),
    responses(
        (status = 200, description = "the releases", body = Vec<wire::ReleaseV1>,
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
    let wanted = query_of(&query);
    release_page(&mender, &ctx, wanted, &Paging::lenient(&uri), wire::ReleaseV1::of).await
}
