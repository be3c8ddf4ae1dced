//! The rules of device authentication, as pure functions from a state to a commit.

use crate::{
    auth::{
        events::DeviceEvent,
        model::{AuthSet, AuthSetId, Device, ExternalId, Identity, MAX_SETS, Status, Tier},
    },
    commit::Commit,
    env::Time,
    error::{Error, Result},
    event::Fact,
    id::{DeviceId, Version},
};

mod change;
mod rules;
mod tenant;
mod tokens;
mod usage;

use change::{changed, charged, commit_of, provisioned, status_changed, told};

pub use change::held;

pub use rules::is_accepted_by;
pub use tenant::{
    count_flag_change, delete_tenant, new_tenant, revoke_tenant, set_limits, set_rules,
};
pub use tokens::{is_valid, issue, revoke, revoke_all};
pub use usage::{MAX_USAGE_DAYS, count_usage, usage_report};

/// The kind of cached state that a change of a device may spoil; the key is the device.
pub const DEVICE_TOPIC: &str = "auth.device";

/// The kind of cached state that a change of a tenant may spoil.
pub const TENANT_TOPIC: &str = "auth.tenant";

/// The kind of cached state that the end of all tokens of a tenant spoils.
pub const TOKENS_TOPIC: &str = "auth.tokens";

/// How many test devices a tenant may have accepted.
pub const MAX_TEST_DEVICES: i64 = 10;

/// How often a tenant may change flags in one day.
pub const MAX_FLAG_CHANGES: u32 = 20;

/// By how many seconds the clock of the node that issued a token may be ahead of ours.
const CLOCK_SKEW: i64 = 2;

/// How long an identity may be to travel in an event; of longer ones only the device is told.
const MAX_TOLD: usize = 32 * 1024;

fn told_identity(identity: &Identity) -> Option<String> {
    Some(identity.as_str()).filter(|text| text.len() <= MAX_TOLD).map(str::to_owned)
}

/// A key that claims an identity, and the ids for what may be made of it.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The key as PEM in its normal form.
    pub key: String,
    /// The tier that the device claims.
    pub tier: Tier,
    /// The id of the auth set, should one be made.
    pub set: AuthSetId,
}

impl Claim {
    fn into_set(self, status: Status, now: Time) -> AuthSet {
        let Self { key, tier, set: id } = self;
        AuthSet { id, key, tier, status, live: false, from: 0, created: now }
    }
}

/// What a device's authentication request comes to.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It gets no token. There may be something to store all the same.
    Refused(Commit<Device>),
    /// It gets a token for this set, once the commit is stored.
    Granted(Commit<Device>, AuthSetId),
}

/// Records a device that nobody knew: pending, or accepted where a rule says so.
pub fn record(
    id: DeviceId,
    identity: Identity,
    claim: Claim,
    status: Status,
    now: Time,
) -> Commit<Device> {
    let set = claim.into_set(status, now);
    let mut device = Device {
        id,
        identity,
        status,
        tier: set.tier,
        sets: vec![set],
        group: None,
        leaving: false,
        provisioned: false,
        test: false,
        external: None,
        from: 0,
        created: now,
        updated: now,
        version: Version::FIRST,
    };
    let first = device.status == Status::Accepted;
    device.provisioned = first;
    let recorded = DeviceEvent::Recorded {
        device: device.id.clone(),
        identity: told_identity(&device.identity).map(|_| device.identity.attributes()),
        tier: device.tier,
    };
    let set = device.sets.first().cloned();
    let mut commit = Commit::insert(device.clone()).event(recorded.event());
    if first {
        commit = commit.event(provisioned(&device, set.clone()).event());
    }
    charged(commit.event(status_changed(&device, set).event()), None, Some(&device))
}

