//! What is kept for a tenant: limits, rules, and since when tokens are valid.

use super::{CLOCK_SKEW, MAX_FLAG_CHANGES, MAX_TEST_DEVICES, TENANT_TOPIC, TOKENS_TOPIC};
use crate::{
    auth::model::{AcceptRule, AuthTenant, Limit},
    commit::{Commit, Draw},
    env::Time,
    error::{Error, Kind, Result},
    id::Version,
    quota::{NO_LIMIT, capacity},
};

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
    to.from = (now.seconds() + CLOCK_SKEW).max(was.from) + 1;
    Commit::update(was.clone(), to)
        .invalidate(TENANT_TOPIC, "")
        .invalidate(TOKENS_TOPIC, "")
        .quiet("tokens are not stored")
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
    let mut commit =
        Commit::delete(was.clone()).invalidate(TENANT_TOPIC, "").invalidate(TOKENS_TOPIC, "");
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
        let midnight = Time::from_seconds((now.day() + 1) * 86_400);
        let kind = Kind::TooMany { wait: midnight.since(now) };
        return Err(Error::new(kind, "flag changes of the day"));
    }
    let mut to = was.clone();
    to.flag_changes = (now.day(), count + 1);
    Ok(Commit::update(was.clone(), to).quiet("a counter"))
}
