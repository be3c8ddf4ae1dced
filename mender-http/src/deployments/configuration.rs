//! Deployments of configurations: made by other services, fetched by a signed link.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION},
};
use mender_core::{
    Ctx, DeviceId, Mender, TenantId, Time,
    blob::ARTIFACT_TYPE,
    deployments::{ConfigurationLink, Deployment, NewConfiguration, Request},
};
use serde_json::Value;

use super::{deployment_id, error, records::device_id, wire};
use crate::{
    authenticate::Internal,
    body::Body,
    error::{ApiError, Faults},
    path::Path,
    query::{Query, escape},
};

const TAG: &str = "deployments, configurations";

/// Below which links to configurations are.
const DOWNLOAD: &str = "/api/devices/v1/deployments/download/configuration";

/// Tells a device where its configuration is.
pub(super) fn update(
    mender: &Mender,
    ctx: &Ctx,
    deployment: &Deployment,
    device: &DeviceId,
    request: &Request,
    base: &str,
) -> Result<wire::Update, ApiError> {
    let link = ConfigurationLink {
        deployment: deployment.id.clone(),
        device_type: request.device_type.clone(),
        device: device.clone(),
    };
    let signed = mender.deployments().sign_configuration(ctx, link);
    let (expire, signature) = signed.map_err(error::other)?;
    let segments = [deployment.id.as_str(), &request.device_type, device.as_str()];
    let path: Vec<String> =
        segments.into_iter().map(|part| escape(part).replace('+', "%20")).collect();
    let mut query = Query::default();
    if !ctx.tenant.as_str().is_empty() {
        query = query.with("tenant_id", &ctx.tenant);
    }
    let query = query.with("x-men-expire", expire).with("x-men-signature", signature).encode();
    let uri = format!("{}{DOWNLOAD}/{}?{query}", base.trim_end_matches('/'), path.join("/"));
    Ok(wire::Update::configure(deployment, device, request, uri, expire))
}

/// Returns an artifact with a configuration.
#[utoipa::path(get,
    path = "/api/devices/v1/deployments/download/configuration/{deployment}/{device_type}/{device}",
    tag = TAG,
    params(
        ("deployment" = String, Path, description = "the deployment"),
        ("device_type" = String, Path, description = "the type of the device"),
        ("device" = String, Path, description = "the device"),
        ("tenant_id" = Option<String>, Query, description = "the tenant"),
        ("x-men-expire" = String, Query, description = "until when the link is good"),
        ("x-men-signature" = String, Query, description = "who says so"),
    ),
    responses(
        (status = 200, description = "the artifact", content_type = "application/vnd.mender-artifact",
         body = Vec<u8>),
        (status = 400, description = "a parameter is missing", body = wire::ErrorBody),
        (status = 401, description = "never; kept for readers of older documents"),
        (status = 403, description = "not ours, or expired", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn download(
    State(mender): State<Mender>,
    Path((deployment, device_type, device)): Path<(String, String, String)>,
    query: Query,
) -> Result<Response, ApiError> {
    let mut faults = Faults::default();
    let (expire, signature) = (query.first("x-men-expire"), query.first("x-men-signature"));
    for (name, given) in [("x-men-expire", expire), ("x-men-signature", signature)] {
        if given.is_none_or(str::is_empty) {
            faults.add(name, "required key is missing");
        }
    }
    let invalid = |why: String| ApiError::bad_request(format!("invalid request parameters: {why}"));
    faults.check().map_err(|faults| invalid(faults.to_string()))?;
    let until = serde_json::from_value::<Time>(Value::from(expire.unwrap_or_default()));
    let until = until
        .map_err(|_| invalid("parameter 'x-men-expire' is not a valid timestamp".to_owned()))?;
    let missing = || ApiError::new(StatusCode::NOT_FOUND, "Resource not found");
    let (Ok(deployment), Some(device)) = (deployment.parse(), device_id(&device)) else {
        return Err(missing());
    };
    let tenant = query.first("tenant_id").unwrap_or_default();
    let tenant: TenantId = tenant.parse().map_err(|_| missing())?;
    let link = ConfigurationLink { deployment, device_type, device };
    let signature = signature.unwrap_or_default();
    let bytes = mender.deployments().configuration(&tenant, &link, until, signature).await;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(ARTIFACT_TYPE)),
        (CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"artifact.mender\"")),
    ];
    Ok((headers, bytes.map_err(error::other)?).into_response())
}

/// Has a configuration brought to a device.
#[utoipa::path(post,
    path = "/api/internal/v1/deployments/tenants/{tenant}/configuration/deployments/{id}/devices/{device}",
    tag = TAG,
    params(
        ("tenant" = String, Path, description = "the tenant"),
        ("id" = String, Path, description = "the id that the deployment gets"),
        ("device" = String, Path, description = "the device"),
    ),
    request_body = wire::NewConfiguration,
    responses(
        (status = 201, description = "created; `Location` names it",
         headers(("Location" = String))),
        (status = 400, description = "malformed", body = wire::ErrorBody),
        (status = 409, description = "the id is taken", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn create(
    State(mender): State<Mender>,
    Internal(ctx): Internal,
    Path((id, device)): Path<(String, String)>,
    Body(body): Body<wire::NewConfiguration>,
) -> Result<Response, ApiError> {
    let id = deployment_id(&id)
        .map_err(|_| ApiError::bad_request("Deployment ID must be a valid UUID"))?;
    let (retries, control_map) = (body.retries, Some(body.update_control_map.clone()));
    let (name, configuration) = body.read()?;
    let device = device_id(&device)
        .ok_or_else(|| ApiError::bad_request("Validating request body: device: bad id."))?;
    let location =
        HeaderValue::try_from(format!("./deployments/{id}")).map_err(ApiError::internal)?;
    let new = NewConfiguration { id, device, name, configuration, retries, control_map };
    mender.deployments().configure(&ctx, new).await.map_err(error::create)?;
    Ok((StatusCode::CREATED, [(LOCATION, location)]).into_response())
}
