//! One façade over SQLite and PostgreSQL, and the ports of core on it.
//!
//! | module | what lives there |
//! |---|---|
//! | `facade` | statements, batches, the handle to a database |
//! | `value` | parameters and rows |
//! | `expand` | from the common subset to a dialect |
//! | `sqlite`, `postgres` | the drivers |
//! | `dump` | whole databases as rows, out and in |
//! | `migrate` | the embedded migrations |
//! | `filter` | conditions and orders that depend on what is asked |
//! | `kernel` | events, jobs, feed, quotas; the tail of every commit |
//! | `bodies` | tables of what is only found by its id |
//! | `artifacts`, `auth`, `deployments`, `inventory`, `tenants`, `users` | the ports of the areas |

mod artifacts;
mod auth;
mod bodies;
mod deployments;
pub(crate) mod dump;
mod expand;
mod facade;
mod filter;
mod inventory;
mod kernel;
mod migrate;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
mod tenants;
#[cfg(test)]
mod tests;
mod users;
mod value;

pub(crate) use dump::CHUNK_ROWS;
pub use dump::{Chunk, Dump, Fill};
pub use facade::{Batch, Done, Driver, Expect, Query, Sql, Step, Stmt, Texts};
pub use kernel::Tail;
pub use migrate::{MIGRATIONS, Migration};
pub use value::{Col, Row, Val};

/// Every statement of the crate; one test prepares them all on both databases.
#[must_use]
pub fn statements() -> Vec<Stmt> {
    [
        kernel::statements(),
        artifacts::statements(),
        auth::statements(),
        bodies::statements(),
        deployments::statements(),
        inventory::statements(),
        tenants::STATEMENTS.to_vec(),
        users::STATEMENTS.to_vec(),
    ]
    .concat()
}

/// Refuses a database that a newer program migrated.
pub(crate) fn refuse_newer(applied: i64) -> mender_core::StoreResult<()> {
    migrate::missing(applied, MIGRATIONS).map(drop)
}
