//! The rules of inventory, as pure functions from a state to a commit.

use super::{
    events::{FilterEvent, InventoryEvent, Reported},
    model::{
        Attribute, AttributeName, Device, Facts, Filter, GroupName, NewAttribute, Value, name,
    },
    query::Predicate,
};
use crate::{
    auth::{Status, Tier},
    commit::Commit,
    env::Time,
    error::{Error, Result},
    event::Fact,
};

/// How many bytes of reported attributes travel in an event; of more only the device is told.
const MAX_TOLD: usize = 32 * 1024;

/// What becomes of the attributes of the scope that are not given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum How {
    /// They stay.
    Merge,
    /// They go.
    Replace,
}

/// A device before a decision: stored, or about to be recorded.
#[derive(Clone, Debug)]
pub enum Known {
    /// As it is stored.
    Stored(Device),
    /// As it would be recorded.
    New(Device),
}

impl Known {
    fn device(&self) -> &Device {
        match self {
            Self::Stored(device) | Self::New(device) => device,
        }
    }

    /// Commits to the next state, where it differs.
    fn commit_to(self, to: Device) -> Commit<Device> {
        let (device, now_in) = (to.id.clone(), to.group().map(str::to_owned));
        let written = InventoryEvent::Written { device: device.clone() }.event();
        let (commit, group) = match self {
            Self::Stored(was) if was == to => return Commit::nothing(),
            Self::Stored(was) => {
                let group = was.group().map(str::to_owned);
                (Commit::update(was, to), group)
            }
            Self::New(_) => {
                let recorded = InventoryEvent::Recorded { device: device.clone() }.event();
                (Commit::insert(to).event(recorded), None)
            }
        };
        let commit = commit.event(written);
        if now_in == group {
            return commit;
        }
        commit.event(InventoryEvent::Regrouped { device, group: now_in }.event())
    }
}

fn too_many() -> Error {
    Error::invalid("attributes", "the number of attributes in the scope is above the limit")
}

/// Checks the limit of a scope; zero is none.
fn check_limit(
    was: &Device,
    scope: &str,
    new: &[NewAttribute],
    how: How,
    limit: usize,
) -> Result<()> {
    let is_new = |new: &&NewAttribute| was.attributes.get(&new.name).is_none();
    let count = match how {
        How::Replace => new.len(),
        How::Merge => was.attributes.count(scope) + new.iter().filter(is_new).count(),
    };
    // Compat: beyond the limit not even known values are taken.
    if limit > 0 && count > limit { Err(too_many()) } else { Ok(()) }
}

/// Tells whether a request changes nothing worth a write. The first one of each day is written
/// all the same: it says when the device last reported.
fn is_known(was: &Device, scope: &str, new: &[NewAttribute], how: How, now: Time) -> bool {
    let is_same = |new: &NewAttribute| {
        new.name.scope == AttributeName::INVENTORY
            && was.attributes.value(&new.name) == Some(&new.value)
    };
    let is_given = |known: &str| new.iter().any(|new| new.name.name == known);
    was.updated().is_none_or(|updated| updated.day() == now.day())
        && new.iter().all(is_same)
        && (how == How::Merge || was.attributes.of(scope).all(|(known, _)| is_given(known)))
}

fn set_all(to: &mut Device, scope: &str, new: &[NewAttribute], how: How, at: Option<Time>) {
    if how == How::Replace {
        to.attributes.retain(scope, |known| new.iter().any(|new| new.name.name == known));
    }
    for NewAttribute { name, value, description } in new {
        let attribute =
            Attribute { value: value.clone(), description: description.clone(), timestamp: at };
        to.attributes.set(name, attribute);
    }
    to.identities = identities(to);
}

/// The values of the identity, and the name.
fn identities(device: &Device) -> Vec<String> {
    let of_identity = device.attributes.of(AttributeName::IDENTITY).map(|(_, a)| &a.value);
    let called = device.attributes.value(&AttributeName::tag(name::NAME));
    let texts = of_identity.chain(called).flat_map(|value| match value {
        Value::Number(number) => vec![number.to_string()],
        Value::Numbers(numbers) => numbers.iter().map(ToString::to_string).collect(),
        value => value.texts().to_vec(),
    });
    let found: Vec<String> = texts.collect();
    // Compat: once there, they never vanish.
    if found.is_empty() { device.identities.clone() } else { found }
}

