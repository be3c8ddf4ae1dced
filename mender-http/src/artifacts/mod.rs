//! Artifacts over HTTP: uploads, downloads, releases.

mod deltas;
mod deltas_internal;
mod devices;
mod error;
pub(crate) mod form;
mod internal;
mod management;
mod manifests;
mod pace;
mod releases;
mod releases_v1;
mod software;
mod storage;
mod upload;
mod wire;

pub(crate) use wire::Artifact;

use axum::response::{IntoResponse as _, Response};
use mender_core::{
    Ctx, Mender,
    artifacts::{ArtifactId, Release, ReleaseKind, ReleaseQuery, ReleaseSort, Tag, Text, fold},
};
use serde::Serialize;
use utoipa::OpenApi;

use crate::{
    error::ApiError,
    json::Json,
    page::{Paging, Rest},
    query::Query,
    routes::Routes,
};

#[derive(OpenApi)]
#[openapi(paths(
    management::all,
    management::list,
    management::find,
    management::get,
    management::describe,
    management::delete,
    management::download,
    management::storage_limit,
    management::storage,
    management::verification,
    management::set_verification,
    upload::upload,
    upload::generate,
    upload::link,
    upload::complete,
    releases_v1::all,
    releases_v1::list,
    releases::list,
    releases::get,
    releases::note,
    releases::tag,
    releases::delete,
    releases::tags,
    releases::kinds,
    software::list,
    software::tags,
    manifests::upload,
    manifests::generate,
    manifests::list,
    manifests::get,
    manifests::change,
    manifests::delete,
    deltas::config,
    deltas::choose,
    deltas::jobs,
    deltas::job,
    deltas::make,
    deltas::status,
    deltas_internal::config,
    deltas_internal::configure,
    deltas_internal::enabled,
    deltas_internal::end,
    devices::list,
    devices::get,
    devices::download,
    storage::read,
    storage::write,
    internal::new_tenant,
    internal::delete_tenant,
    internal::upload,
    internal::storage,
    internal::set_storage,
    internal::storage_limit,
    internal::set_storage_limit,
    internal::micro_limit,
    internal::set_micro_limit,
    internal::limit,
    internal::set_limit,
))]
struct Document;

/// Returns the endpoints.
#[must_use]
pub fn routes(mender: &Mender) -> Routes<Mender> {
    let config = mender.artifacts().config();
    let auth = mender.auth().config();
    let has_limits = auth.tenants || auth.tiers;
    Routes::new()
        .merge(artifact_routes())
        .merge(if has_limits { limit_routes() } else { Routes::new() })
        .merge(if config.direct_upload { direct_routes() } else { Routes::new() })
        .merge(release_routes())
        .merge(manifest_routes())
        .merge(delta_routes())
        .get("/api/devices/v1/deployments/artifacts", devices::list)
        .get("/api/devices/v1/deployments/artifacts/{id}", devices::get)
        .get("/api/devices/v1/deployments/artifacts/{id}/download", devices::download)
        .merge(internal_routes())
        .get("/api/storage/v1/{*key}", storage::read)
        .streaming()
        .put("/api/storage/v1/{*key}", storage::write)
        .streaming()
        .document(&Document::openapi())
}

fn artifact_routes() -> Routes<Mender> {
    const ARTIFACT: &str = "/api/management/v1/deployments/artifacts/{id}";
    const VERIFICATION: &str = "/api/management/v1/deployments/settings/verification";
    Routes::new()
        .get("/api/management/v1/deployments/artifacts", management::all)
        .post("/api/management/v1/deployments/artifacts", upload::upload)
        .streaming()
        .get("/api/management/v1/deployments/artifacts/list", management::list)
        .post("/api/management/v1/deployments/artifacts/generate", upload::generate)
        .streaming()
        .get("/api/management/v2/deployments/artifacts", management::find)
        .get(ARTIFACT, management::get)
        .put(ARTIFACT, management::describe)
        .delete(ARTIFACT, management::delete)
        .get("/api/management/v1/deployments/artifacts/{id}/download", management::download)
        .get("/api/management/v1/deployments/limits/{name}", management::storage_limit)
        .get(VERIFICATION, management::verification)
        .put(VERIFICATION, management::set_verification)
}

