use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    artifacts::ArtifactId,
    commit::{Aggregate, IndexKey, Key},
    deployments::model::{DeploymentId, Outcome, Reason, Status},
    env::Time,
    id::{DeviceId, Version},
};

/// How many bytes may name something that a device provides.
const MAX_KEY: usize = 4096;

/// How much a device may provide beside its release and type.
const MAX_PROVIDES: usize = 4096;

/// How many bytes a device may say of itself.
const MAX_REQUEST: usize = 128 << 10;

/// What a device says of itself when it asks.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What it runs.
    pub artifact_name: String,
    /// Its type.
    pub device_type: String,
    /// What else it provides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub provides: BTreeMap<String, String>,
    /// Whether it understands where it is to wait.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub control_map: bool,
}

impl Request {
    /// Tells whether every store can keep it: U+0000 is in no text.
    #[must_use]
    pub fn is_storable(&self) -> bool {
        let more = self.provides.iter().flat_map(|(key, value)| [key, value]);
        [&self.artifact_name, &self.device_type].into_iter().chain(more).all(|t| !t.contains('\0'))
    }
}

impl Request {
    /// Tells what is too much of what the device provides: each of its deployments keeps that.
    ///
    /// ```
    /// use mender_core::deployments::Request;
    ///
    /// let mut request = Request::default();
    /// request.provides.insert("rootfs-image.version".into(), "release-1".into());
    /// assert_eq!(request.excess(), None);
    /// request.provides.insert("k".repeat(5000), "1".into());
    /// assert_eq!(request.excess(), Some("the length of a name must be no more than 4096"));
    /// ```
    #[must_use]
    pub fn excess(&self) -> Option<&'static str> {
        if self.provides.len() > MAX_PROVIDES {
            return Some("no more than 4096 values may be provided");
        }
        if self.provides.keys().any(|key| key.len() > MAX_KEY) {
            return Some("the length of a name must be no more than 4096");
        }
        let more = self.provides.iter().map(|(key, value)| key.len() + value.len());
        let total = self.artifact_name.len() + self.device_type.len() + more.sum::<usize>();
        (total > MAX_REQUEST).then_some("the length of everything must be no more than 131072")
    }
}

/// Whether a device has met its deployment.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It has yet to ask: nobody sees it but in what is pending.
    Waiting,
    /// It asked, or was ended before it did.
    Record,
    /// Its deployment ended before it asked.
    Dropped,
}

/// A final status, and when it was reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The status.
    pub status: Status,
    /// When.
    pub at: Time,
}

/// A device in a deployment.
///
/// A reset of the device's history makes room for another attempt of the same deployment.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct DeviceDeployment {
    /// Its id: the deployment, the device and the attempt.
    pub key: String,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The device.
    pub device: DeviceId,
    /// 1, and one more after each reset.
    pub attempt: u32,
    /// Whether they have met.
    pub stage: Stage,
    /// The id of the record; empty while there is none.
    pub record: String,
    /// How far the device is.
    pub status: Status,
    /// What it says beside its status.
    pub substate: String,
    /// When the deployment was created.
    pub created: Time,
    /// When the device began.
    pub started: Option<Time>,
    /// When it last reported a final status.
    pub finished: Option<Time>,
    /// When its history was reset.
    pub deleted: Option<Time>,
    /// Another attempt counts in its place.
    pub replaced: bool,
    /// What it said when it first asked.
    pub request: Option<Request>,
    /// The phase in which it began, from 0.
    pub phase: Option<u32>,
    /// How often it began.
    pub tries: u32,
    /// It failed, and is to try again.
    pub failed: bool,
    /// When it was last heard of; kept where that matters.
    pub heard: Option<Time>,
    /// It counts among those of its deployment that fetch.
    pub fetching: bool,
    /// It counts among those of its tenant that fetch.
    pub shares: bool,
    /// What was decided when it last asked, where it was about this row.
    pub outcome: Option<Outcome>,
    /// What it was told to install.
    pub artifact: Option<ArtifactId>,
    /// How many bytes that has.
    pub bytes: u64,
    /// Whether it sent a log.
    pub log: bool,
    /// The last final status.
    pub ended: Option<Ended>,
    /// The status that it had when the deployment ended, where it reported another one later.
    pub late: Option<Status>,
    /// How often the deployment had been resumed when thresholds last counted how the device ended.
    #[serde(default)]
    pub round: u32,
    /// The version.
    pub version: Version,
}

impl DeviceDeployment {
    /// A device that has yet to ask.
    #[must_use]
    pub fn waiting(deployment: &DeploymentId, device: DeviceId, created: Time) -> Self {
        Self::new(deployment, device, created, 1)
    }