/// Decides on what a device reports.
///
/// # Errors
/// `Invalid` above the limit.
pub fn report(
    known: Known,
    new: &[NewAttribute],
    how: How,
    limit: usize,
    now: Time,
) -> Result<Commit<Device>> {
    let scope = AttributeName::INVENTORY;
    check_limit(known.device(), scope, new, how, limit)?;
    if matches!(&known, Known::Stored(was) if is_known(was, scope, new, how, now)) {
        return Ok(Commit::nothing());
    }
    let mut to = known.device().clone();
    set_all(&mut to, scope, new, how, None);
    to.attributes.set(&AttributeName::system(name::UPDATED), Value::Time(now).into());
    let told: Vec<Reported> = new.iter().map(Reported::from).collect();
    let is_small = serde_json::to_vec(&told).is_ok_and(|json| json.len() <= MAX_TOLD);
    let event =
        InventoryEvent::Changed { device: to.id.clone(), inventory: is_small.then_some(told) };
    let commit = known.commit_to(to);
    Ok(if commit.is_nothing() { commit } else { commit.event(event.event()) })
}

/// Decides on the tags that a user sets; `etag` is that of the next state.
///
/// # Errors
/// `Invalid` above the limit, `Conflict` where the tags are not those that the user saw.
pub fn tag(
    was: Option<Device>,
    new: &[NewAttribute],
    how: How,
    limit: usize,
    seen: Option<&str>,
    etag: String,
    now: Time,
) -> Result<Commit<Device>> {
    let scope = AttributeName::TAGS;
    if how == How::Replace && limit > 0 && new.len() > limit {
        return Err(too_many());
    }
    let differs = || Err(Error::conflict("ETag does not match"));
    let Some(was) = was else {
        // Compat: tags of an unknown device are accepted, and lost.
        return if seen.is_some() { differs() } else { Ok(Commit::nothing()) };
    };
    check_limit(&was, scope, new, how, limit)?;
    if is_known(&was, scope, new, how, now) {
        return Ok(Commit::nothing());
    }
    if seen.is_some() && seen != was.etag.as_deref() {
        return differs();
    }
    let mut to = was.clone();
    set_all(&mut to, scope, new, how, Some(now));
    to.etag = Some(etag);
    Ok(Known::Stored(was).commit_to(to))
}

/// Sets attributes of any scope, as other parts of a system do. `unmodified`: only where the
/// device did not report after this time.
///
/// # Errors
/// `Conflict` where it did.
pub fn write(
    known: Known,
    new: &[NewAttribute],
    unmodified: Option<Time>,
) -> Result<Commit<Device>> {
    let was = known.device();
    if let (Some(updated), Some(since)) = (was.updated(), unmodified)
        && updated > since
    {
        return Err(Error::conflict("write conflict"));
    }
    let mut to = was.clone();
    set_all(&mut to, "", new, How::Merge, None);
    Ok(known.commit_to(to))
}

/// Sets attributes as if the device had reported them, within the limit that it has.
///
/// # Errors
/// `Invalid` above the limit.
pub fn import(was: Device, new: &[NewAttribute], limit: usize) -> Result<Commit<Device>> {
    check_limit(&was, AttributeName::INVENTORY, new, How::Merge, limit)?;
    write(Known::Stored(was), new, None)
}

/// Sets attributes as the first thing that is told of a device.
pub fn create(known: Known, new: &[NewAttribute]) -> Commit<Device> {
    let mut to = known.device().clone();
    for NewAttribute { name, value, description } in new {
        let description = description.clone();
        to.attributes.set(name, Attribute { value: value.clone(), description, timestamp: None });
    }
    known.commit_to(to)
}

/// Moves a device to a static group.
pub fn regroup(was: &Device, group: Option<&GroupName>) -> Commit<Device> {
    let mut to = was.clone();
    let name = AttributeName::system(name::GROUP);
    match group {
        Some(group) => to.attributes.set(&name, Value::Text(group.as_str().into()).into()),
        None => to.attributes.remove(&name),
    }
    Known::Stored(was.clone()).commit_to(to)
}

/// Tells whether a revision is old news for the device.
fn is_old(known: &Known, revision: i64) -> bool {
    matches!(known, Known::Stored(was) if was.revision >= revision)
}

fn put_status(to: &mut Device, status: Status, revision: i64) {
    let name = AttributeName::identity(name::STATUS);
    to.attributes.set(&name, Value::Text(status.as_str().into()).into());
    to.revision = revision;
}

/// Sets the status of device authentication; `None`: the revision is old news.
#[must_use]
pub fn set_status(known: Known, status: Status, revision: i64) -> Option<Commit<Device>> {
    if is_old(&known, revision) {
        return None;
    }
    let mut to = known.device().clone();
    put_status(&mut to, status, revision);
    Some(known.commit_to(to))
}

