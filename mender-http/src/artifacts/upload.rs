use axum::{
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderValue, StatusCode, header::LOCATION};
use mender_core::{
    Ctx, Mender,
    artifacts::{ArtifactId, Generate, NewArtifact},
};

use super::{
    artifact_id, error,
    form::{self, Form, Part},
    wire,
};
use crate::{
    authenticate::UserCaller,
    base::Base,
    body,
    error::{ApiError, Faults},
    json::Json,
    path::Path,
};

const TAG: &str = "artifacts";

/// What a location begins with.
const ARTIFACTS: &str = "/api/management/v1/deployments/artifacts/";

pub(super) fn created(below: &str, id: &ArtifactId) -> Result<Response, ApiError> {
    let location = HeaderValue::try_from(format!("{below}{id}")).map_err(ApiError::internal)?;
    Ok((StatusCode::CREATED, [(LOCATION, location)]).into_response())
}

/// Whether callers may say which id an artifact has.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Ids {
    Given,
    Ours,
}

/// Reads a form with an artifact at its end; the answer names it below a path.
pub(super) async fn receive(
    mender: &Mender,
    ctx: &Ctx,
    request: Request,
    ids: Ids,
    below: &str,
) -> Result<Response, ApiError> {
    let artifacts = mender.artifacts();
    let mut form = Form::of(request, artifacts.config().max_size)?;
    // Compat: a description that is not given is empty here.
    let mut new = NewArtifact { description: Some(String::new()), ..NewArtifact::default() };
    while let Some(part) = form.next().await? {
        match part.name.as_str() {
            "description" => new.description = Some(part.text().await?),
            "size" => new.size = part.size().await?,
            "artifact_id" => {
                let id = artifact_id(&part.text().await?)
                    .map_err(|_| ApiError::bad_request("artifact_id is not a valid UUID"))?;
                new.id = (ids == Ids::Given).then_some(id);
            }
            "artifact" => {
                let id = artifacts.upload(ctx, new, part.bytes()).await;
                return created(below, &id.map_err(error::upload)?);
            }
            _ => part.skip().await,
        }
    }
    Err(ApiError::bad_request("request does not contain the artifact file"))
}

