//! Where events wait until every subscriber has heard them.

use crate::{
    env::Time,
    event::Event,
    id::{TenantId, Version},
    port,
};

port! {
    /// The events that commits wrote and that are not yet delivered. It belongs to the store
    /// whose aggregates it serves: a commit writes aggregate and events together.
    pub trait Journal {
        /// Takes over at most `limit` events whose lease ended at or before `now`, oldest first,
        /// and leases them until `lease_until`. No event goes to two callers.
        async fn claim_events(&self, now: Time, lease_until: Time, limit: usize) -> Vec<Event>;

        /// Forgets events that every subscriber has heard. Unknown ones are no error.
        async fn settle_events(&self, events: &[Event]) -> ();

        /// Tells whether an undelivered event of the aggregate has a smaller version.
        async fn has_earlier(
            &self,
            tenant: &TenantId,
            aggregate: &str,
            key: &str,
            version: Version,
        ) -> bool;

        /// Counts the events that are not settled.
        async fn unsettled_events(&self) -> u64;
    }
}
