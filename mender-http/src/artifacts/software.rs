use axum::{
    extract::{OriginalUri, State},
    response::{IntoResponse as _, Response},
};
use mender_core::{
    Mender,
    artifacts::{ReleaseQuery, ReleaseSort, Text},
    page::MAX_PAGE,
};

use super::{error, release_page, release_query, sorted, wire};
use crate::{
    authenticate::UserCaller,
    error::ApiError,
    json::Json,
    page::{Paging, Rest},
    query::Query,
};

const TAG: &str = "software";

fn query_of(query: &Query) -> Result<ReleaseQuery, ApiError> {
    let names: Vec<String> = query.all("name").map(str::to_owned).collect();
    let prefix = query.given("name_prefix");
    let name = match (names.is_empty(), prefix) {
        (false, Some(_)) => {
            return Err(ApiError::bad_request(
                "name: cannot be used with name_prefix; name_prefix: cannot be used with name.",
            ));
        }
        (false, None) => Some(Text::Is(names)),
        (true, prefix) => prefix.map(|prefix| Text::Starts(prefix.to_owned())),
    };
    let is_sorted = query.given("sort").is_some();
    let sort = match sorted(query) {
        Some((sort, _)) if sort != ReleaseSort::Artifacts && has_direction(query) => sort,
        None if !is_sorted => ReleaseSort::Name,
        _ => return Err(ApiError::bad_request("sort: must be a valid value.")),
    };
    Ok(ReleaseQuery { name, sort, ..release_query(query) })
}

fn has_direction(query: &Query) -> bool {
    query.first("sort").is_some_and(|sort| sort.ends_with(":asc") || sort.ends_with(":desc"))
}

/// Whether releases are wanted: manifests are no releases, and there are none.
fn wants_releases(kind: Option<&str>, name: &str) -> Result<bool, ApiError> {
    match kind {
        None | Some("release") => Ok(true),
        Some("manifest") => Ok(false),
        Some("") => Err(ApiError::bad_request(format!("{name}: cannot be blank."))),
        Some(_) => Err(ApiError::bad_request(format!("{name}: must be a valid value."))),
    }
}

/// Lists what can be installed.
#[utoipa::path(get, path = "/api/management/v1alpha1/deployments/software", tag = TAG,
    params(
        ("name" = Option<Vec<String>>, Query, description = "names"),
        ("name_prefix" = Option<String>, Query, description = "the beginning of the name"),
        ("kind" = Option<String>, Query, description = "`release` or `manifest`"),
        ("tag" = Option<Vec<String>>, Query, description = "tags, of which one is enough"),
        ("update_type" = Option<String>, Query, description = "the type of a payload"),
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 500, default 20"),
        ("sort" = Option<String>, Query,
         description = "`name`, `modified` or `tags`, `:asc` or `:desc`"),
    ),
    responses(
        (status = 200, description = "what there is", body = Vec<wire::Software>,
         headers(("X-Total-Count" = u64), ("Link" = String))),
        (status = 400, description = "bad parameters", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn list(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, ApiError> {
    let paging = Paging::of(&uri, MAX_PAGE)?;
    let wanted = query_of(&query)?;
    if wants_releases(query.given("kind"), "kind")? {
        return release_page(&mender, &ctx, wanted, &paging, wire::Software::of).await;
    }
    let none: Vec<wire::Software> = Vec::new();
    Ok((paging.headers(Rest::Total(0)), Json(none)).into_response())
}

/// Lists the tags of what can be installed.
#[utoipa::path(get, path = "/api/management/v1alpha1/deployments/software/tags", tag = TAG,
    params(("kind" = Option<String>, Query, description = "`release` or `manifest`")),
    responses(
        (status = 200, description = "the tags", body = Vec<String>),
        (status = 400, description = "bad parameters", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn tags(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    query: Query,
) -> Result<Json<Vec<String>>, ApiError> {
    if query.all("kind").count() > 1 {
        return Err(ApiError::bad_request("only one kind query argument can be specified"));
    }
    if !wants_releases(query.first("kind"), "Kind")? {
        return Ok(Json(Vec::new()));
    }
    Ok(Json(mender.artifacts().release_tags(&ctx).await.map_err(error::other)?))
}
