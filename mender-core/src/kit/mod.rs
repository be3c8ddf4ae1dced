//! Every area port over one small trait: an adapter for a document database writes a
//! [`DocStore`] and has them all through [`Kit`].

mod artifacts;
mod auth;
mod deployments;
mod inventory;
mod kernel;
pub mod memory;
mod quota;
mod tenants;
mod users;

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    commit::{Aggregate, Change, IndexKey, Stamped},
    env::Time,
    error::{StoreError, StoreResult},
    event::Event,
    feed::FeedEntry,
    id::{TenantId, Version},
    index::{Clause, Span},
    secret::token_hash,
};

pub use memory::MemoryDocs;

/// Every area port over documents. Clones share them.
#[derive(Debug)]
pub struct Kit<D> {
    docs: Arc<D>,
}

impl<D> Clone for Kit<D> {
    fn clone(&self) -> Self {
        Self { docs: self.docs.clone() }
    }
}

impl<D: DocStore> Kit<D> {
    /// All ports over this store of documents.
    pub fn new(docs: D) -> Self {
        Self { docs: Arc::new(docs) }
    }

    /// Counts who shares the store of documents: for tests that it is let go of.
    #[cfg(test)]
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.docs)
    }

    /// Returns the store of documents.
    pub fn docs(&self) -> &D {
        &self.docs
    }
}

/// The stores of a server in memory: the reference for all others, and the double for tests.
pub type MemoryStores = Kit<MemoryDocs>;

impl Default for MemoryStores {
    /// Empty stores.
    fn default() -> Self {
        Self::new(MemoryDocs::default())
    }
}

/// Names a document.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DocId {
    /// The kind of aggregate; a collection of its own.
    pub kind: &'static str,
    /// The tenant; the default one for what is global.
    pub tenant: TenantId,
    /// The id.
    pub id: String,
}

/// A document.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Doc {
    /// Its name.
    pub id: DocId,
    /// Its version.
    pub version: Version,
    /// The text that no other document of the kind and tenant may have.
    pub unique: String,
    /// The content.
    pub body: String,
    /// What it is found by. The same text may stand in many documents, and once in each.
    pub index: Vec<String>,
    /// Where it stands in declared orders: the name of the order and the place. Compared by
    /// bytes; all characters are below U+007F, or escaped so that they sort alike.
    pub orders: Vec<(&'static str, String)>,
    /// Where it stands among those that have a place under a name of the data's; not indexed.
    pub sorts: Vec<(String, String)>,
}

/// What must be so for a write to happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expect {
    /// There is no such document.
    Absent,
    /// The document has this version.
    At(Version),
}

/// A change of one document.
#[derive(Clone, Debug)]
pub enum Put {
    /// The document as it is from now on.
    Doc(Doc),
    /// It is no more, and its unique text is free. A note may be left in its place, which
    /// `tombstone` returns until it is swept.
    Nothing {
        /// The document.
        id: DocId,
        /// The note.
        note: Option<String>,
    },
}

impl Put {
    /// Returns which document it is.
    #[must_use]
    pub fn id(&self) -> &DocId {
        match self {
            Self::Doc(doc) => &doc.id,
            Self::Nothing { id, .. } => id,
        }
    }
}

/// A write: one document and its events, together or not at all. A driver that must find out
/// whether a write was applied whose answer it lost marks the document with a token of its own.
#[derive(Clone, Debug)]
pub struct Write {
    /// What must be so.
    pub expect: Expect,
    /// The change.
    pub put: Put,
    /// The events to append.
    pub events: Vec<Event>,
    /// Until when they belong to the writer.
    pub lease_until: Time,
    /// The time of the write.
    pub at: Time,
}

