//! Stores many devices: by commits, and the same rows straight into the tables, in the order in
//! which databases take them fastest.

use std::{collections::BTreeMap, ops::Range};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use mender_core::{
    Stamped, TenantId, Time,
    commit::Change,
    inventory::{Device, Store as _, entries},
};
use mender_store::{
    SqlStore,
    sql::{Batch, Stmt, Val},
    vals,
};
use tokio::task::spawn_blocking;

use crate::{Fault, fleet::device};

const DEVICES: Stmt = Stmt::new(
    "INSERT INTO inventory_devices (tenant_id, id, attributes, revision, etag, identities,
        version, commit_id, place) @rows($1)",
);
const ENTRIES: Stmt =
    Stmt::new("INSERT INTO inventory_entries (tenant_id, place, entry, edge) @rows($1)");
const WORDS: Stmt = Stmt::new("INSERT INTO inventory_words (tenant_id, word, place) @rows($1)");

const DROP_INDEX: Stmt = Stmt::new("DROP INDEX inventory_entries_entry");
/// As in the migrations.
pub(crate) const MAKE_INDEX: &str = "CREATE INDEX inventory_entries_entry \
     ON inventory_entries (tenant_id, entry, place, edge)";

/// All rows of a table, in the order of its key.
const TABLES: [Stmt; 3] = [
    Stmt::new("SELECT * FROM inventory_devices ORDER BY tenant_id, place"),
    Stmt::new("SELECT * FROM inventory_entries ORDER BY tenant_id, place, entry"),
    Stmt::new("SELECT * FROM inventory_words ORDER BY tenant_id, word, place"),
];

/// Devices that are committed at the same time.
const AT_ONCE: usize = 512;

/// How many devices one batch stores, and how many rows one statement: PostgreSQL takes 65,535
/// parameters.
const CHUNK: usize = 4000;
const ROWS: usize = 10_000;
const DEVICE_ROWS: usize = 4000;

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

/// Stores devices as the server does.
pub(crate) async fn commit(store: &SqlStore, size: usize) -> Result<(), Fault> {
    let tenant = &TenantId::default();
    let put = |n: usize| async move {
        store.commit_inventory(tenant, stamped(device(n)?)).await?;
        Ok::<_, Fault>(())
    };
    stream::iter((0..size).map(put)).buffer_unordered(AT_ONCE).try_collect().await
}

/// The rows of some devices.
#[derive(Default)]
struct Rows {
    devices: Vec<Vec<Val>>,
    entries: Vec<Vec<Val>>,
    words: Vec<(String, i64)>,
}

fn rows(chunk: Range<usize>) -> Result<Rows, Fault> {
    let mut rows = Rows::default();
    for n in chunk {
        let device = device(n)?;
        let place = device.place.0;
        rows.devices.push(vals![
            "",
            device.id.as_str(),
            serde_json::to_string(&device.attributes)?,
            device.revision,
            device.etag.as_ref(),
            serde_json::to_string(&device.identities)?,
            device.version,
            "",
            place
        ]);
        for entry in entries::entries(&device) {
            let edge = i64::from(entry.is_first) | i64::from(entry.is_last) << 1;
            rows.entries.push(vals!["", place, entry.text, edge]);
        }
        rows.words.extend(entries::words_of(&device).into_iter().map(|word| (word, place)));
    }
    Ok(rows)
}

/// Inserts rows, so many with one statement.
fn put(mut batch: Batch, stmt: &Stmt, mut rows: Vec<Vec<Val>>, each: usize) -> Batch {
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(each));
        batch = batch.then(stmt.clone(), vals![rows]);
        rows = rest;
    }
    batch
}

/// Stores the same devices without the index of entries, which [`MAKE_INDEX`] makes.
pub(crate) async fn load(store: &SqlStore, size: usize) -> Result<(), Fault> {
    store.sql().run(Batch::of(DROP_INDEX, vals![])).await?;
    let mut words: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let chunks = (0..size).step_by(CHUNK).map(|from| from..(from + CHUNK).min(size));
    // The next rows are made while these are stored.
    let mut made = stream::iter(chunks.map(|chunk| spawn_blocking(|| rows(chunk)))).buffered(2);
    while let Some(rows) = made.next().await {
        let rows = rows??;
        for (word, place) in rows.words {
            words.entry(word).or_default().push(place);
        }
        let batch = put(Batch::new(), &DEVICES, rows.devices, DEVICE_ROWS);
        store.sql().run(put(batch, &ENTRIES, rows.entries, ROWS)).await?;
    }
    drop(made);
    let mut sorted = Vec::new();
    for (word, places) in words {
        for place in places {
            sorted.push(vals!["", &word, place]);
            if sorted.len() == ROWS * 10 {
                let rows = std::mem::take(&mut sorted);
                store.sql().run(put(Batch::new(), &WORDS, rows, ROWS)).await?;
            }
        }
    }
    store.sql().run(put(Batch::new(), &WORDS, sorted, ROWS)).await?;
    Ok(())
}

/// Fails where the two have other rows.
pub(crate) async fn compare(one: &SqlStore, other: &SqlStore) -> Result<(), Fault> {
    for table in TABLES {
        let rows = one.sql().read(table.clone(), vals![]).await?;
        let others = other.sql().read(table.clone(), vals![]).await?;
        let count = rows.len();
        if count == 0 || count != others.len() {
            return Err(format!("{table:?}: {count} rows and {}", others.len()).into());
        }
        for (row, other) in rows.iter().zip(&others) {
            let (row, other) = (format!("{row:?}"), format!("{other:?}"));
            if row != other {
                return Err(format!("{table:?}: {row} and {other}").into());
            }
        }
        println!("  {count} rows are the same");
    }
    Ok(())
}
