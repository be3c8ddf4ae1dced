use axum::{
    extract::{OriginalUri, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, header::LINK};
use mender_core::{
    Ctx, Mender,
    page::PageRequest,
    search::{MAX_ATTRIBUTES, MAX_WINDOW},
};

use super::{error, wire};
use crate::{authenticate::UserCaller, body::Body, error::ApiError, json::Json, page::TOTAL_COUNT};

const TAG: &str = "reporting";

/// Searches devices.
#[utoipa::path(post, path = "/api/management/v1/reporting/devices/search", tag = TAG,
    request_body = wire::Search,
    responses(
        (status = 200, description = "the devices", body = Vec<wire::Device>),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn search(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    OriginalUri(uri): OriginalUri,
    Body(asked): Body<wire::Search>,
) -> Result<Response, ApiError> {
    found(&mender, &ctx, uri.path(), asked).await
}

/// Answers a search, whoever asks.
pub(super) async fn found(
    mender: &Mender,
    ctx: &Ctx,
    path: &str,
    asked: wire::Search,
) -> Result<Response, ApiError> {
    let (wanted, selected, page) = asked.read().map_err(error::malformed)?;
    let found = mender.search().search(ctx, &wanted, page).await.map_err(error::search)?;
    let devices = found.devices.iter().map(|device| wire::Device::of(device, selected.as_ref()));
    let devices: Vec<wire::Device> = devices.collect();
    Ok((headers(path, page, found.total), Json(devices)).into_response())
}

/// The headers of a page.
// Compat: one line of links, without a space before `rel`; there is a next page from one device
// before the end of this one on.
pub(super) fn headers(path: &str, page: PageRequest, total: u64) -> HeaderMap {
    let PageRequest { number, size } = page;
    let link =
        |number: u32, rel: &str| format!("<{path}?page={number}&per_page={size}>;rel=\"{rel}\"");
    let mut links = vec![link(1, "first")];
    if number > 1 {
        links.push(link(number - 1, "previous"));
    }
    if total + 1 > u64::from(size) * u64::from(number) {
        links.push(link(number.saturating_add(1), "next"));
    }
    let mut headers = HeaderMap::new();
    headers.insert(TOTAL_COUNT, total.into());
    if let Ok(links) = HeaderValue::try_from(links.join(", ")) {
        headers.insert(LINK, links);
    }
    headers
}

/// Counts devices by the values of attributes.
#[utoipa::path(post, path = "/api/management/v1/reporting/devices/aggregate", tag = TAG,
    request_body = wire::Aggregate,
    responses(
        (status = 200, description = "the numbers", body = Vec<wire::Aggregation>),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn aggregate(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Body(asked): Body<wire::Aggregate>,
) -> Result<Json<Vec<wire::Aggregation>>, ApiError> {
    let (terms, wanted) = asked.read().map_err(error::malformed)?;
    let counted = mender.search().aggregate(&ctx, &terms, &wanted).await;
    let counted = counted.map_err(error::search)?;
    Ok(Json(counted.into_iter().map(wire::Aggregation::from).collect()))
}

/// Shows how many attributes can be filtered by, and which.
#[utoipa::path(get, path = "/api/management/v1/reporting/devices/attributes", tag = TAG,
    responses(
        (status = 200, description = "limit and use", body = wire::Filterable),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn attributes(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
) -> Result<Json<wire::Filterable>, ApiError> {
    let names = mender.search().filterable(&ctx).await?;
    let attributes: Vec<_> = names.into_iter().map(wire::Name::from).collect();
    Ok(Json(wire::Filterable { limit: MAX_ATTRIBUTES, count: attributes.len(), attributes }))
}

/// Lists the attributes that can be searched for.
#[utoipa::path(get, path = "/api/management/v1/reporting/devices/search/attributes", tag = TAG,
    responses(
        (status = 200, description = "the attributes", body = Vec<wire::Searchable>),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn search_attributes(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
) -> Result<Json<Vec<wire::Searchable>>, ApiError> {
    let names = mender.search().searchable(&ctx).await?;
    Ok(Json(names.into_iter().map(wire::Searchable::from).collect()))
}

/// The page that is asked for. What is missing or makes no sense is the default.
pub(super) fn page_of(number: Option<i64>, size: Option<i64>) -> PageRequest {
    let positive = |n: i64| u32::try_from(n).ok().filter(|n| *n > 0);
    // One beyond the window is refused by the search itself.
    let most = u32::try_from(MAX_WINDOW).unwrap_or(u32::MAX).saturating_add(1);
    let number = number.and_then(positive).unwrap_or(1);
    let size = size.and_then(positive).unwrap_or(20).min(most);
    PageRequest { number, size }
}
