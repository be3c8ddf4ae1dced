//! How a deployment goes about it: in phases, and again after failures.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Rollout {
    /// Returns when the first device may begin, where that is not at once.
    #[must_use]
    pub fn starts(&self) -> Option<Time> {
        self.phases.first().and_then(|phase| phase.starts)
    }
}
