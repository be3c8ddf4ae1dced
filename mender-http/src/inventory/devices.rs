use axum::extract::State;
use http::StatusCode;
use mender_core::{
    Actor, Ctx, Mender,
    inventory::{AttributeName, How},
};

use super::{error, wire};
use crate::{authenticate::DeviceCaller, body::Body, error::ApiError};

const TAG: &str = "inventory";

async fn report(
    mender: &Mender,
    ctx: &Ctx,
    attributes: wire::Attributes,
    how: How,
) -> Result<StatusCode, ApiError> {
    let Actor::Device(device) = &ctx.actor else {
        return Err(ApiError::unauthorized("unauthorized"));
    };
    let attributes = attributes.read(Some(AttributeName::INVENTORY))?;
    mender.inventory().report(ctx, device, attributes, how).await.map_err(error::other)?;
    Ok(StatusCode::OK)
}

/// Reports all attributes; others that were reported before are removed.
#[utoipa::path(put, path = "/api/devices/v1/inventory/device/attributes", tag = TAG,
    request_body = Vec<wire::Attribute>,
    responses(
        (status = 200, description = "stored"),
        (status = 400, description = "bad or too many attributes", body = wire::ErrorBody),
        (status = 401, description = "no device's token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn replace(
    State(mender): State<Mender>,
    DeviceCaller(ctx): DeviceCaller,
    Body(attributes): Body<wire::Attributes>,
) -> Result<StatusCode, ApiError> {
    report(&mender, &ctx, attributes, How::Replace).await
}

/// Reports some attributes; others stay.
#[utoipa::path(patch, path = "/api/devices/v1/inventory/device/attributes", tag = TAG,
    request_body = Vec<wire::Attribute>,
    responses(
        (status = 200, description = "stored"),
        (status = 400, description = "bad or too many attributes", body = wire::ErrorBody),
        (status = 401, description = "no device's token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn merge(
    State(mender): State<Mender>,
    DeviceCaller(ctx): DeviceCaller,
    Body(attributes): Body<wire::Attributes>,
) -> Result<StatusCode, ApiError> {
    report(&mender, &ctx, attributes, How::Merge).await
}

macro_rules! document_anywhere {
    ($($method:ident $name:ident $text:literal;)+) => {$(
        #[doc = $text]
        #[utoipa::path($method, path = "/api/devices/v1/inventory/{rest}", tag = TAG,
            params(("rest" = String, Path, description = "anything")),
            request_body = Vec<wire::Attribute>,
            responses((status = 200, description = "stored")))]
        #[expect(dead_code, reason = "documents other paths of another operation")]
        pub(super) fn $name() {}
    )+};
}

document_anywhere! {
    put replace_anywhere "Reports all attributes, as `PUT …/device/attributes` does.";
    patch merge_anywhere "Reports some attributes, as `PATCH …/device/attributes` does.";
}
