//! In which phase a device may begin.

use jiff::{Span, SpanRelativeTo};

use crate::{
    commit::{Commit, Draw},
    deployments::model::{Batch, Deployment, DeploymentId, DeviceDeployment, Phase, Uniform},
    env::Time,
    error::{Error, Result},
    quota::UNLIMITED,
};

/// How many phases a deployment may have.
pub const MAX_PHASES: usize = 100;

/// How often a device may try again.
pub const MAX_RETRIES: u32 = 100;

/// A phase as it is asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct NewPhase {
    /// How large it is; the last one needs none.
    pub batch: Option<Batch>,
    /// When it begins; `None`: at once.
    pub starts: Option<Time>,
}

/// Which phases are asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Phases {
    /// These.
    Each(Vec<NewPhase>),
    /// As many equal ones as it takes.
    Uniform(Uniform),
}

fn invalid(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid("phases", what)
}

fn devices_of(batch: Batch, total: u64) -> u64 {
    match batch {
        Batch::Percent(percent) => {
            let share = u128::from(total) * u128::from(percent) / 100;
            u64::try_from(share).unwrap_or(u64::MAX)
        }
        Batch::Devices(devices) => devices,
    }
}

/// Refuses a phase without devices; `n` is its number, from 1.
fn empty(n: usize) -> Error {
    let what = "Attempt to create a batch with zero devices not allowed";
    invalid(format!("{what}. Batch: ({n}) will be empty"))
}

/// Writes equal phases one by one.
fn spread(uniform: &Uniform, total: u64, now: Time) -> Result<Vec<NewPhase>> {
    let bad = || Error::invalid("time_interval", "must be an ISO 8601 duration");
    // What reads it takes other forms as well.
    let text = Some(&uniform.interval).filter(|text| text.starts_with('P')).ok_or_else(bad)?;
    let span: Span = text.parse().map_err(|_| bad())?;
    let day = SpanRelativeTo::days_are_24_hours();
    let interval = span.to_duration(day).ok().and_then(|interval| interval.try_into().ok());
    let interval: std::time::Duration = interval.ok_or_else(bad)?;
    let batch = uniform.batch;
    let size = match batch {
        Batch::Percent(percent) => u64::from(percent),
        Batch::Devices(devices) => devices,
    };
    let whole = if matches!(batch, Batch::Percent(_)) { 100 } else { total };
    if size == 0 {
        return Err(empty(1));
    }
    let count = usize::try_from(whole.div_ceil(size).max(1)).unwrap_or(usize::MAX);
    if count > MAX_PHASES {
        return Err(invalid(format!("at most {MAX_PHASES} phases")));
    }
    let mut next = uniform.starts.unwrap_or(now);
    let mut phases = Vec::with_capacity(count);
    for n in 0..count {
        let starts = if n == 0 { uniform.starts } else { Some(next) };
        phases.push(NewPhase { batch: Some(batch), starts });
        next = next + interval;
    }
    Ok(phases)
}

/// Makes phases for so many devices of what is asked for.
///
/// # Errors
/// `Invalid { phases }` for phases that make no sense: an empty one, one that begins before the one
/// before it, one without a size or a start where it needs one.
pub fn plan(
    asked: &Phases,
    total: u64,
    now: Time,
    mut id: impl FnMut() -> String,
) -> Result<Vec<Phase>> {
    let asked = match asked {
        Phases::Each(phases) => phases.clone(),
        Phases::Uniform(uniform) => spread(uniform, total, now)?,
    };
    if asked.len() > MAX_PHASES {
        return Err(invalid(format!("at most {MAX_PHASES} phases")));
    }
    let kinds = |batch: &Batch| matches!(batch, Batch::Percent(_));
    let mut sizes = asked.iter().filter_map(|phase| phase.batch.as_ref()).map(kinds);
    let by_percent = sizes.next().unwrap_or(true);
    if sizes.any(|kind| kind != by_percent) {
        return Err(invalid("use either batch_size or batch_size_devices"));
    }
    let whole = if by_percent { 100 } else { total };
    let (mut used, mut share, mut before) = (0_u64, 0_u64, None);
    let mut phases = Vec::with_capacity(asked.len());
    for (at, NewPhase { batch, starts }) in asked.iter().enumerate() {
        let is_last = at + 1 == asked.len();
        if at > 0 && starts.is_none() {
            return Err(invalid("all phases but the first need a start_ts"));
        }
        if *starts < before {
            return Err(invalid("a phase must not begin before the one before it"));
        }
        before = *starts;
        let left = total.saturating_sub(used);
        // The last one has whatever is left, as nobody would understand that some get nothing.
        let (batch, devices) = match batch {
            _ if is_last => {
                let rest = whole.saturating_sub(share);
                let percent = u32::try_from(rest).unwrap_or(u32::MAX);
                let rest = if by_percent { Batch::Percent(percent) } else { Batch::Devices(rest) };
                (rest, left)
            }
            Some(batch) => (*batch, devices_of(*batch, total).min(left)),
            None => return Err(invalid("all phases but the last need a size")),
        };
        if devices == 0 {
            return Err(empty(at + 1));
        }
        used += devices;
        share += match batch {
            Batch::Percent(percent) => u64::from(percent),
            Batch::Devices(devices) => devices,
        };
        let devices = (!is_last).then_some(devices);
        phases.push(Phase { id: id(), batch, starts: *starts, devices });
    }
    Ok(phases)
}

/// The quota of a phase: how many devices may yet begin in it.
#[must_use]
pub fn quota_of(deployment: &DeploymentId, phase: usize) -> String {
    format!("deployments.phase/{deployment}/{phase}")
}

