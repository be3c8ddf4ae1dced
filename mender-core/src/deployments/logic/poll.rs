//! What a device gets.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use crate::{
    artifacts::{Artifact, ArtifactId},
    auth,
    commit::{Change, Commit},
    deployments::{
        events::DeploymentEvent,
        logic::{Gate, begin_in, end_row, ended, fail, handed, moved, put_back, scored, shared},
        model::{
            Budget, Deployment, DeploymentId, DeviceDeployment, Payload, Reason, Request, Stage,
            Status,
        },
    },
    env::Time,
    event::Fact as _,
    inventory::{Device, Predicate, Query},
};

/// What an artifact of the release must fit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Selection {
    /// Everything that it needs, the device must provide.
    #[default]
    Depends,
    /// The type of the device, nothing else.
    DeviceType,
}

/// What a device is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// To install this artifact.
    Install(ArtifactId),
    /// To take over the configuration.
    Configure,
    /// Nothing: it ended the deployment right away.
    Nothing,
    /// That it said something else before: it failed.
    Conflict,
}

/// Chooses the row that a device goes on with, or begins with.
///
/// What it is at comes first, then of what it has yet to begin that of the highest priority; of
/// those what it was told before, and then the oldest. A late report on what has ended, or on
/// something older than what it ended since, makes nothing of that come back.
#[must_use]
pub fn choose<'a>(
    rows: &'a [DeviceDeployment],
    deployments: &BTreeMap<DeploymentId, Arc<Deployment>>,
    newest_ended: Option<Time>,
) -> Option<&'a DeviceDeployment> {
    let is_older = |row: &DeviceDeployment| newest_ended.is_some_and(|ended| row.created < ended);
    let rank = |row: &DeviceDeployment| {
        let deployment = deployments.get(&row.deployment)?;
        if !deployment.is_open() {
            return None;
        }
        match row.stage {
            Stage::Record if row.deleted.is_none() => match row.status {
                _ if row.ended.is_some() && is_older(row) => None,
                // Who asks again was told, and has not begun.
                Status::Pending => Some(1),
                status => status.is_active().then_some(0),
            },
            Stage::Record => {
                let newer = newest_ended.is_none_or(|ended| row.created > ended);
                (!row.replaced && newer).then_some(1)
            }
            Stage::Waiting => Some(1),
            Stage::Dropped => None,
        }
    };
    let priority = |row: &DeviceDeployment| {
        Reverse(deployments.get(&row.deployment).map(|known| known.rollout.priority))
    };
    let ranked = rows.iter().filter_map(|row| Some((rank(row)?, row)));
    let first = |(rank, row): &(u8, &'a DeviceDeployment)| {
        (*rank, priority(row), !row.is_listed(), row.created, &row.deployment, row.attempt)
    };
    ranked.min_by_key(first).map(|(_, row)| row)
}

/// Returns when the newest deployment was created that a device ended, where the store knows this of
/// those that it still has ended: what a late report took back was ended too.
#[must_use]
pub fn newest_ended(rows: &[DeviceDeployment], stored: Option<Time>) -> Option<Time> {
    let came_back = rows.iter().filter(|row| row.is_listed() && row.ended.is_some());
    came_back.map(|row| row.created).max().max(stored)
}

/// Tells whether an accepted device fits all of some conditions.
#[must_use]
pub fn is_member(terms: &[Predicate], device: &Device) -> bool {
    let query = Query { filters: terms.to_vec(), ..Query::default() };
    device.status() == Some(auth::Status::Accepted) && query.fits(device).unwrap_or(false)
}

/// Tells whether a device may install an artifact.
fn fits(artifact: &Artifact, request: &Request, selection: Selection) -> bool {
    let of_type = artifact.content.device_types.contains(&request.device_type);
    if !of_type || selection == Selection::DeviceType {
        return of_type;
    }
    let provides = |key: &str| match key {
        "device_type" => Some(&request.device_type),
        "artifact_name" => Some(&request.artifact_name),
        key => request.provides.get(key),
    };
    artifact.content.depends.iter().all(|(key, depend)| {
        key == "device_type" || provides(key).is_some_and(|value| depend.values().contains(value))
    })
}

