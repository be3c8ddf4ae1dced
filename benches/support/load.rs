//! The devices that are measured, and how they are stored: straight into the tables.

use mender::auth::Identity;
use mender::store::{
    SqlOptions, SqlStore,
    sql::{Batch, Stmt, Val},
    vals,
};
use mender_core::testing::TestDevice;
use tokio::time::Instant;

use super::Fault;

const DEVICES: Stmt = Stmt::new(
    "INSERT INTO auth_devices (tenant_id, id, identity_hash, identity, status, tier, group_name,
        leaving, provisioned, test, valid_from, created_at, updated_at, version, commit_id)
        @rows($1)",
);
const SETS: Stmt = Stmt::new(
    "INSERT INTO auth_sets (tenant_id, device_id, id, position, key, tier, status, live,
        valid_from, created_at) @rows($1)",
);

/// What PostgreSQL does by itself after a while, and SQLite needs not.
const ANALYZE: [Stmt; 2] = [Stmt::new("ANALYZE auth_devices"), Stmt::new("ANALYZE auth_sets")];

/// How many devices one batch stores.
const CHUNK: usize = 4000;

/// The page cache while devices are loaded.
const LOADING: u64 = 1 << 30;

/// What the devices are like that have these numbers.
#[derive(Clone, Copy)]
pub(crate) struct Devices {
    pub(crate) identity: fn(usize) -> String,
    /// The others are accepted, and have a token.
    pub(crate) is_pending: fn(usize) -> bool,
}

pub(crate) fn device_id(n: usize) -> String {
    format!("{:08x}-{:04x}-7000-8000-0000{n:08x}", n >> 8, n & 0xff)
}

pub(crate) fn set_id(n: usize) -> String {
    format!("{:08x}-{:04x}-7000-9000-0000{n:08x}", n >> 8, n & 0xff)
}

fn rows(n: usize, devices: Devices, key: &str) -> Result<(Vec<Val>, Vec<Val>), Fault> {
    let identity = Identity::parse(&(devices.identity)(n))?;
    let is_pending = (devices.is_pending)(n);
    let status = if is_pending { "pending" } else { "accepted" };
    let (device, set, live) = (device_id(n), set_id(n), !is_pending);
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

async fn load(store: &SqlStore, size: usize, devices: Devices) -> Result<(), Fault> {
    let key = TestDevice::new("{}", 1).key().as_pem().to_owned();
    for from in (0..size).step_by(CHUNK) {
        let chunk = from..(from + CHUNK).min(size);
        let rows: Result<Vec<_>, _> = chunk.map(|n| rows(n, devices, &key)).collect();
        let (devices, sets): (Vec<_>, Vec<_>) = rows?.into_iter().unzip();
        let batch = Batch::of(DEVICES, vals![devices]).then(SETS, vals![sets]);
        store.sql().run(batch).await?;
    }
    Ok(())
}

/// Numbers in no order, each once, below `size`.
pub(crate) fn scattered(size: usize, count: usize, fits: fn(usize) -> bool) -> Vec<usize> {
    // A prime far above every size steps through all of them.
    let numbers = (0..size).map(|n| n.wrapping_mul(2_147_483_647) % size);
    numbers.filter(|n| fits(*n)).take(count).collect()
}

pub(crate) async fn stored(
    options: &SqlOptions,
    url: &str,
    size: usize,
    devices: Devices,
) -> Result<SqlStore, Fault> {
    let loader = options.clone().cache_bytes(LOADING).open(url).await?;
    let loader = loader.migrate().await?;
    let begun = Instant::now();
    load(&loader, size, devices).await?;
    if !url.starts_with("sqlite") {
        for stmt in ANALYZE {
            loader.sql().run(Batch::of(stmt, vals![])).await?;
        }
    }
    drop(loader);
    println!("{size} devices, stored in {:.1?}", begun.elapsed());
    Ok(options.open(url).await?)
}
