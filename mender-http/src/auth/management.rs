use axum::{
    extract::{OriginalUri, Request, State},
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, LOCATION},
};
use mender_core::{
    Ctx, Mender,
    auth::{DeviceFilter, Identity, Limit, Preauthorization, Status},
    error::Kind,
    page::MAX_PAGE,
    signature::PublicKey,
};
use serde_json::Value;

use super::{
    devices, error,
    wire::{self, Form},
};
use crate::{
    auth::wire::tier,
    authenticate::UserCaller,
    body::Body,
    error::ApiError,
    json::Json,
    page::{Paging, Rest},
    path::{self, Path},
    query::Query,
};

const TAG: &str = "device authentication";

/// Reads the filters of a list from the query.
pub(super) fn filter(query: &Query) -> Result<DeviceFilter, ApiError> {
    query
        .checked()
        .map_err(|e| ApiError::bad_request(format!("api: malformed query parameters: {e}")))?;
    let unknown =
        "filter status must be one of: accepted, pending, rejected, preauthorized or noauth";
    let statuses: Result<Vec<Status>, _> = query.all("status").map(str::parse).collect();
    let statuses = statuses.map_err(|_| ApiError::bad_request(unknown))?;
    let ids: Vec<&str> = query.all("id").collect();
    // An id that can't be one is no device's.
    let ids = (!ids.is_empty()).then(|| ids.iter().filter_map(|id| id.parse().ok()).collect());
    Ok(DeviceFilter { statuses, ids, groups: None })
}

/// Answers with a page of devices.
pub(super) async fn page(
    mender: &Mender,
    ctx: &Ctx,
    filter: Option<DeviceFilter>,
    paging: &Paging,
) -> Result<Response, ApiError> {
    let form = Form::of(mender.auth().config());
    let (items, more) = match filter {
        Some(filter) => {
            let page = mender.auth().devices(ctx, filter, paging.page).await?;
            (page.items, page.more)
        }
        None => (Vec::new(), false),
    };
    let devices: Vec<_> = items.into_iter().map(|view| wire::Device::of(view, form)).collect();
    Ok((paging.links(Rest::More(more)), Json(devices)).into_response())
}

/// Reads the one status to count.
pub(super) fn counted(query: &Query) -> Result<Option<Status>, ApiError> {
    let text = query.first("status").filter(|text| !text.is_empty());
    text.map(str::parse).transpose().map_err(|_| {
        ApiError::bad_request(
            "status must be one of: pending, accepted, rejected, preauthorized, noauth",
        )
    })
}

/// Lists devices, by status and id.
#[utoipa::path(
    get, path = "/api/management/v2/devauth/devices", tag = TAG,
    params(
        ("status" = Option<Vec<String>>, Query, description = "any of these statuses"),
        ("id" = Option<Vec<String>>, Query, description = "any of these devices"),
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 500, default 20"),
    ),
    responses(
        (status = 200, description = "the devices", body = Vec<wire::Device>),
        (status = 400, description = "bad parameters", body = wire::ErrorBody),
    )
)]
pub(super) async fn list(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, ApiError> {
    let paging = Paging::of(&uri, MAX_PAGE)?;
    page(&mender, &ctx, Some(filter(&Query::of(&uri))?), &paging).await
}

/// Finds devices by the filters of the body.
#[utoipa::path(
    post, path = "/api/management/v2/devauth/devices/search", tag = TAG,
    request_body = wire::Search,
    params(
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 500, default 20"),
    ),
    responses(
        (status = 200, description = "the devices", body = Vec<wire::Device>),
        (status = 400, description = "bad filters", body = wire::ErrorBody),
    )
)]
pub(super) async fn search(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    OriginalUri(uri): OriginalUri,
    Body(search): Body<wire::Search>,
) -> Result<Response, ApiError> {
    let paging = Paging::of(&uri, MAX_PAGE)?;
    page(&mender, &ctx, search.filter()?, &paging).await
}

