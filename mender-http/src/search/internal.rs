use axum::{
    extract::{OriginalUri, State},
    response::Response,
};
use http::HeaderMap;
use mender_core::Mender;

use super::{management, wire};
use crate::{
    authenticate::{Internal, scope},
    body::Body,
    error::ApiError,
};

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
    params(
        ("tenant_id" = String, Path, description = "the tenant"),
        ("X-MEN-RBAC-Inventory-Groups" = Option<String>, Header,
         description = "only devices in these groups, with commas in between"),
    ),
    request_body = wire::Search,
    responses(
        (status = 200, description = "the devices", body = Vec<wire::Device>),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
    ))]
pub(super) async fn search(
    State(mender): State<Mender>,
    Internal(mut ctx): Internal,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
    Body(asked): Body<wire::Search>,
) -> Result<Response, ApiError> {
    ctx.scope = scope(&headers);
    management::found(&mender, &ctx, uri.path(), asked).await
}