/// Tells whether a device has what an artifact brings.
pub(in crate::deployments) fn is_installed(
    artifact: &Artifact,
    request: &Request,
    selection: Selection,
) -> bool {
    let brings: Vec<_> =
        artifact.content.provides.iter().filter(|(key, _)| *key != "artifact_name").collect();
    if selection == Selection::DeviceType || request.provides.is_empty() || brings.is_empty() {
        return artifact.content.name == request.artifact_name;
    }
    brings.into_iter().all(|(key, value)| request.provides.get(key) == Some(value))
}

/// What there is to give to a device.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The deployment.
    pub deployment: &'a Deployment,
    /// What the device was given before.
    pub known: Option<&'a Artifact>,
    /// What its release has.
    pub release: &'a [Artifact],
    /// What must fit.
    pub selection: Selection,
    /// Whether it may begin, and where.
    pub gate: Gate,
    /// What it would be given is being made.
    pub is_made: bool,
    /// What all devices of the tenant may fetch at once.
    pub shared: Option<Budget>,
    /// How it ends right away, as what it would be given is not for its tier.
    pub misfit: Option<Status>,
    /// The device has no row yet: it joins.
    pub joins: bool,
}

/// Chooses what of a release a device gets.
#[must_use]
pub fn target<'a>(
    release: &'a [Artifact],
    request: &Request,
    selection: Selection,
) -> Option<&'a Artifact> {
    let fitting = release.iter().filter(|artifact| fits(artifact, request, selection));
    // Of two of a size, the one that asks for more was made for fewer.
    fitting.min_by_key(|artifact| (artifact.size, Reverse(artifact.content.depends.len())))
}

/// Decides what a device is told that asks about its row; `record` is the id of its record, where
/// it has none yet.
pub fn contact(
    was: DeviceDeployment,
    offer: Offer<'_>,
    request: &Request,
    record: String,
    now: Time,
) -> (Commit<DeviceDeployment>, Answer) {
    let mut to = if was.deleted.is_some() { was.again() } else { was.clone() };
    if to.stage == Stage::Waiting {
        to.stage = Stage::Record;
        to.record = record;
        to.tries = 1;
    }
    if let Gate::Phase { number, .. } = offer.gate {
        to.phase = u32::try_from(number).ok();
    }
    if to.failed {
        to.failed = false;
        to.tries += 1;
        (to.request, to.artifact) = (None, None);
    }
    let answer = answer(&mut to, offer, request, now);
    to.note(why(&answer, to.status), now);
    let is_handed = matches!(answer, Answer::Install(_)) && to.status == Status::Pending;
    let fetches = is_handed && offer.deployment.rollout.budget.is_some() && !to.fetching;
    let share = offer.shared.filter(|_| is_handed && !to.shares);
    let bytes = to.bytes;
    to.fetching |= fetches;
    to.shares |= share.is_some();
    if fetches || share.is_some() || super::is_worth_noting(&to, offer.deployment, now) {
        to.heard = Some(now);
    }
    let mut commit = scored(stored(was, to, offer.joins), offer.deployment);
    if fetches {
        commit = handed(commit, offer.deployment, bytes);
    }
    if let Some(budget) = share {
        commit = shared(commit, budget, bytes);
    }
    (begin_in(commit, offer.deployment, offer.gate, offer.joins), answer)
}

/// What becomes of older deployments where one of higher priority comes before them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Older {
    /// They are over: to go back would be to install what is out of date.
    Superseded,
    /// They come first all the same: nothing would come of the other one.
    First,
    /// They wait.
    Waiting,
}

impl Older {
    /// `status` is that of the row that the answer is about.
    #[must_use]
    pub fn than(answer: &Answer, status: Status) -> Self {
        Self::after(why(answer, status))
    }

    /// `reason` is what decides about the one of higher priority.
    #[must_use]
    pub fn after(reason: Reason) -> Self {
        match reason {
            Reason::Install | Reason::AlreadyInstalled => Self::Superseded,
            Reason::NoArtifact | Reason::ArtifactTooBig | Reason::IncompatibleTier => Self::First,
            _ => Self::Waiting,
        }
    }

