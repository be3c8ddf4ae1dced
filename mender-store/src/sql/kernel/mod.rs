//! What belongs to no area: events, jobs, feed and quotas.

pub(super) mod events;
mod feed;
mod jobs;
mod quotas;

use mender_core::{Stamped, TenantId};

use super::facade::{Batch, Query, Stmt};

/// Every statement of the kernel.
pub(crate) fn statements() -> Vec<Stmt> {
    [events::STATEMENTS, feed::STATEMENTS, jobs::STATEMENTS, quotas::STATEMENTS].concat()
}

/// Returns a read that finds what a commit left beside its aggregate, where it leaves anything:
/// tells whether a deletion was applied.
///
/// Its events are its own until the lease ends, and entries of the feed outlive that.
pub(super) fn trace_of<A>(commit: &Stamped<A>) -> Option<Query> {
    events::trace_of(&commit.events).or_else(|| feed::trace_of(commit))
}

/// What every commit ends with.
pub trait Tail: Sized {
    /// Appends the events, the invalidations and the charges of a commit.
    ///
    /// The quotas come last: their rows are the most wanted, and held the shortest so.
    #[must_use]
    fn tail<A>(self, tenant: &TenantId, commit: &Stamped<A>) -> Self;
}

impl Tail for Batch {
    fn tail<A>(self, tenant: &TenantId, commit: &Stamped<A>) -> Self {
        let batch = events::append(self, &commit.events, commit.lease_until);
        let batch = feed::append(batch, tenant, commit);
        quotas::append(batch, tenant, &commit.charges)
    }
}
