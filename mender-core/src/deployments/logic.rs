//! The rules of deployments, as pure functions from a state to a commit.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    artifacts::ArtifactId,
    commit::{Commit, Draw},
    deployments::{
        events::DeploymentEvent,
        model::{
            Deployment, DeploymentId, DeviceDeployment, Ended, Reason, Stage, State, Status, Tally,
        },
    },
    env::Time,
    error::{Error, Result},
    event::Fact as _,
};

mod poll;
mod redact;
mod rollout;
mod safety;
mod settings;
mod tiers;

pub(super) use poll::is_installed;
pub use poll::{
    Answer, Offer, Older, Selection, choose, contact, held, is_member, newest_ended, target,
};
pub use redact::redacted;
use rollout::begin_in;
pub use rollout::{
    Gate, MAX_PHASES, MAX_RETRIES, NewPhase, Phases, devices_quota, gate, plan, quota_of, why_full,
};
use safety::{handed, scored};

pub use safety::{
    Part, ahead, approve, bytes_quota, check, is_ahead, judged, judged_now, passed, pause, refill,
    refilled, remedy, resume, score_quotas, set_right, slots_quota, unfilled_since,
};

use settings::shared;
pub use settings::{
    SETTINGS_TOPIC, TENANT_BYTES, TENANT_SLOTS, forget_settings, limit_micro, refilled_settings,
    set_budget,
};
pub use tiers::{MANIFEST, depends_on_tier, misfit};

/// How many bytes the name of a deployment may have.
pub const MAX_NAME: usize = 256;

/// How many bytes the name of a release may have.
pub const MAX_ARTIFACT_NAME: usize = 4096;

/// How many bytes a device may say beside its status.
pub const MAX_SUBSTATE: usize = 200;

/// What caches hold of a deployment.
pub const TOPIC: &str = "deployments";

/// What caches hold of the dynamic deployments of a tenant.
pub const DYNAMIC_TOPIC: &str = "deployments.dynamic";

/// Has caches forget a deployment.
fn told(commit: Commit<Deployment>) -> Commit<Deployment> {
    let Some(deployment) = commit.aggregate() else { return commit };
    let (id, is_dynamic) = (deployment.id.to_string(), deployment.is_dynamic());
    let commit = commit.invalidate(TOPIC, id);
    if is_dynamic { commit.invalidate(DYNAMIC_TOPIC, "") } else { commit }
}

/// The quota that is as high as the time at which the last deployment of a tenant was created.
pub const CREATED: &str = "deployments.created";

/// Creates a deployment, later than all that there were: devices get them by age, so no two are
/// alike.
pub fn create(deployment: Deployment) -> Commit<Deployment> {
    let Deployment { id, name, artifact_name, .. } = deployment.clone();
    let event = DeploymentEvent::Created { id, name, artifact_name }.event();
    let quotas = rollout::limits(&deployment);
    let created = Draw::Raise(deployment.created.0);
    let commit = told(Commit::insert(deployment)).event(event).charge(CREATED, created);
    quotas.into_iter().fold(commit, |commit, (quota, limit)| commit.charge(quota, limit))
}

/// Says anew where devices wait for a word.
///
/// # Errors
/// `Conflict` for a deployment that has ended, or without such a map.
pub fn control(was: Deployment, map: Map<String, Value>) -> Result<Commit<Deployment>> {
    if was.is_finished() {
        return Err(Error::conflict("Deployment already finished"));
    }
    if was.rollout.control_map.is_none() {
        return Err(Error::conflict("the deployment has no update control map"));
    }
    let mut to = was.clone();
    to.rollout.control_map = Some(map);
    Ok(told(Commit::update(was, to).quiet("devices ask for it")))
}

/// Has devices get a deployment whose rows are there.
pub fn open(was: Deployment) -> Commit<Deployment> {
    if was.state != State::Filling {
        return Commit::nothing();
    }
    let to = Deployment { state: State::Open, ..was.clone() };
    told(Commit::update(was, to).quiet("its creation was told"))
}

