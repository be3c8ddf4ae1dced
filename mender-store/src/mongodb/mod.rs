//! The stores of a server in MongoDB, or in any server that speaks its protocol and changes one
//! document atomically.
//!
//! Each kind has a collection; each aggregate is one document, with the events of its commits
//! that are not settled yet. A write is one operation on one document: no sessions, no
//! transactions, no pipelines.
//!
//! | field | holds |
//! |---|---|
//! | `_id` | tenant and id, in an encoding that sorts by id within the tenant |
//! | `t` | the tenant |
//! | `v` | the version; absent in a tombstone |
//! | `uk` | `=` and the unique text; `dead/` and `_id` in a tombstone |
//! | `body` | the aggregate as JSON text; absent in a tombstone |
//! | `ix` | the index texts |
//! | `s` | one field for each declared order |
//! | `p` | one field for each place under a name of the data's; not indexed |
//! | `ob` | the events that are not settled: `{id, l, j}`, id, end of lease, JSON text |
//! | `ob_at` | no later than the earliest end of a lease in `ob`; far in the future without any |
//! | `c` | the token of the last commit, to find out after a lost answer |
//! | `r` | grows with every change, the settling of events included |
//! | `dead`, `note` | when a tombstone was left, and its note |

mod claim;
mod docs;
mod form;
mod indexes;
mod link;
mod names;
mod probe;
mod query;
mod settle;
#[cfg(test)]
mod tests;
mod write;

use mender_core::kit::Kit;

pub use docs::MongoDocs;

/// The stores of a server in MongoDB: `MongoStores::new(MongoDocs::open(url).await?)`.
pub type MongoStores = Kit<MongoDocs>;
