//! What nodes tell each other: cached state that is out of date, and that they are alive.

use crate::{
    env::Time,
    id::{NodeId, TenantId},
    port,
};

/// Cached state of a tenant that is out of date.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FeedEntry {
    /// Unique.
    pub id: String,
    /// The tenant.
    pub tenant: TenantId,
    /// The kind of thing, see [`crate::commit::Topic`].
    pub kind: String,
    /// Which one; empty for all of the tenant.
    pub key: String,
    /// When it changed, by the clock of the node that changed it.
    pub at: Time,
}

/// A process that works on the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    /// Which.
    pub id: NodeId,
    /// Its clock when it last said so.
    pub at: Time,
    /// Whether it delivers events and runs jobs.
    pub runs: bool,
}

port! {
    /// The feed of invalidations, which commits write together with their change, and the list
    /// of nodes.
    pub trait Feed {
        /// Returns the entries made at or after `since`.
        async fn feed_since(&self, since: Time) -> Vec<FeedEntry>;

        /// Removes entries and nodes older than `before`, at most `limit` of each.
        async fn sweep_feed(&self, before: Time, limit: usize) -> ();

        /// Says that a node lives.
        async fn beat(&self, node: &Node) -> ();

        /// Returns the nodes that were alive at or after `since`.
        async fn nodes(&self, since: Time) -> Vec<Node>;

        /// Takes a node off the list.
        async fn leave(&self, node: &NodeId) -> ();
    }
}
