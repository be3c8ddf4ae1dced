//! A store of your own: `cargo run --example custom_store`.
//!
//! This one keeps all documents in memory and every change in one append-only file, which it reads
//! back when it is opened. That is a driver of the document kit: the trait `DocStore`. Through
//! `Kit` it is every port of the server, and it must pass the same contract suite as our own
//! stores, which is what this program runs.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write as _},
    path::Path,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};

use mender::{
    Event, StoreError, StoreResult, TenantId, Time, Version, async_trait,
    index::Span,
    kit::{Doc, DocId, DocStore, Expect, KINDS, Kit, MemoryDocs, Plan, Put, Write},
    testing::contract::{Adapter, Harness, main as run_contract},
};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

/// Documents in memory, and their changes in a file.
struct LogDocs {
    memory: MemoryDocs,
    /// Held from the change in memory to the line in the file: both have one order.
    log: Mutex<File>,
    /// The file could not be written: what is in memory is ahead of it.
    broken: AtomicBool,
}

/// One line of the file.
#[derive(Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "one at a time, on its way to the file")]
enum Line {
    Put {
        kind: String,
        tenant: TenantId,
        id: String,
        doc: Option<Content>,
        note: Option<String>,
        was: Option<Version>,
        events: Vec<Event>,
        lease_until: Time,
        at: Time,
    },
    Settled(Vec<Event>),
    Swept(Time),
}

#[derive(Serialize, Deserialize)]
struct Content {
    version: Version,
    unique: String,
    body: String,
    index: Vec<String>,
    orders: Vec<(String, String)>,
    sorts: Vec<(String, String)>,
}

fn kind_of(text: &str) -> StoreResult<&'static str> {
    let known = KINDS.into_iter().find(|kind| *kind == text);
    known.ok_or_else(|| StoreError::corrupt(text, "unknown kind of document"))
}

impl LogDocs {
    /// Opens the file, or makes it, and reads what it says.
    async fn open(path: &Path) -> StoreResult<Self> {
        let options = OpenOptions::new().create(true).read(true).append(true).open(path);
        let file = options.map_err(StoreError::unavailable)?;
        let memory = MemoryDocs::default();
        for line in BufReader::new(&file).lines() {
            let line = line.map_err(StoreError::unavailable)?;
            // A line that was cut off by a crash was never answered.
            let Ok(line) = serde_json::from_str(&line) else {
                break;
            };
            replay(&memory, line).await?;
        }
        Ok(Self { memory, log: Mutex::new(file), broken: AtomicBool::new(false) })
    }

    /// Writes a line and makes it durable.
    fn append(&self, log: &mut File, line: &Line) -> StoreResult<()> {
        let mut text = serde_json::to_vec(line).map_err(StoreError::unavailable)?;
        text.push(b'\n');
        let written = log.write_all(&text).and_then(|()| log.sync_data());
        written.map_err(|error| {
            self.broken.store(true, Ordering::SeqCst);
            StoreError::unavailable(error)
        })
    }

    fn check(&self) -> StoreResult<()> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("the file can't be written: open the store anew"));
        }
        Ok(())
    }
}

async fn replay(memory: &MemoryDocs, line: Line) -> StoreResult<()> {
    match line {
        Line::Settled(events) => memory.settle(&events).await,
        Line::Swept(before) => memory.sweep(before, usize::MAX).await,
        Line::Put { kind, tenant, id, doc, note, was, events, lease_until, at } => {
            let id = DocId { kind: kind_of(&kind)?, tenant, id };
            let put = match doc {
                None => Put::Nothing { id, note },
                Some(Content { version, unique, body, index, orders, sorts }) => {
                    // The names of orders live as long as the program.
                    let orders = orders.into_iter().map(|(o, place)| (&*o.leak(), place)).collect();
                    Put::Doc(Doc { id, version, unique, body, index, orders, sorts })
                }
            };
            let expect = was.map_or(Expect::Absent, Expect::At);
            memory.write(&Write { expect, put, events, lease_until, at }).await
        }
    }
}

#[async_trait]
impl DocStore for LogDocs {
    async fn write(&self, write: &Write) -> StoreResult<()> {
        let mut log = self.log.lock().await;
        self.check()?;
        self.memory.write(write).await?;
        let (doc, note) = match &write.put {
            Put::Nothing { note, .. } => (None, note.clone()),
            Put::Doc(doc) => {
                let Doc { id: _, version, unique, body, index, orders, sorts } = doc.clone();
                let orders = orders.into_iter().map(|(o, place)| (o.to_owned(), place)).collect();
                (Some(Content { version, unique, body, index, orders, sorts }), None)
            }
        };
        let DocId { kind, tenant, id } = write.put.id().clone();
        self.append(
            &mut log,
            &Line::Put {
                kind: kind.to_owned(),
                tenant,
                id,
                doc,
                note,
                was: match write.expect {
                    Expect::Absent => None,
                    Expect::At(version) => Some(version),
                },
                events: write.events.clone(),
                lease_until: write.lease_until,
                at: write.at,
            },
        )
    }

    async fn settle(&self, events: &[Event]) -> StoreResult<()> {
        let mut log = self.log.lock().await;
        self.check()?;
        self.memory.settle(events).await?;
        self.append(&mut log, &Line::Settled(events.to_vec()))
    }

    async fn sweep(&self, before: Time, limit: usize) -> StoreResult<()> {
        let mut log = self.log.lock().await;
        self.check()?;
        self.memory.sweep(before, limit).await?;
        self.append(&mut log, &Line::Swept(before))
    }

    async fn get(&self, id: &DocId) -> StoreResult<Option<Doc>> {
        self.memory.get(id).await
    }

    async fn find(
        &self,
        kind: &'static str,
        tenant: &TenantId,
        unique: &str,
    ) -> StoreResult<Option<Doc>> {
        self.memory.find(kind, tenant, unique).await
    }

    async fn scan(&self, plan: &Plan) -> StoreResult<Vec<Doc>> {
        self.memory.scan(plan).await
    }

    async fn count(&self, plan: &Plan) -> StoreResult<u64> {
        self.memory.count(plan).await
    }

    async fn tally(&self, plan: &Plan, within: &Span) -> StoreResult<Vec<(String, u64)>> {
        self.memory.tally(plan, within).await
    }

    async fn tombstone(&self, id: &DocId) -> StoreResult<Option<String>> {
        self.memory.tombstone(id).await
    }

    /// Leases are not written: after a crash, events are delivered again.
    async fn claim(&self, now: Time, lease_until: Time, limit: usize) -> StoreResult<Vec<Event>> {
        self.memory.claim(now, lease_until, limit).await
    }

    async fn pending(&self, kind: &str, tenant: &TenantId, id: &str) -> StoreResult<Vec<Event>> {
        self.memory.pending(kind, tenant, id).await
    }

    async fn unsettled(&self) -> StoreResult<u64> {
        self.memory.unsettled().await
    }
}

fn main() -> ExitCode {
    run_contract(vec![Adapter::new("log", async || {
        let dir = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let docs = LogDocs::open(&dir.path().join("log")).await;
        let docs = docs.unwrap_or_else(|error| panic!("{error}"));
        Harness::new(Kit::new(docs)).keep(dir)
    })])
}
