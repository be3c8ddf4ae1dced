//! Saved filters, of version 2.

use axum::{
    extract::{OriginalUri, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, LOCATION},
};
use mender_core::{Ctx, Mender, page::MAX_PAGE};

use super::{error, links_and_total, wire};
use crate::{
    authenticate::UserCaller,
    body::Body,
    error::ApiError,
    json::Json,
    page::Paging,
    path::{self, Path},
};

const TAG: &str = "inventory, saved filters";

/// Answers with a saved filter.
pub(super) async fn shown(
    mender: &Mender,
    ctx: &Ctx,
    id: &str,
) -> Result<Json<wire::SavedFilter>, ApiError> {
    let id = path::id(id, "filter", error::filter)?;
    let filter = mender.inventory().filter(ctx, &id).await.map_err(error::filter)?;
    Ok(Json(filter.into()))
}

/// Saves a filter.
#[utoipa::path(post, path = "/api/management/v2/inventory/filters", tag = TAG,
    request_body = wire::FilterDefinition,
    responses(
        (status = 201, description = "saved; `Location` names it",
         headers(("Location" = String))),
        (status = 400, description = "malformed filter", body = wire::ErrorBody),
        (status = 403, description = "not for users of some groups", body = wire::ErrorBody),
        (status = 409, description = "another one has the name", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn create(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Body(definition): Body<wire::FilterDefinition>,
) -> Result<Response, ApiError> {
    let (name, terms) = definition.read()?;
    let made = mender.inventory().create_filter(&ctx, &name, terms).await;
    let id = made.map_err(error::filter)?;
    let location = HeaderValue::try_from(format!("filters/{id}"));
    let location = location.map_err(ApiError::internal)?;
    Ok((StatusCode::CREATED, [(LOCATION, location)]).into_response())
}

/// Lists the saved filters by name.
#[utoipa::path(get, path = "/api/management/v2/inventory/filters", tag = TAG,
    params(
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 500, default 20"),
    ),
    responses(
        (status = 200, description = "the filters", body = Vec<wire::SavedFilter>,
         headers(("X-Total-Count" = u64), ("Link" = String))),
        (status = 400, description = "bad parameters", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn list(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, ApiError> {
    let paging = Paging::of(&uri, MAX_PAGE)?;
    let found = mender.inventory().filters(&ctx, paging.page).await;
    let (filters, total) = found.map_err(error::filter)?;
    let filters: Vec<_> = filters.into_iter().map(wire::SavedFilter::from).collect();
    Ok((links_and_total(&paging, total), Json(filters)).into_response())
}

/// Shows a saved filter.
#[utoipa::path(get, path = "/api/management/v2/inventory/filters/{id}", tag = TAG,
    params(("id" = String, Path, description = "the filter")),
    responses(
        (status = 200, description = "the filter", body = wire::SavedFilter),
        (status = 403, description = "not for users of some groups", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn get(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
) -> Result<Json<wire::SavedFilter>, ApiError> {
    if id == "search" {
        // Compat: the search beside the filters is none of them.
        let allow = HeaderValue::from_static("POST, OPTIONS");
        let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
        return Err(error.with_header(ALLOW, allow));
    }
    shown(&mender, &ctx, &id).await
}

/// Changes a saved filter.
#[utoipa::path(put, path = "/api/management/v2/inventory/filters/{id}", tag = TAG,
    params(("id" = String, Path, description = "the filter")),
    request_body = wire::FilterDefinition,
    responses(
        (status = 204, description = "changed"),
        (status = 400, description = "malformed filter", body = wire::ErrorBody),
        (status = 403, description = "not for users of some groups", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 409, description = "another one has the name", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn put(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
    Body(definition): Body<wire::FilterDefinition>,
) -> Result<StatusCode, ApiError> {
    let (name, terms) = definition.read()?;
    let id = path::id(&id, "filter", error::filter)?;
    let changed = mender.inventory().change_filter(&ctx, &id, &name, &terms).await;
    changed.map_err(error::filter)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a saved filter.
#[utoipa::path(delete, path = "/api/management/v2/inventory/filters/{id}", tag = TAG,
    params(("id" = String, Path, description = "the filter")),
    responses(
        (status = 204, description = "deleted"),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 403, description = "not for users of some groups", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn delete(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = path::id(&id, "filter", error::filter)?;
    mender.inventory().delete_filter(&ctx, &id).await.map_err(error::filter)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the devices that a saved filter fits now.
#[utoipa::path(get, path = "/api/management/v2/inventory/filters/{id}/search", tag = TAG,
    params(
        ("id" = String, Path, description = "the filter"),
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 500, default 20"),
    ),
    responses(
        (status = 200, description = "the devices", body = Vec<wire::Device>,
         headers(("X-Total-Count" = u64), ("Link" = String))),
        (status = 400, description = "bad parameters", body = wire::ErrorBody),
        (status = 403, description = "not for users of some groups", body = wire::ErrorBody),
        (status = 404, description = "there is no such filter", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn search(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, ApiError> {
    let paging = Paging::of(&uri, MAX_PAGE)?;
    let id = path::id(&id, "filter", error::filter)?;
    let found = mender.inventory().search_filter(&ctx, &id, paging.page).await;
    let found = found.map_err(error::filter)?;
    Ok(super::answer(links_and_total(&paging, found.total), found, &[]))
}
