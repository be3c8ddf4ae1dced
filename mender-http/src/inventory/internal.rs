use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{IF_UNMODIFIED_SINCE, LOCATION},
};
use mender_core::{
    Ctx, DeviceId, Mender, Time, auth::Status, inventory::NewAttribute, lifecycle::Forget as _,
};

use super::{error, wire};
use crate::{
    authenticate::Internal,
    body::{Body, Item},
    error::{ApiError, Faults},
    json::Json,
    path::{self, Path},
    query::Query,
};

const TAG: &str = "inventory, internal";

/// What another service says where a device is no more.
const DECOMMISSIONED: &str = "decommissioned";

/// Tells that the server runs.
#[utoipa::path(get, path = "/api/internal/v1/inventory/alive", tag = TAG,
    responses(
        (status = 204, description = "it does"),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
#[expect(dead_code, reason = "documents a route that all areas share")]
pub(super) fn alive() {}

/// Tells whether the server can work.
#[utoipa::path(get, path = "/api/internal/v1/inventory/health", tag = TAG,
    responses(
        (status = 204, description = "it can"),
        (status = 500, description = "internal error", body = wire::ErrorBody),
        (status = 503, description = "something is missing", body = wire::ErrorBody),
    ))]
#[expect(dead_code, reason = "documents a route that all areas share")]
pub(super) fn health() {}

/// Prepares for a tenant, for which there is nothing to do.
#[utoipa::path(post, path = "/api/internal/v1/inventory/tenants", tag = TAG,
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
    let mut faults = Faults::default();
    if body.tenant_id.is_empty() {
        faults.add("tenant_id", "cannot be blank");
    }
    faults.check()?;
    Ok(StatusCode::CREATED)
}