/// Which documents are meant, and how much of them.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The kind.
    pub kind: &'static str,
    /// The tenant.
    pub tenant: TenantId,
    /// Only these ids.
    pub ids: Option<Vec<String>>,
    /// What must hold for its index texts.
    pub all: Vec<Clause>,
    /// What it is sorted by first: the names of places, and whether the greatest come first.
    /// Documents without a place come first, and last where the greatest come first.
    pub sorts: Vec<(String, bool)>,
    /// The order; `None`: by id.
    pub order: Option<&'static str>,
    /// Only what comes after this place, or id.
    pub after: Option<String>,
    /// Only what comes no later than this place, or id.
    pub until: Option<String>,
    /// How many to pass over.
    pub skip: u64,
    /// How many to return.
    pub limit: usize,
}

impl Plan {
    /// All documents of the kind and tenant, by id.
    #[must_use]
    pub fn new(kind: &'static str, tenant: &TenantId) -> Self {
        Self {
            kind,
            tenant: tenant.clone(),
            ids: None,
            all: Vec::new(),
            sorts: Vec::new(),
            order: None,
            after: None,
            until: None,
            skip: 0,
            limit: usize::MAX,
        }
    }

    /// Only those with one of the texts in the index.
    #[must_use]
    pub fn any(mut self, texts: impl IntoIterator<Item = String>) -> Self {
        self.all.push(Clause::some(texts.into_iter().map(Span::At).collect()));
        self
    }

    /// At most so many.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }
}

/// Keeps documents. Every write is atomic for its document and durable when it returns.
#[async_trait]
pub trait DocStore: Send + Sync + 'static {
    /// Returns a document.
    async fn get(&self, id: &DocId) -> StoreResult<Option<Doc>>;

    /// Returns the document with this unique text.
    async fn find(
        &self,
        kind: &'static str,
        tenant: &TenantId,
        unique: &str,
    ) -> StoreResult<Option<Doc>>;

    /// Returns the documents of a plan.
    async fn scan(&self, plan: &Plan) -> StoreResult<Vec<Doc>>;

    /// Counts the documents of a plan, without regard to `skip` and `limit`.
    async fn count(&self, plan: &Plan) -> StoreResult<u64>;

    /// Counts the documents of a plan, without regard to order, bounds, `skip` and `limit`, by
    /// each of their index texts in a span; in the order of the texts.
    async fn tally(&self, plan: &Plan, within: &Span) -> StoreResult<Vec<(String, u64)>>;

    /// Writes, or does nothing: `Conflict` where the expectation fails, `Duplicate` (with any
    /// field) where the unique text is another document's.
    async fn write(&self, write: &Write) -> StoreResult<()>;

    /// Returns the note in place of a document that is no more, until it is swept.
    async fn tombstone(&self, id: &DocId) -> StoreResult<Option<String>>;

    /// Takes over events whose lease ended at or before `now`, oldest first.
    async fn claim(&self, now: Time, lease_until: Time, limit: usize) -> StoreResult<Vec<Event>>;

    /// Forgets events. Unknown ones are no error.
    async fn settle(&self, events: &[Event]) -> StoreResult<()>;

    /// Returns the events of a document that are not settled.
    async fn pending(&self, kind: &str, tenant: &TenantId, id: &str) -> StoreResult<Vec<Event>>;

    /// Counts the events that are not settled.
    async fn unsettled(&self) -> StoreResult<u64>;

    /// Removes tombstones that were left before this time and whose events are settled.
    async fn sweep(&self, before: Time, limit: usize) -> StoreResult<()>;
}

/// The kinds of documents that the kit keeps; a driver may prepare a collection for each.
pub const KINDS: [&str; 21] = [
    "artifacts.delta",
    "artifacts.release",
    "artifacts.retired",
    "artifacts.upload",
    "artifacts.settings",
    "auth.device",
    "auth.tenant",
    "auth.seen",
    "deployments.deployment",
    "deployments.targets",
    "deployments.device",
    "deployments.log",
    "deployments.settings",
    "inventory.device",
    "inventory.filter",
    "tenants.tenant",
    "users.account",
    "kit.job",
    "kit.feed",
    "kit.node",
    "kit.quota",
];

