//! Manifests, as clients know them.

use std::collections::BTreeMap;

use mender_core::{
    Time,
    artifacts::{self, format::SystemManifest},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Artifact, tags};
use crate::{
    body::{FromBody, JsonError},
    error::ApiError,
};

#[derive(Serialize, ToSchema)]
struct UpdateStrategy {
    /// Those with lower numbers are installed before.
    order: u32,
}

/// What is to become of the components of a type: there is a name or a path, which counts before.
#[derive(Serialize, ToSchema)]
struct ManifestComponent {
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_path: Option<String>,
    update_strategy: UpdateStrategy,
}

/// What the `manifest.yaml` says.
#[derive(Serialize, ToSchema)]
struct ManifestContent {
    /// `mender/v1`.
    api_version: &'static str,
    /// `manifest`.
    kind: &'static str,
    name: String,
    system_types_compatible: Vec<String>,
    component_types: BTreeMap<String, ManifestComponent>,
}

impl ManifestContent {
    fn of(manifest: SystemManifest) -> Self {
        let SystemManifest { name, system_types, component_types } = manifest;
        let component = |(key, component)| {
            let artifacts::format::Component { artifact_name, artifact_path, order } = component;
            let update_strategy = UpdateStrategy { order };
            (key, ManifestComponent { artifact_name, artifact_path, update_strategy })
        };
        Self {
            api_version: SystemManifest::API_VERSION,
            kind: SystemManifest::KIND,
            name,
            system_types_compatible: system_types,
            component_types: component_types.into_iter().map(component).collect(),
        }
    }
}

/// A manifest.
#[derive(Serialize, ToSchema)]
pub(in crate::artifacts) struct Manifest {
    name: String,
    #[schema(value_type = String, format = DateTime)]
    modified: Time,
    artifact: Option<Artifact>,
    /// Left out where the artifact is for orchestrators, but has no manifest that this server
    /// reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<ManifestContent>,
    tags: Vec<String>,
    notes: String,
}

impl Manifest {
    pub(in crate::artifacts) fn of(release: artifacts::Release) -> Self {
        let tags = tags(&release);
        let artifacts::Release { name, artifacts, notes, modified, .. } = release;
        let mut artifact = artifacts.into_iter().find(artifacts::Artifact::is_manifest);
        let manifest = artifact.as_mut().and_then(|artifact| artifact.content.system.take());
        Self {
            name,
            modified,
            artifact: artifact.map(Artifact::of),
            manifest: manifest.map(|manifest| ManifestContent::of(*manifest)),
            tags,
            notes,
        }
    }
}

/// What is to change of a manifest; what is left out stays.
#[derive(Default, Deserialize, ToSchema)]
pub(in crate::artifacts) struct ManifestChange {
    #[serde(default)]
    pub(in crate::artifacts) notes: Option<String>,
    #[serde(default)]
    pub(in crate::artifacts) tags: Option<Vec<String>>,
}

impl FromBody for ManifestChange {
    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("malformed JSON in request body: {error}"))
    }
}

/// The refusal to delete manifests that are used.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents an error with a further field")]
pub(in crate::artifacts) struct ManifestsInUse {
    error: String,
    request_id: String,
    /// The deployments that use them.
    active_deployments: Vec<String>,
}
