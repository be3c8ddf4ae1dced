//! How a deployment goes about it: in phases, and again after failures.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Budget, Threshold, Window};
use crate::env::Time;

/// How many devices a phase brings it to.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Batch {
    /// So many of a hundred.
    Percent(u32),
    /// So many.
    Devices(u64),
}

/// A part of the devices, and when they get it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// Its id.
    pub id: String,
    /// How large it is, as asked; the rest for the last one.
    pub batch: Batch,
    /// When it begins; `None`: at once.
    pub starts: Option<Time>,
    /// How many devices get it; `None`: all that are left.
    pub devices: Option<u64>,
    /// It begins once a user approved it who did not create the deployment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_approval: bool,
    /// What stops it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
}

/// Equal phases, one after the other.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Uniform {
    /// When the first one begins; `None`: at once.
    pub starts: Option<Time>,
    /// The time between them, as ISO 8601 has it.
    pub interval: String,
    /// How large each one is.
    pub batch: Batch,
}

/// How a deployment goes about it. By default: all devices at once, each once.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rollout {
    /// The phases, one after the other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<Phase>,
    /// What the phases were made from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uniform: Option<Uniform>,
    /// How often a device that failed tries again.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// Where devices wait for a word, as they understand it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_map: Option<Map<String, Value>>,
    /// Devices get deltas where there can be any.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub delta: bool,
    /// Of two deployments for a device, the one with the greater priority comes first.
    #[serde(skip_serializing_if = "is_level")]
    pub priority: i32,
    /// When devices may begin; none: at any time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// What stops the whole of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
    /// What may be fetched at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// After how many minutes a device that began and says nothing more has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silence_minutes: Option<u32>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_level(n: &i32) -> bool {
    *n == 0
}

impl Rollout {
    /// Returns when the first device may begin, where that is not at once.
    #[must_use]
    pub fn starts(&self) -> Option<Time> {
        self.phases.first().and_then(|phase| phase.starts)
    }

    /// Tells whether a threshold looks at what becomes of the devices.
    #[must_use]
    pub fn has_thresholds(&self) -> bool {
        !self.thresholds.is_empty() || self.phases.iter().any(|phase| !phase.thresholds.is_empty())
    }
}
