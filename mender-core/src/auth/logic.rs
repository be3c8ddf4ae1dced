//! The rules of device authentication, as pure functions from a state to a commit.

use crate::{
    auth::{
        events::DeviceEvent,
        model::{
            AcceptRule, AuthSet, AuthSetId, AuthTenant, Device, ExternalId, Identity, Limit,
            MAX_SETS, Status, Tier,
        },
    },
    commit::{Commit, Draw},
    env::Time,
    error::{Error, Result},
    event::Fact,
    id::{DeviceId, Version},
    quota::{NO_LIMIT, capacity},
};

mod usage;

pub use usage::{MAX_USAGE_DAYS, count_usage, usage_report};

/// The kind of cached state that a change of a device may spoil; the key is the device.
pub const DEVICE_TOPIC: &str = "auth.device";

/// The kind of cached state that a change of a tenant may spoil.
pub const TENANT_TOPIC: &str = "auth.tenant";

/// How many test devices a tenant may have accepted.
pub const MAX_TEST_DEVICES: i64 = 10;

/// How often a tenant may change flags in one day.
pub const MAX_FLAG_CHANGES: u32 = 20;

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
                take_over(&mut to, &id, now);
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
    take_over(&mut to, id, now);
    changed(was, to, Some(id), now)
}

/// Makes this set the accepted one; another that was accepted is rejected.
fn take_over(device: &mut Device, id: &AuthSetId, now: Time) {
    for set in &mut device.sets {
        if set.id == *id {
            set.status = Status::Accepted;
        } else if set.status == Status::Accepted {
            set.status = Status::Rejected;
            end_tokens(set, now);
        }
    }
    settle(device);
}

