use std::{collections::BTreeMap, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::deployments::model::{DeviceDeployment, Stage};

/// How far a device is with a deployment. The order is that of lists of devices.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It failed.
    Failure,
    /// A user aborted it.
    Aborted,
    /// It waits before it installs.
    PauseBeforeInstalling,
    /// It waits before it commits.
    PauseBeforeCommitting,
    /// It waits before it reboots.
    PauseBeforeRebooting,
    /// It downloads.
    Downloading,
    /// It installs.
    Installing,
    /// It reboots.
    Rebooting,
    /// It has been told, or is yet to be told.
    Pending,
    /// It runs what it was to run.
    Success,
    /// Nothing of the release fits it.
    #[serde(rename = "noartifact")]
    NoArtifact,
    /// It ran that already.
    #[serde(rename = "already-installed")]
    AlreadyInstalled,
    /// It is no more.
    Decommissioned,
    /// What it would get is too large for its tier.
    ArtifactTooBig,
    /// What it would get is for another tier.
    IncompatibleTier,
}

use Status::{
    Aborted, AlreadyInstalled, ArtifactTooBig, Decommissioned, Downloading, Failure,
    IncompatibleTier, Installing, NoArtifact, PauseBeforeCommitting, PauseBeforeInstalling,
    PauseBeforeRebooting, Pending, Rebooting, Success,
};

/// No status has this name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownStatus;

impl Status {
    /// All of them, in order.
    pub const ALL: [Self; 15] = [
        Failure,
        Aborted,
        PauseBeforeInstalling,
        PauseBeforeCommitting,
        PauseBeforeRebooting,
        Downloading,
        Installing,
        Rebooting,
        Pending,
        Success,
        NoArtifact,
        AlreadyInstalled,
        Decommissioned,
        ArtifactTooBig,
        IncompatibleTier,
    ];

    /// Those in which devices wait for a word.
    pub const PAUSES: [Self; 3] =
        [PauseBeforeInstalling, PauseBeforeCommitting, PauseBeforeRebooting];

    /// Returns the name, as on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Failure => "failure",
            Aborted => "aborted",
            PauseBeforeInstalling => "pause_before_installing",
            PauseBeforeCommitting => "pause_before_committing",
            PauseBeforeRebooting => "pause_before_rebooting",
            Downloading => "downloading",
            Installing => "installing",
            Rebooting => "rebooting",
            Pending => "pending",
            Success => "success",
            NoArtifact => "noartifact",
            AlreadyInstalled => "already-installed",
            Decommissioned => "decommissioned",
            ArtifactTooBig => "artifact_too_big",
            IncompatibleTier => "incompatible_tier",
        }
    }

    /// Tells whether the device has yet to end.
    #[must_use]
    pub fn is_active(self) -> bool {
        !self.is_final()
    }

    /// Tells whether the device has ended.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            PauseBeforeInstalling
            | PauseBeforeCommitting
            | PauseBeforeRebooting
            | Downloading
            | Installing
            | Rebooting
            | Pending => false,
            Failure | Aborted | Success | NoArtifact | AlreadyInstalled | Decommissioned
            | ArtifactTooBig | IncompatibleTier => true,
        }
    }

    /// Tells whether a device that has this status makes its deployment one in progress.
    #[must_use]
    pub fn is_begun(self) -> bool {
        !matches!(self, Pending | Decommissioned)
    }

    /// Tells whether devices may report it.
    #[must_use]
    pub fn is_reportable(self) -> bool {
        !matches!(self, Pending | Aborted | NoArtifact | Decommissioned | ArtifactTooBig)
    }
}

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(UnknownStatus)
    }
}

/// How many devices reported after the end of their deployment, by the status that they had when it
/// ended and the one that they have now.
pub type Late = BTreeMap<(Status, Status), u64>;

/// What came of a deployment so far, by its records.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// How many devices have which status.
    pub counts: BTreeMap<Status, u64>,
    /// How many devices have a record.
    pub devices: u64,
    /// How many bytes they were told to fetch.
    pub bytes: u64,
    /// How many devices began in which phase.
    pub phases: BTreeMap<u32, u64>,
    /// How many of those counted reported after the end.
    #[serde(skip)]
    pub late: Late,
}

impl Tally {
    /// Counts a row.
    pub fn add(&mut self, row: &DeviceDeployment) {
        if row.is_counted() {
            *self.counts.entry(row.status).or_default() += 1;
            if let Some(was) = row.late {
                *self.late.entry((was, row.status)).or_default() += 1;
            }
        }
        if row.stage == Stage::Record {
            self.devices += u64::from(row.attempt == 1);
            if let Some(phase) = row.phase.filter(|_| row.attempt == 1) {
                *self.phases.entry(phase).or_default() += 1;
            }
            self.bytes += row.bytes;
        }
    }

    /// Returns what had come of the deployment when it ended: what devices reported later is
    /// counted by the status that they had then.
    #[must_use]
    pub fn at_end(mut self) -> Self {
        for ((was, is), count) in std::mem::take(&mut self.late) {
            self.transfer(is, was, count);
        }
        self
    }

    /// Adds what devices reported later to what had come of the deployment when it ended.
    #[must_use]
    pub fn with_late(mut self, late: Late) -> Self {
        for ((was, is), count) in &late {
            self.transfer(*was, *is, *count);
        }
        self.late = late;
        self
    }

    fn transfer(&mut self, from: Status, to: Status, count: u64) {
        *self.counts.entry(to).or_default() += count;
        let left = self.counts.entry(from).or_default();
        // Invariant: whoever was moved counted before.
        *left = left.saturating_sub(count);
        self.counts.retain(|_, count| *count > 0);
    }

    /// Returns how many devices have this status.
    #[must_use]
    pub fn count(&self, status: Status) -> u64 {
        self.counts.get(&status).copied().unwrap_or(0)
    }

    /// Tells whether a device has done more than to ask.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.counts.iter().any(|(status, count)| status.is_begun() && *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_reported_late_can_be_taken_back_and_added() {
        let counts = BTreeMap::from([(Success, 3), (Downloading, 1), (Pending, 5)]);
        let late = [((Failure, Success), 2), ((Success, Success), 1), ((Success, Downloading), 1)];
        let late = Late::from(late);
        let now = Tally { counts, devices: 9, bytes: 7, late: late.clone(), ..Tally::default() };
        let then = now.clone().at_end();
        assert_eq!(then.counts, BTreeMap::from([(Failure, 2), (Success, 2), (Pending, 5)]));
        assert_eq!((then.devices, then.bytes, &then.late), (9, 7, &Late::new()));
        assert_eq!(then.with_late(late), now);
        let stored = serde_json::to_string(&now.clone().at_end()).unwrap();
        let read: Tally = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, now.at_end());
    }
}