/// Forgets the inventory of a tenant.
#[utoipa::path(delete, path = "/api/internal/v1/inventory/tenants/{tenant}", tag = TAG,
    params(("tenant" = String, Path, description = "the tenant")),
    responses(
        (status = 204, description = "forgotten"),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn delete_tenant(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
) -> Result<StatusCode, ApiError> {
    mender.inventory().forget_tenant(&ctx.tenant).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Records a device, or adds attributes to one that is known.
#[utoipa::path(post, path = "/api/internal/v1/inventory/tenants/{tenant}/devices", tag = TAG,
    params(("tenant" = String, Path, description = "the tenant")),
    request_body = wire::NewDevice,
    responses(
        (status = 201, description = "recorded; `Location` names it",
         headers(("Location" = String))),
        (status = 400, description = "malformed device", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn create(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Body(body): Body<wire::NewDevice>,
) -> Result<Response, ApiError> {
    let (id, attributes) = body.read()?;
    mender.inventory().create(&ctx, &id, attributes).await.map_err(error::other)?;
    let location = HeaderValue::try_from(format!("devices/{id}"));
    let location = location.map_err(ApiError::internal)?;
    Ok((StatusCode::CREATED, [(LOCATION, location)]).into_response())
}

/// Forgets a device.
#[utoipa::path(delete, path = "/api/internal/v1/inventory/tenants/{tenant}/devices/{id}",
    tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("id" = String, Path, description = "the device"),
    ),
    responses(
        (status = 204, description = "it is not known any more"),
        (status = 404, description = "never; kept for readers of older documents"),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn remove(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    if let Ok(id) = id.parse() {
        mender.inventory().remove(&ctx, &id).await.map_err(error::other)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Sets the status of devices; `decommissioned` forgets them.
#[utoipa::path(post, path = "/api/internal/v1/inventory/tenants/{tenant}/devices/status/{status}",
    tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("status" = String, Path, description = "the status"),
    ),
    request_body = Vec<wire::DeviceRevision>,
    responses(
        (status = 200, description = "how many devices it was news about", body = wire::Counts),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 404, description = "unknown status", body = wire::ErrorBody),
        (status = 409, description = "old news about the only device", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn set_statuses(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(status): Path<String>,
    Body(wire::DeviceRevisions(told)): Body<wire::DeviceRevisions>,
) -> Result<Json<wire::Counts>, ApiError> {
    let mut devices = Vec::with_capacity(told.len());
    for Item(wire::DeviceRevision { id, revision }) in told {
        let id: DeviceId =
            id.parse().map_err(|e| ApiError::bad_request(format!("cant parse devices: {e}")))?;
        devices.push((id, i64::try_from(revision).unwrap_or(i64::MAX)));
    }
    let inventory = mender.inventory();
    if status == DECOMMISSIONED {
        let ids: Vec<_> = devices.into_iter().map(|(id, _)| id).collect();
        let count = inventory.remove_all(&ctx, &ids).await.map_err(error::other)?;
        return Ok(Json(wire::Counts::deleted(count)));
    }
    let unknown =
        |_| ApiError::new(StatusCode::NOT_FOUND, format!("unrecognized status: {status}"));
    let status: Status = status.parse().map_err(unknown)?;
    let set = inventory.set_statuses(&ctx, status, &devices).await;
    Ok(Json(set.map_err(error::other)?.into()))
}

/// Reads `If-Unmodified-Since`.
fn unmodified(headers: &HeaderMap) -> Result<Option<Time>, ApiError> {
    let Some(value) = headers.get(IF_UNMODIFIED_SINCE).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let time = http_time(text).ok_or_else(|| {
        ApiError::bad_request("invalid header If-Unmodified-Since: not a time of HTTP")
    })?;
    Ok(Some(time))
}

/// Reads a time in the form `Mon, 02 Jan 2006 15:04:05 GMT`.
fn http_time(text: &str) -> Option<Time> {
    const DAYS: [&str; 7] = ["Mon,", "Tue,", "Wed,", "Thu,", "Fri,", "Sat,", "Sun,"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<&str> = text.split(' ').collect();
    let [weekday, day, month, year, clock, "GMT"] = parts[..] else {
        return None;
    };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let is_whole = DAYS.contains(&weekday) && clock.len() == 8;
    is_whole.then(|| format!("{year}-{month:02}-{day}T{clock}Z").parse().ok())?
}

async fn write_all(
    mender: &Mender,
    ctx: &Ctx,
    id: &str,
    headers: &HeaderMap,
    attributes: Vec<NewAttribute>,
) -> Result<StatusCode, ApiError> {
    let unmodified = unmodified(headers)?;
    let attributes = wire::with_times(attributes)?;
    let id: DeviceId = id.parse().map_err(|e| ApiError::bad_request(format!("device id: {e}.")))?;
    let written = mender.inventory().write(ctx, &id, attributes, unmodified).await;
    written.map_err(error::conditional)?;
    Ok(StatusCode::OK)
}

/// Sets attributes of one scope.
#[utoipa::path(patch,
    path = "/api/internal/v1/inventory/tenants/{tenant}/device/{id}/attribute/scope/{scope}",
    tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("id" = String, Path, description = "the device"),
        ("scope" = String, Path, description = "the scope"),
        ("If-Unmodified-Since" = Option<String>, Header,
         description = "only where the device did not report since then"),
    ),
    request_body = Vec<wire::Attribute>,
    responses(
        (status = 200, description = "set"),
        (status = 400, description = "bad attributes", body = wire::ErrorBody),
        (status = 412, description = "the device reported since", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn write_scope(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path((id, scope)): Path<(String, String)>,
    headers: HeaderMap,
    Body(wire::Undeclared(attributes)): Body<wire::Undeclared<wire::Attributes>>,
) -> Result<StatusCode, ApiError> {
    write_all(&mender, &ctx, &id, &headers, attributes.read(Some(&scope))?).await
}

/// Sets attributes of any scope.
#[utoipa::path(patch, path = "/api/internal/v1/inventory/tenants/{tenant}/device/{id}/attributes",
    tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("id" = String, Path, description = "the device"),
        ("If-Unmodified-Since" = Option<String>, Header,
         description = "only where the device did not report since then"),
    ),
    request_body = Vec<wire::Attribute>,
    responses(
        (status = 200, description = "set"),
        (status = 400, description = "bad attributes", body = wire::ErrorBody),
        (status = 412, description = "the device reported since", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn write(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(wire::Undeclared(attributes)): Body<wire::Undeclared<wire::Attributes>>,
) -> Result<StatusCode, ApiError> {
    write_all(&mender, &ctx, &id, &headers, attributes.read(None)?).await
}

/// Shows the static group of a device.
#[utoipa::path(get, path = "/api/internal/v1/inventory/tenants/{tenant}/devices/{id}/groups",
    tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("id" = String, Path, description = "the device"),
    ),
    responses(
        (status = 200, description = "its group in a list, or null", body = wire::Groups),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 404, description = "there is no such device", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn groups(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(id): Path<String>,
) -> Result<Json<wire::Groups>, ApiError> {
    let id = path::id(&id, "device", error::device)?;
    let device = mender.inventory().device(&ctx, &id).await.map_err(error::device)?;
    Ok(Json(wire::Groups { groups: device.group().map(|group| vec![group.to_owned()]) }))
}

/// Copies what another service knows of a device.
#[utoipa::path(post, path = "/api/internal/v1/inventory/tenants/{tenant}/devices/{id}/reindex",
    tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("id" = String, Path, description = "the device"),
        ("service" = String, Query, description = "`devicemonitor`"),
    ),
    responses(
        (status = 200, description = "copied"),
        (status = 400, description = "unknown service", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn reindex(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path(id): Path<String>,
    query: Query,
) -> Result<StatusCode, ApiError> {
    if query.first("service") != Some("devicemonitor") {
        return Err(ApiError::bad_request("unsupported service"));
    }
    let id: DeviceId = id.parse().map_err(|e| ApiError::bad_request(format!("device id: {e}.")))?;
    // Nobody counts alerts yet.
    mender.inventory().set_alerts(&ctx, &id, 0).await.map_err(error::other)?;
    Ok(StatusCode::OK)
}

/// Tells whether every device is in one of the groups.
#[utoipa::path(post, path = "/api/internal/v1/inventory/tenants/{tenant}/test/devices/groups",
    tag = TAG,
    params(("tenant" = String, Path, description = "the tenant")),
    request_body = wire::DevicesInGroups,
    responses(
        (status = 200, description = "it is"),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 404, description = "it is not", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn check_groups(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Body(body): Body<wire::DevicesInGroups>,
) -> Result<StatusCode, ApiError> {
    let wire::DevicesInGroups { devices, groups } = body;
    let mut faults = Faults::default();
    for (field, is_blank) in [("devices", devices.is_empty()), ("groups", groups.is_empty())] {
        if is_blank {
            faults.add(field, "cannot be blank");
        }
    }
    faults.check()?;
    let ids: Result<Vec<DeviceId>, _> = devices.iter().map(|id| id.parse()).collect();
    let are_in = match ids {
        Ok(ids) => mender.inventory().are_in_groups(&ctx, &ids, &groups).await?,
        // What can be no id is in no group.
        Err(_) => false,
    };
    if !are_in {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "Device not found"));
    }
    Ok(StatusCode::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_one_form() {
        assert_eq!(http_time("Mon, 02 Jan 2006 15:04:05 GMT"), Some(Time(1_136_214_245_000)));
        for text in [
            "",
            "2006-01-02T15:04:05Z",
            "Mon, 02 Jan 2006 15:04:05 UTC",
            "Monday, 02-Jan-06 15:04:05 GMT",
            "Mon, 2 Jan 2006 15:04:05 GMT",
            "Mon, 32 Jan 2006 15:04:05 GMT",
            "Mon, 02 Jan 2006 15:04:05.1 GMT",
            "Xxx, 02 Jan 2006 15:04:05 GMT",
        ] {
            assert_eq!(http_time(text), None, "{text}");
        }
    }
}
