//! Commits as batches: of the index texts of a device only what differs is written.

use std::collections::{BTreeMap, BTreeSet};

use mender_core::{
    Stamped, StoreResult, TenantId,
    commit::Change,
    inventory::{
        Device, Filter,
        entries::{entries, words_of},
    },
};

use crate::{
    sql,
    sql::{
        facade::{Batch, Stmt},
        kernel::{self, Tail as _},
        value::{Val, json},
    },
    vals,
};

/// An id that is taken leaves no row written, which is a conflict, whatever else is taken.
const INSERT: Stmt = sql!(
    "INSERT INTO inventory_devices (tenant_id, id, attributes, revision, etag, identities,
        version, commit_id, place) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (tenant_id, id) DO NOTHING"
);

/// Names no column of an index: SQLite writes every index whose columns a statement names.
const UPDATE: Stmt = sql!(
    "UPDATE inventory_devices SET attributes = $3, revision = $4, etag = $5, identities = $6,
        version = $7, commit_id = $8 WHERE tenant_id = $1 AND id = $2 AND version = $9"
);

/// The place of a device never changes; should it ever, it is written.
const MOVE: Stmt = sql!("UPDATE inventory_devices SET place = $3 WHERE tenant_id = $1 AND id = $2");

const DELETE: Stmt =
    sql!("DELETE FROM inventory_devices WHERE tenant_id = $1 AND id = $2 AND version = $3");

const PUT_ENTRIES: Stmt = sql!(
    "INSERT INTO inventory_entries (tenant_id, place, entry, edge) @rows($1)
        ON CONFLICT (tenant_id, place, entry) DO UPDATE SET edge = excluded.edge"
);

const DELETE_ENTRIES: Stmt =
    sql!("DELETE FROM inventory_entries WHERE tenant_id = $1 AND place = $2 AND entry @in($3)");

const DELETE_ALL_ENTRIES: Stmt =
    sql!("DELETE FROM inventory_entries WHERE tenant_id = $1 AND place = $2");

const PUT_WORDS: Stmt = sql!(
    "INSERT INTO inventory_words (tenant_id, word, place) @rows($1)
        ON CONFLICT (tenant_id, word, place) DO NOTHING"
);

const DELETE_WORDS: Stmt =
    sql!("DELETE FROM inventory_words WHERE tenant_id = $1 AND word @in($3) AND place = $2");

const APPLIED: Stmt =
    sql!("SELECT 1 FROM inventory_devices WHERE tenant_id = $1 AND id = $2 AND commit_id = $3");

const GONE: Stmt = sql!(
    "SELECT 1 WHERE NOT EXISTS
        (SELECT 1 FROM inventory_devices WHERE tenant_id = $1 AND id = $2)"
);

const INSERT_FILTER: Stmt = sql!(
    "INSERT INTO inventory_filters (tenant_id, id, name, terms, version, commit_id)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, id) DO NOTHING"
);

const UPDATE_FILTER: Stmt = sql!(
    "UPDATE inventory_filters SET name = $3, terms = $4, version = $5, commit_id = $6
        WHERE tenant_id = $1 AND id = $2 AND version = $7"
);

const DELETE_FILTER: Stmt =
    sql!("DELETE FROM inventory_filters WHERE tenant_id = $1 AND id = $2 AND version = $3");

const APPLIED_FILTER: Stmt =
    sql!("SELECT 1 FROM inventory_filters WHERE tenant_id = $1 AND id = $2 AND commit_id = $3");

const GONE_FILTER: Stmt = sql!(
    "SELECT 1 WHERE NOT EXISTS
        (SELECT 1 FROM inventory_filters WHERE tenant_id = $1 AND id = $2)"
);

pub(super) const STATEMENTS: &[Stmt] = &[
    INSERT,
    UPDATE,
    MOVE,
    DELETE,
    PUT_ENTRIES,
    DELETE_ENTRIES,
    DELETE_ALL_ENTRIES,
    PUT_WORDS,
    DELETE_WORDS,
    APPLIED,
    GONE,
    INSERT_FILTER,
    UPDATE_FILTER,
    DELETE_FILTER,
    APPLIED_FILTER,
    GONE_FILTER,
];

/// The unique index of places, and the field that it guards.
const PLACE: (&str, &str) = ("inventory_devices_pkey", "place");

/// The unique index of the names of filters, and the field that it guards.
const NAME: (&str, &str) = ("inventory_filters_name", "name");

/// The columns that every commit writes.
fn columns(tenant: &TenantId, device: &Device, commit: &str) -> StoreResult<Vec<Val>> {
    let Device { id, place: _, attributes, revision, etag, identities, version } = device;
    let (attributes, identities) = (json(attributes)?, json(identities)?);
    Ok(vals![
        tenant,
        id.as_str(),
        attributes,
        *revision,
        etag.as_ref(),
        identities,
        *version,
        commit
    ])
}

/// The index texts of a device: 1 the smallest of an attribute, 2 the greatest, 3 both.
fn edges(device: &Device) -> BTreeMap<String, i64> {
    let edge = |first: bool, last: bool| i64::from(first) | i64::from(last) << 1;
    let all = entries(device).into_iter();
    all.map(|entry| (entry.text, edge(entry.is_first, entry.is_last))).collect()
}

/// What a device is found by.
#[derive(Default)]
struct Found {
    edges: BTreeMap<String, i64>,
    words: BTreeSet<String>,
}

