//! Documents as the server keeps them.

use mender_core::{
    Event, StoreError, StoreResult, TenantId, Time, Version,
    inventory::entries::{MAX_ELEMENTS, MAX_ENTRIES, MAX_WORDS},
    kit::{Doc, DocId, Put, Write},
};
use mongodb::bson::{Bson, Document, doc};

use crate::mongodb::{
    link::Failure,
    names::{id_of, key_of, order, unique, unique_dead},
};

/// `ob_at` of a document without events.
pub(super) const SETTLED: i64 = i64::MAX;

/// `ob_at` of a tombstone without events: what the sweep looks for.
pub(super) const SWEEPABLE: i64 = i64::MAX - 1;

/// The latest end of a lease.
const LAST_LEASE: i64 = i64::MAX - 2;

/// The largest body: servers allow documents of 16 MiB, events and index texts included.
const MAX_BODY: usize = 12 << 20;

/// How many index texts a document may have: each is an entry in the server's index.
const MAX_INDEX: usize = 1200;

const _: () = assert!(
    MAX_ENTRIES + MAX_ELEMENTS + MAX_WORDS <= MAX_INDEX,
    "a device that core allows has too many index texts"
);

/// Returns the end of a lease as it is stored.
pub(super) fn lease(until: Time) -> i64 {
    until.0.min(LAST_LEASE)
}

/// Returns the document of a write that finds none.
pub(super) fn insert(write: &Write, token: &str) -> Result<Document, Failure> {
    let id = write.put.id();
    let mut new = doc! { "_id": key_of(id), "t": id.tenant.as_str() };
    new.extend(state(write, token)?);
    new.insert("ob", events(write)?);
    let free = if matches!(write.put, Put::Doc(_)) { SETTLED } else { SWEEPABLE };
    let until = lease(write.lease_until);
    let idle = write.events.is_empty();
    new.insert("ob_at", if idle { free } else { until });
    new.insert("r", 1_i64);
    Ok(new)
}

/// Returns the update of a write that changes or ends a document.
pub(super) fn update(write: &Write, token: &str) -> Result<Document, Failure> {
    let mut update = doc! { "$set": state(write, token)?, "$inc": { "r": 1_i64 } };
    let mut at = SETTLED;
    if let Put::Nothing { note, .. } = &write.put {
        at = SWEEPABLE;
        let mut unset = doc! { "v": "", "body": "", "ix": "", "s": "", "p": "" };
        if note.is_none() {
            unset.insert("note", "");
        }
        update.insert("$unset", unset);
    }
    if !write.events.is_empty() {
        at = lease(write.lease_until);
        update.insert("$push", doc! { "ob": { "$each": events(write)? } });
    }
    if at < SETTLED {
        // Invariant: never later than the end of a lease that stands in `ob` already.
        update.insert("$min", doc! { "ob_at": at });
    }
    Ok(update)
}

/// Returns the update of a write that finds this tombstone.
pub(super) fn revive(write: &Write, token: &str, found: &Stored) -> Result<Document, Failure> {
    let mut update = update(write, token)?;
    if matches!(write.put, Put::Doc(_)) {
        update.insert("$unset", doc! { "dead": "", "note": "" });
        update.remove("$min");
        let mut at = found.earliest().unwrap_or(SETTLED);
        if !write.events.is_empty() {
            at = at.min(lease(write.lease_until));
        }
        if let Ok(set) = update.get_document_mut("$set") {
            set.insert("ob_at", at);
        }
    }
    Ok(update)
}

/// The fields that a write sets.
fn state(write: &Write, token: &str) -> Result<Document, Failure> {
    let mut set = match &write.put {
        Put::Doc(doc) => {
            if doc.index.len() > MAX_INDEX || doc.body.len() > MAX_BODY {
                return Err(Failure::TooLarge);
            }
            let orders: Document =
                doc.orders.iter().map(|(name, place)| ((*name).to_owned(), place.into())).collect();
            let sorts: Document =
                doc.sorts.iter().map(|(name, place)| (name.clone(), place.into())).collect();
            doc! {
                "v": doc.version.0,
                "uk": unique(&doc.unique),
                "body": &doc.body,
                "ix": &doc.index,
                "s": orders,
                "p": sorts,
            }
        }
        Put::Nothing { id, note } => {
            let mut set = doc! { "uk": unique_dead(&key_of(id)), "dead": write.at.0 };
            if let Some(note) = note {
                set.insert("note", note);
            }
            set
        }
    };
    set.insert("c", token);
    Ok(set)
}

fn events(write: &Write) -> Result<Vec<Document>, Failure> {
    let until = lease(write.lease_until);
    let entry = |event: &Event| {
        let json = serde_json::to_string(event)
            .map_err(|e| StoreError::corrupt(format!("event {}", event.id), e))?;
        Ok(doc! { "id": event.id.as_str(), "l": until, "j": json })
    };
    write.events.iter().map(entry).collect()
}

/// A document that was read, whole or in part.
#[derive(Debug)]
pub(super) struct Stored {
    kind: String,
    doc: Document,
}