/// Returns the index text of a field with this value.
#[must_use]
pub fn field(name: &str, value: &str) -> String {
    // Long values are found by their hash: databases limit the size of index entries.
    if value.len() > 200 {
        return format!("{name}#{}", token_hash(value));
    }
    format!("{name}={}", sortable(value))
}

/// Writes text so that comparing bytes, UTF-16 units or characters gives one and the same order.
#[must_use]
pub fn sortable(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if c < '\u{7f}' {
            out.push(c);
        } else {
            out.push_str(&format!("\u{7f}{:06x}", u32::from(c)));
        }
        out
    })
}

/// Writes a time so that its text sorts as it does.
#[must_use]
pub fn sortable_time(time: Time) -> String {
    #[expect(clippy::cast_sign_loss, reason = "the bits are kept, with the sign turned round")]
    let bits = time.0 as u64 ^ (1 << 63);
    format!("{bits:016x}")
}

/// The content of a document: the aggregate, and which recent commits charged quotas.
#[derive(Serialize, Deserialize)]
struct Body<A> {
    a: A,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    c: Vec<String>,
}

/// How many charging commits a document remembers; more do not happen to one aggregate before
/// the sweep has looked.
const REMEMBERED: usize = 16;

fn read<A: DeserializeOwned>(doc: &Doc) -> StoreResult<A> {
    read_body(doc).map(|body: Body<A>| body.a)
}

fn read_body<A: DeserializeOwned>(doc: &Doc) -> StoreResult<Body<A>> {
    serde_json::from_str(&doc.body)
        .map_err(|e| StoreError::corrupt(format!("{} {}", doc.id.kind, doc.id.id), e))
}

fn doc_id<A: Aggregate>(tenant: &TenantId, id: &str) -> DocId {
    DocId { kind: A::KIND, tenant: tenant.clone(), id: id.to_owned() }
}

fn doc_of<A: Aggregate>(tenant: &TenantId, aggregate: &A, c: Vec<String>) -> StoreResult<Doc> {
    let mut index = Vec::new();
    let mut orders = Vec::new();
    let mut sorts = Vec::new();
    for key in aggregate.index() {
        match key {
            IndexKey::Field(name, value) => index.push(field(name, &value)),
            IndexKey::Order(name, place) => orders.push((name, sortable(&place))),
            IndexKey::Text(text) => index.push(text),
            IndexKey::Sort(name, place) => sorts.push((name, place)),
        }
    }
    let body = serde_json::to_string(&Body { a: aggregate, c })
        .map_err(|e| StoreError::corrupt(A::KIND, e))?;
    Ok(Doc {
        id: doc_id::<A>(tenant, aggregate.id()),
        version: aggregate.version(),
        unique: aggregate.unique().value,
        body,
        index,
        orders,
        sorts,
    })
}

impl<D: DocStore> Kit<D> {
    async fn load<A: Aggregate>(&self, tenant: &TenantId, id: &str) -> StoreResult<Option<A>> {
        self.docs.get(&doc_id::<A>(tenant, id)).await?.as_ref().map(read).transpose()
    }

    async fn load_unique<A: Aggregate>(
        &self,
        tenant: &TenantId,
        unique: &str,
    ) -> StoreResult<Option<A>> {
        self.docs.find(A::KIND, tenant, unique).await?.as_ref().map(read).transpose()
    }

    async fn load_all<A: Aggregate>(&self, plan: &Plan) -> StoreResult<Vec<A>> {
        self.docs.scan(plan).await?.iter().map(read).collect()
    }

