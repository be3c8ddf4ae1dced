//! What users and thresholds decided about a deployment since it was created.

use serde::{Deserialize, Serialize};

use super::{Score, Threshold};
use crate::{env::Time, id::UserId};

/// Why a deployment is paused.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A user wants it.
    User {
        /// The user; none where a program did.
        id: Option<UserId>,
        /// What the user says.
        reason: String,
    },
    /// A threshold was passed.
    Threshold {
        /// The number of the phase, from 0; none: that of all.
        phase: Option<usize>,
        /// The threshold.
        threshold: Threshold,
        /// What came of the devices by then.
        score: Score,
    },
}

/// Since when, and why a deployment is paused.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    /// Since when.
    pub since: Time,
    /// Why.
    pub cause: Cause,
}

/// A user's word that a phase may begin.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// The id of the phase.
    pub phase: String,
    /// The user.
    pub by: UserId,
    /// When.
    pub at: Time,
}

/// What was decided about a deployment since it was created.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conduct {
    /// The user who created it; none where a program did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator: Option<UserId>,
    /// It is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Which phases may begin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// How often it was resumed. Thresholds count in each round anew.
    #[serde(skip_serializing_if = "is_first")]
    pub round: u32,
    /// When its budget was last filled up; `None`: when it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refilled: Option<Time>,
}

impl Conduct {
    /// Tells whether a phase was approved.
    #[must_use]
    pub fn has_approved(&self, phase: &str) -> bool {
        self.approvals.iter().any(|approval| approval.phase == phase)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields so")]
fn is_first(round: &u32) -> bool {
    *round == 0
}