/// Ends a deployment that no device has yet to end.
pub fn finish(was: Deployment, artifacts: Vec<ArtifactId>, now: Time) -> Commit<Deployment> {
    if was.state != State::Open {
        return Commit::nothing();
    }
    end(was, State::Closed, artifacts, now)
}

/// Ends a deployment whatever its devices do; their rows are closed afterwards.
///
/// # Errors
/// `Conflict` where it has ended.
pub fn abort(was: Deployment, artifacts: Vec<ArtifactId>, now: Time) -> Result<Commit<Deployment>> {
    if was.is_finished() {
        return Err(Error::conflict("Deployment already finished"));
    }
    Ok(end(was, State::Closing, artifacts, now))
}

fn end(was: Deployment, state: State, artifacts: Vec<ArtifactId>, now: Time) -> Commit<Deployment> {
    let aborted = state == State::Closing;
    let event = DeploymentEvent::Finished { id: was.id.clone(), aborted }.event();
    let to = Deployment { state, finished: Some(now), artifacts, ..was.clone() };
    told(Commit::update(was, to)).event(event)
}

/// Removes a deployment that nobody is to hear of any more.
pub fn forget(deployment: Deployment) -> Commit<Deployment> {
    told(Commit::delete(deployment).quiet("it never began, or its tenant left"))
}

/// Takes the mark off a deployment whose rows are closed.
pub fn close(was: Deployment) -> Commit<Deployment> {
    if was.state != State::Closing {
        return Commit::nothing();
    }
    let to = Deployment { state: State::Closed, ..was.clone() };
    told(Commit::update(was, to).quiet("its end was told"))
}

/// Keeps what had come of a deployment when it ended.
pub fn count(was: Deployment, tally: Tally) -> Commit<Deployment> {
    if was.state != State::Closed || was.tally.is_some() {
        return Commit::nothing();
    }
    let to = Deployment { tally: Some(tally), ..was.clone() };
    Commit::update(was, to).quiet("it says what could be counted")
}

/// Returns a row as readers see it: that of an aborted deployment is closed, walked or not.
#[must_use]
pub fn seen(row: DeviceDeployment, deployment: &Deployment) -> DeviceDeployment {
    if deployment.state != State::Closing || !row.is_open() { row } else { row.closed() }
}

/// Closes a row of an aborted deployment.
pub fn close_row(was: DeviceDeployment) -> Commit<DeviceDeployment> {
    if !was.is_open() {
        return Commit::nothing();
    }
    let to = was.clone().closed();
    moved(was, to).quiet("the end of the deployment was told")
}

/// Stores what became of a row: one that fetches no more gives its place back.
fn moved(was: DeviceDeployment, mut to: DeviceDeployment) -> Commit<DeviceDeployment> {
    let may_fetch = matches!(to.status, Status::Pending | Status::Downloading) && !to.failed;
    let may_fetch = may_fetch && to.stage == Stage::Record;
    to.fetching &= may_fetch;
    to.shares &= may_fetch;
    let of_deployment = (was.fetching && !to.fetching).then(|| slots_quota(&to.deployment));
    let of_tenant = (was.shares && !to.shares).then(|| TENANT_SLOTS.to_owned());
    let given = of_deployment.into_iter().chain(of_tenant);
    given.fold(Commit::update(was, to), |commit, slots| commit.charge(slots, Draw::Give(1)))
}

/// Gives a row a final status.
fn end_row(row: &mut DeviceDeployment, status: Status, now: Time) {
    row.status = status;
    row.started.get_or_insert(now);
    row.finished = Some(now);
    row.ended = Some(Ended { status, at: now });
}

/// Has a device fail; it tries again as often as the deployment says.
fn fail(row: &mut DeviceDeployment, deployment: &Deployment, now: Time) {
    if deployment.is_finished() || row.tries > deployment.rollout.retries {
        end_row(row, Status::Failure, now);
    } else {
        row.status = Status::Pending;
        row.failed = true;
    }
}