/// Decides on the authentication request of a known device.
///
/// A preauthorized key takes over; a new one becomes a pending set, or an accepted one where
/// `accept` is set; a rejected device gets no token.
pub fn present(was: &Device, claim: Claim, accept: bool, now: Time) -> Result<Verdict> {
    if was.leaving {
        return Ok(Verdict::Refused(Commit::nothing()));
    }
    let known = was.sets.iter().find(|set| set.key == claim.key && set.tier == claim.tier);
    match known.map(|set| (set.id.clone(), set.status)) {
        Some((id, Status::Accepted)) => Ok(Verdict::Granted(Commit::nothing(), id)),
        Some((id, Status::Preauthorized)) => Ok(Verdict::Granted(accept_set(was, &id, now), id)),
        Some((id, _)) if accept => Ok(Verdict::Granted(accept_set(was, &id, now), id)),
        Some(_) => Ok(Verdict::Refused(Commit::nothing())),
        None => {
            let mut to = was.clone();
            make_room(&mut to)?;
            let id = claim.set.clone();
            to.sets.push(claim.into_set(Status::Pending, now));
            if accept {
                take_over(&mut to, &id);
                return Ok(Verdict::Granted(changed(was, to, Some(&id), now), id));
            }
            if Status::Pending < was.status {
                settle(&mut to);
            }
            Ok(Verdict::Refused(changed(was, to, Some(&id), now)))
        }
    }
}

/// Makes room for one more set: the oldest rejected one goes, else the oldest pending one.
fn make_room(device: &mut Device) -> Result<()> {
    if device.sets.len() < MAX_SETS {
        return Ok(());
    }
    let oldest = |status| device.sets.iter().position(|set| set.status == status);
    let at = oldest(Status::Rejected).or_else(|| oldest(Status::Pending));
    let at = at.ok_or_else(|| Error::unauthenticated("too many auth sets"))?;
    device.sets.remove(at);
    Ok(())
}

fn accept_set(was: &Device, id: &AuthSetId, now: Time) -> Commit<Device> {
    let mut to = was.clone();
    take_over(&mut to, id);
    changed(was, to, Some(id), now)
}

/// Makes this set the accepted one; another that was accepted is rejected. Its tokens are good for
/// nothing, unless a user accepts it again.
fn take_over(device: &mut Device, id: &AuthSetId) {
    for set in &mut device.sets {
        if set.id == *id {
            set.status = Status::Accepted;
        } else if set.status == Status::Accepted {
            set.status = Status::Rejected;
        }
    }
    settle(device);
}

/// Ends every token of the set, also one issued within the present second.
fn end_tokens(set: &mut AuthSet, now: Time) {
    set.live = false;
    set.from = (now.seconds() + CLOCK_SKEW).max(set.from) + 1;
}

/// Sets status and tier from the strongest set; of equal ones the latest decides.
fn settle(device: &mut Device) {
    let strongest = device.sets.iter().rev().min_by_key(|set| set.status);
    device.status = strongest.map_or(Status::Noauth, |set| set.status);
    if let Some(set) = strongest {
        device.tier = set.tier;
    }
}

/// Sets the status of a set as a user decided.
///
/// # Errors
/// `NotFound` for an unknown set, `Conflict` for a preauthorized one: only the device takes it.
pub fn set_status(
    was: &Device,
    id: &AuthSetId,
    status: Status,
    now: Time,
) -> Result<Commit<Device>> {
    let set = was.set(id).ok_or_else(|| Error::not_found("auth set"))?;
    let old = set.status;
    if old == status {
        return Ok(Commit::nothing());
    }
    if old == Status::Preauthorized {
        return Err(Error::conflict("the auth set is preauthorized"));
    }
    if status == Status::Accepted {
        return Ok(accept_set(was, id, now));
    }
    let mut to = was.clone();
    for set in to.sets.iter_mut().filter(|set| set.id == *id) {
        if set.status == Status::Accepted {
            end_tokens(set, now);
        }
        set.status = status;
    }
    // Compat: the status is computed anew only where this set can have made a difference.
    if status < was.status || old == was.status {
        settle(&mut to);
    }
    let commit = changed(was, to, Some(id), now);
    Ok(if status == Status::Rejected {
        let (device, identity) = (was.id.clone(), told_identity(&was.identity));
        commit.event(DeviceEvent::Rejected { device, identity }.event())
    } else {
        commit
    })
}

