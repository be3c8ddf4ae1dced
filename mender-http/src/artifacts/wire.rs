//! Bodies of requests and answers, as clients know them.

use std::collections::BTreeMap;

use mender_core::{
    Time,
    artifacts::{self, ArtifactId, Described, Verification, format},
    blob,
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    body::{FromBody, Item, JsonError, or_default},
    error::ApiError,
};

mod deltas;
mod forms;
mod manifests;
mod settings;

pub(super) use deltas::{
    ChosenArgs, DeltaJob, DeltaJobDetails, DeploymentsConfig, NewDelta, TenantDeltas, WorkerStatus,
    WorkflowJob,
};
pub(super) use forms::{
    ArtifactForm, GenerateForm, GenerateManifestForm, ManifestForm, NamedStorageSettings,
    NumberedArtifactForm,
};
pub(super) use manifests::{Manifest, ManifestChange, ManifestsInUse};
pub(super) use settings::{NewLimit, StorageSettings, TenantLimit, Verifying};

pub(super) use crate::error::ErrorBody;

/// The format of an artifact.
#[derive(Serialize, ToSchema)]
pub(super) struct Info {
    format: &'static str,
    version: u32,
}

#[derive(Serialize, ToSchema)]
pub(super) struct TypeInfo {
    /// `null`: it installs nothing.
    r#type: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct File {
    name: String,
    checksum: String,
    size: u64,
    #[schema(value_type = String, format = DateTime)]
    date: Time,
}

/// Compat: a pair of meta-data, as older tools read it.
#[derive(Serialize, ToSchema)]
pub(super) struct Pair {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "Value")]
    value: Value,
}

/// One of the things that an artifact installs.
#[derive(Serialize, ToSchema)]
#[schema(as = ArtifactUpdate)]
pub(super) struct Update {
    type_info: TypeInfo,
    files: Option<Vec<File>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    meta_data: Vec<Pair>,
}

impl Update {
    fn of(payload: format::Payload) -> Self {
        let file = |file: format::File| File {
            name: file.name,
            checksum: file.checksum,
            size: file.size,
            date: Time::from_seconds(file.modified),
        };
        let files: Vec<File> = payload.files.into_iter().map(file).collect();
        let pair =
            |(key, value): (&String, &Value)| Pair { key: key.clone(), value: value.clone() };
        Self {
            type_info: TypeInfo { r#type: payload.kind },
            files: (!files.is_empty()).then_some(files),
            meta_data: payload.meta_data.iter().map(pair).collect(),
            metadata: payload.meta_data,
        }
    }
}

/// What came of checking the signature.
#[derive(Serialize, ToSchema)]
pub(super) struct Signature {
    /// `trusted`, `untrusted` or `none`.
    result: &'static str,
    /// The name of the key that signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl Signature {
    fn of(verification: Verification) -> Self {
        match verification {
            Verification::Unsigned => Self { result: "none", key: None },
            Verification::Untrusted => Self { result: "untrusted", key: None },
            Verification::Trusted { key } => Self { result: "trusted", key: Some(key) },
        }
    }
}

/// An artifact.
#[derive(Serialize, ToSchema)]
pub(crate) struct Artifact {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    name: String,
    device_types_compatible: Vec<String>,
    info: Info,
    signed: bool,
    /// Where the tenant trusts keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Signature>,
    updates: Vec<Update>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    artifact_provides: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    artifact_depends: BTreeMap<String, format::Depend>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    clears_artifact_provides: Vec<String>,
    size: u64,
    #[schema(value_type = String, format = DateTime)]
    modified: Time,
}

impl Artifact {
    pub(crate) fn of(artifact: artifacts::Artifact) -> Self {
        let artifacts::Artifact {
            id,
            description,
            content,
            size,
            verification,
            stored: _,
            modified,
        } = artifact;
        let format::Content {
            version,
            name,
            device_types,
            signed,
            payloads,
            provides,
            depends,
            clears,
            scripts: _,
            system: _,
        } = content;
        Self {
            id: id.to_string(),
            description,
            name,
            device_types_compatible: device_types,
            info: Info { format: "mender", version },
            signed,
            signature: verification.map(Signature::of),
            updates: payloads.into_iter().map(Update::of).collect(),
            artifact_provides: provides,
            artifact_depends: depends,
            clears_artifact_provides: clears,
            size,
            modified,
        }
    }
}

fn tags(release: &artifacts::Release) -> Vec<String> {
    release.tags.iter().map(|tag| tag.as_str().to_owned()).collect()
}

/// A release.
#[derive(Serialize, ToSchema)]
pub(super) struct Release {
    name: String,
    #[schema(value_type = String, format = DateTime)]
    modified: Time,
    tags: Vec<String>,
    notes: String,
    artifacts: Vec<Artifact>,
    artifacts_count: usize,
}

impl Release {
    pub(super) fn of(release: artifacts::Release) -> Self {
        Self {
            tags: tags(&release),
            name: release.name,
            modified: release.modified,
            notes: release.notes,
            artifacts_count: release.artifacts.len(),
            artifacts: release.artifacts.into_iter().map(Artifact::of).collect(),
        }
    }
}

/// A release, as version 1 writes it.
#[derive(Serialize, ToSchema)]
#[schema(as = ReleaseV1)]
pub(super) struct ReleaseV1 {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Modified")]
    #[schema(value_type = String, format = DateTime)]
    modified: Time,
    #[serde(rename = "Artifacts")]
    artifacts: Vec<Artifact>,
    #[serde(rename = "ArtifactsCount")]
    artifacts_count: usize,
    tags: Vec<String>,
    notes: String,
}

impl ReleaseV1 {
    pub(super) fn of(release: artifacts::Release) -> Self {
        let Release { name, modified, tags, notes, artifacts, artifacts_count } =
            Release::of(release);
        Self { name, modified, artifacts, artifacts_count, tags, notes }
    }
}

/// A release or a manifest, as what can be installed.
#[derive(Serialize, ToSchema)]
pub(super) struct Software {
    name: String,
    #[schema(value_type = String, format = DateTime)]
    modified: Time,
    tags: Vec<String>,
    notes: String,
    /// `release` or `manifest`.
    kind: &'static str,
    /// The types of devices, or of systems, of all artifacts.
    compatible_types: Vec<String>,
}

impl Software {
    pub(super) fn of(release: artifacts::Release) -> Self {
        let tags = tags(&release);
        let kind = if release.is_manifest() { "manifest" } else { "release" };
        let types = release.artifacts.into_iter().flat_map(|a| a.content.device_types);
        Self {
            name: release.name,
            modified: release.modified,
            tags,
            notes: release.notes,
            kind,
            compatible_types: types.collect(),
        }
    }
}

/// A link to the bytes of an artifact.
#[derive(Serialize, ToSchema)]
pub(super) struct Link {
    uri: String,
    #[schema(value_type = String, format = DateTime)]
    expire: Time,
    method: &'static str,
    /// What has to be sent with it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    header: BTreeMap<String, String>,
}

impl Link {
    pub(super) fn of(link: blob::Link) -> Self {
        Self { uri: link.uri, expire: link.expire, method: link.method, header: link.headers }
    }
}

/// A link to put an artifact.
#[derive(Serialize, ToSchema)]
pub(super) struct UploadLink {
    /// The id that the artifact will have.
    id: String,
    #[serde(flatten)]
    link: Link,
}

impl UploadLink {
    pub(super) fn of(id: &ArtifactId, link: blob::Link) -> Self {
        Self { id: id.to_string(), link: Link::of(link) }
    }
}

/// How much of a limit is used.
#[derive(Serialize, ToSchema)]
pub(super) struct Limit {
    /// 0: there is none.
    limit: i64,
    usage: i64,
}

impl Limit {
    pub(super) fn new(limit: i64, usage: i64) -> Self {
        Self { limit, usage }
    }
}

fn validating(error: &JsonError) -> ApiError {
    ApiError::bad_request(format!("Validating request body: {error}"))
}

/// What users say about an artifact.
#[derive(Deserialize, ToSchema)]
pub(super) struct Description {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) description: String,
}