/// Has a row be as it ended, where a late report said that the device is at it again. Tells whether
/// it had ended.
fn put_back(row: &mut DeviceDeployment) -> bool {
    let Some(Ended { status, .. }) = row.ended else { return false };
    row.status = status;
    row.failed = false;
    row.heard = None;
    true
}

/// Takes back what a late report made of a row that its device ended, as the device has ended
/// something newer since.
pub fn restore(was: DeviceDeployment, deployment: &Deployment) -> Commit<DeviceDeployment> {
    let mut to = was.clone();
    if !was.is_open() || !put_back(&mut to) {
        return Commit::nothing();
    }
    scored(ended(was, to), deployment)
}

fn ended(was: DeviceDeployment, to: DeviceDeployment) -> Commit<DeviceDeployment> {
    let event = DeploymentEvent::DeviceEnded {
        id: to.deployment.clone(),
        device: to.device.clone(),
        status: to.status,
    };
    moved(was, to).event(event.event())
}

/// Takes a device out of a deployment that it has yet to begin, as one of higher priority that is
/// newer came first: to go back would be to install what is out of date.
pub fn supersede(
    was: DeviceDeployment,
    by: &DeploymentId,
    record: String,
    now: Time,
) -> Commit<DeviceDeployment> {
    let mut was = DeviceDeployment { substate: format!("superseded by {by}"), ..was };
    was.note(Reason::Superseded, now);
    take_out(was, Status::Aborted, record, now)
}

/// Takes a device out of a deployment; it may have been waiting.
pub fn take_out(
    was: DeviceDeployment,
    status: Status,
    record: String,
    now: Time,
) -> Commit<DeviceDeployment> {
    if !was.is_open() {
        return Commit::nothing();
    }
    let mut to = was.clone();
    if to.stage == Stage::Waiting {
        to.stage = Stage::Record;
        to.record = record;
    }
    end_row(&mut to, status, now);
    ended(was, to)
}

/// Stores what a device reports.
///
/// # Errors
/// `NotFound` where there is no record, `Conflict` where it was ended for the device.
pub fn report(
    was: DeviceDeployment,
    deployment: &Deployment,
    status: Status,
    substate: &str,
    now: Time,
) -> Result<Commit<DeviceDeployment>> {
    let seen = seen(was.clone(), deployment);
    if !seen.is_listed() {
        return Err(Error::not_found("Resource not found"));
    }
    match seen.status {
        Status::Aborted => return Err(Error::conflict("Deployment aborted")),
        Status::Decommissioned => return Err(Error::conflict("Device decommissioned")),
        current if current == status => return Ok(heard(was, deployment, now)),
        // It said so before, and is to try again.
        Status::Pending if was.failed && status == Status::Failure => return Ok(Commit::nothing()),
        _ => {}
    }
    let mut to = was.clone();
    if deployment.is_finished() {
        to.late.get_or_insert(was.status);
    }
    if !substate.is_empty() {
        substate.clone_into(&mut to.substate);
    }
    to.started.get_or_insert(now);
    match status {
        Status::Failure => fail(&mut to, deployment, now),
        _ if status.is_final() => end_row(&mut to, status, now),
        _ => to.status = status,
    }
    if to.status.is_final() {
        return Ok(scored(ended(was, to), deployment));
    }
    let fetches = to.has_place() && to.status == Status::Downloading;
    let is_watched = deployment.rollout.silence_minutes.is_some() || fetches;
    to.heard = (is_watched && to.status != Status::Pending).then_some(now);
    Ok(scored(moved(was, to).quiet("others hear how it ends"), deployment))
}

