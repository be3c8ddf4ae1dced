//! Limits that hold under concurrency: counted by the commits that use them up.

use crate::{env::Time, id::TenantId, port};

/// The free units of a quota that has no limit.
pub const UNLIMITED: i64 = 1 << 62;

/// The wire's value for "no limit".
pub const NO_LIMIT: i64 = -1;

/// How much of a quota is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quota {
    /// What may still be taken; below zero after the limit was lowered.
    pub free: i64,
    /// What is taken.
    pub used: i64,
}

impl Default for Quota {
    fn default() -> Self {
        Self { free: UNLIMITED, used: 0 }
    }
}

/// Returns how many units a limit of the wire allows: -1 is none, other negative ones allow
/// nothing.
#[must_use]
pub fn capacity(limit: i64) -> i64 {
    if limit == NO_LIMIT { UNLIMITED } else { limit.clamp(0, UNLIMITED) }
}

port! {
    /// The quotas of tenants. Commits change them by their charges.
    pub trait Quotas {
        /// Returns a quota; one that no commit ever touched is unlimited and unused.
        async fn quota(&self, tenant: &TenantId, name: &str) -> Quota;

        /// Returns quotas as above, in the order of their names, by one read.
        async fn quotas_of(&self, tenant: &TenantId, names: &[String]) -> Vec<Quota>;

        /// Settles what commits that were cut off before `before` left reserved, at most
        /// `limit` of them. A store whose commits are transactions has nothing to do.
        async fn sweep_quotas(&self, before: Time, limit: usize) -> ();
    }
}