/// Stores an artifact.
#[utoipa::path(post, path = "/api/management/v1/deployments/artifacts", tag = TAG,
    request_body(content_type = "multipart/form-data", description =
        "the file must be the last part", content = wire::ArtifactForm),
    responses(
        (status = 201, description = "stored; `Location` names it",
         headers(("Location" = String))),
        (status = 400, description = "no artifact, or a malformed form", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 403, description = "refused by the policy", body = wire::ErrorBody),
        (status = 409, description = "the release has one for the same devices",
         body = wire::ErrorBody),
        (status = 413, description = "too large", body = wire::ErrorBody),
        (status = 415, description = "no form", body = wire::ErrorBody),
        (status = 422, description = "never; kept for readers of older documents"),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn upload(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    request: Request,
) -> Result<Response, ApiError> {
    form::check_type(request.headers())?;
    receive(&mender, &ctx, request, Ids::Ours, ARTIFACTS).await
}

/// The parts of a form that an artifact is made by.
#[derive(Default)]
struct Wanted {
    name: String,
    description: String,
    device_types: Option<String>,
    kind: String,
    args: String,
    size: Option<u64>,
}

/// How many bytes a name, a type and a device type may have, and how many device types there are.
const MAX: usize = 256;

const LENGTH: &str = "the length must be between 1 and 256";

impl Wanted {
    async fn take(&mut self, part: Part) -> Result<(), ApiError> {
        match part.name.as_str() {
            "name" => self.name = part.text().await?,
            "description" => self.description = part.text().await?,
            "device_types_compatible" => self.device_types = Some(part.text().await?),
            "type" => self.kind = part.text().await?,
            "args" => self.args = part.text().await?,
            "size" => self.size = part.size().await?,
            _ => part.skip().await,
        }
        Ok(())
    }

    fn check(self) -> Result<(Generate, Option<u64>), ApiError> {
        let mut faults = Faults::default();
        for (field, text) in [("name", &self.name), ("type", &self.kind)] {
            match text.len() {
                0 => faults.add(field, "cannot be blank"),
                1..=MAX => {}
                _ => faults.add(field, LENGTH),
            }
        }
        let types = self.device_types.filter(|text| !text.is_empty());
        let types: Vec<String> =
            types.map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default();
        let long =
            |(at, text): (usize, &String)| (text.len() > MAX).then(|| format!("{at}: {LENGTH}."));
        let long: Vec<String> = types.iter().enumerate().filter_map(long).collect();
        match types.len() {
            0 => faults.add("device_types_compatible", "cannot be blank"),
            1..=MAX if long.is_empty() => {}
            1..=MAX => faults.add("device_types_compatible", format!("({})", long.join("; "))),
            _ => faults.add("device_types_compatible", LENGTH),
        }
        faults.check().map_err(|faults| {
            ApiError::bad_request(format!("api: invalid form parameters: {faults}"))
        })?;
        let Self { name, description, args, size, .. } = self;
        Ok((Generate { name, description, device_types: types, args }, size))
    }
}

/// Has an artifact made of a single file; it appears later.
#[utoipa::path(post, path = "/api/management/v1/deployments/artifacts/generate", tag = TAG,
    request_body(content_type = "multipart/form-data", description =
        "the file must be the last part", content = wire::GenerateForm),
    responses(
        (status = 201, description = "accepted; `Location` names it",
         headers(("Location" = String))),
        (status = 400, description = "a malformed form", body = wire::ErrorBody),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 413, description = "too large", body = wire::ErrorBody),
        (status = 415, description = "no form", body = wire::ErrorBody),
        (status = 422, description = "the release has one for a device type",
         body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn generate(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    request: Request,
) -> Result<Response, ApiError> {
    form::check_type(request.headers())?;
    let artifacts = mender.artifacts();
    let mut form = Form::of(request, artifacts.config().max_generate_size)?;
    let mut wanted = Wanted::default();
    while let Some(part) = form.next().await? {
        if part.name == "file" {
            let (generate, size) = wanted.check()?;
            let id = artifacts.generate(&ctx, generate, size, part.bytes()).await;
            let below = format!("{ARTIFACTS}generate/");
            return created(&below, &id.map_err(error::generate)?);
        }
        wanted.take(part).await?;
    }
    wanted.check()?;
    Err(ApiError::bad_request("api: invalid form parameters: missing 'file' section"))
}

/// Links to where an artifact can be put.
#[utoipa::path(post, path = "/api/management/v1/deployments/artifacts/directupload", tag = TAG,
    responses(
        (status = 200, description = "the link", body = wire::UploadLink),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "not to be had on this server", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn link(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Base(base): Base,
) -> Result<Json<wire::UploadLink>, ApiError> {
    let (id, link) = mender.artifacts().upload_link(&ctx, &base).await.map_err(error::other)?;
    Ok(Json(wire::UploadLink::of(&id, link)))
}

/// How much of what a client says about its artifact is read.
const MAX_METADATA: usize = 2048;

/// Tells that an artifact was put.
#[utoipa::path(post,
    path = "/api/management/v1/deployments/artifacts/directupload/{id}/complete", tag = TAG,
    params(("id" = String, Path, description = "the id that came with the link")),
    request_body = Option<wire::DirectMetadata>,
    responses(
        (status = 202, description = "it is read now"),
        (status = 401, description = "no valid token", body = wire::ErrorBody),
        (status = 404, description = "nothing was put", body = wire::ErrorBody),
        (status = 500, description = "internal error", body = wire::ErrorBody),
    ))]
pub(super) async fn complete(
    State(mender): State<Mender>,
    UserCaller(ctx): UserCaller,
    Path(id): Path<String>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let artifacts = mender.artifacts();
    body::check_type(request.headers(), "application/json")?;
    let unknown = |_| ApiError::new(StatusCode::NOT_FOUND, "Resource not found");
    let id: ArtifactId = id.parse().map_err(unknown)?;
    let mut said: Vec<u8> = Vec::new();
    let mut pieces = request.into_body().into_data_stream();
    while let Some(Ok(piece)) = pieces.next().await {
        let piece: Bytes = piece;
        said.extend_from_slice(&piece[..piece.len().min(MAX_METADATA - said.len())]);
        if said.len() == MAX_METADATA {
            break;
        }
    }
    let described = wire::DirectMetadata::read(&said);
    artifacts.complete_upload(&ctx, &id, described).await.map_err(error::other)?;
    Ok(StatusCode::ACCEPTED)
}