/// Copies what device authentication knows, unless something newer is known already, and notes
/// a contact, whose time never goes back.
pub fn learn(known: Known, facts: &Facts, seen: Option<Time>) -> Commit<Device> {
    let mut to = known.device().clone();
    if !is_old(&known, facts.revision) {
        copy(&mut to, facts);
    }
    let name = AttributeName::system(name::SEEN);
    let before = to.attributes.value(&name).and_then(Value::as_time);
    if let Some(at) = seen.filter(|at| before.is_none_or(|before| before < *at)) {
        to.attributes.set(&name, Value::Time(at).into());
    }
    known.commit_to(to)
}

fn copy(to: &mut Device, facts: &Facts) {
    let Facts { revision, status, identity, tier, test } = facts;
    put_status(to, *status, *revision);
    to.attributes.retain(AttributeName::IDENTITY, |known| {
        known == name::STATUS || identity.contains_key(known)
    });
    for (key, value) in identity.iter().filter(|(key, _)| *key != name::STATUS) {
        // Nothing that a device claims stands for its status.
        let fits = (1..=AttributeName::MAX).contains(&key.len()) && !key.contains('\0');
        if fits {
            to.attributes.set(&AttributeName::identity(key), Value::of_any(value).into());
        }
    }
    let mut system = |key, value: Option<Value>| match value {
        Some(value) => to.attributes.set(&AttributeName::system(key), value.into()),
        None => to.attributes.remove(&AttributeName::system(key)),
    };
    let is_special = *tier != Tier::Standard;
    system(name::TIER, is_special.then(|| Value::Text(tier.as_str().into())));
    system(name::TEST, test.then_some(Value::Flag(true)));
    to.identities = identities(to);
}

/// Notes how many alerts there are.
#[expect(clippy::cast_precision_loss, reason = "nobody has so many alerts")]
pub fn set_alerts(known: Known, count: u64) -> Commit<Device> {
    let mut to = known.device().clone();
    let mut set = |name, value: Value| {
        to.attributes.set(&AttributeName::new(AttributeName::MONITOR, name), value.into());
    };
    set(name::ALERT_COUNT, Value::Number(count as f64));
    set(name::ALERTS, Value::Flag(count > 0));
    known.commit_to(to)
}

/// Forgets a device.
pub fn remove(was: Device) -> Commit<Device> {
    let removed = InventoryEvent::Removed { device: was.id.clone() }.event();
    Commit::delete(was).event(removed)
}

fn check_filter(name: &str, terms: &[Predicate]) -> Result<()> {
    if name.is_empty() {
        return Err(Error::invalid("name", "cannot be blank"));
    }
    if name.len() > Filter::MAX_NAME {
        let max = Filter::MAX_NAME;
        return Err(Error::invalid("name", format!("the length must be no more than {max}")));
    }
    if name.contains('\0') {
        return Err(Error::invalid("name", "must not contain the character U+0000"));
    }
    if terms.is_empty() {
        return Err(Error::invalid("terms", "at least one filter term must be provided"));
    }
    if terms.len() > Filter::MAX_TERMS {
        return Err(Error::invalid("terms", format!("at most {} terms", Filter::MAX_TERMS)));
    }
    for term in terms {
        let wrong = |e| Error::invalid("terms", format!("validation failed for term: {e}"));
        term.check().map_err(wrong)?;
    }
    Ok(())
}

/// Saves a filter.
///
/// # Errors
/// `Invalid` for a filter without name or terms, or with a term that makes no sense.
pub fn save_filter(filter: Filter) -> Result<Commit<Filter>> {
    check_filter(&filter.name, &filter.terms)?;
    let (id, name) = (filter.id.clone(), filter.name.clone());
    Ok(Commit::insert(filter).event(FilterEvent::Created { filter: id, name }.event()))
}

/// Changes a saved filter.
///
/// # Errors
/// As [`save_filter`].
pub fn change_filter(was: Filter, name: &str, terms: &[Predicate]) -> Result<Commit<Filter>> {
    check_filter(name, terms)?;
    let to = Filter { name: name.to_owned(), terms: terms.to_vec(), ..was.clone() };
    if to == was {
        return Ok(Commit::nothing());
    }
    let event = FilterEvent::Changed { filter: to.id.clone(), name: to.name.clone() };
    Ok(Commit::update(was, to).event(event.event()))
}

/// Deletes a saved filter.
pub fn delete_filter(was: Filter) -> Commit<Filter> {
    let event = FilterEvent::Deleted { filter: was.id.clone(), name: was.name.clone() };
    Commit::delete(was).event(event.event())
}
