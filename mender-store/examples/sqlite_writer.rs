//! Measures small durable commits in SQLite: a row of 700 bytes with two indexes, and an event
//! inserted and deleted; and reads by key.
//!
//! `cargo run --release -p mender-store --example sqlite_writer [dir]`

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
const QUOTA: Stmt = Stmt::new(
    "INSERT INTO quotas (tenant_id, name, free, used) VALUES ($1, $2, 1000000000, 1)
        ON CONFLICT (tenant_id, name) DO UPDATE SET free = quotas.free - 1, used = quotas.used + 1
        WHERE quotas.free >= 1",
);
const FIND: Stmt = Stmt::new(
    "SELECT id, name, status, body FROM bench WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT 1",
);
const SETTLE: Stmt = Stmt::new("DELETE FROM events WHERE id = $1");

/// What a task repeats.
#[derive(Clone, Copy, Debug)]
enum Call {
    /// Row, event, event deleted.
    Commit,
    /// The same with a charge, which needs a savepoint.
    Charged,
    /// One row by key.
    Read,
}

async fn run(call: Call, sql: &Sql, env: &Env, body: &str) {
    let answer = match call {
        Call::Read => sql.read(FIND, vals!["", env.uuid()]).await.map(drop),
        Call::Commit => sql.run(commit(env, body)).await.map(drop),
        Call::Charged => {
            let batch = commit(env, body).within("devices", QUOTA, vals!["", "devices"]);
            sql.run(batch).await.map(drop)
        }
    };
    if let Err(error) = answer {
        eprintln!("{error}");
    }
}

fn commit(env: &Env, body: &str) -> Batch {
    let (row, event) = (env.uuid(), env.uuid());
    let payload = r#"{"device":"0199f0e2-0000-7000-8000-000000000000","status":"accepted"}"#;
    Batch::new()
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
        .then(SETTLE, vals![&event])
}

async fn measure(call: Call, sql: &Sql, env: &Env, tasks: usize, time: Duration) {
    let done = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let tracker = tokio_util::task::TaskTracker::new();
    for _ in 0..tasks {
        let (sql, env, done) = (sql.clone(), env.clone(), done.clone());
        tracker.spawn(async move {
            let body = "x".repeat(600);
            while begun.elapsed() < time {
                run(call, &sql, &env, &body).await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    tracker.close();
    tracker.wait().await;
    let per_second = done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    println!("{call:?}, {tasks:>4} tasks: {per_second:>7.0}/s");
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let dir = tempfile::tempdir_in(dir)?;
    let url = format!("sqlite://{}", dir.path().join("bench.db").display());
    let store = SqlStore::open(&url).await?.migrate().await?;
    store.sql().run(Batch::of(TABLE, vals![])).await?;
    store.sql().run(Batch::of(INDEX, vals![])).await?;
    for call in [Call::Commit, Call::Charged, Call::Read] {
        for tasks in [1, 64, 256] {
            measure(call, store.sql(), &Env::system(), tasks, Duration::from_secs(3)).await;
        }
    }
    Ok(())
}
