//! Reports of what deployments did on devices.

use axum::{
    extract::{OriginalUri, State},
    response::{IntoResponse as _, Response},
};
use mender_core::Mender;

use super::{error, management::headers, wire};
use crate::{authenticate::UserCaller, body::Body, error::ApiError, json::Json};

const TAG: &str = "reporting";

/// Searches what deployments did on devices.
#[utoipa::path(post, path = "/api/management/v1/reporting/deployments/devices/search", tag = TAG,
    request_body = wire::records::Search,
    responses(
        (status = 200, description = "the records", body = Vec<wire::records::Record>),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn search(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    OriginalUri(uri): OriginalUri,
    Body(asked): Body<wire::records::Search>,
) -> Result<Response, ApiError> {
    let (wanted, selected, page) = asked.read().map_err(error::malformed)?;
    let found = mender.search().records(&ctx, &wanted, page).await.map_err(error::search)?;
    let records = found.records.into_iter().map(wire::records::Record::of);
    let records: Vec<_> = records.map(|record| record.selected(&selected)).collect();
    Ok((headers(uri.path(), page, found.total), Json(records)).into_response())
}

/// Counts what deployments did on devices by the values of fields.
#[utoipa::path(post, path = "/api/management/v1/reporting/deployments/devices/aggregate", tag = TAG,
    request_body = wire::records::Aggregate,
    responses(
        (status = 200, description = "the numbers", body = Vec<wire::Aggregation>),
        (status = 400, description = "malformed request", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn aggregate(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Body(asked): Body<wire::records::Aggregate>,
) -> Result<Json<Vec<wire::Aggregation>>, ApiError> {
    let (terms, wanted) = asked.read().map_err(error::malformed)?;
    let counted = mender.search().aggregate_records(&ctx, &terms, &wanted).await;
    let counted = counted.map_err(error::search)?;
    Ok(Json(counted.into_iter().map(wire::Aggregation::from).collect()))
}