/// Tells whether it is to be noted that a device says something that is not new.
fn is_worth_noting(row: &DeviceDeployment, deployment: &Deployment, now: Time) -> bool {
    let minutes = deployment.rollout.silence_minutes.map(u64::from);
    let often = minutes.map_or(HEARD, |minutes| Duration::from_secs(minutes * 60 / 4).min(HEARD));
    row.watched().is_some_and(|heard| now.since(heard) >= often)
}

/// Notes that a device said again what it said before, where that matters.
fn heard(was: DeviceDeployment, deployment: &Deployment, now: Time) -> Commit<DeviceDeployment> {
    if !is_worth_noting(&was, deployment, now) {
        return Commit::nothing();
    }
    let to = DeviceDeployment { heard: Some(now), ..was.clone() };
    moved(was, to).quiet("it says nothing new")
}

/// Returns for how long devices may be silent before anything comes of it. `shares`: some may have
/// places among those of the tenant.
#[must_use]
pub fn patience(deployment: &Deployment, shares: bool) -> Duration {
    let minutes = deployment.rollout.silence_minutes.map(u64::from);
    let silence = minutes.map_or(Duration::MAX, |minutes| Duration::from_secs(minutes * 60));
    if shares || deployment.rollout.budget.is_some() { silence.min(BEGINS) } else { silence }
}

/// Ends the try of a device that was silent for too long, or takes its place among those that
/// fetch where it never began to. `fetches` is how long a device may take to fetch, `listening`
/// since when it could have been heard.
pub fn silenced(
    was: DeviceDeployment,
    deployment: &Deployment,
    fetches: Duration,
    listening: Time,
    now: Time,
) -> Commit<DeviceDeployment> {
    let Some(heard) = was.watched() else { return Commit::nothing() };
    let silent = now.since(heard.max(listening));
    let minutes = deployment.rollout.silence_minutes.map(u64::from);
    let limit = minutes.map(|minutes| Duration::from_secs(minutes * 60));
    let waits = Status::PAUSES.contains(&was.status);
    let has_begun = was.status != Status::Pending && !waits;
    let mut to = was.clone();
    if let (Some(limit), Some(minutes)) = (limit, minutes)
        && has_begun
        && silent >= limit
    {
        to.substate = format!("silent for {minutes} minutes");
        to.heard = None;
        fail(&mut to, deployment, now);
        return if to.status.is_final() {
            scored(ended(was, to), deployment)
        } else {
            scored(moved(was, to).quiet("others hear how it ends"), deployment)
        };
    }
    let patience = if has_begun { fetches } else { BEGINS };
    if was.has_place() && silent >= patience {
        (to.fetching, to.shares) = (false, false);
        to.heard = limit.filter(|_| has_begun).and(to.heard);
        return moved(was, to).quiet("it may come back");
    }
    Commit::nothing()
}

/// After how long at most it is noted that a device says the same again.
const HEARD: Duration = Duration::from_secs(60);

/// For how long a device that was told to fetch something may say nothing.
const BEGINS: Duration = Duration::from_secs(10 * 60);

/// Forgets that a device ended a deployment: it may get it again while it is open.
pub fn reset(was: DeviceDeployment, now: Time) -> Commit<DeviceDeployment> {
    if !was.is_listed() || was.status.is_active() {
        return Commit::nothing();
    }
    let to = DeviceDeployment { deleted: Some(now), ended: None, ..was.clone() };
    Commit::update(was, to).quiet("what it counted stays")
}

/// Has another attempt count in place of a row.
pub fn replace(was: DeviceDeployment) -> Commit<DeviceDeployment> {
    if was.replaced {
        return Commit::nothing();
    }
    let to = DeviceDeployment { replaced: true, ..was.clone() };
    Commit::update(was, to).quiet("the new attempt was told")
}

/// Notes that a device sent a log.
pub fn note_log(was: DeviceDeployment) -> Commit<DeviceDeployment> {
    if was.log {
        return Commit::nothing();
    }
    let to = DeviceDeployment { log: true, ..was.clone() };
    Commit::update(was, to).quiet("the log is there to be read")
}