impl FromBody for Option<Item<Description>> {
    fn refuse(error: &JsonError) -> ApiError {
        validating(error)
    }
}

/// What users note about a release.
#[derive(Deserialize, ToSchema)]
pub(super) struct Notes {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) notes: String,
}

impl FromBody for Notes {
    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("malformed JSON in request body: {error}"))
    }
}

/// Tags of a release.
#[derive(Deserialize, ToSchema)]
#[serde(transparent)]
pub(super) struct Tags(#[serde(deserialize_with = "or_default")] pub(super) Vec<String>);

impl FromBody for Tags {
    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("malformed JSON in request body: {error}"))
    }
}

/// A tenant to prepare for.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewDeploymentsTenant)]
pub(super) struct NewTenant {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) tenant_id: String,
}

impl FromBody for NewTenant {
    const TYPED: bool = false;
}

/// What a client says about an artifact that it put into the store.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct DirectMetadata {
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    updates: Vec<DirectUpdate>,
}

#[derive(Debug, Deserialize, ToSchema)]
struct DirectUpdate {
    /// What the artifact itself says counts.
    #[serde(default)]
    #[schema(value_type = Option<TypeInfo>)]
    #[expect(dead_code, reason = "documents what clients say beside")]
    type_info: IgnoredAny,
    /// What the artifact itself says counts.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    #[expect(dead_code, reason = "documents what clients say beside")]
    metadata: IgnoredAny,
    /// What the artifact itself says counts.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Pair>>)]
    #[expect(dead_code, reason = "documents what clients say beside")]
    meta_data: IgnoredAny,
    #[serde(default)]
    files: Vec<DirectFile>,
}

#[derive(Debug, Deserialize, ToSchema)]
struct DirectFile {
    name: String,
    #[serde(default)]
    checksum: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    date: Option<Time>,
}

/// How many payloads, and files of each, a client may describe.
const MAX_DESCRIBED: usize = 1024;

impl DirectMetadata {
    /// Reads what a client says; nothing, where that can't be read.
    pub(super) fn read(body: &[u8]) -> Described {
        let said: Self = serde_json::from_slice(body).unwrap_or_default();
        let many = |update: &DirectUpdate| update.files.len() > MAX_DESCRIBED;
        if said.updates.len() > MAX_DESCRIBED || said.updates.iter().any(many) {
            return Described::default();
        }
        let file = |file: DirectFile| format::File {
            name: file.name,
            checksum: file.checksum,
            size: file.size,
            modified: file.date.map_or(format::File::NEVER, Time::seconds),
        };
        let payload = |update: DirectUpdate| format::Payload {
            files: update.files.into_iter().map(file).collect(),
            ..format::Payload::default()
        };
        let payloads = said.updates.into_iter().map(payload).collect();
        Described { size: said.size, payloads }
    }
}
