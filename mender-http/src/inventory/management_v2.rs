use axum::{extract::State, response::Response};
use mender_core::{Ctx, Mender};

use super::{error, wire};
use crate::{authenticate::UserCaller, body::Body, error::ApiError, json::Json};

const TAG: &str = "inventory";

/// Finds devices, and answers with a page of them.
pub(super) async fn found(
    mender: &Mender,
    ctx: &Ctx,
    params: wire::SearchParams,
) -> Result<Response, ApiError> {
    let wire::Asked { query, page, shown } = params.read()?;
    let found = mender.inventory().search(ctx, &query, page).await.map_err(error::search)?;
    Ok(super::answer(super::total(found.total), found, &shown))
}

/// Finds devices.
#[utoipa::path(post, path = "/api/management/v2/inventory/filters/search", tag = TAG,
    request_body = wire::SearchParams,
    responses(
        (status = 200, description = "the devices", body = Vec<wire::Device>,
         headers(("X-Total-Count" = u64))),
        (status = 400, description = "malformed search", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn search(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Body(params): Body<wire::SearchParams>,
) -> Result<Response, ApiError> {
    found(&mender, &ctx, params).await
}

/// Lists the names of attributes, the most frequent first.
#[utoipa::path(get, path = "/api/management/v2/inventory/filters/attributes", tag = TAG,
    responses(
        (status = 200, description = "the names", body = Vec<wire::FilterAttribute>),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn attributes(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
) -> Result<Json<Vec<wire::FilterAttribute>>, ApiError> {
    let names = mender.inventory().attribute_names(&ctx).await.map_err(error::other)?;
    Ok(Json(names.iter().map(Into::into).collect()))
}

/// Counts devices by status and tier.
#[utoipa::path(get, path = "/api/management/v2/inventory/statistics", tag = TAG,
    responses(
        (status = 200, description = "the numbers", body = wire::Statistics),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn statistics(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
) -> Result<Json<wire::Statistics>, ApiError> {
    let statistics = mender.inventory().statistics(&ctx).await.map_err(error::other)?;
    Ok(Json(statistics.into()))
}