fn direct_routes() -> Routes<Mender> {
    const LINK: &str = "/api/management/v1/deployments/artifacts/directupload";
    const COMPLETE: &str = "/api/management/v1/deployments/artifacts/directupload/{id}/complete";
    Routes::new().post(LINK, upload::link).post(COMPLETE, upload::complete)
}

fn release_routes() -> Routes<Mender> {
    const RELEASES: &str = "/api/management/v2/deployments/deployments/releases";
    const RELEASE: &str = "/api/management/v2/deployments/deployments/releases/{name}";
    Routes::new()
        .get("/api/management/v1/deployments/deployments/releases", releases_v1::all)
        .get("/api/management/v1/deployments/deployments/releases/list", releases_v1::list)
        .get(RELEASES, releases::list)
        .delete(RELEASES, releases::delete)
        .get(RELEASE, releases::get)
        .patch(RELEASE, releases::note)
        .put("/api/management/v2/deployments/deployments/releases/{name}/tags", releases::tag)
        .get("/api/management/v2/deployments/releases/all/tags", releases::tags)
        .get("/api/management/v2/deployments/releases/all/types", releases::kinds)
        .get("/api/management/v1alpha1/deployments/software", software::list)
        .get("/api/management/v1alpha1/deployments/software/tags", software::tags)
}

fn manifest_routes() -> Routes<Mender> {
    const MANIFESTS: &str = "/api/management/v1alpha1/deployments/manifests";
    const MANIFEST: &str = "/api/management/v1alpha1/deployments/manifests/{name}";
    Routes::new()
        .post(MANIFESTS, manifests::upload)
        .streaming()
        .get(MANIFESTS, manifests::list)
        .delete(MANIFESTS, manifests::delete)
        .post("/api/management/v1alpha1/deployments/manifests/generate", manifests::generate)
        .streaming()
        .get(MANIFEST, manifests::get)
        .patch(MANIFEST, manifests::change)
}

fn delta_routes() -> Routes<Mender> {
    const JOBS: &str = "/api/management/v2/deployments/deployments/releases/delta/jobs";
    const JOB: &str = "/api/management/v2/deployments/deployments/releases/delta/jobs/{id}";
    const STATUS: &str =
        "/api/management/v1/deployments/{deployment}/devices/{device}/delta/status";
    const CONFIG: &str = "/api/internal/v1/deployments/tenants/{tenant}/config";
    const ENABLED: &str = "/api/internal/v1/deployments/tenants/config/binary_delta";
    const END: &str = "/api/internal/v1/deployments/tenants/{tenant}/delta/{job}/status";
    Routes::new()
        .get("/api/management/v1/deployments/config", deltas::config)
        .put("/api/management/v1/deployments/config/binary_delta", deltas::choose)
        .get(JOBS, deltas::jobs)
        .post(JOBS, deltas::make)
        .get(JOB, deltas::job)
        .get(STATUS, deltas::status)
        .get(CONFIG, deltas_internal::config)
        .put(CONFIG, deltas_internal::configure)
        .get(ENABLED, deltas_internal::enabled)
        .put(END, deltas_internal::end)
}

/// Limits of tenants, as servers of several have them, or such with tiers.
fn limit_routes() -> Routes<Mender> {
    const LIMIT: &str = "/api/internal/v1/deployments/tenants/{tenant}/limits/{name}";
    Routes::new().get(LIMIT, internal::limit).put(LIMIT, internal::set_limit)
}

fn internal_routes() -> Routes<Mender> {
    const STORAGE: &str = "/api/internal/v1/deployments/tenants/{tenant}/storage/settings";
    Routes::new()
        .get(STORAGE, internal::storage)
        .put(STORAGE, internal::set_storage)
        .post("/api/internal/v1/deployments/tenants", internal::new_tenant)
        .delete("/api/internal/v1/deployments/tenants/{tenant}", internal::delete_tenant)
        .post("/api/internal/v1/deployments/tenants/{tenant}/artifacts", internal::upload)
        .streaming()
}