impl Found {
    fn of(device: &Device) -> Self {
        Self { edges: edges(device), words: words_of(device).into_iter().collect() }
    }

    /// Writes what differs from what the device was found by.
    fn replace(self, was: &Self, tenant: &TenantId, place: i64, mut batch: Batch) -> Batch {
        let gone = was.edges.keys().filter(|text| !self.edges.contains_key(*text));
        let gone: Vec<String> = gone.cloned().collect();
        if !gone.is_empty() {
            batch = batch.then(DELETE_ENTRIES, vals![tenant, place, gone]);
        }
        let new = self.edges.iter().filter(|(text, edge)| was.edges.get(*text) != Some(edge));
        let new: Vec<_> = new.map(|(text, edge)| vals![tenant, place, text, *edge]).collect();
        if !new.is_empty() {
            batch = batch.then(PUT_ENTRIES, vals![new]);
        }
        batch = forget_words(batch, tenant, place, was.words.difference(&self.words));
        let new = self.words.difference(&was.words);
        let new: Vec<_> = new.map(|word| vals![tenant, word, place]).collect();
        if new.is_empty() { batch } else { batch.then(PUT_WORDS, vals![new]) }
    }
}

fn forget_words<'a>(
    batch: Batch,
    tenant: &TenantId,
    place: i64,
    words: impl Iterator<Item = &'a String>,
) -> Batch {
    let words: Vec<String> = words.cloned().collect();
    if words.is_empty() {
        return batch;
    }
    batch.then(DELETE_WORDS, vals![tenant, place, words])
}

fn insert(tenant: &TenantId, new: &Device, commit: &str) -> StoreResult<Batch> {
    let mut vals = columns(tenant, new, commit)?;
    vals.push(new.place.0.into());
    let batch = Batch::new().one(INSERT, vals).unique(PLACE.0, PLACE.1);
    Ok(Found::of(new).replace(&Found::default(), tenant, new.place.0, batch))
}

fn forget(batch: Batch, tenant: &TenantId, was: &Device) -> Batch {
    let batch = batch.then(DELETE_ALL_ENTRIES, vals![tenant, was.place.0]);
    forget_words(batch, tenant, was.place.0, Found::of(was).words.iter())
}

fn update(tenant: &TenantId, was: &Device, to: &Device, commit: &str) -> StoreResult<Batch> {
    let mut vals = columns(tenant, to, commit)?;
    vals.push(was.version.into());
    let mut batch = Batch::new().one(UPDATE, vals);
    let place = to.place.0;
    if was.place == to.place {
        return Ok(Found::of(to).replace(&Found::of(was), tenant, place, batch));
    }
    batch = batch.one(MOVE, vals![tenant, to.id.as_str(), place]).unique(PLACE.0, PLACE.1);
    batch = forget(batch, tenant, was);
    Ok(Found::of(to).replace(&Found::default(), tenant, place, batch))
}

/// The batch of a device's commit.
pub(super) fn device(tenant: &TenantId, commit: &Stamped<Device>) -> StoreResult<Batch> {
    let applied = |device: &Device| (APPLIED, vals![tenant, device.id.as_str(), &commit.id]);
    let (batch, (check, vals)) = match &commit.change {
        Change::Nothing => return Ok(Batch::new()),
        Change::Insert(new) => (insert(tenant, new, &commit.id)?, applied(new)),
        Change::Update { was, to } => (update(tenant, was, to, &commit.id)?, applied(to)),
        Change::Delete(old) => {
            let key = vals![tenant, old.id.as_str()];
            let mut vals = key.clone();
            vals.push(old.version.into());
            let batch = forget(Batch::new().one(DELETE, vals), tenant, old);
            (batch, kernel::trace_of(commit).unwrap_or((GONE, key)))
        }
    };
    Ok(batch.tail(tenant, commit).check(check, vals))
}

fn filter_columns(tenant: &TenantId, filter: &Filter, commit: &str) -> StoreResult<Vec<Val>> {
    let Filter { id, name, terms, version } = filter;
    Ok(vals![tenant, id.as_str(), name, json(terms)?, *version, commit])
}

/// The batch of a filter's commit.
pub(super) fn filter(tenant: &TenantId, commit: &Stamped<Filter>) -> StoreResult<Batch> {
    let applied = |filter: &Filter| (APPLIED_FILTER, vals![tenant, filter.id.as_str(), &commit.id]);
    let (batch, (check, vals)) = match &commit.change {
        Change::Nothing => return Ok(Batch::new()),
        Change::Insert(new) => {
            let vals = filter_columns(tenant, new, &commit.id)?;
            (Batch::new().one(INSERT_FILTER, vals).unique(NAME.0, NAME.1), applied(new))
        }
        Change::Update { was, to } => {
            let mut vals = filter_columns(tenant, to, &commit.id)?;
            vals.push(was.version.into());
            (Batch::new().one(UPDATE_FILTER, vals).unique(NAME.0, NAME.1), applied(to))
        }
        Change::Delete(old) => {
            let key = vals![tenant, old.id.as_str()];
            let mut vals = key.clone();
            vals.push(old.version.into());
            let batch = Batch::new().one(DELETE_FILTER, vals);
            (batch, kernel::trace_of(commit).unwrap_or((GONE_FILTER, key)))
        }
    };
    Ok(batch.tail(tenant, commit).check(check, vals))
}
