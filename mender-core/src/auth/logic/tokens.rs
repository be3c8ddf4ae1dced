//! Tokens: they are not stored, so what counts is since when those of a set are valid.

use super::{DEVICE_TOPIC, end_tokens};
use crate::{
    auth::model::{AuthSetId, Device, Status},
    commit::Commit,
    env::Time,
    error::{Error, Result},
};

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
