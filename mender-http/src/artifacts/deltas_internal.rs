use axum::{extract::State, response::Response};
use http::{HeaderMap, StatusCode};
use mender_core::{Ctx, Mender, TenantId, tenants::Directory as _};

use super::{
    deltas::{seen, shown},
    error, wire,
};
use crate::{
    authenticate::Internal, body::Body, error::ApiError, json::Json, path::Path, query::Query,
};

const TAG: &str = "deployments, internal";

/// How many tenants are read at a time.
const CHUNK: usize = 500;

/// Shows whether deltas are made for a tenant, and how.
#[utoipa::path(get, path = "/api/internal/v1/deployments/tenants/{tenant}/config", tag = TAG,
    params(("tenant" = String, Path, description = "the tenant")),
    responses(
        (status = 200, description = "the configuration", body = wire::DeploymentsConfig,
         headers(("ETag" = String))),
        (status = 404, description = "nobody made any", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn config(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
) -> Result<Response, ApiError> {
    let settings = mender.artifacts().delta_settings(&ctx).await.map_err(error::other)?;
    if settings.is_none() {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "no configuration"));
    }
    shown(settings)
}

/// Says whether deltas are made for a tenant from now on, and how.
#[utoipa::path(put, path = "/api/internal/v1/deployments/tenants/{tenant}/config", tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("If-Match" = Option<String>, Header, description = "only where it has this ETag"),
    ),
    request_body = wire::DeploymentsConfig,
    responses(
        (status = 204, description = "from now on"),
        (status = 400, description = "a malformed configuration", body = wire::ErrorBody),
        (status = 401, description = "never; kept for readers of older documents"),
        (status = 412, description = "it has another ETag", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn configure(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    headers: HeaderMap,
    Body(body): Body<wire::DeploymentsConfig>,
) -> Result<StatusCode, ApiError> {
    let (settings, seen) = (body.read(), seen(&headers));
    let done = mender.artifacts().configure_deltas(&ctx, settings, seen.as_deref()).await;
    done.map_err(error::delta_config)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows for which tenants deltas are made.
#[utoipa::path(get, path = "/api/internal/v1/deployments/tenants/config/binary_delta", tag = TAG,
    params(("tenant_id" = Option<Vec<String>>, Query, description = "these; all where left out")),
    responses(
        (status = 200, description = "the tenants", body = Vec<wire::TenantDeltas>),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn enabled(
    State(mender): State<Mender>,
    _: Internal,
    query: Query,
) -> Result<Json<Vec<wire::TenantDeltas>>, ApiError> {
    let named = query.all("tenant_id").filter_map(|text| text.parse::<TenantId>().ok());
    let mut tenants: Vec<TenantId> = named.collect();
    if query.first("tenant_id").is_none() {
        tenants = all_tenants(&mender).await?;
    }
    let mut shown = Vec::new();
    for tenant in tenants {
        let tenant_id = tenant.to_string();
        let settings = mender.artifacts().delta_settings(&Ctx::system(tenant)).await;
        let enabled = settings.map_err(error::other)?.is_some_and(|settings| settings.enabled);
        shown.push(wire::TenantDeltas { tenant_id, enabled });
    }
    Ok(Json(shown))
}

async fn all_tenants(mender: &Mender) -> Result<Vec<TenantId>, ApiError> {
    if !mender.auth().config().tenants {
        return Ok(vec![TenantId::default()]);
    }
    let mut tenants: Vec<TenantId> = Vec::new();
    loop {
        let more = mender.tenants().tenants(tenants.last(), CHUNK).await?;
        if more.is_empty() {
            return Ok(tenants);
        }
        tenants.extend(more);
    }
}

/// Ends a job that a worker of its own made a delta for, or did not.
#[utoipa::path(put, path = "/api/internal/v1/deployments/tenants/{tenant}/delta/{job}/status",
    tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("job" = String, Path, description = "the job, by either id"),
    ),
    request_body = wire::WorkerStatus,
    responses(
        (status = 204, description = "ended, or it had, or there is none"),
        (status = 400, description = "no status", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn end(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(job): Path<String>,
    Body(body): Body<wire::WorkerStatus>,
) -> Result<StatusCode, ApiError> {
    if body.status.is_empty() {
        return Err(ApiError::bad_request("status must be provided"));
    }
    let success = body.status == "success";
    mender.artifacts().end_delta_job(&ctx, &job, success).await.map_err(error::other)?;
    Ok(StatusCode::NO_CONTENT)
}
