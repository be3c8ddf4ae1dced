//! Measures inventory through the service and the port, with few devices stored and with many.
//!
//! `cargo run --release -p mender-store --features postgres --example inventory_store [dir [size ...] [case ...]]`
//!
//! Uses SQLite files in `dir`, or PostgreSQL where `MENDER_TEST_POSTGRES` is set. What it stores
//! stays for the next run: `inventory-SIZE.db`, or the schema `bench_inventory_SIZE`. Of cases, only
//! those whose names hold one of these words are measured. With `check` for the sizes, checks that
//! the rows are those that commits write.

mod fleet;
mod load;
mod server;

use std::{error::Error, future::Future, path::Path, sync::OnceLock, time::Duration};

use mender_core::{
    Ctx, Env, Mender, TenantId,
    index::{Clause, Span},
    inventory::{
        AttributeName, How, NewAttribute, Op, Operand, Predicate, Query, Search, Store as _, Value,
        entries, name,
    },
    page::PageRequest,
};
use mender_store::{
    SqlOptions, SqlStore,
    sql::{Batch, Stmt},
    vals,
};
use tokio::time::Instant;

use fleet::{id, mixed, reported};

/// The file; on a server the tables of inventory, with their indexes.
const SIZE: Stmt = Stmt::each(
    "SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size",
    "SELECT CAST(SUM(pg_total_relation_size(CAST(n AS regclass))) AS BIGINT) AS bytes FROM
        unnest(ARRAY['inventory_devices', 'inventory_entries', 'inventory_words']) AS n",
);

/// The page cache while devices are loaded.
const LOADING: u64 = 2 << 30;

/// Calls of one measurement, and how long it may take.
const CALLS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(4);

/// How many devices are stored both ways to compare the rows.
const COMPARED: usize = 1000;

type Fault = Box<dyn Error + Send + Sync>;

/// Words in the names of the cases that are measured; none: all are.
static ONLY: OnceLock<Vec<String>> = OnceLock::new();

fn is_wanted(name: &str) -> bool {
    let only = ONLY.get().map(Vec::as_slice).unwrap_or_default();
    only.is_empty() || only.iter().any(|word| name.contains(word))
}

/// Makes calls one after the other, and prints how long they took: the first one, and the others.
async fn measure<F, T>(name: &str, mut call: impl FnMut(usize) -> F) -> Result<(), Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    if !is_wanted(name) {
        return Ok(());
    }
    let begun = Instant::now();
    call(0).await?;
    let first = begun.elapsed();
    let mut took = Vec::new();
    while took.len() < CALLS && begun.elapsed() < PATIENCE {
        let begun = Instant::now();
        call(took.len() + 1).await?;
        took.push(begun.elapsed());
    }
    if took.is_empty() {
        took.push(first);
    }
    took.sort();
    let count = took.len();
    let at = |part: usize| ms(took[(count * part / 1000).min(count - 1)]);
    println!(
        "  {name:<46} first {:>9.2} ms  {count:>3} calls  p50 {:>9.2} ms  p99 {:>9.2} ms",
        ms(first),
        at(500),
        at(990)
    );
    Ok(())
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1000.0
}

fn equal(name: AttributeName, value: &str) -> Predicate {
    Predicate { name, op: Op::Eq, value: Operand::Value(Value::Text(value.into())) }
}

fn above(name: AttributeName, value: f64) -> Predicate {
    Predicate { name, op: Op::Gt, value: Operand::Value(Value::Number(value)) }
}

