use axum::{
    extract::{OriginalUri, State},
    response::Response,
};
use http::Uri;
use mender_core::{
    Ctx, Mender, Time,
    deployments::{DeploymentQuery, Progress, Shown},
    inventory::AttributeName,
    page::MAX_PAGE,
};

use super::{
    answer::{self, Draft},
    error, wire,
};
use crate::{
    authenticate::UserCaller,
    error::ApiError,
    page::{Paging, Rest},
    query::Query,
};

const TAG: &str = "deployments";

fn seconds(query: &Query, name: &str, of: &str) -> Result<Option<i64>, ApiError> {
    let Some(text) = query.given(name) else { return Ok(None) };
    let bad = |_| {
        let what = format!("timestamp parsing failed {of} parameter: invalid timestamp: {text}");
        ApiError::bad_request(what)
    };
    text.parse().map(Some).map_err(bad)
}

/// Reads what every list is filtered by.
pub(super) fn query_of(query: &Query) -> Result<DeploymentQuery, ApiError> {
    let progress = match query.given("status") {
        None => None,
        Some("scheduled") => Some(Progress::Scheduled),
        Some("pending") => Some(Progress::Pending),
        Some("inprogress") => Some(Progress::InProgress),
        // Compat: what was aborted has ended, like everything that has.
        Some("finished" | "aborted") => Some(Progress::Finished),
        Some(other) => return Err(ApiError::bad_request(format!("unknown status {other}"))),
    };
    let kind = match query.given("type") {
        None => None,
        Some("software") => Some("software"),
        Some("configuration") => Some("configuration"),
        Some(other) => {
            return Err(ApiError::bad_request(format!("unknown deployment type {other}")));
        }
    };
    // Compat: one of the texts has a word more.
    let to = seconds(query, "created_before", "for created_before")?;
    let from = seconds(query, "created_after", "created_after")?;
    let ascending = match query.first("sort").map(str::to_lowercase).as_deref() {
        None | Some("" | "desc") => false,
        Some("asc") => true,
        Some(_) => {
            let what = r#"invalid form value: must be one of "asc" or "desc""#;
            return Err(ApiError::bad_request(what));
        }
    };
    Ok(DeploymentQuery {
        progress,
        kind,
        from: from.map(Time::from_seconds),
        // The whole second.
        to: to.map(|to| Time(Time::from_seconds(to).0.saturating_add(999))),
        ascending,
        ..DeploymentQuery::default()
    })
}

/// Shows a page of deployments.
pub(super) async fn page(
    mender: &Mender,
    ctx: &Ctx,
    uri: &Uri,
    query: DeploymentQuery,
) -> Result<Response, ApiError> {
    let paging = Paging::of(uri, MAX_PAGE)?;
    let found = mender.deployments().deployments(ctx, query, paging.page).await;
    let (found, total) = found.map_err(error::other)?;
    shown(mender, ctx, &paging, (found, total)).await
}

async fn shown(
    mender: &Mender,
    ctx: &Ctx,
    paging: &Paging,
    (found, total): (Vec<Shown>, u64),
) -> Result<Response, ApiError> {
    let draft = Draft::list(found, Draft::deployment).map_err(error::other)?;
    let headers = paging.headers(Rest::Total(total));
    answer::json(headers, draft.filled(mender, ctx), error::other).await
}

/// Reads the filters of version 1.
pub(super) fn v1_query(query: &Query) -> Result<DeploymentQuery, ApiError> {
    let phrase = query.given("search").map(str::to_owned);
    Ok(DeploymentQuery { phrase, ..query_of(query)? })
}

