//! Thresholds, budgets, pauses and approvals.

use std::{ops::Range, time::Duration};

use crate::{
    commit::{Change, Commit, Draw},
    deployments::{
        events::DeploymentEvent,
        logic::{rollout::has_begun, told},
        model::{
            Approval, Batch, Budget, Cause, Conduct, Deployment, DeploymentId, DeviceDeployment,
            Hold, Remedy, Rollout, Score, Side, Status, Threshold,
        },
    },
    env::Time,
    error::{Error, Result},
    event::Fact as _,
    id::UserId,
    quota::UNLIMITED,
};

/// How many windows a deployment may have.
const MAX_WINDOWS: usize = 50;

/// How many thresholds a deployment, or a phase of it, may have.
const MAX_THRESHOLDS: usize = 10;

/// How far priorities are from each other at most.
const MAX_PRIORITY: i32 = 1000;

/// For how many minutes a device may be silent at most: a year.
const MAX_SILENCE: u32 = 366 * 24 * 60;

/// How many bytes the reason of a pause may have.
const MAX_REASON: usize = 4096;

/// How much may be handed out at once after nothing was for a while.
const BURST: Duration = Duration::from_secs(60);

/// How much time has to pass for a budget to be filled up again.
const REFILL: Duration = Duration::from_secs(1);

/// How far clocks of nodes may be apart. What is noted for later than that was noted by a clock that
/// was wrong.
const APART: Duration = Duration::from_secs(60);

/// Tells whether a clock that was wrong noted a moment: to wait for it could take for ever.
#[must_use]
pub fn is_ahead(noted: Time, now: Time) -> bool {
    noted.since(now) > APART
}

/// Returns from when on those moments are that are ahead.
#[must_use]
pub fn ahead(now: Time) -> Range<Time> {
    now + APART + Duration::from_millis(1)..Time(i64::MAX)
}

/// Has a device count as heard of now that was heard of by a clock that was wrong.
pub fn set_right(was: DeviceDeployment, now: Time) -> Commit<DeviceDeployment> {
    if !was.watched().is_some_and(|heard| is_ahead(heard, now)) {
        return Commit::nothing();
    }
    let to = DeviceDeployment { heard: Some(now), ..was.clone() };
    Commit::update(was, to).quiet("it says nothing new")
}

