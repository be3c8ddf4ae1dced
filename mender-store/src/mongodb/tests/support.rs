//! A database of its own for each test, and documents to put in it.

use std::sync::atomic::{AtomicU32, Ordering};

use mender_core::{
    Actor, Event, Time, Version,
    kit::{Doc, DocId, Expect, Put, Write},
};
use serde_json::json;

use crate::{
    MongoDocs,
    mongodb::{indexes::Indexes, link::Link, probe},
};

/// The kind that most tests use.
pub(super) const KIND: &str = "kit.quota";

#[expect(clippy::disallowed_methods, reason = "the one place where tests learn which server runs")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the URL of a new database; `None` where no server runs.
pub(super) fn url() -> Option<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let Some(base) = setting("MENDER_TEST_MONGODB") else {
        let required = setting("MENDER_TEST_REQUIRE").unwrap_or_default();
        assert!(
            !required.split(',').any(|name| name == "mongodb"),
            "MENDER_TEST_MONGODB is required"
        );
        eprintln!("skipped on MongoDB: MENDER_TEST_MONGODB is not set");
        return None;
    };
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("test_{}_{n}", std::process::id());
    let (server, options) = base.split_once("/?").unwrap_or((&base, ""));
    Some(format!("{}/{name}?{options}", server.trim_end_matches('/')))
}

/// Runs a test on a database of its own.
pub(super) async fn with_docs(test: impl AsyncFnOnce(&MongoDocs)) {
    let Some(url) = url() else {
        return;
    };
    let docs = open_unprobed(&url).await;
    test(&docs).await;
    docs.link.database().drop().await.unwrap();
}

/// Opens a database without the probe, which has tests of its own.
pub(super) async fn open_unprobed(url: &str) -> MongoDocs {
    let docs = MongoDocs { link: Link::open(url).await.unwrap(), indexes: Indexes::default() };
    probe::remember(&docs).await.unwrap();
    MongoDocs::open(url).await.unwrap()
}

pub(super) fn id(id: &str) -> DocId {
    DocId { kind: KIND, tenant: "t".parse().unwrap(), id: id.to_owned() }
}

pub(super) fn doc(name: &str, version: i64) -> Doc {
    Doc {
        id: id(name),
        version: Version(version),
        unique: name.to_owned(),
        body: format!("{{\"n\":{version}}}"),
        index: Vec::new(),
        orders: Vec::new(),
        sorts: Vec::new(),
    }
}

fn write(expect: Expect, put: Put) -> Write {
    Write { expect, put, events: Vec::new(), lease_until: Time(1000), at: Time(10) }
}

pub(super) fn insert(doc: Doc) -> Write {
    write(Expect::Absent, Put::Doc(doc))
}

/// A change to the document from the version before.
pub(super) fn update(doc: Doc) -> Write {
    write(Expect::At(Version(doc.version.0 - 1)), Put::Doc(doc))
}

pub(super) fn delete(name: &str, version: i64, note: Option<&str>) -> Write {
    let put = Put::Nothing { id: id(name), note: note.map(ToOwned::to_owned) };
    write(Expect::At(Version(version)), put)
}

/// The write with these events.
pub(super) fn telling(mut write: Write, events: &[&str]) -> Write {
    let of = write.put.id().clone();
    write.events = events.iter().map(|name| event(&of, name)).collect();
    write
}

pub(super) fn event(of: &DocId, name: &str) -> Event {
    Event {
        id: name.parse().unwrap(),
        tenant: of.tenant.clone(),
        aggregate: of.kind.to_owned(),
        key: of.id.clone(),
        version: Version(1),
        kind: "thing.changed".to_owned(),
        v: 1,
        at: Time(7),
        actor: Actor::System,
        trace: String::new(),
        payload: json!({ "a.b": [[1]], "$x": null, "n": 9_007_199_254_740_993_i64 }),
    }
}

pub(super) fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.id.as_str()).collect()
}
