//! Measures inventory through the service and the port, with few devices stored and with many.
//!
//! `cargo run --release -p mender-store --features postgres --example inventory_store [dir [size ...]]`
//!
//! Uses SQLite in a folder below `dir`, or PostgreSQL where `MENDER_TEST_POSTGRES` is set.

use std::{error::Error, future::Future, path::Path, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use mender_core::{
    Ctx, DeviceId, Env, Mender, Stamped, TenantId, Time,
    commit::Change,
    inventory::{
        AttributeName, Device, How, NewAttribute, Op, Operand, Place, Predicate, Query, Search,
        Store as _, Value, entries, name,
    },
    page::PageRequest,
};
use mender_store::{
    SqlOptions, SqlStore,
    sql::{Batch, Stmt},
    vals,
};
use tokio::time::Instant;

const SIZE: Stmt = Stmt::new("SELECT pg_database_size(current_database()) AS bytes");

const ANALYZE: Stmt = Stmt::new("ANALYZE");

/// Devices that are stored at the same time.
const AT_ONCE: usize = 512;

/// The page cache while devices are loaded.
const LOADING: u64 = 2 << 30;

/// Calls of one measurement, and how long it may take.
const CALLS: usize = 300;
const PATIENCE: Duration = Duration::from_secs(10);

type Fault = Box<dyn Error + Send + Sync>;

fn id(n: usize) -> Result<DeviceId, Fault> {
    Ok(format!("{:08x}-{:04x}-7000-8000-0000{n:08x}", n >> 8, n & 0xff).parse()?)
}

/// Something between 0 and `bound` that looks random.
fn mixed(n: usize, salt: usize, bound: usize) -> usize {
    let mut z = (n as u64 ^ (salt as u64) << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    usize::try_from((z >> 32) % bound as u64).unwrap_or_default()
}

/// What device `n` reports: 24 attributes of all kinds.
fn reported(n: usize) -> Vec<(String, Value)> {
    let text = |name: &str, value: String| (name.to_owned(), Value::Text(value));
    let number = |name: &str, value: usize| (name.to_owned(), Value::Number(value as f64));
    let mut all = vec![
        text("device_type", format!("board-{}", mixed(n, 1, 10))),
        text("artifact_name", format!("release-2.{}", mixed(n, 2, 5))),
        text("rootfs-image.version", format!("2.{}", mixed(n, 2, 5))),
        text("mac", format!("52:54:{:02x}:{:02x}:{:04x}", n >> 24, n >> 16 & 0xff, n & 0xffff)),
        text("region", format!("region-{}", mixed(n, 3, 50))),
        text("city", format!("city-{}", mixed(n, 4, 5000))),
        text("hostname", format!("host-{n}")),
        text("kernel", format!("Linux 6.1.{}", mixed(n, 5, 100))),
        text("os", format!("Debian {}", mixed(n, 6, 4))),
        text("cpu_model", format!("Cortex-A{}", mixed(n, 7, 8))),
        (
            "network_interfaces".to_owned(),
            Value::Texts(["eth0", "wlan0", "usb0"].map(str::to_owned)[..=mixed(n, 8, 3)].to_vec()),
        ),
        number("mem_total_kB", (mixed(n, 9, 8) + 1) << 19),
        number("cpu_temperature", mixed(n, 10, 90)),
        number("disk_free_kB", mixed(n, 11, 1 << 24)),
        number("uptime", mixed(n, 12, 1 << 22)),
    ];
    all.extend((0..9).map(|k| text(&format!("app_{k}"), format!("1.{}", mixed(n, 20 + k, 30)))));
    all
}

fn device(n: usize) -> Result<Device, Fault> {
    let at = Time(1_700_000_000_000 + i64::try_from(n)? * 10);
    let mut device = Device::new(id(n)?, Place::new(at, n as u64), at);
    let mut set = |name: AttributeName, value: Value| device.attributes.set(&name, value.into());
    for (name, value) in reported(n) {
        set(AttributeName::inventory(name), value);
    }
    let status = if n.is_multiple_of(10) { "pending" } else { "accepted" };
    set(AttributeName::identity(name::STATUS), Value::Text(status.into()));
    set(AttributeName::identity("sn"), Value::Text(format!("SN-{n:09}")));
    set(AttributeName::system(name::UPDATED), Value::Time(at));
    set(AttributeName::system(name::SEEN), Value::Time(at));
    if !n.is_multiple_of(4) {
        let group = format!("group-{}", mixed(n, 13, 100));
        set(AttributeName::system(name::GROUP), Value::Text(group));
    }
    device.identities = vec![format!("SN-{n:09}")];
    Ok(device)
}

fn stamped(device: Device) -> Stamped<Device> {
    Stamped {
        id: String::new(),
        change: Change::Insert(device),
        charges: vec![],
        events: vec![],
        lease_until: Time(0),
        invalidates: vec![],
        at: Time(0),
    }
}

async fn load(store: &SqlStore, size: usize) -> Result<(), Fault> {
    let tenant = &TenantId::default();
    let put = |n: usize| async move {
        store.commit_inventory(tenant, stamped(device(n)?)).await?;
        Ok::<_, Fault>(())
    };
    stream::iter((0..size).map(put)).buffer_unordered(AT_ONCE).try_collect().await
}

/// Makes calls one after the other, and prints how long they took.
async fn measure<F, T>(name: &str, mut call: impl FnMut(usize) -> F) -> Result<(), Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    let begun = Instant::now();
    let mut took = Vec::new();
    while took.len() < CALLS && begun.elapsed() < PATIENCE {
        let begun = Instant::now();
        call(took.len()).await?;
        took.push(begun.elapsed());
    }
    took.sort();
    let count = took.len();
    let at = |part: usize| took[(count * part / 1000).min(count - 1)].as_micros();
    println!("  {name:<44} {count:>4} calls  p50 {:>8} µs  p99 {:>8} µs", at(500), at(990));
    Ok(())
}

fn equal(name: AttributeName, value: &str) -> Predicate {
    Predicate { name, op: Op::Eq, value: Operand::Value(Value::Text(value.into())) }
}

fn above(name: AttributeName, value: f64) -> Predicate {
    Predicate { name, op: Op::Gt, value: Operand::Value(Value::Number(value)) }
}

fn sorted(name: AttributeName, descending: bool) -> Query {
    Query { sort: vec![(name, descending)], ..Query::default() }
}

fn filtered(filters: Vec<Predicate>) -> Query {
    Query { filters, ..Query::default() }
}

/// Searches that users make, by name.
fn queries() -> Vec<(&'static str, Query)> {
    let own = |name: &str| AttributeName::inventory(name);
    let type_ = |n: usize| equal(own("device_type"), &format!("board-{n}"));
    let by_type = |query: Query| Query { filters: vec![type_(1)], ..query };
    let updated = AttributeName::system(name::UPDATED);
    let missing = Predicate {
        name: AttributeName::system(name::GROUP),
        op: Op::Exists,
        value: Operand::Value(Value::Flag(false)),
    };
    vec![
        ("all", Query::default()),
        ("type", filtered(vec![type_(1)])),
        ("type and version", filtered(vec![type_(1), equal(own("artifact_name"), "release-2.1")])),
        (
            "type, region and city",
            filtered(vec![
                type_(1),
                equal(own("region"), "region-7"),
                equal(own("city"), "city-77"),
            ]),
        ),
        ("mac", filtered(vec![equal(own("mac"), "52:54:00:00:0007")])),
        ("nobody", filtered(vec![type_(1), type_(2)])),
        ("temperature above", filtered(vec![above(own("cpu_temperature"), 85.0)])),
        (
            "type and temperature above",
            filtered(vec![type_(1), above(own("cpu_temperature"), 85.0)]),
        ),
        ("without group", filtered(vec![missing])),
        ("sorted by updated, newest first", sorted(updated.clone(), true)),
        ("type, newest first", by_type(sorted(updated.clone(), true))),
        ("sorted by updated, oldest first", sorted(updated, false)),
        (
            "type, by type, newest first",
            by_type(Query {
                sort: vec![
                    (own("device_type"), true),
                    (AttributeName::system(name::UPDATED), true),
                ],
                ..Query::default()
            }),
        ),
        ("by temperature, descending", sorted(own("cpu_temperature"), true)),
        ("by group, ascending", sorted(AttributeName::system(name::GROUP), false)),
        ("by group, descending", sorted(AttributeName::system(name::GROUP), true)),
        ("text: one device", Query { text: Some("000000007".into()), ..Query::default() }),
    ]
}

async fn scenario(store: SqlStore, size: usize) -> Result<(), Fault> {
    let mender = Mender::builder().stores(store.clone()).ephemeral_keys().build()?;
    let (ctx, tenant) = (&Ctx::system(TenantId::default()), &TenantId::default());
    let (inventory, store) = (mender.inventory(), &store);
    let report = |n: usize, number: Option<f64>| async move {
        let mut new: Vec<NewAttribute> = reported(n)
            .into_iter()
            .map(|(name, value)| NewAttribute::new(AttributeName::inventory(name), value))
            .collect();
        if let (Some(number), Some(last)) = (number, new.last_mut()) {
            last.value = Value::Number(number);
        }
        Ok(inventory.report(ctx, &id(n)?, new, How::Replace).await?)
    };
    let some = |k: usize| mixed(k, 99, size);
    measure("report, first", |k| report(some(k), None)).await?;
    measure("report, unchanged", |k| report(some(k), None)).await?;
    measure("report, one changed", |k| report(some(k), Some(k as f64))).await?;
    for (name, query) in &queries() {
        let page =
            |_| async move { Ok(inventory.search(ctx, query, PageRequest::new(1, 20)).await?) };
        let found = page(0).await?;
        measure(&format!("{name} ({} of them)", found.total), page).await?;
    }
    measure("page 50 of a type", |_| async {
        let query = &queries()[1].1;
        Ok(inventory.search(ctx, query, PageRequest::new(50, 20)).await?)
    })
    .await?;
    let point = |name: AttributeName, text: &str| {
        let at = entries::entry(&entries::prefix(&name), &Value::Text(text.into()));
        mender_core::index::Clause::some(vec![mender_core::index::Span::At(at)])
    };
    let own = |name: &str| AttributeName::inventory(name);
    let of_type = &Search::all().and(point(own("device_type"), "board-1"));
    let of_both = &of_type.clone().and(point(own("artifact_name"), "release-2.1"));
    let accepted = &Search::all().and(point(AttributeName::identity(name::STATUS), "accepted"));
    let both = &accepted.clone().and(of_both.all[1].clone());
    let searches = [
        ("all", &Search::all()),
        ("type", of_type),
        ("type, version", of_both),
        ("accepted, version", both),
    ];
    for (name, search) in searches {
        measure(&format!("count, {name}"), |_| async move {
            Ok(store.count_inventory(tenant, search).await?)
        })
        .await?;
    }
    let region = &entries::any_value(&entries::prefix(&own("region")));
    for (name, search) in [("all", &Search::all()), ("type", of_type)] {
        measure(&format!("tally of regions, {name}"), |_| async move {
            Ok(store.tally_inventory(tenant, search, region, 10).await?)
        })
        .await?;
    }
    measure("texts of regions", |_| async {
        Ok(store.inventory_texts(tenant, region, None, 500).await?)
    })
    .await?;
    measure("groups", |_| async { Ok(inventory.groups(ctx, None).await?) }).await?;
    let group = "group-7";
    measure("devices of a group", |_| async {
        Ok(inventory.group_devices(ctx, group, PageRequest::new(1, 20)).await?)
    })
    .await?;
    let walk = |_| async { Ok(store.walk_inventory(tenant, of_type, None, 500).await?) };
    measure("walk, 500 of a type", walk).await?;
    measure("names of attributes", |_| async { Ok(inventory.attribute_names(ctx).await?) }).await?;
    measure("statistics", |_| async { Ok(inventory.statistics(ctx).await?) }).await
}

async fn stored(options: &SqlOptions, url: &str, size: usize) -> Result<SqlStore, Fault> {
    let loader = options.clone().cache_bytes(LOADING).open(url).await?.migrate().await?;
    let begun = Instant::now();
    load(&loader, size).await?;
    println!("{size} devices, stored in {:.1?}", begun.elapsed());
    drop(loader);
    Ok(options.open(url).await?)
}

fn bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
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
    for size in sizes {
        let Some(server) = server() else {
            let dir = tempfile::tempdir_in(&dir)?;
            let path = dir.path().join("bench.db");
            println!("SQLite");
            let url = format!("sqlite://{}", path.display());
            let store = stored(&SqlStore::options(), &url, size).await?;
            scenario(store, size).await?;
            println!("  {} bytes a device", bytes(&path) / size as u64);
            continue;
        };
        println!("PostgreSQL");
        let schema = format!("bench_{}", Env::system().object_id());
        let options = SqlStore::options().schema(&schema);
        let store = stored(&options, &server, size).await?;
        store.sql().run(Batch::of(ANALYZE, vals![])).await?;
        scenario(store.clone(), size).await?;
        let row = store.sql().read_one(SIZE, vals![]).await?;
        let all = row.map_or(Ok(0), |row| row.int("bytes"))?.unsigned_abs();
        println!("  {} bytes a device, with all of the database", all / size as u64);
        let drop = Stmt::dynamic(format!("DROP SCHEMA \"{schema}\" CASCADE"));
        store.sql().run(Batch::of(drop, vals![])).await?;
    }
    Ok(())
}
