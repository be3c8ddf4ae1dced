//! What documents tell of bodies that are read piece by piece, or under several names.

#![expect(dead_code, reason = "documents what is read elsewhere")]

use utoipa::ToSchema;

use super::StorageSettings;

/// The parts of a form with an artifact.
#[derive(ToSchema)]
pub(in crate::artifacts) struct ArtifactForm {
    description: Option<String>,
    /// Bytes of the file, where that is known.
    size: Option<u64>,
    /// The file: the last part.
    #[schema(format = Binary)]
    artifact: String,
}

/// The parts of a form with an artifact that may come with an id.
#[derive(ToSchema)]
pub(in crate::artifacts) struct NumberedArtifactForm {
    /// A UUID.
    artifact_id: Option<String>,
    description: Option<String>,
    /// Bytes of the file, where that is known.
    size: Option<u64>,
    /// The file: the last part.
    #[schema(format = Binary)]
    artifact: String,
}

/// The parts of a form with a file that an artifact is made of.
#[derive(ToSchema)]
pub(in crate::artifacts) struct GenerateForm {
    /// The name of the release.
    name: String,
    description: Option<String>,
    /// Types of devices, separated by commas.
    device_types_compatible: String,
    /// What installs it.
    r#type: String,
    /// How it is made, as JSON.
    args: Option<String>,
    /// Bytes of the file, where that is known.
    size: Option<u64>,
    /// The file: the last part.
    #[schema(format = Binary)]
    file: String,
}

/// The parts of a form with an artifact that is a manifest.
#[derive(ToSchema)]
pub(in crate::artifacts) struct ManifestForm {
    description: Option<String>,
    /// May come several times, and have several tags with commas between them.
    tags: Option<Vec<String>>,
    /// Bytes of the file, where that is known.
    size: Option<u64>,
    /// The file: the last part.
    #[schema(format = Binary)]
    artifact: String,
}

/// The parts of a form with a `manifest.yaml`.
#[derive(ToSchema)]
pub(in crate::artifacts) struct GenerateManifestForm {
    description: Option<String>,
    /// May come several times, and have several tags with commas between them.
    tags: Option<Vec<String>>,
    /// The file: the last part.
    #[schema(format = Binary)]
    file: String,
}

/// Where the bytes of a tenant's artifacts are, with the names that fields have for Azure.
/// Answers have those for S3.
#[derive(ToSchema)]
pub(in crate::artifacts) struct NamedStorageSettings {
    #[schema(inline)]
    #[serde(flatten)]
    settings: StorageSettings,
    /// Another name of `key`.
    account_name: Option<String>,
    /// Another name of `secret`.
    account_key: Option<String>,
    /// Another name of `bucket`.
    container_name: Option<String>,
}
