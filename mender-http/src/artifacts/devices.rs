//! What devices that are systems fetch for their components.

use axum::extract::State;
use mender_core::{
    Mender,
    artifacts::{ArtifactQuery, Text},
    page::PageRequest,
};

use super::{error, link, show, wire};
use crate::{
    authenticate::DeviceCaller, base::Base, error::ApiError, json::Json, path::Path, query::Query,
};

const TAG: &str = "artifacts, devices";

/// How many artifacts a device is shown.
const MAX: u32 = 100;

/// Lists the artifacts of a release that are for a type of devices.
#[utoipa::path(get, path = "/api/devices/v1/deployments/artifacts", tag = TAG,
    params(
        ("release_name" = String, Query, description = "the release"),
        ("device_type" = String, Query, description = "the type of the component"),
    ),
    responses(
        (status = 200, description = "at most 100 artifacts", body = Vec<wire::Artifact>),
        (status = 400, description = "a parameter is missing", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "never; kept for readers of older documents"),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn list(
    State(mender): State<Mender>,
    DeviceCaller(ctx): DeviceCaller,
    query: Query,
) -> Result<Json<Vec<wire::Artifact>>, ApiError> {
    let wanted = |name: &'static str| {
        let text = query.given(name).map(|text| Text::Is(vec![text.to_owned()]));
        text.ok_or_else(|| ApiError::bad_request(format!("{name}: cannot be blank.")))
    };
    let wanted = ArtifactQuery {
        name: Some(wanted("release_name")?),
        device_type: Some(wanted("device_type")?),
        ..ArtifactQuery::default()
    };
    let page = PageRequest::new(1, MAX);
    let found = mender.artifacts().artifacts(&ctx, wanted, page).await.map_err(error::other)?;
    Ok(Json(found.into_iter().map(wire::Artifact::of).collect()))
}

/// Shows an artifact.
#[utoipa::path(get, path = "/api/devices/v1/deployments/artifacts/{id}", tag = TAG,
    params(("id" = String, Path, description = "the artifact")),
    responses(
        (status = 200, description = "the artifact", body = wire::Artifact),
        (status = 400, description = "no id", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn get(
    State(mender): State<Mender>,
    DeviceCaller(ctx): DeviceCaller,
    Path(id): Path<String>,
) -> Result<Json<wire::Artifact>, ApiError> {
    show(&mender, &ctx, &id).await
}

/// Links to the bytes of an artifact.
#[utoipa::path(get, path = "/api/devices/v1/deployments/artifacts/{id}/download", tag = TAG,
    params(("id" = String, Path, description = "the artifact")),
    responses(
        (status = 200, description = "the link", body = wire::Link),
        (status = 400, description = "no id", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn download(
    State(mender): State<Mender>,
    DeviceCaller(ctx): DeviceCaller,
    Path(id): Path<String>,
    Base(base): Base,
) -> Result<Json<wire::Link>, ApiError> {
    link(&mender, &ctx, &id, &base).await
}
