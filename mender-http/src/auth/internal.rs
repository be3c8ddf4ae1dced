use std::collections::BTreeMap;

use axum::{
    Extension,
    extract::{OriginalUri, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};
use mender_core::{
    Ctx, Mender, TenantId,
    auth::{ExternalId, Limit},
    error::Kind,
    page::MAX_PAGE,
};

use super::{
    error, management,
    wire::{self, Form},
};
use crate::{
    authenticate::Internal,
    body::Body,
    builtin,
    error::ApiError,
    json::Json,
    page::Paging,
    path::{self, Path},
    query::Query,
    ratelimit::{Asked, RateLimits},
};

const TAG: &str = "device authentication, internal";

/// Tells that the server runs.
#[utoipa::path(get, path = "/api/internal/v1/devauth/alive", tag = TAG,
    responses((status = 204, description = "it does")))]
#[expect(dead_code, reason = "documents a route that all areas share")]
pub(super) fn alive() {}

/// Tells whether the server can work.
#[utoipa::path(get, path = "/api/internal/v1/devauth/health", tag = TAG,
    responses(
        (status = 204, description = "it can"),
        (status = 503, description = "something is missing", body = wire::ErrorBody),
    ))]
#[expect(dead_code, reason = "documents a route that all areas share")]
pub(super) fn health() {}

/// Verifies a device's token for a gateway.
#[utoipa::path(post, path = "/api/internal/v1/devauth/tokens/verify", tag = TAG,
    params(
        ("X-Forwarded-Method" = Option<String>, Header, description = "of the request"),
        ("X-Forwarded-Uri" = Option<String>, Header, description = "of the request"),
    ),
    responses(
        (status = 200, description = "it is valid"),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 401, description = "it is not"),
        (status = 403, description = "the tenant lacks an add-on", body = wire::ErrorBody),
        (status = 429, description = "too many requests", body = wire::ErrorBody),
        (status = 503, description = "try again later", body = wire::ErrorBody),
    ))]
pub(super) async fn verify(
    State(mender): State<Mender>,
    _: Internal,
    limits: Option<Extension<RateLimits>>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let limits = limits.and_then(|Extension(limits)| limits.devices);
    let asked = Asked::forwarded(&headers);
    builtin::device(&mender, limits.as_deref(), &headers, asked).await?;
    Ok(StatusCode::OK)
}

/// Revokes the tokens of a tenant, or of one of its devices.
#[utoipa::path(delete, path = "/api/internal/v1/devauth/tokens", tag = TAG,
    params(
        ("tenant_id" = String, Query, description = "the tenant"),
        ("device_id" = Option<String>, Query, description = "the device; all where absent"),
    ),
    responses(
        (status = 204, description = "revoked"),
        (status = 400, description = "no tenant", body = wire::ErrorBody),
        (status = 503, description = "try again later", body = wire::ErrorBody),
    ))]
pub(super) async fn revoke(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    query: Query,
) -> Result<StatusCode, ApiError> {
    if ctx.tenant.is_default() {
        return Err(ApiError::bad_request("tenant_id must be provided"));
    }
    match query.first("device_id").filter(|id| !id.is_empty()) {
        // A text that is no id is no device's.
        Some(id) => {
            if let Ok(id) = id.parse() {
                mender.auth().revoke_device_tokens(&ctx, &id).await?;
            }
        }
        None => mender.auth().revoke_tenant_tokens(&ctx).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

macro_rules! document_max_devices {
    ($($method:ident $name:ident $status:literal $text:literal;)+) => {$(
        #[doc = $text]
        #[utoipa::path($method,
            path = "/api/internal/v1/devauth/tenant/{tenant_id}/limits/max_devices", tag = TAG,
            params(("tenant_id" = String, Path, description = "the tenant")),
            request_body = wire::LimitBody,
            responses(
                (status = $status, description = "done", body = wire::LimitBody),
                (status = 400, description = "malformed request", body = wire::ErrorBody),
            ))]
        #[expect(dead_code, reason = "documents the best known name of a limit")]
        pub(super) fn $name() {}
    )+};
}

document_max_devices! {
    get get_max_devices 200 "Shows how many devices may be accepted.";
    put put_max_devices 204 "Sets how many devices may be accepted.";
    delete delete_max_devices 204 "Lets any number of devices be accepted.";
}

/// Shows a limit.
#[utoipa::path(get, path = "/api/internal/v1/devauth/tenant/{tenant}/limits/{name}", tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("name" = String, Path, description = "the limit"),
    ),
    responses(
        (status = 200, description = "the limit, -1 for none", body = wire::LimitBody),
        (status = 400, description = "unknown limit", body = wire::ErrorBody),
    ))]