    /// Stores a commit: first what it invalidates and takes from quotas, then the document with
    /// its events, then what it gives back. Cut off anywhere, the sweep completes it.
    async fn commit<A: Aggregate>(&self, tenant: &TenantId, commit: Stamped<A>) -> StoreResult<()> {
        self.announce(tenant, &commit).await?;
        let (id, expect) = match &commit.change {
            Change::Nothing => return Ok(()),
            Change::Insert(a) => (a.id().to_owned(), None),
            Change::Update { was: a, .. } | Change::Delete(a) => {
                (a.id().to_owned(), Some(a.version()))
            }
        };
        let mut charged = self.charged::<A>(tenant, &id, expect).await?;
        if commit.charges.is_empty() {
            return self.put::<A>(&self.write_of(tenant, &commit, charged)?).await;
        }
        charged.push(commit.id.clone());
        let forgotten = charged.len().saturating_sub(REMEMBERED);
        charged.drain(..forgotten);
        let write = self.write_of(tenant, &commit, charged)?;
        self.reserve(tenant, A::KIND, &id, &commit).await?;
        let answer = self.put::<A>(&write).await;
        match &answer {
            // Whether it was applied is not known: the sweep finds out.
            Err(StoreError::Unavailable(_)) => {}
            Ok(()) => {
                self.settle_charges(tenant, &commit, quota::Fate::Applied).await?;
            }
            Err(_) => {
                self.settle_charges(tenant, &commit, quota::Fate::Refused).await?;
            }
        }
        answer
    }

    /// The recent charging commits of a document. Every write keeps them: a sweep may still have
    /// to find out whether they were applied.
    async fn charged<A: Aggregate>(
        &self,
        tenant: &TenantId,
        id: &str,
        expect: Option<Version>,
    ) -> StoreResult<Vec<String>> {
        let Some(version) = expect else {
            return Ok(Vec::new());
        };
        let doc = self.docs.get(&doc_id::<A>(tenant, id)).await?;
        let doc = doc.filter(|d| d.version == version).ok_or(StoreError::Conflict)?;
        Ok(read_body::<serde_json::Value>(&doc)?.c)
    }

    fn write_of<A: Aggregate>(
        &self,
        tenant: &TenantId,
        commit: &Stamped<A>,
        charged: Vec<String>,
    ) -> StoreResult<Write> {
        let (expect, put) = match &commit.change {
            Change::Insert(a) => (Expect::Absent, Put::Doc(doc_of(tenant, a, charged)?)),
            Change::Update { was, to } => {
                (Expect::At(was.version()), Put::Doc(doc_of(tenant, to, charged)?))
            }
            Change::Delete(a) => {
                let note = (!charged.is_empty()).then(|| charged.join(" "));
                let id = doc_id::<A>(tenant, a.id());
                (Expect::At(a.version()), Put::Nothing { id, note })
            }
            Change::Nothing => return Err(StoreError::corrupt(A::KIND, "nothing to write")),
        };
        Ok(Write {
            expect,
            put,
            events: commit.events.clone(),
            lease_until: commit.lease_until,
            at: commit.at,
        })
    }

    async fn put<A: Aggregate>(&self, write: &Write) -> StoreResult<()> {
        match self.docs.write(write).await {
            Err(StoreError::Duplicate { .. }) => {
                let field = match &write.put {
                    Put::Doc(doc) => serde_json::from_str::<Body<A>>(&doc.body)
                        .map_or("unique", |body| body.a.unique().field),
                    Put::Nothing { .. } => "unique",
                };
                Err(StoreError::Duplicate { field })
            }
            answer => answer,
        }
    }

    /// Tells the feed, before the commit: a cache that forgets too early does no harm.
    async fn announce<A>(&self, tenant: &TenantId, commit: &Stamped<A>) -> StoreResult<()> {
        for (n, topic) in commit.invalidates.iter().enumerate() {
            let entry = FeedEntry {
                id: format!("{}/{n}", commit.id),
                tenant: tenant.clone(),
                kind: topic.kind.to_owned(),
                key: topic.key.clone(),
                at: commit.at,
            };
            self.append(&entry).await?;
        }
        Ok(())
    }
}
