//! Manifests: what the components of systems install.

use axum::{
    extract::{OriginalUri, Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, StatusCode, header::LOCATION};
use mender_core::{
    Mender,
    artifacts::{
        MAX_MANIFEST_ARTIFACT, NewManifest, ReleaseKind, ReleaseQuery, format::SystemManifest,
    },
    page::MAX_PAGE,
};
use serde_json::json;

use super::{
    error,
    form::{self, Form, Part},
    named, release_page, release_query, strictly_sorted, tags_of, wire,
};
use crate::{
    authenticate::UserCaller,
    body::Body,
    error::ApiError,
    json::Json,
    page::Paging,
    path::{self, Path},
    query::Query,
};

const TAG: &str = "manifests";

/// What a location begins with.
const MANIFESTS: &str = "/api/management/v1alpha1/deployments/manifests/";

/// How many bytes a form with a `manifest.yaml` may have: other parts may be as long.
const MAX_FORM: u64 = 4 * SystemManifest::MAX as u64;

fn created(status: StatusCode, name: &str) -> Result<Response, ApiError> {
    let location = format!("{MANIFESTS}{}", path::encode(name));
    let location = HeaderValue::try_from(location).map_err(ApiError::internal)?;
    Ok((status, [(LOCATION, location)]).into_response())
}

/// Reads a part that comes before the file.
async fn take(part: Part, new: &mut NewManifest) -> Result<(), ApiError> {
    match part.name.as_str() {
        "description" => new.description = part.text().await?,
        "size" => new.size = part.size().await?,
        "tags" => {
            let text = part.text().await?;
            let tags = text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
            let tags: Vec<String> = tags.map(str::to_owned).collect();
            new.tags.extend(tags_of(&tags)?);
        }
        _ => part.skip().await,
    }
    Ok(())
}

/// Stores an artifact with a manifest.
#[utoipa::path(post, path = "/api/management/v1alpha1/deployments/manifests", tag = TAG,
    request_body(content_type = "multipart/form-data", description =
        "the file must be the last part", content = wire::ManifestForm),
    responses(
        (status = 201, description = "stored; `Location` names it",
         headers(("Location" = String))),
        (status = 400, description = "no manifest, or a malformed form", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 402, description = "never; kept for readers of older documents"),
        (status = 403, description = "refused by the policy", body = wire::ErrorBody),
        (status = 409, description = "the name is taken, or too many different tags",
         body = wire::ErrorBody),
        (status = 413, description = "too large", body = wire::ErrorBody),
        (status = 415, description = "no form", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn upload(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    request: Request,
) -> Result<Response, ApiError> {
    form::check_type(request.headers())?;
    let mut form = Form::of(request, MAX_MANIFEST_ARTIFACT + MAX_FORM)?;
    let mut new = NewManifest::default();
    while let Some(part) = form.next().await? {
        if part.name == "artifact" {
            let stored = mender.artifacts().upload_manifest(&ctx, new, part.bytes()).await;
            return created(StatusCode::CREATED, &stored.map_err(error::manifest)?);
        }
        take(part, &mut new).await?;
    }
    Err(ApiError::bad_request("request does not contain the artifact file"))
}

/// Makes an artifact of a `manifest.yaml`, and stores it.
#[utoipa::path(post, path = "/api/management/v1alpha1/deployments/manifests/generate", tag = TAG,
    request_body(content_type = "multipart/form-data", description =
        "the file must be the last part", content = wire::GenerateManifestForm),
    responses(
        (status = 202, description = "stored; `Location` names it",
         headers(("Location" = String))),
        (status = 400, description = "no manifest, or a malformed form", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 402, description = "never; kept for readers of older documents"),
        (status = 403, description = "only signed artifacts may be stored", body = wire::ErrorBody),
        (status = 409, description = "the name is taken, or too many different tags",
         body = wire::ErrorBody),
        (status = 413, description = "too large", body = wire::ErrorBody),
        (status = 415, description = "no form", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn generate(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    request: Request,
) -> Result<Response, ApiError> {
    form::check_type(request.headers())?;
    let mut form = Form::of(request, MAX_FORM)?;
    let mut new = NewManifest::default();
    while let Some(part) = form.next().await? {
        if part.name == "file" {
            let made = mender.artifacts().generate_manifest(&ctx, new, part.bytes()).await;
            return created(StatusCode::ACCEPTED, &made.map_err(error::manifest)?);
        }
        take(part, &mut new).await?;
    }
    Err(ApiError::bad_request("api: invalid form parameters: missing 'file' section"))
}

/// Lists manifests page by page.
#[utoipa::path(get, path = "/api/management/v1alpha1/deployments/manifests", tag = TAG,
    params(
        ("name" = Option<String>, Query, description = "a part of the name"),
        ("tag" = Option<Vec<String>>, Query, description = "tags, of which one is enough"),
        ("page" = Option<u32>, Query, description = "from 1"),
        ("per_page" = Option<u32>, Query, description = "1 to 500, default 20"),
        ("sort" = Option<String>, Query,
         description = "`name`, `modified` or `tags`, `:asc` or `:desc`"),
    ),
    responses(
        (status = 200, description = "the manifests", body = Vec<wire::Manifest>,
         headers(("X-Total-Count" = u64), ("Link" = String))),
        (status = 400, description = "bad parameters", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 402, description = "never; kept for readers of older documents"),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn list(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, ApiError> {
    let paging = Paging::of(&uri, MAX_PAGE)?;
    let (sort, descending) = strictly_sorted(&query)?;
    let all = release_query(&query);
    let of = Some(ReleaseKind::Manifest);
    let wanted = ReleaseQuery { of, kind: None, sort, descending, ..all };
    release_page(&mender, &ctx, wanted, &paging, wire::Manifest::of).await
}

/// Shows a manifest.
#[utoipa::path(get, path = "/api/management/v1alpha1/deployments/manifests/{name}", tag = TAG,
    params(("name" = String, Path, description = "the manifest")),
    responses(
        (status = 200, description = "the manifest", body = wire::Manifest),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 402, description = "never; kept for readers of older documents"),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn get(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(name): Path<String>,
) -> Result<Json<wire::Manifest>, ApiError> {
    let manifest = mender.artifacts().manifest(&ctx, &named(name)?).await.map_err(error::other)?;
    Ok(Json(wire::Manifest::of(manifest)))
}

/// Changes what is noted about a manifest, and its tags.
#[utoipa::path(patch, path = "/api/management/v1alpha1/deployments/manifests/{name}", tag = TAG,
    params(("name" = String, Path, description = "the manifest")),
    request_body = wire::ManifestChange,
    responses(
        (status = 204, description = "changed"),
        (status = 400, description = "a malformed request", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 402, description = "never; kept for readers of older documents"),
        (status = 404, description = "there is none", body = wire::ErrorBody),
        (status = 409, description = "too many different tags", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn change(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(name): Path<String>,
    Body(body): Body<wire::ManifestChange>,
) -> Result<StatusCode, ApiError> {
    let (name, notes) = (named(name)?, body.notes.as_deref());
    let tags = body.tags.as_ref().map(tags_of).transpose()?;
    let changed = mender.artifacts().annotate_manifest(&ctx, &name, notes, tags.as_deref()).await;
    changed.map_err(error::notes)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes manifests.
#[utoipa::path(delete, path = "/api/management/v1alpha1/deployments/manifests", tag = TAG,
    params(("name" = Vec<String>, Query, description = "the manifests")),
    responses(
        (status = 204, description = "deleted, or unknown"),
        (status = 400, description = "none is named", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 402, description = "never; kept for readers of older documents"),
        (status = 409, description = "open deployments use one of them",
         body = wire::ManifestsInUse),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn delete(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    query: Query,
) -> Result<StatusCode, ApiError> {
    let names: Vec<String> = query.all("name").map(str::to_owned).collect();
    if names.is_empty() {
        return Err(ApiError::bad_request("at least one manifest name has to be provided"));
    }
    let used = mender.artifacts().delete_manifests(&ctx, &names).await.map_err(error::other)?;
    if used.is_empty() {
        return Ok(StatusCode::NO_CONTENT);
    }
    let what = "active deployments are using some of the Manifests from the request";
    Err(ApiError::new(StatusCode::CONFLICT, what).with_field("active_deployments", json!(used)))
}
