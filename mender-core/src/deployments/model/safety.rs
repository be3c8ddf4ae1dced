//! What keeps a deployment from doing harm: thresholds and budgets.

use serde::{Deserialize, Serialize};

use super::Batch;

/// What a threshold looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Devices that failed: so many are too many.
    Failure,
    /// Devices that succeeded: fewer are too few.
    Success,
}

/// What a threshold does.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// No further device begins, until a user resumes the deployment.
    Pause,
    /// The deployment ends.
    Abort,
}

/// When to stop because of what came of the devices so far.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// What it looks at.
    pub side: Side,
    /// How many: of a hundred that succeeded or failed, or as such.
    pub limit: Batch,
    /// It holds from so many devices on that succeeded or failed.
    pub sample: u64,
    /// What it does.
    pub remedy: Remedy,
}

/// How many devices failed and succeeded.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// So many failed.
    pub failed: u64,
    /// So many succeeded.
    pub succeeded: u64,
}

impl Threshold {
    /// Tells whether a score passes it.
    ///
    /// ```
    /// use mender_core::deployments::{Batch, Remedy, Score, Side, Threshold};
    ///
    /// let tenth = Threshold {
    ///     side: Side::Failure,
    ///     limit: Batch::Percent(10),
    ///     sample: 20,
    ///     remedy: Remedy::Pause,
    /// };
    /// assert!(!tenth.is_passed(Score { failed: 19, succeeded: 0 }));
    /// assert!(!tenth.is_passed(Score { failed: 1, succeeded: 19 }));
    /// assert!(tenth.is_passed(Score { failed: 2, succeeded: 18 }));
    /// ```
    #[must_use]
    pub fn is_passed(&self, score: Score) -> bool {
        let total = score.failed.saturating_add(score.succeeded);
        if total == 0 || total < self.sample {
            return false;
        }
        let share = |count: u64| u128::from(count) * 100;
        let of_all = |percent: u32| u128::from(percent) * u128::from(total);
        match (self.side, self.limit) {
            (Side::Failure, Batch::Percent(limit)) => share(score.failed) >= of_all(limit),
            (Side::Failure, Batch::Devices(limit)) => score.failed >= limit,
            (Side::Success, Batch::Percent(limit)) => share(score.succeeded) < of_all(limit),
            (Side::Success, Batch::Devices(limit)) => score.succeeded < limit,
        }
    }
}

/// What may be fetched at once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Budget {
    /// So many devices fetch at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u64>,
    /// So many bytes a second are handed out, in the long run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
}

impl Budget {
    /// Tells whether it limits anything.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self != Self::default()
    }
}