/// Announces a device before it comes.
#[utoipa::path(
    post, path = "/api/management/v2/devauth/devices", tag = TAG,
    request_body = wire::Preauthorize,
    responses(
        (status = 201, description = "announced; `Location` names the device"),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 409, description = "the device is there", body = wire::Device),
    )
)]
pub(super) async fn preauthorize(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Body(request): Body<wire::Preauthorize>,
) -> Result<Response, ApiError> {
    let form = Form::of(mender.auth().config());
    let what = announced(&request, form)?;
    match mender.auth().preauthorize(&ctx, &what).await {
        Ok(id) => {
            let location = HeaderValue::try_from(format!("devices/{id}"));
            let location = location.map_err(ApiError::internal)?;
            Ok((StatusCode::CREATED, [(LOCATION, location)]).into_response())
        }
        Err(e) if e.kind == Kind::Conflict => {
            let device = mender.auth().device_by_identity(&ctx, &what.identity).await?;
            let device = device.ok_or_else(|| ApiError::from(e))?;
            let view = mender.auth().view(&ctx, device).await?;
            let body = Json(wire::Device::of(view, form).without_sets());
            Ok((StatusCode::CONFLICT, body).into_response())
        }
        Err(e) => Err(e.into()),
    }
}

fn announced(request: &wire::Preauthorize, form: Form) -> Result<Preauthorization, ApiError> {
    let refused =
        |why: String| ApiError::bad_request(format!("failed to decode preauth request: {why}"));
    let blank = |field: &str, is: bool| is.then(|| format!("{field}: cannot be blank"));
    let blanks: Vec<String> = [
        blank("identity_data", request.identity_data.is_empty()),
        blank("pubkey", request.pubkey.is_empty()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !blanks.is_empty() {
        return Err(refused(format!("{}.", blanks.join("; "))));
    }
    let key = PublicKey::from_pem(&request.pubkey).map_err(|e| refused(e.to_string()))?;
    let identity = Identity::from_value(&Value::Object(request.identity_data.clone()))
        .map_err(|e| refused(e.to_string()))?;
    let tier =
        tier(&request.tier, form).ok_or_else(|| refused("tier: must be a valid value.".into()))?;
    Ok(Preauthorization { identity, key, tier, force: request.force })
}

/// Counts devices.
#[utoipa::path(
    get, path = "/api/management/v2/devauth/devices/count", tag = TAG,
    params(("status" = Option<String>, Query, description = "only of this status")),
    responses(
        (status = 200, description = "how many there are", body = wire::Count),
        (status = 400, description = "unknown status", body = wire::ErrorBody),
    )
)]
pub(super) async fn count(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    query: Query,
) -> Result<Json<wire::Count>, ApiError> {
    let count = mender.auth().count(&ctx, counted(&query)?).await?;
    Ok(Json(wire::Count { count }))
}

/// Shows a device.
#[utoipa::path(
    get, path = "/api/management/v2/devauth/devices/{id}", tag = TAG,
    params(("id" = String, Path, description = "the device")),
    responses(
        (status = 200, description = "the device", body = wire::Device),
        (status = 404, description = "there is none", body = wire::ErrorBody),
    )
)]
pub(super) async fn get(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
) -> Result<Json<wire::Device>, ApiError> {
    let id = path::id(&id, "device", error::device)?;
    let view = mender.auth().device(&ctx, &id).await.map_err(error::device)?;
    Ok(Json(wire::Device::of(view, Form::of(mender.auth().config()))))
}

/// Decommissions a device: it is shut out at once and forgotten within seconds.
#[utoipa::path(
    delete, path = "/api/management/v2/devauth/devices/{id}", tag = TAG,
    params(("id" = String, Path, description = "the device")),
    responses(
        (status = 204, description = "it leaves"),
        (status = 404, description = "there is none"),
        (status = 503, description = "try again later", body = wire::ErrorBody),
    )
)]
pub(super) async fn decommission(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = path::id(&id, "device", error::silent)?;
    mender.auth().decommission(&ctx, &id).await.map_err(error::silent)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a key of a device.
#[utoipa::path(
    delete, path = "/api/management/v2/devauth/devices/{id}/auth/{aid}", tag = TAG,
    params(
        ("id" = String, Path, description = "the device"),
        ("aid" = String, Path, description = "the auth set"),
    ),
    responses(
        (status = 204, description = "deleted"),
        (status = 404, description = "the device has no such key"),
        (status = 503, description = "try again later", body = wire::ErrorBody),
    )
)]
pub(super) async fn delete_set(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path((id, aid)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let id = path::id(&id, "device", error::silent)?;
    let aid = path::id(&aid, "auth set", error::silent)?;
    mender.auth().delete_set(&ctx, &id, &aid).await.map_err(error::silent)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows the status of a key.
#[utoipa::path(
    get, path = "/api/management/v2/devauth/devices/{id}/auth/{aid}/status", tag = TAG,
    params(
        ("id" = String, Path, description = "the device"),
        ("aid" = String, Path, description = "the auth set"),
    ),
    responses(
        (status = 200, description = "the status", body = wire::StatusBody),
        (status = 404, description = "there is no such key", body = wire::ErrorBody),
    )
)]
pub(super) async fn set_status(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    // Compat: the key alone decides, whatever device the path names.
    Path((_, aid)): Path<(String, String)>,
) -> Result<Json<wire::StatusBody>, ApiError> {
    let aid = path::id(&aid, "auth set", error::set_status)?;
    let status = mender.auth().status_of_set(&ctx, &aid).await.map_err(error::set_status)?;
    Ok(Json(wire::StatusBody { status: status.as_str().into() }))
}

