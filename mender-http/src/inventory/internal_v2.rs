use axum::{extract::State, response::Response};
use mender_core::Mender;

use super::{error, filters, management_v2, wire};
use crate::{authenticate::Internal, body::Body, error::ApiError, json::Json, path::Path};

const TAG: &str = "inventory, internal";

/// Finds devices.
#[utoipa::path(post, path = "/api/internal/v2/inventory/tenants/{tenant}/filters/search",
    tag = TAG,
    params(("tenant" = String, Path, description = "the tenant")),
    request_body = wire::SearchParams,
    responses(
        (status = 200, description = "the devices", body = Vec<wire::Device>,
         headers(("X-Total-Count" = u64))),
        (status = 400, description = "malformed search", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn search(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Body(wire::Undeclared(params)): Body<wire::Undeclared<wire::SearchParams>>,
) -> Result<Response, ApiError> {
    management_v2::found(&mender, &ctx, params).await
}

/// Counts devices by status and tier.
#[utoipa::path(get, path = "/api/internal/v2/inventory/tenants/{tenant}/statistics", tag = TAG,
    params(("tenant" = String, Path, description = "the tenant")),
    responses(
        (status = 200, description = "the numbers", body = wire::Statistics),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn statistics(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
) -> Result<Json<wire::Statistics>, ApiError> {
    let statistics = mender.inventory().statistics(&ctx).await.map_err(error::other)?;
    Ok(Json(statistics.into()))
}

/// Shows a saved filter.
#[utoipa::path(get, path = "/api/internal/v2/inventory/tenants/{tenant}/filters/{id}", tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("id" = String, Path, description = "the filter"),
    ),
    responses(
        (status = 200, description = "the filter", body = wire::SavedFilter),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn filter(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(id): Path<String>,
) -> Result<Json<wire::SavedFilter>, ApiError> {
    filters::shown(&mender, &ctx, &id).await
}