/// Preauthorizes a key for a device that exists already.
///
/// # Errors
/// `Unauthenticated` where the device has no room for another set.
pub fn preauthorize(was: &Device, claim: Claim, now: Time) -> Result<Commit<Device>> {
    let mut to = was.clone();
    let known = to.sets.iter_mut().find(|set| set.key == claim.key && set.tier == claim.tier);
    match known {
        Some(set) if set.status == Status::Preauthorized => return Ok(Commit::nothing()),
        Some(set) => {
            if set.status == Status::Accepted {
                end_tokens(set, now);
            }
            set.status = Status::Preauthorized;
        }
        None => {
            make_room(&mut to)?;
            to.sets.push(claim.into_set(Status::Preauthorized, now));
        }
    }
    // Compat: the status of the device stays; it changes when the device asks.
    Ok(changed(was, to, None, now))
}

/// Deletes a set. A device that was preauthorized and never came goes with its last set.
///
/// # Errors
/// `NotFound` for an unknown set.
pub fn delete_set(was: &Device, id: &AuthSetId, now: Time) -> Result<Commit<Device>> {
    let set = was.set(id).ok_or_else(|| Error::not_found("auth set"))?.clone();
    if set.status == Status::Preauthorized && was.sets.len() == 1 {
        return Ok(remove(was));
    }
    let mut to = was.clone();
    to.sets.retain(|set| set.id != *id);
    settle(&mut to);
    let commit = commit_of(was, to, now);
    Ok(told(commit, was, Some(set)))
}

/// Begins to decommission a device: from now on it gets no token, and none is valid.
pub fn leave(was: &Device, now: Time) -> Commit<Device> {
    let mut to = was.clone();
    to.leaving = true;
    let (device, identity) = (was.id.clone(), told_identity(&was.identity));
    // Repeated on purpose where the flag is set already: it drives a stuck removal on.
    changed(was, to, None, now).event(DeviceEvent::Leaving { device, identity }.event())
}

/// Removes a device.
pub fn remove(was: &Device) -> Commit<Device> {
    let removed = DeviceEvent::Removed { device: was.id.clone() };
    let commit = Commit::delete(was.clone())
        .event(removed.event())
        .invalidate(DEVICE_TOPIC, was.id.as_str());
    charged(commit, Some(was), None)
}

/// Notes whether other areas were told to prepare for the device.
pub fn provision(was: &Device, provisioned: bool, now: Time) -> Commit<Device> {
    let mut to = was.clone();
    to.provisioned = provisioned;
    to.updated = now;
    Commit::update(was.clone(), to).quiet("bookkeeping")
}

/// Makes the device a test device, or an ordinary one.
pub fn flag(was: &Device, test: bool, now: Time) -> Commit<Device> {
    if was.test == test {
        return Commit::nothing();
    }
    let mut to = was.clone();
    to.test = test;
    let flagged = DeviceEvent::Flagged { device: was.id.clone(), test };
    commit_of(was, to, now).event(flagged.event())
}

/// Notes the static group of a device, which scopes filter by.
pub fn group(was: &Device, group: Option<&str>) -> Commit<Device> {
    // An empty name is no group.
    let group = group.filter(|group| !group.is_empty());
    if was.group.as_deref() == group {
        return Commit::nothing();
    }
    let mut to = was.clone();
    to.group = group.map(str::to_owned);
    Commit::update(was.clone(), to).quiet("inventory has told everybody")
}

/// Notes what the device is known as elsewhere.
pub fn external(was: &Device, external: ExternalId, now: Time) -> Commit<Device> {
    let mut to = was.clone();
    to.external = Some(external);
    to.updated = now;
    Commit::update(was.clone(), to).quiet("shown on request only")
}

#[cfg(test)]
mod tests;
