use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    artifacts::format::{Content, Depend, SystemManifest},
    commit::{Aggregate, IndexKey, Key},
    env::Time,
    id,
    id::Version,
};

mod delta;
mod delta_settings;
mod settings;
mod tag;
mod upload;

pub use delta::{DeltaJob, DeltaJobId, DeltaNote, DeltaStatus};
pub use delta_settings::{DeltaArgs, DeltaLimits, DeltaRange, DeltaSettings, DeltaSizes};
pub use settings::{ArtifactSettings, Policy, TrustedKey};
pub use tag::{InvalidTag, Tag};
pub use upload::{Described, Generate, Upload, UploadState, Work};

id! {
    /// Identifies an artifact for ever.
    ArtifactId;
}

/// How many combinations of what a device has to provide an artifact may have.
pub const MAX_COMBINATIONS: usize = 1024;

/// How long deleting a release may take.
const LEAVING: Duration = Duration::from_secs(120);

/// What came of checking the signature of an artifact.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Verification {
    /// It bears none.
    Unsigned,
    /// It bears one by none of the trusted keys.
    Untrusted,
    /// It bears one by this key.
    Trusted {
        /// The name of the key.
        key: String,
    },
}

/// An artifact: one file that devices install.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its id.
    pub id: ArtifactId,
    /// What users say about it; `None` where it came without.
    pub description: Option<String>,
    /// What it contains.
    pub content: Content,
    /// The bytes of the whole file.
    pub size: u64,
    /// What came of checking its signature; `None`: no keys were trusted then.
    pub verification: Option<Verification>,
    /// When it was stored.
    pub stored: Time,
    /// When it was stored, or described anew.
    pub modified: Time,
}

impl Artifact {
    /// Returns in how many combinations of values a device may provide what the artifact needs.
    #[must_use]
    pub fn combinations(&self) -> usize {
        let counts = self.content.depends.values().map(|depend| depend.values().len());
        counts.fold(1, usize::saturating_mul)
    }

    /// Returns a combination of values that fits this artifact and the other one, where both
    /// need values of the same keys.
    #[must_use]
    pub fn common(&self, other: &Self) -> Option<BTreeMap<String, String>> {
        let (a, b) = (&self.content.depends, &other.content.depends);
        if a.len() != b.len() {
            return None;
        }
        let common = |(key, mine): (&String, &Depend)| {
            let theirs = b.get(key)?.values();
            let value = mine.values().iter().find(|value| theirs.contains(value))?;
            Some((key.clone(), value.clone()))
        };
        a.iter().map(common).collect()
    }

    /// Returns the checksum of the root file system image that it installs as a whole.
    #[must_use]
    pub fn image(&self) -> Option<&str> {
        let sum = self.content.provides.get("rootfs-image.checksum")?;
        let is_sum = sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_hexdigit());
        (is_sum && self.kinds().any(|kind| kind == "rootfs-image")).then_some(sum)
    }

    /// Tells whether it is for the orchestrators of systems.
    #[must_use]
    pub fn is_manifest(&self) -> bool {
        self.kinds().any(|kind| kind == SystemManifest::PAYLOAD)
    }

    /// Returns the names of what installs its payloads.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.content.payloads.iter().filter_map(|payload| payload.kind.as_deref())
    }
}

/// All artifacts of one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// The name.
    pub name: String,
    /// The artifacts, in the order in which they were stored.
    pub artifacts: Vec<Artifact>,
    /// Its tags, in the order in which they were given.
    pub tags: Vec<Tag>,
    /// What users note about it.
    pub notes: String,
    /// When artifacts were last added, changed or removed.
    pub modified: Time,
    /// Since when it is being deleted: new deployments don't use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<Time>,
    /// The version.
    pub version: Version,
}

impl Release {
    /// Returns an artifact of the release.
    #[must_use]
    pub fn artifact(&self, id: &ArtifactId) -> Option<&Artifact> {
        self.artifacts.iter().find(|artifact| artifact.id == *id)
    }

    /// Tells whether the release is being deleted. A mark that is older was left by somebody who
    /// was cut off.
    #[must_use]
    pub fn is_leaving(&self, now: Time) -> bool {
        self.leaving.is_some_and(|since| now.since(since) < LEAVING)
    }

    /// Tells whether it is a manifest.
    #[must_use]
    pub fn is_manifest(&self) -> bool {
        self.artifacts.iter().any(Artifact::is_manifest)
    }

    /// Returns the names of what installs its payloads, each once.
    #[must_use]
    pub fn kinds(&self) -> BTreeSet<&str> {
        self.artifacts.iter().flat_map(Artifact::kinds).collect()
    }
}

impl Aggregate for Release {
    const KIND: &'static str = "artifacts.release";

    /// Artifacts may have a thousand files.
    const MAX_BYTES: usize = 4 << 20;

    fn id(&self) -> &str {
        &self.name
    }

    fn version(&self) -> Version {
        self.version
    }

    fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    fn unique(&self) -> Key {
        Key { field: "name", value: self.name.clone() }
    }

    fn index(&self) -> Vec<IndexKey> {
        let field = |name, value: &str| IndexKey::Field(name, value.to_owned());
        let mut keys = vec![
            IndexKey::Sort("name".into(), crate::kit::sortable(&self.name)),
            IndexKey::Sort("modified".into(), crate::kit::sortable_time(self.modified)),
            IndexKey::Sort("count".into(), format!("{:08x}", self.artifacts.len())),
        ];
        let sort = |name: &str, tag: &Tag| IndexKey::Sort(name.into(), tag.as_str().to_owned());
        keys.extend(self.tags.iter().min().map(|tag| sort("+tag", tag)));
        keys.extend(self.tags.iter().max().map(|tag| sort("-tag", tag)));
        keys.extend(self.artifacts.iter().map(|artifact| field("artifact", artifact.id.as_str())));
        let images: BTreeSet<&str> = self.artifacts.iter().filter_map(Artifact::image).collect();
        keys.extend(images.into_iter().map(|sum| field("image", sum)));
        keys.extend(self.tags.iter().map(|tag| field("tag", tag.as_str())));
        keys.extend(self.kinds().into_iter().map(|kind| field("kind", kind)));
        keys
    }
}

/// An artifact that a deployment used, and that left its release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retired {
    /// The artifact.
    pub artifact: Artifact,
    /// When it left.
    pub at: Time,
    /// The version.
    pub version: Version,
}

impl Aggregate for Retired {
    const KIND: &'static str = "artifacts.retired";

    const MAX_BYTES: usize = Release::MAX_BYTES;

    fn id(&self) -> &str {
        self.artifact.id.as_str()
    }

    fn version(&self) -> Version {
        self.version
    }

    fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    fn unique(&self) -> Key {
        Key { field: "id", value: self.artifact.id.to_string() }
    }

    fn index(&self) -> Vec<IndexKey> {
        Vec::new()
    }
}
