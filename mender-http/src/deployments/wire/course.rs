//! How a deployment goes about it.

use mender_core::{
    Time,
    deployments::{Batch, Conduct, NewPhase, Phases, Rollout, Tally, Uniform},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::safety::Threshold;
use crate::body::or_default;

/// A phase as it is asked for.
#[derive(Deserialize, ToSchema)]
pub(crate) struct AskedPhase {
    /// How many devices it has, of a hundred; the last phase has what is left.
    #[serde(default)]
    batch_size: Option<u32>,
    /// How many devices it has; in place of `batch_size`.
    #[serde(default)]
    batch_size_devices: Option<u64>,
    /// When it begins; the first one begins at once without.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    start_ts: Option<Time>,
    /// It begins once a user approved it who did not create the deployment.
    #[serde(default, deserialize_with = "or_default")]
    needs_approval: bool,
    /// What stops it.
    #[serde(default, deserialize_with = "or_default")]
    thresholds: Vec<Threshold>,
}

/// Equal phases, as many as it takes.
#[derive(Deserialize, Serialize, ToSchema)]
pub(crate) struct UniformPhases {
    /// When the first one begins; at once without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    start_ts: Option<Time>,
    /// The time between them, as an ISO 8601 duration.
    time_interval: String,
    /// How many devices each has, of a hundred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batch_size: Option<u32>,
    /// How many devices each has; in place of `batch_size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batch_size_devices: Option<u64>,
}

/// A phase.
#[derive(Serialize, ToSchema)]
pub(crate) struct Phase {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_size_devices: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    start_ts: Option<Time>,
    /// How many devices began in it.
    device_count: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    needs_approval: bool,
    /// The user who approved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    approved_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    approved_at: Option<Time>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    thresholds: Vec<Threshold>,
}

/// Reads a size; of two nobody knows which one is meant.
fn batch(percent: Option<u32>, devices: Option<u64>) -> Result<Option<Batch>, &'static str> {
    match (percent, devices) {
        (Some(_), Some(_)) => Err("use either batch_size or batch_size_devices"),
        (Some(percent), None) if percent > 100 => Err("batch_size must be no greater than 100"),
        (Some(percent), None) => Ok(Some(Batch::Percent(percent))),
        (None, Some(devices)) => Ok(Some(Batch::Devices(devices))),
        (None, None) => Ok(None),
    }
}

fn sizes(batch: Batch) -> (Option<u32>, Option<u64>) {
    match batch {
        Batch::Percent(percent) => (Some(percent), None),
        Batch::Devices(devices) => (None, Some(devices)),
    }
}

/// Reads which phases are asked for. An empty list is none.
pub(crate) fn phases(
    each: Vec<AskedPhase>,
    uniform: Option<UniformPhases>,
) -> Result<Option<Phases>, &'static str> {
    let Some(uniform) = uniform else {
        let read = |phase: AskedPhase| -> Result<NewPhase, &'static str> {
            Ok(NewPhase {
                batch: batch(phase.batch_size, phase.batch_size_devices)?,
                starts: phase.start_ts,
                needs_approval: phase.needs_approval,
                thresholds: Threshold::read_all(phase.thresholds)?,
            })
        };
        let each: Vec<NewPhase> = each.into_iter().map(read).collect::<Result<_, _>>()?;
        return Ok((!each.is_empty()).then_some(Phases::Each(each)));
    };
    if !each.is_empty() {
        return Err("use either phases or uniform_phases");
    }
    let UniformPhases { start_ts: starts, time_interval, batch_size, batch_size_devices } = uniform;
    let Some(batch) = batch(batch_size, batch_size_devices)? else {
        return Err("uniform_phases need a batch_size or batch_size_devices");
    };
    Ok(Some(Phases::Uniform(Uniform { starts, interval: time_interval, batch })))
}

impl UniformPhases {
    pub(crate) fn of(uniform: Uniform) -> Self {
        let Uniform { starts: start_ts, interval: time_interval, batch } = uniform;
        let (batch_size, batch_size_devices) = sizes(batch);
        Self { start_ts, time_interval, batch_size, batch_size_devices }
    }
}

impl Phase {
    pub(crate) fn all(rollout: &Rollout, conduct: &Conduct, tally: &Tally) -> Vec<Self> {
        let counted = |at: usize| {
            let number = u32::try_from(at).unwrap_or(u32::MAX);
            tally.phases.get(&number).copied().unwrap_or(0)
        };
        let phase = |(at, phase): (usize, &mender_core::deployments::Phase)| {
            let (batch_size, batch_size_devices) = sizes(phase.batch);
            let approval = conduct.approvals.iter().find(|approval| approval.phase == phase.id);
            Self {
                id: phase.id.clone(),
                batch_size,
                batch_size_devices,
                start_ts: phase.starts,
                device_count: counted(at),
                needs_approval: phase.needs_approval,
                approved_by: approval.map(|approval| approval.by.to_string()),
                approved_at: approval.map(|approval| approval.at),
                thresholds: phase.thresholds.iter().copied().map(Threshold::of).collect(),
            }
        };
        rollout.phases.iter().enumerate().map(phase).collect()
    }
}
