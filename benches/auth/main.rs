//! Compares device authentication, over HTTP, with few devices stored and with many.
//!
//! `cargo bench --bench auth [-- dir [small large]]`
//!
//! Both fleets are open at the same time and are measured in turn. Uses SQLite in a folder below
//! `dir`, or PostgreSQL where `MENDER_TEST_POSTGRES` is set.

mod client;
mod fleet;
mod growth;
mod load;
mod rounds;

use std::{error::Error, sync::atomic::Ordering};

use mender::Env;
use mender::store::{
    SqlStore,
    sql::{Batch, Stmt},
    vals,
};

use fleet::Fleet;

/// The file, or the tables of authentication with their indexes.
const SIZE: Stmt = Stmt::each(
    "SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size",
    "SELECT CAST(SUM(pg_total_relation_size(CAST(n AS regclass))) AS BIGINT) AS bytes FROM
        unnest(ARRAY['auth_devices', 'auth_sets', 'auth_seen']) AS n",
);

type Fault = Box<dyn Error + Send + Sync>;

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.unwrap_or_default().replace("VmRSS:", "").trim().to_owned()
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
        println!("  {failed} failed; RSS {}", memory());
        fleet.stop().await;
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "an example that is told by the environment which server to use"
)]
fn server() -> Option<String> {
    std::env::var("MENDER_TEST_POSTGRES").ok()
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
    let mut stores = Vec::new();
    let Some(url) = server() else {
        println!("SQLite");
        let dir = tempfile::tempdir_in(&dir)?;
        for size in sizes {
            let url = format!("sqlite://{}", dir.path().join(format!("{size}.db")).display());
            stores.push((load::stored(&SqlStore::options(), &url, size).await?, size));
        }
        return compare(&stores).await;
    };
    println!("PostgreSQL");
    let run = Env::system().object_id();
    let mut schemas = Vec::new();
    for size in sizes {
        let schema = format!("bench_{size}_{run}");
        let options = SqlStore::options().schema(&schema);
        stores.push((load::stored(&options, &url, size).await?, size));
        schemas.push(schema);
    }
    let compared = compare(&stores).await;
    for ((store, _), schema) in stores.iter().zip(schemas) {
        let drop = Stmt::dynamic(format!("DROP SCHEMA \"{schema}\" CASCADE"));
        store.sql().run(Batch::of(drop, vals![])).await?;
    }
    compared
}
