//! Compares device authentication, over HTTP, with few devices stored and with many.
//!
//! `cargo bench --bench auth [-- dir [small large]]`
//!
//! Both fleets are open at the same time and are measured in turn. Uses SQLite in a folder below
//! `dir`, or PostgreSQL where `MENDER_TEST_POSTGRES` is set.

mod fleet;
mod growth;
#[path = "../support/mod.rs"]
mod support;

use std::sync::atomic::Ordering;

use mender::store::{SqlStore, sql::Stmt, vals};

use fleet::Fleet;
use support::{Fault, Places, load::Devices, memory, rounds};

/// The file, or the tables of authentication with their indexes.
const SIZE: Stmt = Stmt::each(
    "SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size",
    "SELECT CAST(SUM(pg_total_relation_size(CAST(n AS regclass))) AS BIGINT) AS bytes FROM
        unnest(ARRAY['auth_devices', 'auth_sets', 'auth_seen']) AS n",
);

/// Device `n`; every tenth is pending, the others are accepted and have a token.
fn identity(n: usize) -> String {
    format!(r#"{{"mac":"{:02x}:{:06x}","sn":"PRODUCT-{n:09}"}}"#, n % 251, n)
}

fn is_pending(n: usize) -> bool {
    n.is_multiple_of(10)
}

async fn compare(stores: &[(SqlStore, usize)]) -> Result<(), Fault> {
    let mut fleets = Vec::new();
    for (store, size) in stores {
        let row = store.sql().read_one(SIZE, vals![]).await?;
        let bytes = row.map_or(Ok(0), |row| row.int("bytes"))?;
        println!("  {size} devices: {} MB", bytes >> 20);
        fleets.push(Fleet::new(store, *size).await?);
    }
    if let [small, large] = fleets.as_slice() {
        for ((name, small), (_, large)) in small.paths().iter().zip(&large.paths()) {
            for tasks in [1, 64] {
                rounds::compare(name, tasks, small, large).await;
            }
        }
    }
    for fleet in fleets {
        growth::measure_all(&fleet).await;
        let failed = fleet.failed.load(Ordering::Relaxed);
        println!("  {failed} failed; {}", memory());
        fleet.stop().await;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    // Cargo adds `--bench`.
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with("--"));
    let dir = args.next().unwrap_or_else(|| ".".into());
    let mut sizes = args.map(|size| size.parse()).collect::<Result<Vec<usize>, _>>()?;
    if sizes.is_empty() {
        sizes = vec![1000, 1_000_000];
    }
    let (mut places, mut stores) = (Places::new(&dir)?, Vec::new());
    for size in sizes {
        stores.push((places.stored(size, Devices { identity, is_pending }).await?, size));
    }
    let compared = compare(&stores).await;
    places.remove().await?;
    compared
}
