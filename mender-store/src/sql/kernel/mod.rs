//! What belongs to no area: events, jobs, feed and quotas.

mod events;
mod feed;
mod jobs;
mod quotas;

use mender_core::{Stamped, TenantId};

use super::facade::{Batch, Stmt};

/// Every statement of the kernel.
pub(crate) fn statements() -> Vec<Stmt> {
    [
        events::STATEMENTS,
        feed::STATEMENTS,
        jobs::STATEMENTS,
        quotas::STATEMENTS,
    ]
    .concat()
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