/// Lists deployments page by page.
#[utoipa::path(get, path = "/api/management/v1/deployments/deployments", tag = TAG,
    params(
        ("status" = Option<String>, Query, description = "`scheduled`, `pending`, `inprogress` or `finished`"),
        ("type" = Option<String>, Query, description = "`software` or `configuration`"),
        ("search" = Option<String>, Query, description = "words of a name"),
        ("created_before" = Option<i64>, Query, description = "seconds since 1970"),
        ("created_after" = Option<i64>, Query, description = "seconds since 1970"),
        ("sort" = Option<String>, Query, description = "`asc` or `desc`, by creation"),
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 500, default 20"),
    ),
    responses(
        (status = 200, description = "the deployments", body = Vec<wire::Deployment>,
         headers(("X-Total-Count" = u64), ("Link" = String))),
        (status = 400, description = "a bad parameter", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn v1(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, ApiError> {
    page(&mender, &ctx, &uri, v1_query(&query)?).await
}

/// Reads by which attribute a device is looked for.
fn attribute(query: &Query) -> Result<Option<AttributeName>, ApiError> {
    let (name, scope) = (query.given("id_attribute"), query.given("id_scope"));
    let Some(name) = name else {
        return match scope {
            Some(_) => Err(ApiError::bad_request("id_scope requires id_attribute")),
            None => Ok(None),
        };
    };
    let scope = scope.unwrap_or(if name == "name" { "tags" } else { "identity" });
    if !matches!(scope, "identity" | "tags") {
        let what = format!("invalid id_scope {scope:?}: must be \"identity\" or \"tags\"");
        return Err(ApiError::bad_request(what));
    }
    if scope == "tags" && name != "name" {
        let what = format!("id_scope \"tags\" only supports id_attribute \"name\", got {name:?}");
        return Err(ApiError::bad_request(what));
    }
    Ok(Some(AttributeName { scope: scope.to_owned(), name: name.to_owned() }))
}

/// Lists deployments page by page; by the device where none has the name.
#[utoipa::path(get, path = "/api/management/v2/deployments/deployments", tag = TAG,
    params(
        ("id" = Option<Vec<String>>, Query, description = "ids"),
        ("name" = Option<Vec<String>>, Query, description = "names"),
        ("id_attribute" = Option<String>, Query,
         description = "an attribute whose value may be meant by the name"),
        ("id_scope" = Option<String>, Query, description = "`identity` or `tags`"),
        ("status" = Option<String>, Query, description = "`scheduled`, `pending`, `inprogress` or `finished`"),
        ("type" = Option<String>, Query, description = "`software` or `configuration`"),
        ("created_before" = Option<i64>, Query, description = "seconds since 1970"),
        ("created_after" = Option<i64>, Query, description = "seconds since 1970"),
        ("sort" = Option<String>, Query, description = "`asc` or `desc`, by creation"),
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 500, default 20"),
    ),
    responses(
        (status = 200, description = "the deployments", body = Vec<wire::Deployment>,
         headers(("X-Total-Count" = u64), ("Link" = String))),
        (status = 400, description = "a bad parameter", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn v2(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, ApiError> {
    let paging = Paging::of(&uri, MAX_PAGE)?;
    let all = query_of(&query)?;
    let attribute = attribute(&query)?;
    let names: Vec<String> = query.all("name").map(str::to_owned).collect();
    let ids: Vec<&str> = query.all("id").collect();
    let wanted = DeploymentQuery {
        names: (!names.is_empty()).then(|| names.clone()),
        // What is no id is nobody's.
        ids: (!ids.is_empty()).then(|| ids.iter().filter_map(|id| id.parse().ok()).collect()),
        ..all.clone()
    };
    let deployments = mender.deployments();
    let found = deployments.deployments(&ctx, wanted, paging.page).await;
    let (found, total) = found.map_err(error::other)?;
    let (Some(attribute), Some(name), 0) = (attribute, names.first(), total) else {
        return shown(&mender, &ctx, &paging, (found, total)).await;
    };
    let device = deployments.find_device(&ctx, &attribute, name).await.map_err(error::other)?;
    if device.is_none() {
        return shown(&mender, &ctx, &paging, (found, total)).await;
    }
    page(&mender, &ctx, &uri, DeploymentQuery { device, ..all }).await
}