fn check_thresholds(thresholds: &[Threshold]) -> Result<()> {
    let invalid = |what| Err(Error::invalid("thresholds", what));
    if thresholds.len() > MAX_THRESHOLDS {
        return invalid("too many");
    }
    for Threshold { side, limit, sample, remedy: _ } in thresholds {
        match (side, limit) {
            (_, Batch::Percent(percent)) if !(1..=100).contains(percent) => {
                return invalid("a rate is between 1 and 100 percent");
            }
            (_, Batch::Devices(0)) => return invalid("a count is 1 or more"),
            (Side::Success, Batch::Devices(count)) if count > sample => {
                return invalid("more have to succeed than the sample has");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks what may be fetched at once.
pub(super) fn check_budget(budget: Option<Budget>) -> Result<()> {
    let lets_nothing =
        |Budget { parallel, bytes_per_second }| parallel == Some(0) || bytes_per_second == Some(0);
    if budget.is_some_and(lets_nothing) {
        return Err(Error::invalid("download_budget", "must let something through"));
    }
    Ok(())
}

/// Checks what keeps a deployment from doing harm.
///
/// # Errors
/// `Invalid` for what makes no sense.
pub fn check(rollout: &Rollout) -> Result<()> {
    check_thresholds(&rollout.thresholds)?;
    for phase in &rollout.phases {
        check_thresholds(&phase.thresholds)?;
    }
    if rollout.windows.len() > MAX_WINDOWS {
        return Err(Error::invalid("maintenance_windows", "too many"));
    }
    for window in &rollout.windows {
        window.check().map_err(|what| Error::invalid("maintenance_windows", what))?;
    }
    if !(-MAX_PRIORITY..=MAX_PRIORITY).contains(&rollout.priority) {
        return Err(Error::invalid("priority", "must be between -1000 and 1000"));
    }
    check_budget(rollout.budget)?;
    if rollout.silence_minutes.is_some_and(|minutes| !(1..=MAX_SILENCE).contains(&minutes)) {
        return Err(Error::invalid("silence_timeout_minutes", "must be between 1 and 527040"));
    }
    Ok(())
}

/// A part of a deployment that has thresholds: a phase, by its number from 0, or the whole.
pub type Part = Option<usize>;

/// Returns the parts of a deployment with what stops it.
pub fn judged(deployment: &Deployment) -> impl Iterator<Item = (Part, &[Threshold])> {
    let rollout = &deployment.rollout;
    let phases = rollout.phases.iter().enumerate();
    let phases = phases.map(|(at, phase)| (Some(at), phase.thresholds.as_slice()));
    let parts = [(None, rollout.thresholds.as_slice())].into_iter().chain(phases);
    parts.filter(|(_, thresholds)| !thresholds.is_empty())
}

/// Returns the parts with what stops the deployment that devices may have begun in.
pub fn judged_now(
    deployment: &Deployment,
    now: Time,
) -> impl Iterator<Item = (Part, &[Threshold])> {
    let phases = deployment.rollout.phases.iter();
    let begun = phases.take_while(|phase| has_begun(deployment, phase, now)).count();
    judged(deployment).filter(move |(part, _)| part.is_none_or(|phase| phase < begun))
}

/// The quotas that count how many devices of a part failed, and succeeded, in a round: what was
/// counted before a deployment was resumed is not looked at any more, and may still change.
#[must_use]
pub fn score_quotas(deployment: &DeploymentId, part: Part, round: u32) -> (String, String) {
    let part = part.map(|phase| format!("/{phase}")).unwrap_or_default();
    let round = if round == 0 { String::new() } else { format!(".{round}") };
    let name = |what| format!("deployments.{what}{round}/{deployment}{part}");
    (name("failed"), name("succeeded"))
}

/// Returns the first threshold that a score passes.
#[must_use]
pub fn passed(thresholds: &[Threshold], score: Score) -> Option<Threshold> {
    thresholds.iter().find(|threshold| threshold.is_passed(score)).copied()
}

/// Has a commit of a row count how it ends, where thresholds look at that: in the round of now. What
/// it takes back it takes from the round that it was counted in.
pub(super) fn scored(
    mut commit: Commit<DeviceDeployment>,
    deployment: &Deployment,
) -> Commit<DeviceDeployment> {
    let (was, to) = match &mut commit.change {
        Change::Insert(to) => (None, to),
        Change::Update { was, to } => (Some((was.status, was.round)), to),
        Change::Nothing | Change::Delete(_) => return commit,
    };
    let is_counted = |status| matches!(status, Status::Failure | Status::Success);
    let (status, round) = (to.status, deployment.conduct.round);
    if was.is_some_and(|(was, _)| was == status) {
        return commit;
    }
    let phase = to.phase.and_then(|phase| usize::try_from(phase).ok());
    let parts = || judged(deployment).filter(|(part, _)| part.is_none() || *part == phase);
    if is_counted(status) && parts().next().is_some() {
        to.round = round;
    }
    let quota = |part, status, round| {
        let (failed, succeeded) = score_quotas(&deployment.id, part, round);
        if status == Status::Failure { failed } else { succeeded }
    };
    for (part, _) in parts() {
        if let Some((was, round)) = was.filter(|(was, _)| is_counted(*was)) {
            commit = commit.charge(quota(part, was, round), Draw::Give(1));
        }
        if is_counted(status) {
            commit = commit.charge(quota(part, status, round), Draw::Take(1));
        }
    }
    commit
}

fn finished() -> Error {
    Error::conflict("Deployment already finished")
}

/// Has no further device begin. What is paused stays so for its first reason.
///
/// # Errors
/// `Conflict` for a deployment that has ended, `Invalid` for a long reason.
pub fn pause(was: Deployment, cause: Cause, now: Time) -> Result<Commit<Deployment>> {
    if was.is_finished() {
        return Err(finished());
    }
    if let Cause::User { reason, .. } = &cause
        && (reason.len() > MAX_REASON || reason.contains('\0'))
    {
        return Err(Error::invalid("reason", "the length must be no more than 4096"));
    }
    if was.conduct.hold.is_some() {
        return Ok(Commit::nothing());
    }
    let by_threshold = matches!(cause, Cause::Threshold { .. });
    let event = DeploymentEvent::Paused { id: was.id.clone(), by_threshold };
    let conduct = Conduct { hold: Some(Hold { since: now, cause }), ..was.conduct.clone() };
    Ok(conducted(was, conduct).event(event.event()))
}

/// Has devices begin again. Thresholds count anew.
///
/// # Errors
/// `Conflict` for a deployment that has ended.
pub fn resume(was: Deployment) -> Result<Commit<Deployment>> {
    if was.is_finished() {
        return Err(finished());
    }
    if was.conduct.hold.is_none() {
        return Ok(Commit::nothing());
    }
    let event = DeploymentEvent::Resumed { id: was.id.clone() };
    let round = was.conduct.round.saturating_add(1);
    let conduct = Conduct { hold: None, round, ..was.conduct.clone() };
    Ok(conducted(was, conduct).event(event.event()))
}

/// Lets a phase begin.
///
/// # Errors
/// `NotFound` where there is no such phase, `Conflict` for a deployment that has ended, or a phase
/// that needs no approval, and `Forbidden` for the user who created the deployment.
pub fn approve(was: Deployment, phase: &str, by: UserId, now: Time) -> Result<Commit<Deployment>> {
    if was.is_finished() {
        return Err(finished());
    }
    let found = was.rollout.phases.iter().find(|known| known.id == phase);
    let found = found.ok_or_else(|| Error::not_found("Resource not found"))?;
    if !found.needs_approval {
        return Err(Error::conflict("the phase needs no approval"));
    }
    if was.conduct.creator.as_ref() == Some(&by) {
        return Err(Error::forbidden("another user than its creator has to approve the phase"));
    }
    if was.conduct.has_approved(phase) {
        return Ok(Commit::nothing());
    }
    let mut conduct = was.conduct.clone();
    conduct.approvals.push(Approval { phase: phase.to_owned(), by, at: now });
    let event = DeploymentEvent::PhaseApproved { id: was.id.clone(), phase: phase.to_owned() };
    Ok(conducted(was, conduct).event(event.event()))
}

fn conducted(was: Deployment, conduct: Conduct) -> Commit<Deployment> {
    let to = Deployment { conduct, ..was.clone() };
    told(Commit::update(was, to))
}

/// What a passed threshold asks for.
#[must_use]
pub fn remedy(part: Part, threshold: Threshold, score: Score) -> (Remedy, Cause) {
    (threshold.remedy, Cause::Threshold { phase: part, threshold, score })
}

/// The quota of devices that fetch at the same time.
#[must_use]
pub fn slots_quota(deployment: &DeploymentId) -> String {
    format!("deployments.slots/{deployment}")
}

/// The quota of bytes that may be handed out; what is handed out beyond it is a debt.
#[must_use]
pub fn bytes_quota(deployment: &DeploymentId) -> String {
    format!("deployments.bytes/{deployment}")
}

/// Returns since when a budget of bytes has not been filled up.
#[must_use]
pub fn unfilled_since(deployment: &Deployment) -> Time {
    deployment.conduct.refilled.unwrap_or(deployment.created)
}

/// Fills up the budget of bytes of a deployment.
pub fn refilled(was: Deployment, bytes: i64, now: Time) -> Commit<Deployment> {
    let quota = bytes_quota(&was.id);
    let conduct = Conduct { refilled: Some(now), ..was.conduct.clone() };
    let commit = conducted(was, conduct).quiet("devices that ask find out");
    if bytes == 0 { commit } else { commit.charge(quota, Draw::Move(bytes)) }
}

/// Returns how many bytes may be handed out at once.
pub(super) fn burst(bytes_per_second: u64) -> u64 {
    bytes_per_second.saturating_mul(BURST.as_secs())
}

/// Returns so many bytes as a quota counts them.
pub(super) fn counted(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(UNLIMITED).min(UNLIMITED)
}

/// The quotas of a budget, and what sets them.
pub(super) fn budget_limits(deployment: &Deployment) -> Vec<(String, u64)> {
    let Some(budget) = deployment.rollout.budget else { return Vec::new() };
    let slots = budget.parallel.map(|slots| (slots_quota(&deployment.id), slots));
    let bytes = budget.bytes_per_second.map(|rate| (bytes_quota(&deployment.id), burst(rate)));
    slots.into_iter().chain(bytes).collect()
}

/// Has a row that is handed so many bytes draw on the budget.
pub(super) fn handed(
    mut commit: Commit<DeviceDeployment>,
    deployment: &Deployment,
    bytes: u64,
) -> Commit<DeviceDeployment> {
    let Some(budget) = deployment.rollout.budget else { return commit };
    commit = commit.charge(slots_quota(&deployment.id), Draw::Take(1));
    if budget.bytes_per_second.is_some() {
        commit = commit.charge(bytes_quota(&deployment.id), Draw::Move(-counted(bytes)));
    }
    commit
}

/// Returns how many bytes a budget gives after so long, where as many as these are left.
#[must_use]
pub fn refill(bytes_per_second: u64, since: Time, now: Time, left: i64) -> i64 {
    let rate = i64::try_from(bytes_per_second).unwrap_or(i64::MAX);
    let passed = i64::try_from(now.since(since).as_millis()).unwrap_or(i64::MAX);
    if passed < i64::try_from(REFILL.as_millis()).unwrap_or(i64::MAX) {
        return 0;
    }
    let burst = rate.saturating_mul(i64::try_from(BURST.as_secs()).unwrap_or(i64::MAX));
    let earned = i64::try_from(i128::from(rate) * i128::from(passed) / 1000).unwrap_or(i64::MAX);
    earned.min(burst.saturating_sub(left)).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_have_limits_on_both_sides() {
        let with = |priority| check(&Rollout { priority, ..Rollout::default() });
        for fine in [-MAX_PRIORITY, 0, MAX_PRIORITY] {
            with(fine).unwrap();
        }
        for ill in [i32::MIN, -MAX_PRIORITY - 1, MAX_PRIORITY + 1, i32::MAX] {
            assert_eq!(with(ill).unwrap_err().what, "must be between -1000 and 1000", "{ill}");
        }
    }
}
