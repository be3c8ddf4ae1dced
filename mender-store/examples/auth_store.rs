//! Measures device authentication through the services, with few devices stored and with many.
//!
//! `cargo run --release -p mender-store --features postgres --example auth_store [dir [size ...]]`
//!
//! Uses SQLite in a folder below `dir`, and PostgreSQL where `MENDER_TEST_POSTGRES` is set.

use std::{
    error::Error,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mender_core::{
    Ctx, DeviceId, Env, Mender,
    auth::{AuthRequest, Identity, Status},
    testing::TestDevice,
};
use mender_store::{
    SqlOptions, SqlStore,
    sql::{Batch, Stmt, Val},
    vals,
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const DEVICES: Stmt = Stmt::new(
    "INSERT INTO auth_devices (tenant_id, id, identity_hash, identity, status, tier, group_name,
        leaving, provisioned, test, valid_from, created_at, updated_at, version, commit_id)
        @rows($1)",
);
const SETS: Stmt = Stmt::new(
    "INSERT INTO auth_sets (tenant_id, device_id, id, position, key, tier, status, live,
        valid_from, created_at) @rows($1)",
);
const SIZE: Stmt = Stmt::new("SELECT pg_database_size(current_database()) AS bytes");

/// How many devices one batch stores.
const CHUNK: usize = 4000;

/// The page cache while devices are loaded.
const LOADING: u64 = 1 << 30;

/// Calls of one measurement.
const CALLS: usize = 10_000;

type Fault = Box<dyn Error + Send + Sync>;

/// Device `n`; every tenth is pending, the others are accepted and have a token.
fn identity(n: usize) -> String {
    format!(r#"{{"mac":"{:02x}:{:06x}","sn":"PRODUCT-{n:09}"}}"#, n % 251, n)
}

fn device_id(n: usize) -> String {
    format!("{:08x}-{:04x}-7000-8000-0000{n:08x}", n >> 8, n & 0xff)
}

fn set_id(n: usize) -> String {
    format!("{:08x}-{:04x}-7000-9000-0000{n:08x}", n >> 8, n & 0xff)
}

fn is_pending(n: usize) -> bool {
    n.is_multiple_of(10)
}

fn rows(n: usize, key: &str) -> Result<(Vec<Val>, Vec<Val>), Fault> {
    let identity = Identity::parse(&identity(n))?;
    let status = if is_pending(n) { "pending" } else { "accepted" };
    let (device, set, live) = (device_id(n), set_id(n), !is_pending(n));
    let (none, at) = (0_i64, 1_700_000_000_000_i64);
    let (hash, tier) = (identity.hash(), "standard");
    let group = format!("group-{}", n % 100);
    let first = vals![
        "",
        &device,
        hash,
        identity.as_str(),
        status,
        tier,
        group,
        false,
        live,
        false,
        none,
        at,
        at,
        1_i64,
        ""
    ];
    let second = vals!["", device, set, none, key, tier, status, live, none, at];
    Ok((first, second))
}

async fn load(store: &SqlStore, size: usize) -> Result<(), Fault> {
    let key = TestDevice::new("{}", 1).key().as_pem().to_owned();
    for from in (0..size).step_by(CHUNK) {
        let chunk = from..(from + CHUNK).min(size);
        let rows: Result<Vec<_>, _> = chunk.map(|n| rows(n, &key)).collect();
        let (devices, sets): (Vec<_>, Vec<_>) = rows?.into_iter().unzip();
        let batch = Batch::of(DEVICES, vals![devices]).then(SETS, vals![sets]);
        store.sql().run(batch).await?;
    }
    Ok(())
}

/// Makes calls from as many tasks, and prints how many a second and how long they took.
async fn measure<T, F>(
    name: &str,
    tasks: usize,
    calls: Vec<T>,
    call: impl Fn(T) -> F + Clone + Send + 'static,
) where
    T: Send + 'static,
    F: Future<Output = ()> + Send,
{
    let (count, calls) = (calls.len(), Arc::new(Mutex::new(calls)));
    let took = Arc::new(Mutex::new(Vec::with_capacity(count)));
    let tracker = TaskTracker::new();
    let (begun, worked) = (Instant::now(), processor());
    for _ in 0..tasks {
        let (calls, took, call) = (calls.clone(), took.clone(), call.clone());
        tracker.spawn(async move {
            loop {
                let next = calls.lock().ok().and_then(|mut calls| calls.pop());
                let Some(next) = next else { break };
                let begun = Instant::now();
                call(next).await;
                if let Ok(mut took) = took.lock() {
                    took.push(begun.elapsed());
                }
            }
        });
    }
    tracker.close();
    tracker.wait().await;
    let total = begun.elapsed();
    let worked = (processor() - worked) * 1000 / count.max(1) as u128;
    let Ok(mut took) = took.lock() else { return };
    took.sort();
    let at = |part: usize| took[(count * part / 1000).min(count - 1)].as_micros();
    let per_second = count as f64 / total.as_secs_f64();
    println!(
        "  {name:<26} {tasks:>3} tasks {per_second:>8.0}/s  p50 {:>6} µs  p99 {:>7} µs  CPU {worked:>5} µs",
        at(500),
        at(990)
    );
}

/// The processor time of the process so far, in milliseconds: what others do on the machine does
/// not count.
fn processor() -> u128 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = after_name.split(' ').skip(11).take(2);
    // 100 ticks a second on every Linux.
    ticks.filter_map(|t| t.parse::<u128>().ok()).sum::<u128>() * 10
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS"));
    line.unwrap_or_default().replace("VmRSS:", "").trim().to_owned()
}