pub(super) async fn get_limit(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(name): Path<String>,
) -> Result<Json<wire::LimitBody>, ApiError> {
    let limit = management::limit_name(&mender, &name)?;
    Ok(Json(wire::LimitBody { limit: mender.auth().limit(&ctx, limit).await? }))
}

/// Sets a limit.
#[utoipa::path(put, path = "/api/internal/v1/devauth/tenant/{tenant}/limits/{name}", tag = TAG,
    request_body = wire::LimitBody,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("name" = String, Path, description = "the limit"),
    ),
    responses(
        (status = 204, description = "set"),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
    ))]
pub(super) async fn put_limit(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(name): Path<String>,
    Body(body): Body<wire::LimitBody>,
) -> Result<StatusCode, ApiError> {
    let limit = management::limit_name(&mender, &name)?;
    mender.auth().set_limits(&ctx, &[(limit, Some(body.limit))]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a limit away.
#[utoipa::path(delete, path = "/api/internal/v1/devauth/tenant/{tenant}/limits/{name}", tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("name" = String, Path, description = "the limit"),
    ),
    responses((status = 204, description = "there is none now")))]
pub(super) async fn delete_limit(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let limit = management::limit_name(&mender, &name)?;
    mender.auth().set_limits(&ctx, &[(limit, None)]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows the limits of all tiers.
#[utoipa::path(get, path = "/api/internal/v1/devauth/tenant/{tenant}/limits", tag = TAG,
    params(("tenant" = String, Path, description = "the tenant")),
    responses(
        (status = 200, description = "the limits", body = wire::TierLimits),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
    ))]
pub(super) async fn get_limits(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
) -> Result<Json<wire::TierLimits>, ApiError> {
    Ok(Json(wire::TierLimits::from(&mender.auth().limits(&ctx).await?)))
}

/// Sets limits.
#[utoipa::path(put, path = "/api/internal/v1/devauth/tenant/{tenant}/limits", tag = TAG,
    request_body = Vec<wire::NamedLimit>,
    params(("tenant" = String, Path, description = "the tenant")),
    responses(
        (status = 204, description = "set"),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
    ))]
pub(super) async fn put_limits(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Body(body): Body<Vec<wire::NamedLimit>>,
) -> Result<StatusCode, ApiError> {
    let mut limits = Vec::with_capacity(body.len());
    for wire::NamedLimit { name, value } in body {
        limits.push((management::limit_name(&mender, &name)?, Some(value)));
    }
    mender.auth().set_limits(&ctx, &limits).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the limits of all tiers away.
#[utoipa::path(delete, path = "/api/internal/v1/devauth/tenant/{tenant}/limits", tag = TAG,
    params(("tenant" = String, Path, description = "the tenant")),
    responses(
        (status = 200, description = "there are none now"),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
    ))]
pub(super) async fn delete_limits(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
) -> Result<StatusCode, ApiError> {
    mender.auth().set_limits(&ctx, &Limit::TIERS.map(|limit| (limit, None))).await?;
    Ok(StatusCode::OK)
}

/// Shows the limits of several tenants.
#[utoipa::path(get, path = "/api/internal/v1/devauth/tenant/limits", tag = TAG,
    params(("tenant_id" = Vec<String>, Query, description = "the tenants")),
    responses(
        (status = 200, description = "the limits by tenant",
         body = BTreeMap<String, wire::TierLimits>),
        (status = 400, description = "no tenant", body = wire::ErrorBody),
    ))]
pub(super) async fn limits_of_tenants(
    State(mender): State<Mender>,
    _: Internal,
    query: Query,
) -> Result<Json<BTreeMap<String, wire::TierLimits>>, ApiError> {
    let mut limits = BTreeMap::new();
    for text in query.all("tenant_id").take(MAX_PAGE as usize) {
        let tenant: TenantId =
            text.parse().map_err(|_| ApiError::bad_request("malformed tenant_id"))?;
        let found = mender.auth().limits(&Ctx::system(tenant)).await?;
        limits.insert(text.to_owned(), wire::TierLimits::from(&found));
    }
    if limits.is_empty() {
        return Err(ApiError::bad_request("tenant_id must be provided"));
    }
    Ok(Json(limits))
}

/// Prepares for a tenant, for which there is nothing to do.
#[utoipa::path(post, path = "/api/internal/v1/devauth/tenants", tag = TAG,
    request_body = wire::NewTenant,
    responses(
        (status = 201, description = "prepared"),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
    ))]
pub(super) async fn new_tenant(_: Internal) -> StatusCode {
    StatusCode::CREATED
}

/// Forgets everything of a tenant.
#[utoipa::path(delete, path = "/api/internal/v1/devauth/tenants/{tenant}", tag = TAG,
    params(("tenant" = String, Path, description = "the tenant")),
    responses((status = 204, description = "forgotten")))]
