//! Measures small durable commits in SQLite: a row of 700 bytes with two indexes, and an event
//! inserted and deleted. `cargo run --release -p mender-store --example sqlite_writer [dir]`

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mender_core::Env;
use mender_store::{
    SqlStore,
    sql::{Batch, Sql, Stmt},
    vals,
};
use tokio::time::Instant;

const TABLE: Stmt = Stmt::new(
    "CREATE TABLE bench (tenant_id TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,
        status TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (tenant_id, id))",
);
const INDEX: Stmt = Stmt::new("CREATE INDEX bench_status ON bench (tenant_id, status, id)");
const ROW: Stmt =
    Stmt::new("INSERT INTO bench (tenant_id, id, name, status, body) VALUES ($1, $2, $3, $4, $5)");
const EVENT: Stmt = Stmt::new(
    "INSERT INTO events (id, tenant_id, aggregate, key, version, kind, v, at, actor, trace,
        payload, lease_until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
);
const SETTLE: Stmt = Stmt::new("DELETE FROM events WHERE id = $1");

async fn commit(sql: &Sql, env: &Env, body: &str) {
    let (row, event) = (env.uuid(), env.uuid());
    let payload = r#"{"device":"0199f0e2-0000-7000-8000-000000000000","status":"accepted"}"#;
    let batch = Batch::new()
        .one(ROW, vals!["", &row, &row[20..], "accepted", body])
        .unique("bench_name", "name")
        .then(
            EVENT,
            vals![
                &event,
                "",
                "auth.device",
                &row,
                1_i64,
                "device.accepted",
                1_i64,
                env.now(),
                r#"{"user":"0199f0e2-0000-7000-8000-000000000000"}"#,
                &event,
                payload,
                env.now()
            ],
        )
        .then(SETTLE, vals![&event]);
    if let Err(error) = sql.run(batch).await {
        eprintln!("{error}");
    }
}

async fn measure(sql: &Sql, env: &Env, tasks: usize, time: Duration) {
    let done = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let tracker = tokio_util::task::TaskTracker::new();
    for _ in 0..tasks {
        let (sql, env, done) = (sql.clone(), env.clone(), done.clone());
        tracker.spawn(async move {
            let body = "x".repeat(600);
            while begun.elapsed() < time {
                commit(&sql, &env, &body).await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    tracker.close();
    tracker.wait().await;
    let per_second = done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    println!("{tasks:>4} tasks: {per_second:>7.0} commits/s");
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let dir = tempfile::tempdir_in(dir)?;
    let url = format!("sqlite://{}", dir.path().join("bench.db").display());
    let store = SqlStore::open(&url).await?.migrate().await?;
    store.sql().run(Batch::of(TABLE, vals![])).await?;
    store.sql().run(Batch::of(INDEX, vals![])).await?;
    for tasks in [1, 64, 256, 1024] {
        measure(store.sql(), &Env::system(), tasks, Duration::from_secs(4)).await;
    }
    Ok(())
}