fn below(name: AttributeName, value: f64) -> Predicate {
    Predicate { name, op: Op::Lt, value: Operand::Value(Value::Number(value)) }
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
    let by_type_and_time = |filter: Predicate, descending: bool| Query {
        filters: vec![filter],
        sort: vec![
            (own("device_type"), descending),
            (AttributeName::system(name::UPDATED), descending),
        ],
        ..Query::default()
    };
    let types = ["board-1", "board-3"].map(|name| Operand::Value(Value::Text(name.into())));
    let types = Predicate { op: Op::In, value: Operand::List(types.into()), ..type_(1) };
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
        ("type, by type, newest first", by_type_and_time(type_(1), true)),
        ("type, by type, oldest first", by_type_and_time(type_(8), false)),
        ("two types, by type, newest first", by_type_and_time(types, true)),
        (
            "temperature below, by temperature, descending",
            Query {
                filters: vec![below(own("cpu_temperature"), 10.0)],
                ..sorted(own("cpu_temperature"), true)
            },
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
    for (name, query) in queries().iter().filter(|(name, _)| is_wanted(name)) {
        let page =
            |_| async move { Ok(inventory.search(ctx, query, PageRequest::new(1, 20)).await?) };
        measure(name, page).await?;
        // Found out, or remembered.
        println!("    {} of them", page(0).await?.total);
    }
    measure("page 50 of a type", |_| async {
        let query = &queries()[1].1;
        Ok(inventory.search(ctx, query, PageRequest::new(50, 20)).await?)
    })
    .await?;
    let point = |name: AttributeName, text: &str| {
        let at = entries::entry(&entries::prefix(&name), &Value::Text(text.into()));
        Clause::some(vec![Span::At(at)])
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

/// A database to be filled: a file, or a schema of a server.
struct Place<'a> {
    url: String,
    options: SqlOptions,
    server: Option<(&'a str, String)>,
}

impl<'a> Place<'a> {
    fn file(path: &Path) -> Self {
        let url = format!("sqlite://{}", path.display());
        Self { url, options: SqlStore::options(), server: None }
    }

    fn schema(server: &'a str, name: &str) -> Self {
        let schema = format!("bench_{name}");
        let options = SqlStore::options().schema(&schema);
        Self { url: server.to_owned(), options, server: Some((server, schema)) }
    }

    async fn open(&self, cache: u64) -> Result<SqlStore, Fault> {
        Ok(self.options.clone().cache_bytes(cache).open(&self.url).await?.migrate().await?)
    }

    async fn fill(&self, size: usize) -> Result<SqlStore, Fault> {
        let stored = self.options.open(&self.url).await?;
        if stored.version().await? > 0 {
            println!("{size} devices, stored before");
            return Ok(stored);
        }
        drop(stored);
        let begun = Instant::now();
        let loader = self.open(LOADING).await?;
        load::load(&loader, size).await?;
        let rows = begun.elapsed();
        if let Some((server, schema)) = &self.server {
            let memory = "SET maintenance_work_mem TO '1GB'";
            let all = [memory, load::MAKE_INDEX, "VACUUM ANALYZE", "CHECKPOINT"];
            server::run(server, schema, &all).await?;
        } else {
            let index = Stmt::new(load::MAKE_INDEX);
            loader.sql().run(Batch::of(index, vals![])).await?;
        }
        println!("{size} devices, stored in {rows:.1?}, with the index in {:.1?}", begun.elapsed());
        drop(loader);
        Ok(self.options.open(&self.url).await?)
    }

    async fn remove(&self) -> Result<(), Fault> {
        let Some((server, schema)) = &self.server else {
            return Ok(());
        };
        server::run(server, schema, &[&format!("DROP SCHEMA \"{schema}\" CASCADE")]).await
    }
}

async fn check(places: [Place<'_>; 2]) -> Result<(), Fault> {
    let committed = places[0].open(LOADING).await?;
    load::commit(&committed, COMPARED).await?;
    let loaded = places[1].fill(COMPARED).await?;
    load::compare(&committed, &loaded).await?;
    for place in &places {
        place.remove().await?;
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
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| ".".into());
    let (server, sizes) = (server(), args.collect::<Vec<_>>());
    println!("{}", if server.is_some() { "PostgreSQL" } else { "SQLite" });
    if sizes == ["check"] {
        let dir = tempfile::tempdir_in(&dir)?;
        let run = Env::system().object_id();
        let place = |name: &str| match &server {
            Some(server) => Place::schema(server, &format!("{name}_{run}")),
            None => Place::file(&dir.path().join(name)),
        };
        return check([place("commits"), place("rows")]).await;
    }
    let (sizes, only): (Vec<String>, Vec<String>) =
        sizes.into_iter().partition(|arg| arg.parse::<usize>().is_ok());
    ONLY.set(only).map_err(|_| "set twice")?;
    let sizes = sizes.iter().map(|size| size.parse()).collect::<Result<Vec<usize>, _>>()?;
    for size in if sizes.is_empty() { vec![1000, 1_000_000] } else { sizes } {
        let path = Path::new(&dir).join(format!("inventory-{size}.db"));
        let place = match &server {
            Some(server) => Place::schema(server, &format!("inventory_{size}")),
            None => Place::file(&path),
        };
        let store = place.fill(size).await?;
        let row = store.sql().read_one(SIZE, vals![]).await?;
        let bytes = row.map_or(Ok(0), |row| row.int("bytes"))?.unsigned_abs();
        println!("  {} bytes a device", bytes / size as u64);
        scenario(store, size).await?;
    }
    Ok(())
}