/// Accepts or rejects a key, or makes it pending again.
#[utoipa::path(
    put, path = "/api/management/v2/devauth/devices/{id}/auth/{aid}/status", tag = TAG,
    request_body = wire::StatusBody,
    params(
        ("id" = String, Path, description = "the device"),
        ("aid" = String, Path, description = "the auth set"),
    ),
    responses(
        (status = 204, description = "it is so now"),
        (status = 400, description = "not allowed", body = wire::ErrorBody),
        (status = 404, description = "there is no such key", body = wire::ErrorBody),
        (status = 422, description = "no more devices may be accepted", body = wire::ErrorBody),
        (status = 503, description = "try again later", body = wire::ErrorBody),
    )
)]
pub(super) async fn put_status(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path((id, aid)): Path<(String, String)>,
    Body(body): Body<wire::StatusBody>,
) -> Result<StatusCode, ApiError> {
    let settable = [Status::Accepted, Status::Rejected, Status::Pending];
    let status = body.status.parse().ok().filter(|status| settable.contains(status));
    let status = status.ok_or_else(|| ApiError::bad_request("incorrect device status"))?;
    let aid = path::id(&aid, "auth set", error::set_status)?;
    // No key is that of a device that can't be.
    let id = path::id(&id, "auth set", error::set_status)?;
    mender.auth().decide(&ctx, &id, &aid, status).await.map_err(error::set_status)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Revokes the tokens of a key.
#[utoipa::path(
    delete, path = "/api/management/v2/devauth/tokens/{id}", tag = TAG,
    params(("id" = String, Path, description = "the auth set, which tokens name as `jti`")),
    responses(
        (status = 204, description = "revoked"),
        (status = 404, description = "it has none"),
        (status = 503, description = "try again later", body = wire::ErrorBody),
    )
)]
pub(super) async fn revoke(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let id = path::id(&id, "auth set", error::silent)?;
    mender.auth().revoke_token(&ctx, &id).await.map_err(error::silent)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads the name of a limit: without tiers there is but one.
pub(super) fn limit_name(mender: &Mender, name: &str) -> Result<Limit, ApiError> {
    let known = |limit: &Limit| mender.auth().config().tiers || *limit == Limit::Devices;
    let limit = name.parse().ok().filter(known);
    limit.ok_or_else(|| ApiError::bad_request(format!("unsupported limit {name}")))
}

/// Shows a limit.
#[utoipa::path(
    get, path = "/api/management/v2/devauth/limits/{name}", tag = TAG,
    params(("name" = String, Path, description = "for instance `max_devices`")),
    responses(
        (status = 200, description = "the limit, -1 for none", body = wire::LimitBody),
        (status = 400, description = "unknown limit", body = wire::ErrorBody),
    )
)]
pub(super) async fn limit(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(name): Path<String>,
) -> Result<Json<wire::LimitBody>, ApiError> {
    let limit = limit_name(&mender, &name)?;
    Ok(Json(wire::LimitBody { limit: mender.auth().limit(&ctx, limit).await? }))
}

