use std::collections::BTreeMap;

use axum::{
    extract::{OriginalUri, State},
    response::Response,
};
use mender_core::Mender;

use super::{error, wire};
use crate::{
    authenticate::UserCaller,
    body::Body,
    error::ApiError,
    json::Json,
    page::{Paging, Rest},
    path::{self, Path},
};

const TAG: &str = "inventory";

/// Finds devices by the beginning of an identity, or of the name that users gave.
#[utoipa::path(post, path = "/api/management/v2alpha1/inventory/identities/search", tag = TAG,
    request_body = wire::IdentitySearch,
    responses(
        (status = 200, description = "the devices", body = Vec<wire::Device>,
         headers(("X-Total-Count" = u64), ("Link" = String))),
        (status = 400, description = "malformed search", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn search(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    OriginalUri(uri): OriginalUri,
    Body(params): Body<wire::IdentitySearch>,
) -> Result<Response, ApiError> {
    let wire::AskedPrefix { attribute, beginning, page, shown } = params.read()?;
    let found = mender.inventory().search_prefix(&ctx, &attribute, &beginning, page).await;
    let found = found.map_err(error::search)?;
    let headers = Paging::given(&uri, page).headers(Rest::Total(found.total));
    Ok(super::answer(headers, found, &shown))
}

/// Shows the components of a system: none are known, as no device reports them yet.
#[utoipa::path(get, path = "/api/management/v2alpha1/inventory/devices/{id}/components",
    tag = TAG,
    params(("id" = String, Path, description = "the device")),
    responses(
        (status = 200, description = "attributes by component",
         body = BTreeMap<String, Vec<wire::ShownAttribute>>),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 403, description = "out of the caller's groups", body = wire::ErrorBody),
        (status = 404, description = "there is no such device", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn components(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
) -> Result<Json<BTreeMap<String, Vec<wire::ShownAttribute>>>, ApiError> {
    let id = path::id(&id, "device", error::device)?;
    mender.inventory().device(&ctx, &id).await.map_err(error::device)?;
    Ok(Json(BTreeMap::new()))
}