    /// Tells whether this holds for a row beside the one that comes first: both are of software, and
    /// the device has yet to begin what is older.
    #[must_use]
    pub fn is_one(
        row: &DeviceDeployment,
        first: &DeviceDeployment,
        deployments: &BTreeMap<DeploymentId, Arc<Deployment>>,
    ) -> bool {
        let of = |row: &DeviceDeployment| deployments.get(&row.deployment);
        let is_software = |known: &Arc<Deployment>| known.payload == Payload::Software;
        of(first).is_some_and(is_software)
            && of(row).is_some_and(|known| known.is_open() && is_software(known))
            && row.created < first.created
            && row.is_open()
            && row.status == Status::Pending
    }
}

/// Says why a device was told what it was.
fn why(answer: &Answer, status: Status) -> Reason {
    match (answer, status) {
        (Answer::Install(_) | Answer::Configure, _) => Reason::Install,
        (Answer::Conflict, _) => Reason::Contradiction,
        (Answer::Nothing, Status::NoArtifact) => Reason::NoArtifact,
        (Answer::Nothing, Status::AlreadyInstalled) => Reason::AlreadyInstalled,
        (Answer::Nothing, Status::ArtifactTooBig) => Reason::ArtifactTooBig,
        (Answer::Nothing, Status::IncompatibleTier) => Reason::IncompatibleTier,
        (Answer::Nothing, status) if status.is_final() => Reason::Done,
        (Answer::Nothing, _) => Reason::MakingDelta,
    }
}

/// Notes why a device has to wait, where that is new.
pub fn held(was: DeviceDeployment, reason: Reason, now: Time) -> Commit<DeviceDeployment> {
    let mut to = was.clone();
    to.note(reason, now);
    if to == was {
        return Commit::nothing();
    }
    moved(was, to).quiet("it explains, and changes nothing")
}

/// Decides what a device is told, and what that makes of its row.
fn answer(to: &mut DeviceDeployment, offer: Offer<'_>, request: &Request, now: Time) -> Answer {
    let Offer { deployment, known, release, selection, is_made, misfit, .. } = offer;
    if to.request.get_or_insert_with(|| request.clone()) != request {
        if put_back(to) {
            return Answer::Nothing;
        }
        fail(to, deployment, now);
        return Answer::Conflict;
    }
    if matches!(deployment.payload, Payload::Configuration(_)) {
        return Answer::Configure;
    }
    let Some(artifact) = known.or_else(|| target(release, request, selection)) else {
        end_row(to, Status::NoArtifact, now);
        return Answer::Nothing;
    };
    let is_pending = to.status == Status::Pending;
    let may_have_it = is_pending && !deployment.force_installation;
    if may_have_it && is_installed(artifact, request, selection) {
        to.artifact = Some(artifact.id.clone());
        end_row(to, Status::AlreadyInstalled, now);
        return Answer::Nothing;
    }
    if is_made {
        return Answer::Nothing;
    }
    if let Some(status) = misfit {
        end_row(to, status, now);
        return Answer::Nothing;
    }
    to.artifact = Some(artifact.id.clone());
    to.bytes = artifact.size;
    Answer::Install(artifact.id.clone())
}

/// Stores what became of a row, which may be another attempt, or the first that there is.
fn stored(was: DeviceDeployment, to: DeviceDeployment, joins: bool) -> Commit<DeviceDeployment> {
    if was == to {
        return Commit::nothing();
    }
    let again = to.attempt != was.attempt;
    let final_status = to.status.is_final() && (again || was.status != to.status);
    let mut commit =
        if final_status { ended(was.clone(), to.clone()) } else { moved(was.clone(), to.clone()) };
    if again || joins {
        commit.change = Change::Insert(to);
        let (id, device) = (was.deployment, was.device);
        return commit.event(if again {
            DeploymentEvent::DeviceAgain { id, device }.event()
        } else {
            DeploymentEvent::DeviceJoined { id, device }.event()
        });
    }
    commit
}