/// Numbers in no order, each once, below `size`.
fn scattered(size: usize, count: usize, fits: fn(usize) -> bool) -> Vec<usize> {
    // A prime far above every size steps through all of them.
    let numbers = (0..size).map(|n| n.wrapping_mul(2_147_483_647) % size);
    numbers.filter(|n| fits(*n)).take(count).collect()
}

fn requests(numbers: &[usize], seed: u64) -> Vec<AuthRequest> {
    let request = |n: &usize| TestDevice::new(&identity(*n), seed).request();
    numbers.iter().map(request).collect()
}

async fn stored(options: &SqlOptions, url: &str, size: usize) -> Result<SqlStore, Fault> {
    let loader = options.clone().cache_bytes(LOADING).open(url).await?;
    let loader = loader.migrate().await?;
    let begun = Instant::now();
    load(&loader, size).await?;
    drop(loader);
    println!("{size} devices, stored in {:.1?}", begun.elapsed());
    Ok(options.open(url).await?)
}

async fn scenario(store: SqlStore, size: usize) -> Result<(), Fault> {
    println!("  RSS {}", memory());
    let mender = Mender::builder().stores(store).ephemeral_keys().build()?;
    let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
    let running = mender.clone();
    let stopping = stop.clone();
    tracker.spawn(async move { running.run(stopping).await });
    tokio::time::sleep(Duration::from_secs(1)).await;

    let accepted = |n: usize| !is_pending(n);
    let known = scattered(size, CALLS, accepted);
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let failed = Arc::new(AtomicUsize::new(0));
    let ask = |keep: bool| {
        let (mender, tokens, failed) = (mender.clone(), tokens.clone(), failed.clone());
        move |request: AuthRequest| {
            let (mender, tokens, failed) = (mender.clone(), tokens.clone(), failed.clone());
            async move {
                let answer = mender.auth().request("", &request).await;
                match (answer, tokens.lock()) {
                    (Ok(token), Ok(mut tokens)) if keep => tokens.push(token),
                    (answer, _) => {
                        failed.fetch_add(usize::from(answer.is_ok() != keep), Ordering::Relaxed);
                    }
                }
            }
        }
    };
    for tasks in [1, 64] {
        if let Ok(mut tokens) = tokens.lock() {
            tokens.clear();
        }
        measure("request, known key", tasks, requests(&known, 1), ask(true)).await;
    }
    let tokens = tokens.lock().map(|tokens| tokens.clone()).unwrap_or_default();
    let verify = {
        let (mender, failed) = (mender.clone(), failed.clone());
        move |token: String| {
            let (mender, failed) = (mender.clone(), failed.clone());
            async move {
                let answer = mender.auth().verify(&token, "").await;
                failed.fetch_add(usize::from(answer.is_err()), Ordering::Relaxed);
            }
        }
    };
    let half = tokens.split_at(tokens.len() / 2);
    for (tasks, tokens) in [(1, half.0), (64, half.1)] {
        measure("verify, uncached", tasks, tokens.to_vec(), verify.clone()).await;
    }
    for (tasks, tokens) in [(1, half.0), (64, half.1)] {
        measure("verify, cached", tasks, tokens.to_vec(), verify.clone()).await;
    }
    let half = known.split_at(known.len() / 2);
    for (tasks, seed, numbers) in [(1, 2, &half.0[..half.0.len().min(1000)]), (64, 2, half.1)] {
        measure("request, new key", tasks, requests(numbers, seed), ask(false)).await;
    }
    for (tasks, numbers) in [(1, size..size + 1000), (64, size + 1000..size + 1000 + CALLS)] {
        let numbers: Vec<usize> = numbers.collect();
        measure("request, new device", tasks, requests(&numbers, 1), ask(false)).await;
    }
    let pending = scattered(size, CALLS, is_pending);
    let half = pending.split_at((pending.len() / 2).min(1000));
    for (tasks, numbers) in [(1, half.0), (64, half.1)] {
        let (mender, failed) = (mender.clone(), failed.clone());
        measure("accept", tasks, numbers.to_vec(), move |n: usize| {
            let (mender, failed) = (mender.clone(), failed.clone());
            async move {
                let ids = (device_id(n).parse::<DeviceId>(), set_id(n).parse());
                let (Ok(device), Ok(set)) = ids else { return };
                let ctx = Ctx::system(Default::default());
                let answer = mender.auth().decide(&ctx, &device, &set, Status::Accepted).await;
                failed.fetch_add(usize::from(answer.is_err()), Ordering::Relaxed);
            }
        })
        .await;
    }
    println!("  RSS {}; {} failed", memory(), failed.load(Ordering::Relaxed));
    stop.cancel();
    tracker.close();
    tracker.wait().await;
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
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| ".".into());
    let mut sizes = args.map(|size| size.parse()).collect::<Result<Vec<usize>, _>>()?;
    if sizes.is_empty() {
        sizes = vec![1000, 1_000_000];
    }
    for size in sizes.clone() {
        let dir = tempfile::tempdir_in(&dir)?;
        let path = dir.path().join("bench.db");
        println!("SQLite");
        let url = format!("sqlite://{}", path.display());
        let store = stored(&SqlStore::options(), &url, size).await?;
        scenario(store, size).await?;
        println!("  {} MB", std::fs::metadata(&path)?.len() >> 20);
    }
    let Some(url) = server() else { return Ok(()) };
    for size in sizes {
        println!("PostgreSQL");
        let schema = format!("bench_{}", Env::system().object_id());
        let options = SqlStore::options().schema(&schema);
        let store = stored(&options, &url, size).await?;
        scenario(store.clone(), size).await?;
        let row = store.sql().read_one(SIZE, vals![]).await?;
        let bytes = row.map_or(Ok(0), |row| row.int("bytes"))?;
        println!("  {} MB, with all of the database", bytes >> 20);
        let drop = Stmt::dynamic(format!("DROP SCHEMA \"{schema}\" CASCADE"));
        store.sql().run(Batch::of(drop, vals![])).await?;
    }
    Ok(())
}