pub(super) async fn delete_tenant(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
) -> Result<StatusCode, ApiError> {
    mender.forget_tenant(&ctx.tenant).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists devices, by status and id.
#[utoipa::path(get, path = "/api/internal/v1/devauth/tenants/{tenant}/devices", tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("status" = Option<Vec<String>>, Query, description = "any of these statuses"),
        ("id" = Option<Vec<String>>, Query, description = "any of these devices"),
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 500, default 20"),
    ),
    responses(
        (status = 200, description = "the devices", body = Vec<wire::Device>),
        (status = 400, description = "bad parameters", body = wire::ErrorBody),
    ))]
pub(super) async fn list(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, ApiError> {
    let paging = Paging::of(&uri, MAX_PAGE)?;
    let filter = management::filter(&Query::of(&uri))?;
    management::page(&mender, &ctx, Some(filter), &paging).await
}

/// Counts devices.
#[utoipa::path(get, path = "/api/internal/v1/devauth/tenants/{tenant}/devices/count", tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("status" = Option<String>, Query, description = "only of this status"),
    ),
    responses(
        (status = 200, description = "how many there are", body = wire::Count),
        (status = 400, description = "unknown status", body = wire::ErrorBody),
    ))]
pub(super) async fn count(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    query: Query,
) -> Result<Json<wire::Count>, ApiError> {
    let count = mender.auth().count(&ctx, management::counted(&query)?).await?;
    Ok(Json(wire::Count { count }))
}

/// Removes a device from this area at once.
#[utoipa::path(delete, path = "/api/internal/v1/devauth/tenants/{tenant}/devices/{id}", tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("id" = String, Path, description = "the device"),
    ),
    responses(
        (status = 201, description = "never; kept for readers of older documents"),
        (status = 204, description = "removed"),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 404, description = "there is none"),
        (status = 503, description = "try again later", body = wire::ErrorBody),
    ))]
pub(super) async fn remove(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = path::id(&id, "device", error::silent)?;
    mender.auth().remove(&ctx, &id).await.map_err(error::silent)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Notes that other services have prepared for a device.
#[utoipa::path(patch, path = "/api/internal/v1/devauth/tenants/{tenant}/devices/{id}", tag = TAG,
    request_body = wire::PatchDevice,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("id" = String, Path, description = "the device"),
    ),
    responses(
        (status = 204, description = "noted"),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 404, description = "there is none"),
    ))]
pub(super) async fn patch(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(id): Path<String>,
    Body(body): Body<wire::PatchDevice>,
) -> Result<StatusCode, ApiError> {
    let id = path::id(&id, "device", error::silent)?;
    match body.provisioned {
        Some(provisioned) => mender.auth().set_provisioned(&ctx, &id, provisioned).await,
        None => mender.auth().device(&ctx, &id).await.map(|_| ()),
    }
    .map_err(error::silent)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows the status of a device.
#[utoipa::path(get, path = "/api/internal/v1/devauth/tenants/{tenant}/devices/{id}/status",
    tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("id" = String, Path, description = "the device"),
    ),
    responses(
        (status = 200, description = "the status", body = wire::StatusBody),
        (status = 400, description = "no device named", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
    ))]
pub(super) async fn status(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(id): Path<String>,
) -> Result<Json<wire::StatusBody>, ApiError> {
    if id.is_empty() {
        return Err(ApiError::bad_request("device id (did) cannot be empty"));
    }
    let id = path::id(&id, "device", error::device)?;
    let view = mender.auth().device(&ctx, &id).await.map_err(error::device)?;
    Ok(Json(wire::StatusBody { status: view.device.status.as_str().into() }))
}

/// Notes what a device is known as in a cloud provider's hub.
#[utoipa::path(put, path = "/api/internal/v1/devauth/tenants/{tenant}/devices/{id}/external",
    tag = TAG,
    request_body = wire::External,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("id" = String, Path, description = "the device"),
    ),
    responses(
        (status = 204, description = "noted"),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 404, description = "there is none, or tiers are off", body = wire::ErrorBody),
    ))]
pub(super) async fn external(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(id): Path<String>,
    Body(body): Body<wire::External>,
) -> Result<StatusCode, ApiError> {
    // Compat: the open edition does not serve this route.
    if matches!(Form::of(mender.auth().config()), Form::Open) {
        return Err(ApiError::no_route());
    }
    let id = path::id(&id, "device", error::device)?;
    let wire::External { id: name_there, name, provider, .. } = body;
    let external = ExternalId { id: name_there, name, provider };
    match mender.auth().set_external(&ctx, &id, &external).await {
        Err(e) if e.kind == Kind::NotFound => Err(error::device(e)),
        answer => answer.map(|()| StatusCode::NO_CONTENT).map_err(Into::into),
    }
}