/// Reads the id of an artifact in a path.
fn artifact_id(text: &str) -> Result<ArtifactId, ApiError> {
    if !is_uuid(text) {
        return Err(ApiError::bad_request("ID is not a valid UUID"));
    }
    text.to_ascii_lowercase().parse().map_err(ApiError::internal)
}

pub(crate) fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths = parts.iter().map(|part| part.len());
    lengths.eq([8, 4, 4, 4, 12])
        && parts.iter().all(|part| part.chars().all(|c| c.is_ascii_hexdigit()))
}

/// A query for releases by what every list of them takes; manifests are listed apart.
fn release_query(query: &Query) -> ReleaseQuery {
    let (sort, descending) = sorted(query).unwrap_or_default();
    let tags: Vec<String> = query.all("tag").map(fold).collect();
    ReleaseQuery {
        of: Some(ReleaseKind::Release),
        name: query.given("name").map(Text::contains),
        kind: query.given("update_type").map(str::to_owned),
        tags: if tags.is_empty() { Vec::new() } else { vec![tags] },
        sort,
        descending,
        ..ReleaseQuery::default()
    }
}

/// How releases shall be sorted; `None` where that is not understood.
fn sorted(query: &Query) -> Option<(ReleaseSort, bool)> {
    // Compat: without a direction it is not understood, and any but one is ascending.
    let (field, direction) = query.first("sort")?.split_once(':')?;
    let sort = match field {
        "name" => ReleaseSort::Name,
        "modified" => ReleaseSort::Modified,
        "artifacts_count" => ReleaseSort::Artifacts,
        "tags" => ReleaseSort::Tags,
        _ => return None,
    };
    Some((sort, direction == "desc"))
}

/// How releases shall be sorted, where nothing else will do.
fn strictly_sorted(query: &Query) -> Result<(ReleaseSort, bool), ApiError> {
    let Some(text) = query.given("sort") else { return Ok((ReleaseSort::Name, false)) };
    let has_direction = text.ends_with(":asc") || text.ends_with(":desc");
    match sorted(query) {
        Some((sort, descending)) if sort != ReleaseSort::Artifacts && has_direction => {
            Ok((sort, descending))
        }
        _ => Err(ApiError::bad_request("sort: must be a valid value.")),
    }
}

/// Reads the name of a release in a path.
fn named(name: String) -> Result<String, ApiError> {
    // Compat: no path leads to a name with a slash.
    if name.contains('/') { Err(ApiError::no_route()) } else { Ok(name) }
}

/// Reads tags.
fn tags_of<'a>(texts: impl IntoIterator<Item = &'a String>) -> Result<Vec<Tag>, ApiError> {
    let tags: Result<Vec<Tag>, _> = texts.into_iter().map(|tag| Tag::new(tag)).collect();
    tags.map_err(|why| ApiError::bad_request(format!("invalid request body: {why}")))
}

/// Shows a page of releases, and links to the others.
async fn release_page<T: Serialize>(
    mender: &Mender,
    ctx: &Ctx,
    wanted: ReleaseQuery,
    paging: &Paging,
    show: fn(Release) -> T,
) -> Result<Response, ApiError> {
    let artifacts = mender.artifacts();
    let total = artifacts.count_releases(ctx, wanted.clone()).await.map_err(error::other)?;
    let found = artifacts.releases(ctx, wanted, paging.page).await.map_err(error::other)?;
    let shown: Vec<T> = found.into_iter().map(show).collect();
    Ok((paging.headers(Rest::Total(total)), Json(shown)).into_response())
}

/// Shows an artifact to whom it may be shown.
async fn show(mender: &Mender, ctx: &Ctx, id: &str) -> Result<Json<wire::Artifact>, ApiError> {
    let artifact = mender.artifacts().artifact(ctx, &artifact_id(id)?).await;
    Ok(Json(wire::Artifact::of(artifact.map_err(error::other)?)))
}

/// Links to the bytes of an artifact.
async fn link(
    mender: &Mender,
    ctx: &Ctx,
    id: &str,
    base: &str,
) -> Result<Json<wire::Link>, ApiError> {
    let link = mender.artifacts().download_link(ctx, &artifact_id(id)?, base).await;
    Ok(Json(wire::Link::of(link.map_err(error::other)?)))
}