impl Stored {
    pub(super) fn new(kind: &str, doc: Document) -> Self {
        let kind = kind.to_owned();
        Self { kind, doc }
    }

    /// Returns its `_id`.
    pub(super) fn key(&self) -> StoreResult<&str> {
        self.text("_id")
    }

    /// Tells whether it is a tombstone.
    pub(super) fn is_dead(&self) -> bool {
        self.doc.contains_key("dead")
    }

    /// Returns the note of a tombstone.
    pub(super) fn note(&self) -> Option<&str> {
        self.doc.get_str("note").ok().filter(|_| self.is_dead())
    }

    /// Returns how often it was changed.
    pub(super) fn revision(&self) -> StoreResult<i64> {
        self.number("r")
    }

    /// Returns `ob_at`.
    pub(super) fn wakes_at(&self) -> StoreResult<i64> {
        self.number("ob_at")
    }

    /// Returns ids and ends of lease of the events that are not settled, in the order of `ob`.
    pub(super) fn leases(&self) -> impl Iterator<Item = (&str, i64)> {
        self.entries().map(|entry| {
            let id = entry.get_str("id").unwrap_or_default();
            (id, number(entry.get("l")).unwrap_or_default())
        })
    }

    /// Returns the earliest end of a lease.
    pub(super) fn earliest(&self) -> Option<i64> {
        self.leases().map(|(_, until)| until).min()
    }

    /// Returns what `ob_at` is when nothing is under way.
    pub(super) fn idle_at(&self) -> i64 {
        let idle = if self.is_dead() { SWEEPABLE } else { SETTLED };
        self.earliest().unwrap_or(idle)
    }

    /// Returns the events that are not settled, in the order of `ob`.
    pub(super) fn events(&self) -> StoreResult<Vec<Event>> {
        self.entries()
            .map(|entry| {
                let json = entry.get_str("j").map_err(|e| self.corrupt("ob", e))?;
                serde_json::from_str(json).map_err(|e| self.corrupt("ob", e))
            })
            .collect()
    }

    /// Returns the document; `None` for a tombstone.
    pub(super) fn read(
        mut self,
        kind: &'static str,
        tenant: &TenantId,
    ) -> StoreResult<Option<Doc>> {
        let Some(Bson::String(body)) = self.doc.remove("body") else {
            return Ok(None);
        };
        let key = self.key()?;
        let id = id_of(key).ok_or_else(|| self.corrupt("_id", "not in the form of this store"))?;
        let version = Version(self.number("v")?);
        let unique = self.text("uk")?;
        let unique = unique.strip_prefix('=').unwrap_or(unique).to_owned();
        let mut index = Vec::new();
        for text in self.doc.get_array("ix").map_err(|e| self.corrupt("ix", e))? {
            let text = text.as_str();
            index.push(text.ok_or_else(|| self.corrupt("ix", "not text"))?.to_owned());
        }
        let orders = self.places("s")?.into_iter();
        let orders = orders.map(|(name, place)| (order(&name), place)).collect();
        // What was written before there was the field has none of them.
        let sorts = if self.doc.contains_key("p") { self.places("p")? } else { Vec::new() };
        let id = DocId { kind, tenant: tenant.clone(), id };
        Ok(Some(Doc { id, version, unique, body, index, orders, sorts }))
    }

    /// Reads a document of names and places.
    fn places(&self, field: &str) -> StoreResult<Vec<(String, String)>> {
        let places = self.doc.get_document(field).map_err(|e| self.corrupt(field, e))?;
        let place = |(name, place): (&String, &Bson)| {
            let place = place.as_str().ok_or_else(|| self.corrupt(field, "not text"))?;
            Ok((name.clone(), place.to_owned()))
        };
        places.iter().map(place).collect()
    }

    fn entries(&self) -> impl Iterator<Item = &Document> {
        let entries = self.doc.get_array("ob").ok();
        entries.into_iter().flatten().filter_map(Bson::as_document)
    }

    fn text(&self, field: &str) -> StoreResult<&str> {
        self.doc.get_str(field).map_err(|e| self.corrupt(field, e))
    }

    fn number(&self, field: &str) -> StoreResult<i64> {
        number(self.doc.get(field)).ok_or_else(|| self.corrupt(field, "not a number"))
    }

    fn corrupt(&self, field: &str, source: impl Into<mender_core::error::Source>) -> StoreError {
        let key = self.doc.get_str("_id").unwrap_or_default();
        StoreError::corrupt(format!("{field} of {} {key}", self.kind), source)
    }
}

/// Returns a text and how often it was counted.
pub(super) fn counted(kind: &str, count: &Document) -> StoreResult<(String, u64)> {
    let text = count.get_str("_id").ok().map(ToOwned::to_owned);
    let n = number(count.get("n")).and_then(|n| u64::try_from(n).ok());
    text.zip(n).ok_or_else(|| StoreError::corrupt(format!("{kind}, counted"), count.to_string()))
}

/// Servers may answer with a narrower type than was stored.
fn number(value: Option<&Bson>) -> Option<i64> {
    match value? {
        Bson::Int64(n) => Some(*n),
        Bson::Int32(n) => Some(i64::from(*n)),
        _ => None,
    }
}
