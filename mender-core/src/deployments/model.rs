use serde::{Deserialize, Serialize};

use crate::{
    artifacts::ArtifactId,
    commit::{Aggregate, IndexKey, Key},
    deployments::query::words,
    env::Time,
    id,
    id::Version,
    inventory::{FilterId, Predicate},
};

mod conduct;
mod device;
mod log;
mod reason;
mod rollout;
mod safety;
mod settings;
mod status;
mod targets;
mod windows;

pub use conduct::{Approval, Cause, Conduct, Hold};
pub use device::{DeviceDeployment, Ended, Request, Stage};
pub use log::{Log, Message};
pub use reason::{Outcome, Reason};
pub use rollout::{Batch, Phase, Rollout, Uniform};
pub use safety::{Budget, Remedy, Score, Side, Threshold};
pub use settings::DeploymentSettings;
pub use status::{Late, Status, Tally, UnknownStatus};
pub use targets::{CHUNK, DeviceIds, Targets};
pub use windows::{Window, ZONE_ATTRIBUTE, Zone, next_opening};

id! {
    /// Identifies a deployment.
    DeploymentId;
}

/// What is brought to the devices.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// An artifact of the release.
    Software,
    /// A configuration, as JSON text.
    Configuration(String),
}

/// Which devices were meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// Those that were named.
    Devices,
    /// The accepted ones of a static group.
    Group(String),
    /// All accepted ones.
    All,
    /// Accepted ones that fit a saved filter when they ask.
    Filter {
        /// The id of the filter.
        id: FilterId,
        /// Its name, when the deployment was created.
        name: String,
        /// Its conditions, when the deployment was created.
        terms: Vec<Predicate>,
        /// How many devices fitted, when the deployment was created.
        initial: u64,
    },
}

/// Where the life of a deployment stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its rows are being written: it is seen, and offered to nobody.
    Filling,
    /// Devices get it.
    Open,
    /// It was aborted, and its rows are being closed: readers see them as closed.
    Closing,
    /// It has ended.
    Closed,
}

/// An order to bring devices to an artifact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// Its name.
    pub name: String,
    /// The name of the release.
    pub artifact_name: String,
    /// Devices install what they have already.
    pub force_installation: bool,
    /// What is brought to the devices.
    pub payload: Payload,
    /// Which devices were meant.
    pub audience: Audience,
    /// The static groups that it concerns.
    pub groups: Vec<String>,
    /// What no other open deployment may have; `None`: it may be there twice.
    pub fingerprint: Option<String>,
    /// How many devices it has. A dynamic one has at most so many, 0: as many as ask.
    pub max_devices: u64,
    /// How it goes about it.
    pub rollout: Rollout,
    /// What was decided about it since.
    pub conduct: Conduct,
    /// The ticket of its [`Targets`].
    pub ticket: String,
    /// When it was created; of two, the later one has the greater time.
    pub created: Time,
    /// Where its life stands.
    pub state: State,
    /// When it ended.
    pub finished: Option<Time>,
    /// What the release had when it ended.
    pub artifacts: Vec<ArtifactId>,
    /// What had come of it when it ended, once that is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tally: Option<Tally>,
    /// The version.
    pub version: Version,
}

impl Deployment {
    /// Tells whether devices may get it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Tells whether it has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished.is_some()
    }

    /// Tells whether devices join it as they ask.
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        matches!(self.audience, Audience::Filter { .. })
    }

    /// Tells whether its devices were named one by one.
    #[must_use]
    pub fn names_devices(&self) -> bool {
        self.audience == Audience::Devices && self.payload == Payload::Software
    }

    /// Tells whether it has yet to begin.
    #[must_use]
    pub fn is_scheduled(&self, now: Time) -> bool {
        !self.is_finished() && self.rollout.starts().is_some_and(|starts| starts > now)
    }
}

impl Aggregate for Deployment {
    const KIND: &'static str = "deployments.deployment";

    const MAX_BYTES: usize = 2 << 20;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn version(&self) -> Version {
        self.version
    }

    fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    fn unique(&self) -> Key {
        let value = match (&self.fingerprint, self.finished) {
            (Some(fingerprint), None) => fingerprint.clone(),
            _ => format!("id {}", self.id),
        };
        Key { field: "fingerprint", value }
    }

    fn index(&self) -> Vec<IndexKey> {
        let field = |name, value: &str| IndexKey::Field(name, value.to_owned());
        let mut keys = vec![
            field("life", if self.is_finished() { "finished" } else { "open" }),
            field("type", self.payload.kind()),
            field("name", &self.name),
            IndexKey::Sort("created".into(), crate::kit::sortable_time(self.created)),
            IndexKey::Order("created", crate::kit::sortable_time(self.created)),
        ];
        let (open, ended) = ("release", "ended-release");
        keys.push(field(if self.is_finished() { ended } else { open }, &self.artifact_name));
        if self.is_dynamic() && !self.is_finished() {
            keys.push(field("dynamic", "open"));
        }
        if let Some(finished) = self.finished {
            let place = crate::kit::sortable_time(finished);
            keys.push(IndexKey::Sort("finished".into(), place));
        }
        keys.extend(self.groups.iter().map(|group| field("group", group)));
        let texts = [&self.name, &self.artifact_name];
        let mut all: Vec<String> = texts.into_iter().flat_map(|text| words(text)).collect();
        all.sort();
        all.dedup();
        keys.extend(all.iter().map(|word| field("word", word)));
        keys
    }
}

impl Payload {
    /// Returns the name of its type, as on the wire.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Configuration(_) => "configuration",
        }
    }
}
