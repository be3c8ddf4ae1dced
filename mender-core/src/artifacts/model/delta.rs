use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    artifacts::model::{ArtifactId, DeltaSizes},
    commit::{Aggregate, IndexKey, Key},
    env::Time,
    id,
    id::Version,
};

id! {
    /// Identifies a job that makes a delta.
    DeltaJobId;
}

/// How far a job is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeltaStatus {
    /// It waits for others.
    Queued,
    /// It works.
    Pending,
    /// The delta is stored.
    Success,
    /// There will be none.
    Failed,
}

impl DeltaStatus {
    /// Returns what clients call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }

    /// Tells whether the job waits or works.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Pending)
    }
}

/// Something that happened to a job.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct DeltaNote {
    /// When.
    pub at: Time,
    /// What.
    pub text: String,
}

/// A job that makes the delta between two artifacts, which serves all devices: there is one for
/// each pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeltaJob {
    /// Source and target, see [`DeltaJob::pair`].
    pub pair: String,
    /// What users know it by.
    pub id: DeltaJobId,
    /// What workers know it by.
    pub worker_id: String,
    /// The artifact that devices have.
    pub source: ArtifactId,
    /// The artifact that they shall have.
    pub target: ArtifactId,
    /// The name of the source.
    pub from: String,
    /// The name of the target.
    pub to: String,
    /// The types of devices that the target is for.
    pub device_types: Vec<String>,
    /// The deployment that asked for it first.
    pub deployment: Option<String>,
    /// The sizes by which it is made.
    pub sizes: DeltaSizes,
    /// For how long it may work.
    pub patience: Duration,
    /// How far it is.
    pub status: DeltaStatus,
    /// When it was asked for; once it works, since when.
    pub started: Time,
    /// When it succeeded or failed.
    pub finished: Option<Time>,
    /// Until when whoever works on it has to show that it is alive.
    pub until: Time,
    /// What happened.
    pub notes: Vec<DeltaNote>,
    /// The bytes of the image.
    pub target_size: Option<u64>,
    /// The bytes of the artifact.
    pub delta_size: Option<u64>,
    /// The artifact.
    pub delta: Option<ArtifactId>,
    /// The version.
    pub version: Version,
}

impl DeltaJob {
    /// How many notes are kept.
    pub const MAX_NOTES: usize = 50;

    /// Returns the key of the job for a pair of artifacts.
    #[must_use]
    pub fn pair(source: &ArtifactId, target: &ArtifactId) -> String {
        format!("{source}/{target}")
    }

    /// Tells whether an artifact is one of the pair, or what was made of it.
    #[must_use]
    pub fn is_about(&self, id: &ArtifactId) -> bool {
        self.source == *id || self.target == *id || self.delta.as_ref() == Some(id)
    }

    /// Returns when the job has worked for too long.
    #[must_use]
    pub fn deadline(&self) -> Time {
        self.started + self.patience
    }
}

impl Aggregate for DeltaJob {
    const KIND: &'static str = "artifacts.delta";

    fn id(&self) -> &str {
        &self.pair
    }

    fn version(&self) -> Version {
        self.version
    }

    fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    fn unique(&self) -> Key {
        Key { field: "pair", value: self.pair.clone() }
    }

    fn index(&self) -> Vec<IndexKey> {
        let field = |name, value: &str| IndexKey::Field(name, value.to_owned());
        let sort =
            |name: &str, value: &str| IndexKey::Sort(name.to_owned(), crate::kit::sortable(value));
        let mut keys = vec![
            sort("status", self.status.as_str()),
            IndexKey::Sort("started".into(), crate::kit::sortable_time(self.started)),
            sort("from", &self.from),
            sort("to", &self.to),
            sort("job", self.id.as_str()),
            field("job", self.id.as_str()),
            field("artifact", self.source.as_str()),
        ];
        if self.target != self.source {
            keys.push(field("artifact", self.target.as_str()));
        }
        keys.extend(self.delta.iter().map(|delta| field("artifact", delta.as_str())));
        keys.extend(self.deployment.iter().map(|id| field("deployment", id)));
        keys.extend(self.status.is_open().then(|| field("open", "1")));
        keys
    }
}
