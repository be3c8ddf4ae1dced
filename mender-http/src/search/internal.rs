use axum::{
    extract::{OriginalUri, State},
    response::Response,
};
use mender_core::Mender;

use super::{management, wire};
use crate::{authenticate::Internal, body::Body, error::ApiError};

const TAG: &str = "reporting, internal";

/// Tells that the server runs.
#[utoipa::path(get, path = "/api/internal/v1/reporting/alive", tag = TAG,
    responses((status = 204, description = "it does")))]
#[expect(dead_code, reason = "documents a route that all areas share")]
pub(super) fn alive() {}

/// Tells whether the server can work.
#[utoipa::path(get, path = "/api/internal/v1/reporting/health", tag = TAG,
    responses(
        (status = 204, description = "it can"),
        (status = 503, description = "something is missing", body = wire::ErrorBody),
    ))]
#[expect(dead_code, reason = "documents a route that all areas share")]
pub(super) fn health() {}

/// Searches the devices of a tenant.
#[utoipa::path(post, path = "/api/internal/v1/reporting/tenants/{tenant_id}/devices/search",
    tag = TAG,
    params(("tenant_id" = String, Path, description = "the tenant")),
    request_body = wire::Search,
    responses(
        (status = 200, description = "the devices", body = Vec<wire::Device>),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
    ))]
pub(super) async fn search(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    OriginalUri(uri): OriginalUri,
    Body(asked): Body<wire::Search>,
) -> Result<Response, ApiError> {
    management::found(&mender, &ctx, uri.path(), asked).await
}