/// Shows how many devices may be accepted.
#[utoipa::path(
    get, path = "/api/management/v2/devauth/limits/max_devices", tag = TAG,
    responses(
        (status = 200, description = "the limit, -1 for none", body = wire::LimitBody),
        (status = 503, description = "try again later", body = wire::ErrorBody),
    )
)]
#[expect(dead_code, reason = "documents the best known name of `limit`")]
pub(super) fn max_devices() {}

/// Shows the limits of all tiers.
#[utoipa::path(
    get, path = "/api/management/v2/devauth/limits/devices", tag = TAG,
    responses(
        (status = 200, description = "the limits, -1 for none", body = wire::TierLimits),
        (status = 503, description = "try again later", body = wire::ErrorBody),
    )
)]
pub(super) async fn limits(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
) -> Result<Json<wire::TierLimits>, ApiError> {
    Ok(Json(wire::TierLimits::from(&mender.auth().limits(&ctx).await?)))
}

/// Sets the flags of a device.
#[utoipa::path(
    put, path = "/api/management/v2/devauth/devices/{id}/flags", tag = TAG,
    request_body = wire::Flags,
    params(("id" = String, Path, description = "the device")),
    responses(
        (status = 204, description = "set"),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 404, description = "there is no such device", body = wire::ErrorBody),
        (status = 422, description = "too many test devices", body = wire::ErrorBody),
        (status = 429, description = "too many changes today", body = wire::ErrorBody),
    )
)]
pub(super) async fn flags(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
    Body(flags): Body<wire::Flags>,
) -> Result<StatusCode, ApiError> {
    let id = path::id(&id, "device", error::device)?;
    mender.auth().flag(&ctx, &id, flags.test_device).await.map_err(error::flags)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Accepts a device that the caller vouches for, and answers with its token.
#[utoipa::path(
    post, path = "/api/management/v2/devauth/auto-auth", tag = TAG,
    params(("X-MEN-Signature" = String, Header, description = "signature of the body, base64")),
    request_body = wire::AuthRequest,
    responses(
        (status = 200, description = "the token", content_type = "application/jwt", body = String),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 401, description = "refused", body = wire::ErrorBody),
        (status = 503, description = "try again later", body = wire::ErrorBody),
    )
)]
pub(super) async fn auto_auth(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    request: Request,
) -> Result<Response, ApiError> {
    let asked = devices::read_request(&mender, request).await?;
    let token = mender.auth().auto_authenticate(&ctx, &asked).await.map_err(error::request)?;
    Ok(devices::jwt(token))
}

/// Reports how many devices were accepted, day by day.
#[utoipa::path(
    get, path = "/api/management/v2/devauth/license", tag = TAG,
    responses(
        (status = 200, description = "the report", content_type = "text/csv", body = String),
        (status = 404, description = "there is none yet"),
    )
)]
pub(super) async fn license(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
) -> Result<Response, ApiError> {
    let report = mender.auth().usage_report(&ctx).await?;
    let report = report.ok_or_else(|| ApiError::empty(StatusCode::NOT_FOUND))?;
    let csv = HeaderValue::from_static("text/csv");
    Ok(([(CONTENT_TYPE, csv)], report).into_response())
}

/// Lists the rules that accept new devices without a user.
#[utoipa::path(
    get, path = "/api/management/v2/devauth/accept-rules", tag = TAG,
    responses((status = 200, description = "the rules", body = Vec<wire::Rule>))
)]
pub(super) async fn accept_rules(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
) -> Result<Json<Vec<wire::Rule>>, ApiError> {
    let rules = mender.auth().accept_rules(&ctx).await?;
    Ok(Json(rules.into_iter().map(Into::into).collect()))
}

/// Sets the rules that accept new devices without a user.
#[utoipa::path(
    put, path = "/api/management/v2/devauth/accept-rules", tag = TAG,
    request_body = Vec<wire::Rule>,
    responses(
        (status = 204, description = "set"),
        (status = 400, description = "a rule is too long, or accepts everybody",
         body = wire::ErrorBody),
    )
)]
pub(super) async fn put_accept_rules(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Body(rules): Body<Vec<wire::Rule>>,
) -> Result<StatusCode, ApiError> {
    let rules: Vec<_> = rules.into_iter().map(Into::into).collect();
    mender.auth().set_accept_rules(&ctx, &rules).await?;
    Ok(StatusCode::NO_CONTENT)
}