/// Ends every token of the set, also one issued within the present second.
fn end_tokens(set: &mut AuthSet, now: Time) {
    set.live = false;
    set.from = now.seconds().max(set.from) + 1;
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

/// Issues a token for an accepted set: returns when it says it was issued.
///
/// A set that has valid tokens needs no commit: tokens are not stored.
pub fn issue(was: &Device, id: &AuthSetId, tenant_from: i64, now: Time) -> (Commit<Device>, i64) {
    let Some(set) = was.set(id) else {
        return (Commit::nothing(), now.seconds());
    };
    let issued = now.seconds().max(set.from).max(was.from).max(tenant_from);
    if set.live {
        return (Commit::nothing(), issued);
    }
    let mut to = was.clone();
    for set in to.sets.iter_mut().filter(|set| set.id == *id) {
        set.live = true;
    }
    (Commit::update(was.clone(), to).quiet("a token, no change of the device"), issued)
}

/// Tells whether a token of this set, issued at this second, is valid.
#[must_use]
pub fn is_valid(device: &Device, id: &AuthSetId, issued: i64, tenant_from: i64) -> bool {
    let from = device.from.max(tenant_from);
    !device.leaving
        && device.set(id).is_some_and(|set| {
            set.status == Status::Accepted && set.live && issued >= set.from.max(from)
        })
}

/// Revokes the tokens of a set.
///
/// # Errors
/// `NotFound` where the set is unknown or has none.
pub fn revoke(was: &Device, id: &AuthSetId, now: Time) -> Result<Commit<Device>> {
    let live = was.set(id).is_some_and(|set| set.live);
    if !live {
        return Err(Error::not_found("token"));
    }
    let mut to = was.clone();
    to.sets.iter_mut().filter(|set| set.id == *id).for_each(|set| end_tokens(set, now));
    Ok(tokens_ended(was, to))
}

/// Revokes every token of a device.
pub fn revoke_all(was: &Device, now: Time) -> Commit<Device> {
    if was.sets.iter().all(|set| !set.live) {
        return Commit::nothing();
    }
    let mut to = was.clone();
    to.sets.iter_mut().filter(|set| set.live).for_each(|set| end_tokens(set, now));
    tokens_ended(was, to)
}

fn tokens_ended(was: &Device, to: Device) -> Commit<Device> {
    Commit::update(was.clone(), to)
        .quiet("nobody keeps tokens but caches")
        .invalidate(DEVICE_TOPIC, was.id.as_str())
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

/// Tells whether a rule accepts this identity.
#[must_use]
pub fn is_accepted_by(rules: &[AcceptRule], identity: &Identity) -> bool {
    let attributes = identity.attributes();
    let text = |key: &String| match attributes.get(key) {
        Some(serde_json::Value::String(text)) => Some(text.clone()),
        Some(value) => Some(value.to_string()),
        None => None,
    };
    rules.iter().any(|rule| {
        !rule.identity.is_empty()
            && rule
                .identity
                .iter()
                .all(|(key, pattern)| text(key).is_some_and(|text| matches(pattern, &text)))
    })
}

/// Matches text against a pattern in which `*` stands for any text; linear for each `*`.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut left) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

/// Joins what every change of a device entails: version, charges, invalidation, events.
fn changed(was: &Device, to: Device, cause: Option<&AuthSetId>, now: Time) -> Commit<Device> {
    let cause = cause.and_then(|id| to.set(id).cloned());
    told(commit_of(was, to, now), was, cause)
}

fn commit_of(was: &Device, mut to: Device, now: Time) -> Commit<Device> {
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

fn told(mut commit: Commit<Device>, was: &Device, cause: Option<AuthSet>) -> Commit<Device> {
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

fn provisioned(device: &Device, set: Option<AuthSet>) -> DeviceEvent {
    DeviceEvent::Provisioned {
        device: device.id.clone(),
        revision: device.version,
        created: device.created,
        set: set.map(Box::new),
    }
}

fn status_changed(device: &Device, set: Option<AuthSet>) -> DeviceEvent {
    DeviceEvent::StatusChanged {
        device: device.id.clone(),
        status: device.status,
        revision: device.version,
        created: device.created,
        set: set.map(Box::new),
    }
}

/// What a device counts against: the limit of its tier, and that of test devices.
fn held(device: Option<&Device>) -> Vec<Limit> {
    let Some(device) = device.filter(|device| device.status == Status::Accepted) else {
        return Vec::new();
    };
    let test = device.test.then_some(Limit::TestDevices);
    std::iter::once(device.tier.limit()).chain(test).collect()
}

fn charged(
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

/// Makes what is kept for a tenant that had nothing.
pub fn new_tenant(mut tenant: AuthTenant, now: Time) -> Commit<AuthTenant> {
    tenant.version = Version(now.0);
    let unlimited = capacity(tenant.limit(Limit::TestDevices));
    tenant.limits.insert(Limit::TestDevices, MAX_TEST_DEVICES);
    Commit::insert(tenant)
        .charge(Limit::TestDevices.as_str(), Draw::Move(MAX_TEST_DEVICES - unlimited))
        .quiet("nothing that anybody could notice")
}

/// Sets limits; `None` takes a limit away.
pub fn set_limits(was: &AuthTenant, limits: &[(Limit, Option<i64>)]) -> Commit<AuthTenant> {
    let mut to = was.clone();
    let mut moves = Vec::new();
    for (limit, value) in limits {
        let before = capacity(to.limit(*limit));
        match value {
            Some(value) => to.limits.insert(*limit, *value),
            None => to.limits.remove(limit),
        };
        moves.push((*limit, capacity(to.limit(*limit)) - before));
    }
    if to == *was {
        return Commit::nothing();
    }
    let mut commit = Commit::update(was.clone(), to).invalidate(TENANT_TOPIC, "");
    for (limit, by) in moves.into_iter().filter(|(_, by)| *by != 0) {
        commit = commit.charge(limit.as_str(), Draw::Move(by));
    }
    commit
}

/// Revokes every token of the tenant.
pub fn revoke_tenant(was: &AuthTenant, now: Time) -> Commit<AuthTenant> {
    let mut to = was.clone();
    to.from = now.seconds().max(was.from) + 1;
    Commit::update(was.clone(), to).invalidate(TENANT_TOPIC, "").quiet("tokens are not stored")
}

/// Sets the rules that accept new devices.
pub fn set_rules(was: &AuthTenant, rules: Vec<AcceptRule>) -> Commit<AuthTenant> {
    if was.accept == rules {
        return Commit::nothing();
    }
    let mut to = was.clone();
    to.accept = rules;
    Commit::update(was.clone(), to).invalidate(TENANT_TOPIC, "")
}

/// Forgets what is kept for a tenant; its quotas are without limit again.
pub fn delete_tenant(was: &AuthTenant) -> Commit<AuthTenant> {
    let mut commit = Commit::delete(was.clone()).invalidate(TENANT_TOPIC, "");
    for (limit, value) in &was.limits {
        let by = capacity(NO_LIMIT) - capacity(*value);
        commit = commit.charge(limit.as_str(), Draw::Move(by));
    }
    commit.quiet("the tenant itself is gone")
}

/// Counts one change of a flag.
///
/// # Errors
/// `TooMany` after [`MAX_FLAG_CHANGES`] in one day.
pub fn count_flag_change(was: &AuthTenant, now: Time) -> Result<Commit<AuthTenant>> {
    let (day, count) = was.flag_changes;
    let count = if day == now.day() { count } else { 0 };
    if count >= MAX_FLAG_CHANGES {
        return Err(Error::new(crate::error::Kind::TooMany, "flag changes of the day"));
    }
    let mut to = was.clone();
    to.flag_changes = (now.day(), count + 1);
    Ok(Commit::update(was.clone(), to).quiet("a counter"))
}

#[cfg(test)]
mod tests;