    fn new(deployment: &DeploymentId, device: DeviceId, created: Time, attempt: u32) -> Self {
        Self {
            key: format!("{deployment}/{device}/{attempt}"),
            deployment: deployment.clone(),
            device,
            attempt,
            stage: Stage::Waiting,
            record: String::new(),
            status: Status::Pending,
            substate: String::new(),
            created,
            started: None,
            finished: None,
            deleted: None,
            replaced: false,
            request: None,
            phase: None,
            tries: 0,
            failed: false,
            heard: None,
            fetching: false,
            shares: false,
            outcome: None,
            artifact: None,
            bytes: 0,
            log: false,
            ended: None,
            late: None,
            round: 0,
            version: Version::FIRST,
        }
    }

    /// The next attempt.
    #[must_use]
    pub fn again(&self) -> Self {
        let new = Self::new(&self.deployment, self.device.clone(), self.created, self.attempt + 1);
        Self { phase: self.phase, ..new }
    }

    /// Notes what was decided when the device asked, where that is new.
    pub(in crate::deployments) fn note(&mut self, reason: Reason, now: Time) {
        if self.outcome.is_none_or(|known| known.reason != reason) {
            self.outcome = Some(Outcome { reason, since: now });
        }
    }

    /// Returns the row as the end of its deployment leaves it, where that is aborted. It keeps
    /// when it ended before.
    #[must_use]
    pub fn closed(self) -> Self {
        match self.stage {
            Stage::Waiting => Self { stage: Stage::Dropped, ..self },
            _ => Self { status: Status::Aborted, ..self },
        }
    }

    /// Tells whether it is a record that was not reset.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.stage == Stage::Record && self.deleted.is_none()
    }

    /// Tells whether it counts in statistics.
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.stage == Stage::Record && !self.replaced
    }

    /// Tells whether the deployment can't end before it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self.stage {
            Stage::Waiting => true,
            Stage::Record => self.deleted.is_none() && self.status.is_active(),
            Stage::Dropped => false,
        }
    }

    /// Tells whether the device begins, or begins anew, where it is told something.
    #[must_use]
    pub fn begins(&self) -> bool {
        self.stage == Stage::Waiting || self.deleted.is_some()
    }

    /// Returns when the device was last heard of, where it may be silent for too long.
    #[must_use]
    pub fn watched(&self) -> Option<Time> {
        self.heard.filter(|_| self.stage == Stage::Record && self.is_open())
    }

    /// Tells whether it has a place among those that fetch.
    #[must_use]
    pub fn has_place(&self) -> bool {
        self.fetching || self.shares
    }

    /// Tells whether the device may have to do with it at its next poll.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.is_open() || (self.deleted.is_some() && !self.replaced)
    }
}

impl Aggregate for DeviceDeployment {
    const KIND: &'static str = "deployments.device";

    fn id(&self) -> &str {
        &self.key
    }

    fn version(&self) -> Version {
        self.version
    }

    fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    fn unique(&self) -> Key {
        Key { field: "id", value: self.key.clone() }
    }

    fn index(&self) -> Vec<IndexKey> {
        let (deployment, device) = (self.deployment.to_string(), self.device.to_string());
        let field = |name, value: &str| IndexKey::Field(name, value.to_owned());
        let sort = |name: &str, place: String| IndexKey::Sort(name.to_owned(), place);
        let mut keys = vec![
            field("row", &deployment),
            field("target", &device),
            IndexKey::Field("pair", format!("{deployment}/{device}")),
            sort("device", crate::kit::sortable(&device)),
            sort("status", format!("{:02}", self.status as u8)),
            sort("created", crate::kit::sortable_time(self.created)),
            sort("attempt", format!("{:08x}", self.attempt)),
        ];
        if self.stage == Stage::Record {
            keys.push(field("record", &self.record));
            keys.push(field("history", &device));
            keys.push(field("status", self.status.as_str()));
        }
        if self.is_listed() {
            keys.push(field("listed", &deployment));
        }
        if self.is_current() {
            keys.push(field("current", &device));
        }
        if self.is_open() {
            keys.push(field("open", &deployment));
        }
        if let Some(heard) = self.watched() {
            keys.push(field("watched", &deployment));
            keys.push(sort("heard", crate::kit::sortable_time(heard)));
        }
        if self.is_counted() && self.status.is_begun() {
            keys.push(field("begun", &deployment));
        }
        if self.ended.is_some() {
            keys.push(field("ended", &device));
        }
        if self.late.is_some() && self.is_counted() {
            keys.push(field("late", &deployment));
        }
        keys
    }
}
