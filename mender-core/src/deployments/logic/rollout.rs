//! In which phase a device may begin.

use jiff::{Span, SpanRelativeTo};

use crate::{
    commit::{Commit, Draw},
    deployments::logic::safety::budget_limits,
    deployments::model::{
        Batch, Deployment, DeploymentId, DeviceDeployment, Phase, Reason, Stage, Status, Threshold,
        Uniform, next_opening,
    },
    env::Time,
    error::{Error, Result},
    quota::UNLIMITED,
};

/// How many phases a deployment may have.
pub const MAX_PHASES: usize = 100;

/// How many bytes the time between equal phases may have, as a text.
const MAX_INTERVAL: usize = 64;

/// How often a device may try again.
pub const MAX_RETRIES: u32 = 100;

/// A phase as it is asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NewPhase {
    /// How large it is; the last one needs none.
    pub batch: Option<Batch>,
    /// When it begins; `None`: at once.
    pub starts: Option<Time>,
    /// It begins once a user approved it who did not create the deployment.
    pub needs_approval: bool,
    /// What stops it.
    pub thresholds: Vec<Threshold>,
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
    let is_one = |text: &&String| text.starts_with('P') && text.len() <= MAX_INTERVAL;
    let text = Some(&uniform.interval).filter(is_one).ok_or_else(bad)?;
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
        phases.push(NewPhase { batch: Some(batch), starts, ..NewPhase::default() });
        next = next + interval;
    }
    Ok(phases)
}

/// Makes phases for so many devices of what is asked for.
///
/// # Errors
/// `Invalid { phases }` for phases that make no sense: an empty one, one that begins before the one
/// before it or after the year 9999, one without a size or a start where it needs one.
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
    for (at, asked_phase) in asked.iter().enumerate() {
        let NewPhase { batch, starts, needs_approval, thresholds } = asked_phase;
        let is_last = at + 1 == asked.len();
        if at > 0 && starts.is_none() {
            return Err(invalid("all phases but the first need a start_ts"));
        }
        if *starts < before {
            return Err(invalid("a phase must not begin before the one before it"));
        }
        if *starts > Some(Time::LAST) {
            return Err(invalid("a phase must begin before the year 10000"));
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
        phases.push(Phase {
            id: id(),
            batch,
            starts: *starts,
            devices,
            needs_approval: *needs_approval,
            thresholds: thresholds.clone(),
        });
    }
    Ok(phases)
}

/// The quota of a phase: how many devices may yet begin in it.
#[must_use]
pub fn quota_of(deployment: &DeploymentId, phase: usize) -> String {
    format!("deployments.phase/{deployment}/{phase}")
}

/// The quota of a dynamic deployment: how many devices may yet join it.
#[must_use]
pub fn devices_quota(deployment: &DeploymentId) -> String {
    format!("deployments.devices/{deployment}")
}

/// The quotas of a deployment, and what sets them.
pub(super) fn limits(deployment: &Deployment) -> Vec<(String, Draw)> {
    let allow = |devices: u64| {
        Draw::Move(i64::try_from(devices).unwrap_or(UNLIMITED).min(UNLIMITED) - UNLIMITED)
    };
    let limit =
        |(at, phase): (usize, &Phase)| Some((quota_of(&deployment.id, at), allow(phase.devices?)));
    let mut limits: Vec<_> =
        deployment.rollout.phases.iter().enumerate().filter_map(limit).collect();
    if deployment.is_dynamic() && deployment.max_devices > 0 {
        limits.push((devices_quota(&deployment.id), allow(deployment.max_devices)));
    }
    let budget = budget_limits(deployment).into_iter();
    limits.extend(budget.map(|(quota, limit)| (quota, allow(limit))));
    limits
}

/// Whether a device may begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Gate {
    /// It may, whatever others do.
    Open,
    /// It has begun before.
    Passed,
    /// It may begin in this phase.
    Phase {
        /// The number of the phase, from 0.
        number: usize,
        /// Only where the quota of the phase is not used up.
        is_limited: bool,
    },
    /// It may not.
    Closed(Reason),
}

