use axum::{
    extract::{Request, State},
    response::Response,
};
use http::StatusCode;
use mender_core::{Mender, TenantId, lifecycle::Forget as _, quota::NO_LIMIT};

use super::{
    error,
    upload::{Ids, receive},
    wire,
};
use crate::{
    authenticate::Internal,
    body::{Body, Item},
    error::ApiError,
    json::Json,
    path::Path,
};

const TAG: &str = "deployments, internal";

/// Prepares for a tenant, for which there is nothing to do.
#[utoipa::path(post, path = "/api/internal/v1/deployments/tenants", tag = TAG,
    request_body = wire::NewTenant,
    responses(
        (status = 201, description = "prepared"),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn new_tenant(
    _: Internal,
    Body(body): Body<wire::NewTenant>,
) -> Result<StatusCode, ApiError> {
    if body.tenant_id.is_empty() {
        return Err(ApiError::bad_request("tenant_id must be provided"));
    }
    Ok(StatusCode::CREATED)
}

/// Forgets deployments, releases and artifacts of a tenant.
#[utoipa::path(delete, path = "/api/internal/v1/deployments/tenants/{tenant}", tag = TAG,
    params(("tenant" = String, Path, description = "the tenant")),
    responses(
        (status = 204, description = "forgotten"),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn delete_tenant(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
) -> Result<StatusCode, ApiError> {
    // First what uses the others.
    mender.deployments().forget_tenant(&ctx.tenant).await?;
    mender.artifacts().forget_tenant(&ctx.tenant).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Stores an artifact, under a given id if one is given.
#[utoipa::path(post, path = "/api/internal/v1/deployments/tenants/{tenant}/artifacts", tag = TAG,
    params(("tenant" = String, Path, description = "the tenant; `default` is the only one")),
    request_body(content_type = "multipart/form-data", description =
        "the file must be the last part", content = wire::NumberedArtifactForm),
    responses(
        (status = 201, description = "stored; `Location` names it",
         headers(("Location" = String))),
        (status = 400, description = "no artifact, or a malformed form", body = wire::ErrorBody),
        (status = 409, description = "the release has one for the same devices",
         body = wire::ErrorBody),
        (status = 413, description = "too large", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn upload(
    State(mender): State<Mender>,
    Internal(mut ctx): Internal,
    request: Request,
) -> Result<Response, ApiError> {
    let tenant = ctx.tenant.to_string();
    // Compat: the name of the tenant of a single-tenant server, on this route alone.
    if ctx.tenant.as_str() == "default" {
        ctx.tenant = TenantId::default();
    }
    let below = format!("/api/internal/v1/deployments/tenants/{tenant}/artifacts/");
    receive(&mender, &ctx, request, Ids::Given, &below).await
}

/// Shows where the bytes of a tenant's artifacts are, with the secrets.
#[utoipa::path(get, path = "/api/internal/v1/deployments/tenants/{tenant}/storage/settings",
    tag = TAG,
    params(("tenant" = String, Path, description = "the tenant")),
    responses(
        (status = 200, description = "the settings, or null",
         body = Option<wire::NamedStorageSettings>),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn storage(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
) -> Result<Json<Option<wire::StorageSettings>>, ApiError> {
    let settings = mender.artifacts().settings(&ctx).await.map_err(error::other)?;
    Ok(Json(settings.storage.map(wire::StorageSettings::of)))
}

/// Says where the bytes of a tenant's artifacts are from now on.
#[utoipa::path(put, path = "/api/internal/v1/deployments/tenants/{tenant}/storage/settings",
    tag = TAG,
    params(("tenant" = String, Path, description = "the tenant")),
    request_body = Option<wire::NamedStorageSettings>,
    responses(
        (status = 204, description = "from now on"),
        (status = 400, description = "malformed settings", body = wire::ErrorBody),
        (status = 500, description = "the store can't be used", body = wire::ErrorBody),
    ))]
pub(super) async fn set_storage(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Body(body): Body<Option<Item<wire::StorageSettings>>>,
) -> Result<StatusCode, ApiError> {
    let settings = body.map(|Item(settings)| settings.read()).transpose()?.flatten();
    mender.artifacts().store_in(&ctx, settings).await.map_err(error::other)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows how much a tenant may store.
#[utoipa::path(get, path = "/api/internal/v1/deployments/tenants/{tenant}/limits/storage",
    tag = TAG,
    params(("tenant" = String, Path, description = "the tenant")),
    responses(
        (status = 200, description = "bytes", body = wire::TenantLimit),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
#[expect(dead_code, reason = "documents the only name of `limit`")]
pub(super) fn storage_limit() {}

/// Limits how much a tenant may store.
#[utoipa::path(put, path = "/api/internal/v1/deployments/tenants/{tenant}/limits/storage",
    tag = TAG,
    params(("tenant" = String, Path, description = "the tenant")),
    request_body = wire::NewLimit,
    responses(
        (status = 204, description = "from now on"),
        (status = 400, description = "no limit given", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
#[expect(dead_code, reason = "documents the only name of `set_limit`")]
pub(super) fn set_storage_limit() {}

/// Shows how large an artifact may be for devices of the micro tier.
#[utoipa::path(get,
    path = "/api/internal/v1/deployments/tenants/{tenant}/limits/max_artifact_size_micro_device_tier",
    tag = TAG,
    params(("tenant" = String, Path, description = "the tenant")),
    responses(
        (status = 200, description = "bytes", body = wire::TenantLimit),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
#[expect(dead_code, reason = "documents another name of `limit`")]
pub(super) fn micro_limit() {}

/// Limits how large an artifact may be for devices of the micro tier.
#[utoipa::path(put,
    path = "/api/internal/v1/deployments/tenants/{tenant}/limits/max_artifact_size_micro_device_tier",
    tag = TAG,
    params(("tenant" = String, Path, description = "the tenant")),
    request_body = wire::NewLimit,
    responses(
        (status = 204, description = "from now on"),
        (status = 400, description = "no limit given", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
#[expect(dead_code, reason = "documents another name of `set_limit`")]
pub(super) fn set_micro_limit() {}

/// A limit of a tenant.
enum Limit {
    /// Of what it stores; where there are tenants.
    Storage,
    /// Of artifacts for devices of the micro tier; where there are tiers.
    MicroArtifact,
}

impl Limit {
    fn named(mender: &Mender, name: &str) -> Result<Self, ApiError> {
        let config = mender.auth().config();
        match name {
            "storage" if config.tenants => Ok(Self::Storage),
            "max_artifact_size_micro_device_tier" if config.tiers => Ok(Self::MicroArtifact),
            _ => Err(ApiError::no_route()),
        }
    }
}

/// Shows a limit of a tenant.
#[utoipa::path(get, path = "/api/internal/v1/deployments/tenants/{tenant}/limits/{name}", tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("name" = String, Path, description = "`storage` or `max_artifact_size_micro_device_tier`"),
    ),
    responses(
        (status = 200, description = "bytes", body = wire::TenantLimit),
        (status = 404, description = "another limit", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn limit(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(name): Path<String>,
) -> Result<Json<wire::TenantLimit>, ApiError> {
    let (limit, used) = match Limit::named(&mender, &name)? {
        Limit::Storage => {
            let storage = mender.artifacts().storage(&ctx).await.map_err(error::other)?;
            (storage.limit.unwrap_or(NO_LIMIT), storage.used)
        }
        Limit::MicroArtifact => {
            let limit = mender.deployments().micro_limit(&ctx).await.map_err(error::other)?;
            (limit.map_or(NO_LIMIT, |limit| i64::try_from(limit).unwrap_or(i64::MAX)), 0)
        }
    };
    Ok(Json(wire::TenantLimit::new(&ctx.tenant, limit, used)))
}

/// Sets a limit of a tenant.
#[utoipa::path(put, path = "/api/internal/v1/deployments/tenants/{tenant}/limits/{name}", tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("name" = String, Path, description = "`storage` or `max_artifact_size_micro_device_tier`"),
    ),
    request_body = wire::NewLimit,
    responses(
        (status = 204, description = "from now on"),
        (status = 400, description = "no limit given", body = wire::ErrorBody),
        (status = 404, description = "another limit", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn set_limit(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(name): Path<String>,
    Body(body): Body<wire::NewLimit>,
) -> Result<StatusCode, ApiError> {
    let of = Limit::named(&mender, &name)?;
    let limit = body.limit.ok_or_else(|| ApiError::bad_request("limit must be provided"))?;
    let set = match of {
        Limit::Storage => mender.artifacts().limit_storage(&ctx, limit).await,
        Limit::MicroArtifact => mender.deployments().limit_micro(&ctx, limit).await,
    };
    set.map_err(error::other)?;
    Ok(StatusCode::NO_CONTENT)
}
