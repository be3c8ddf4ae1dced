use axum::{
    extract::{OriginalUri, State},
    response::Response,
};
use mender_core::{
    Mender,
    artifacts::{ReleaseKind, ReleaseQuery, Text},
    page::MAX_PAGE,
};

use super::{error, release_page, release_query, strictly_sorted, wire};
use crate::{authenticate::UserCaller, error::ApiError, json::Json, page::Paging, query::Query};

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
    let (sort, descending) = strictly_sorted(query)?;
    let of = kind(query.given("kind"), "kind")?;
    Ok(ReleaseQuery { of, name, sort, descending, ..release_query(query) })
}

/// What is wanted.
fn kind(kind: Option<&str>, name: &str) -> Result<Option<ReleaseKind>, ApiError> {
    match kind {
        None => Ok(None),
        Some("release") => Ok(Some(ReleaseKind::Release)),
        Some("manifest") => Ok(Some(ReleaseKind::Manifest)),
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
    release_page(&mender, &ctx, wanted, &paging, wire::Software::of).await
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
    let of = kind(query.first("kind"), "Kind")?;
    Ok(Json(mender.artifacts().release_tags(&ctx, of).await.map_err(error::other)?))
}