/// Tells whether a device may begin, whose time zone is `zone`. One that began goes on whatever
/// the deployment does; one that was told to and has yet to say so may have to wait again.
#[must_use]
pub fn gate(
    row: &DeviceDeployment,
    deployment: &Deployment,
    zone: Option<&str>,
    now: Time,
) -> Gate {
    if row.stage == Stage::Record && row.deleted.is_none() && row.status != Status::Pending {
        return Gate::Passed;
    }
    if deployment.conduct.hold.is_some() {
        return Gate::Closed(Reason::Paused);
    }
    if let Some(opens) = next_opening(&deployment.rollout.windows, now, zone) {
        return Gate::Closed(Reason::OutsideWindow { opens });
    }
    let phases = &deployment.rollout.phases;
    if phases.is_empty() || row.phase.is_some() {
        return Gate::Open;
    }
    let begun = phases.iter().take_while(|phase| has_begun(deployment, phase, now)).count();
    match begun.checked_sub(1) {
        Some(number) => Gate::Phase { number, is_limited: phases[number].devices.is_some() },
        None => Gate::Closed(why_closed(deployment, 0, now)),
    }
}

pub(super) fn has_begun(deployment: &Deployment, phase: &Phase, now: Time) -> bool {
    phase.starts.is_none_or(|starts| starts <= now)
        && (!phase.needs_approval || deployment.conduct.has_approved(&phase.id))
}

/// Says why a phase, by its number from 0, has yet to begin.
fn why_closed(deployment: &Deployment, number: usize, now: Time) -> Reason {
    let starts = deployment.rollout.phases.get(number).and_then(|phase| phase.starts);
    match starts.filter(|starts| *starts > now) {
        Some(starts) if number == 0 => Reason::Scheduled { starts },
        Some(starts) => Reason::PhaseFull { phase: number, next: Some(starts) },
        None => Reason::Unapproved { phase: number + 1 },
    }
}

/// Says why a device has to wait that came when a phase, by its number from 0, was full.
#[must_use]
pub fn why_full(deployment: &Deployment, number: usize, now: Time) -> Reason {
    why_closed(deployment, number + 1, now)
}

/// Has a row take the places that it needs to begin.
pub(super) fn begin_in(
    mut commit: Commit<DeviceDeployment>,
    deployment: &Deployment,
    gate: Gate,
    joins: bool,
) -> Commit<DeviceDeployment> {
    if joins && deployment.max_devices > 0 {
        commit = commit.charge(devices_quota(&deployment.id), Draw::Take(1));
    }
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

    fn phase(batch: Option<Batch>, starts: Option<Time>) -> NewPhase {
        NewPhase { batch, starts, ..NewPhase::default() }
    }

    fn percents(sizes: &[Option<u32>]) -> Phases {
        let phase = |(at, size): (usize, &Option<u32>)| NewPhase {
            batch: size.map(Batch::Percent),
            starts: (at > 0).then(|| Time(at.try_into().unwrap())),
            ..NewPhase::default()
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
            phase(Some(Devices(1)), None),
            phase(Some(Devices(1)), Some(Time(1))),
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
        let late = || phase(Some(Batch::Percent(50)), Some(Time(5)));
        let next = |starts| Phases::Each(vec![late(), phase(None, starts)]);
        assert!(refusal(&next(None), 9).contains("start_ts"));
        assert!(refusal(&next(Some(Time(4))), 9).contains("before the one before"));
        let mixed = phase(Some(Batch::Devices(1)), Some(Time(5)));
        assert!(refusal(&Phases::Each(vec![late(), mixed]), 9).contains("either"));
        let never = Phases::Each(vec![phase(None, Some(Time(Time::LAST.0 + 1)))]);
        assert!(refusal(&never, 9).contains("year 10000"));
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
        let long = format!("PT{}1S", "0".repeat(MAX_INTERVAL));
        for interval in ["", "1h", "P1M", "-PT1H", &long] {
            let refused = refusal(&uniform(Batch::Percent(50), interval), 10);
            assert!(refused.contains("8601"), "{interval}: {refused}");
        }
        assert!(refusal(&uniform(Batch::Percent(40), "P900000W"), 3).contains("year 10000"));
        let starts = Some(Time::LAST);
        let late = Uniform { starts, interval: "P2D".into(), batch: Batch::Percent(50) };
        assert!(refusal(&Phases::Uniform(late), 2).contains("year 10000"));
        assert!(refusal(&uniform(Batch::Devices(0), "PT1H"), 10).contains("zero devices"));
        assert!(refusal(&uniform(Batch::Devices(1), "PT1H"), 101).contains("at most"));
    }
}
