use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    artifacts::model::DeltaSettings,
    blob::BlobSettings,
    commit::{Aggregate, IndexKey, Key},
    id::Version,
};

/// Which artifacts may be stored.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// All.
    #[default]
    Any,
    /// Those without a signature, and those signed by a trusted key.
    NoneWrong,
    /// Only those signed by a trusted key.
    Signed,
}

/// A public key whose signatures are trusted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct TrustedKey {
    /// What users call it.
    pub name: String,
    /// The key as PEM.
    pub pem: String,
}

/// What is kept for a tenant about artifacts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArtifactSettings {
    /// Which artifacts may be stored.
    #[serde(default)]
    pub policy: Policy,
    /// The keys whose signatures are trusted.
    #[serde(default)]
    pub keys: Vec<TrustedKey>,
    /// The names of all payload types that were ever stored.
    #[serde(default)]
    pub kinds: BTreeSet<String>,
    /// Where the bytes are; `None`: where those of all tenants are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<BlobSettings>,
    /// How deltas are made; `None`: as those of all tenants are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<Box<DeltaSettings>>,
    /// How many bytes may be stored; `None`: as many as one likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_limit: Option<i64>,
    /// The version.
    pub version: Version,
}

impl ArtifactSettings {
    /// How many keys a tenant may trust.
    pub const MAX_KEYS: usize = 16;

    /// How many payload types are remembered.
    pub const MAX_KINDS: usize = 1000;
}

impl Aggregate for ArtifactSettings {
    const KIND: &'static str = "artifacts.settings";

    fn id(&self) -> &'static str {
        "settings"
    }

    fn version(&self) -> Version {
        self.version
    }

    fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    fn unique(&self) -> Key {
        Key { field: "id", value: self.id().to_owned() }
    }

    fn index(&self) -> Vec<IndexKey> {
        Vec::new()
    }
}