/// The quotas of phases, and what sets them.
pub(super) fn limits(deployment: &Deployment) -> Vec<(String, Draw)> {
    let limit = |(at, phase): (usize, &Phase)| {
        let devices = i64::try_from(phase.devices?).unwrap_or(UNLIMITED).min(UNLIMITED);
        Some((quota_of(&deployment.id, at), Draw::Move(devices - UNLIMITED)))
    };
    deployment.rollout.phases.iter().enumerate().filter_map(limit).collect()
}

/// Whether a device may begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Gate {
    /// It may, whatever others do.
    Open,
    /// It may begin in this phase.
    Phase {
        /// The number of the phase, from 0.
        number: usize,
        /// Only where the quota of the phase is not used up.
        is_limited: bool,
    },
    /// No phase has begun.
    Closed,
}

/// Tells whether a device may begin. One that began in a phase goes on whatever the phases do.
#[must_use]
pub fn gate(row: &DeviceDeployment, deployment: &Deployment, now: Time) -> Gate {
    let phases = &deployment.rollout.phases;
    if phases.is_empty() || row.phase.is_some() {
        return Gate::Open;
    }
    let has_begun = |phase: &Phase| phase.starts.is_none_or(|starts| starts <= now);
    match phases.iter().rposition(has_begun) {
        Some(number) => Gate::Phase { number, is_limited: phases[number].devices.is_some() },
        None => Gate::Closed,
    }
}

/// Has a row begin in a phase.
pub(super) fn begin_in(
    commit: Commit<DeviceDeployment>,
    deployment: &Deployment,
    gate: Gate,
) -> Commit<DeviceDeployment> {
    match gate {
        Gate::Phase { number, is_limited: true } => {
            commit.charge(quota_of(&deployment.id, number), Draw::Take(1))
        }
        _ => commit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percents(sizes: &[Option<u32>]) -> Phases {
        let phase = |(at, size): (usize, &Option<u32>)| NewPhase {
            batch: size.map(Batch::Percent),
            starts: (at > 0).then(|| Time(at.try_into().unwrap())),
        };
        Phases::Each(sizes.iter().enumerate().map(phase).collect())
    }

    fn planned(asked: &Phases, total: u64) -> Result<Vec<(Batch, Option<u64>)>> {
        let phases = plan(asked, total, Time(0), String::new)?;
        Ok(phases.into_iter().map(|phase| (phase.batch, phase.devices)).collect())
    }

    fn refusal(asked: &Phases, total: u64) -> String {
        planned(asked, total).unwrap_err().what.into_owned()
    }

    #[test]
    fn the_last_phase_has_what_is_left() {
        use Batch::{Devices, Percent};
        let one = planned(&percents(&[None]), 7).unwrap();
        assert_eq!(one, [(Percent(100), None)]);
        let three = planned(&percents(&[Some(10), Some(30), None]), 25).unwrap();
        assert_eq!(three, [(Percent(10), Some(2)), (Percent(30), Some(7)), (Percent(60), None)]);
        let counts = Phases::Each(vec![
            NewPhase { batch: Some(Devices(1)), starts: None },
            NewPhase { batch: Some(Devices(1)), starts: Some(Time(1)) },
        ]);
        assert_eq!(planned(&counts, 5).unwrap(), [(Devices(1), Some(1)), (Devices(4), None)]);
    }

    #[test]
    fn phases_that_make_no_sense_are_refused() {
        let empty = "Attempt to create a batch with zero devices not allowed. Batch: (1) will be \
                     empty";
        assert_eq!(refusal(&percents(&[Some(10), None]), 9), empty);
        assert!(refusal(&percents(&[Some(100), None]), 9).ends_with("Batch: (2) will be empty"));
        assert!(refusal(&percents(&[None, None]), 9).contains("need a size"));
        let late = NewPhase { batch: Some(Batch::Percent(50)), starts: Some(Time(5)) };
        let next = |starts| Phases::Each(vec![late, NewPhase { batch: None, starts }]);
        assert!(refusal(&next(None), 9).contains("start_ts"));
        assert!(refusal(&next(Some(Time(4))), 9).contains("before the one before"));
        let mixed = NewPhase { batch: Some(Batch::Devices(1)), starts: Some(Time(5)) };
        assert!(refusal(&Phases::Each(vec![late, mixed]), 9).contains("either"));
        assert!(refusal(&percents(&vec![Some(1); MAX_PHASES + 1]), 9000).contains("at most"));
    }

    #[test]
    fn equal_phases_follow_each_other_until_all_devices_have_one() {
        let uniform = |batch, interval: &str| {
            Phases::Uniform(Uniform { starts: None, interval: interval.into(), batch })
        };
        let phases =
            plan(&uniform(Batch::Percent(40), "P1DT1H"), 10, Time(7), String::new).unwrap();
        let starts: Vec<_> = phases.iter().map(|phase| phase.starts).collect();
        let hour = 3_600_000;
        assert_eq!(starts, [None, Some(Time(7 + 25 * hour)), Some(Time(7 + 50 * hour))]);
        let batches: Vec<_> = phases.iter().map(|phase| phase.batch).collect();
        assert_eq!(batches, [Batch::Percent(40), Batch::Percent(40), Batch::Percent(20)]);
        assert_eq!(planned(&uniform(Batch::Devices(4), "PT1M"), 10).unwrap().len(), 3);
        for interval in ["", "1h", "P1M", "-PT1H"] {
            let refused = refusal(&uniform(Batch::Percent(50), interval), 10);
            assert!(refused.contains("8601"), "{interval}: {refused}");
        }
        assert!(refusal(&uniform(Batch::Devices(0), "PT1H"), 10).contains("zero devices"));
        assert!(refusal(&uniform(Batch::Devices(1), "PT1H"), 101).contains("at most"));
    }
}
