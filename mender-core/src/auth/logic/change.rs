//! What every change of a device entails: version, charges, invalidation, events.

use super::DEVICE_TOPIC;
use crate::{
    auth::{
        events::DeviceEvent,
        model::{AuthSet, AuthSetId, Device, Limit, Status},
    },
    commit::{Commit, Draw},
    env::Time,
    event::Fact,
};

/// Joins what every change of a device entails: version, charges, invalidation, events.
pub(super) fn changed(
    was: &Device,
    to: Device,
    cause: Option<&AuthSetId>,
    now: Time,
) -> Commit<Device> {
    let cause = cause.and_then(|id| to.set(id).cloned());
    told(commit_of(was, to, now), was, cause)
}

pub(super) fn commit_of(was: &Device, mut to: Device, now: Time) -> Commit<Device> {
    to.updated = now;
    to.provisioned |= to.status == Status::Accepted;
    let spoils = spoils_tokens(was, &to);
    let mut commit = Commit::update(was.clone(), to.clone());
    if spoils {
        commit = commit.invalidate(DEVICE_TOPIC, was.id.as_str());
    }
    charged(commit, Some(was), Some(&to))
}

/// Tells whether a token that was valid may not be so any more.
fn spoils_tokens(was: &Device, to: &Device) -> bool {
    let Some(set) = was.accepted_set().filter(|set| set.live) else {
        return false;
    };
    to.leaving || to.from != was.from || to.set(&set.id) != Some(set)
}

pub(super) fn told(
    mut commit: Commit<Device>,
    was: &Device,
    cause: Option<AuthSet>,
) -> Commit<Device> {
    let Some(to) = commit.aggregate().cloned() else {
        return commit;
    };
    if to.provisioned && !was.provisioned {
        commit = commit.event(provisioned(&to, cause.clone()).event());
    }
    if to.status != was.status {
        commit = commit.event(status_changed(&to, cause).event());
    }
    if to.tier != was.tier {
        let event = DeviceEvent::TierChanged { device: to.id.clone(), tier: to.tier };
        commit = commit.event(event.event());
    }
    commit
}

pub(super) fn provisioned(device: &Device, set: Option<AuthSet>) -> DeviceEvent {
    DeviceEvent::Provisioned {
        device: device.id.clone(),
        revision: device.version,
        created: device.created,
        set: set.map(Box::new),
    }
}

pub(super) fn status_changed(device: &Device, set: Option<AuthSet>) -> DeviceEvent {
    DeviceEvent::StatusChanged {
        device: device.id.clone(),
        status: device.status,
        revision: device.version,
        created: device.created,
        set: set.map(Box::new),
    }
}

/// What a device counts against: the limit of its tier, and that of test devices.
pub fn held(device: Option<&Device>) -> Vec<Limit> {
    let Some(device) = device.filter(|device| device.status == Status::Accepted) else {
        return Vec::new();
    };
    let test = device.test.then_some(Limit::TestDevices);
    std::iter::once(device.tier.limit()).chain(test).collect()
}

pub(super) fn charged(
    mut commit: Commit<Device>,
    was: Option<&Device>,
    to: Option<&Device>,
) -> Commit<Device> {
    let (before, after) = (held(was), held(to));
    for limit in after.iter().filter(|limit| !before.contains(limit)) {
        commit = commit.charge(limit.as_str(), Draw::Take(1));
    }
    for limit in before.iter().filter(|limit| !after.contains(limit)) {
        commit = commit.charge(limit.as_str(), Draw::Give(1));
    }
    commit
}
