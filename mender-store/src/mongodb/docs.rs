//! The store of documents.

use async_trait::async_trait;
use mender_core::{
    Event, StoreResult, TenantId, Time,
    index::Span,
    kit::{Doc, DocId, DocStore, KINDS, Plan, Write},
};
use mongodb::bson::{Document, doc};

use crate::mongodb::{
    form::{Stored, counted},
    indexes::Indexes,
    link::{Failure, Link},
    names::{key_of, unique},
    probe, query,
};

/// How many documents a page of the server's answers has at most.
const PAGE: u32 = 1000;

/// Documents in MongoDB.
///
/// Events are delivered for the kinds in [`KINDS`], and for others from their first write in
/// this process on.
#[derive(Debug)]
pub struct MongoDocs {
    pub(super) link: Link,
    pub(super) indexes: Indexes,
}

impl MongoDocs {
    /// Opens the database that the URL names, `mongodb://host/database`, and makes its indexes.
    ///
    /// The first time, the server is probed; one that lacks something, or whose updates are not
    /// atomic, is refused by name of what it lacks. Options of the URL apply, except for write
    /// concern (`majority`, journaled), read preference (primary) and retryable writes (off).
    ///
    /// # Errors
    /// `Unavailable`, saying why: no server answers within two seconds, the URL can't be used,
    /// or the server was refused.
    pub async fn open(url: &str) -> StoreResult<Self> {
        let docs = Self { link: Link::open(url).await?, indexes: Indexes::default() };
        probe::check(&docs).await?;
        for kind in KINDS {
            docs.indexes.prepare(&docs.link, kind).await?;
        }
        Ok(docs)
    }

    /// Reads a document whole, tombstones too.
    pub(super) async fn stored(&self, id: &DocId) -> Result<Option<Stored>, Failure> {
        let collection = self.link.kind(id.kind);
        let find = collection.find_one(doc! { "_id": key_of(id) });
        let found = self.link.run(find).await?;
        Ok(found.map(|doc| Stored::new(id.kind, doc)))
    }

    /// Reads all documents that a query finds.
    pub(super) async fn list(
        &self,
        kind: &str,
        filter: Document,
        options: Listing,
    ) -> Result<Vec<Stored>, Failure> {
        let Listing { sort, fields, skip, limit } = options;
        let is_by_data = sort.keys().any(|key| query::is_sort_place(key));
        // Some servers count what they pass over in 32 bits, and no collection has as much.
        if limit == 0 || i32::try_from(skip).is_err() {
            return Ok(Vec::new());
        }
        let collection = self.link.kind(kind);
        let mut find = collection.find(filter).sort(sort).projection(fields);
        if is_by_data {
            // No index has this order: large fleets are more than servers sort in memory.
            find = find.allow_disk_use(true);
        }
        if skip > 0 {
            find = find.skip(skip);
        }
        if let Ok(limit) = i64::try_from(limit)
            && limit < i64::MAX
        {
            find = find.limit(limit);
        }
        find = find.batch_size(u32::try_from(limit).unwrap_or(PAGE).min(PAGE));
        let mut cursor = self.link.run(find).await?;
        let mut found = Vec::new();
        while self.link.run(cursor.advance()).await? {
            found.push(Stored::new(kind, cursor.deserialize_current()?));
        }
        Ok(found)
    }
}

/// How much of what a query finds is read.
pub(super) struct Listing {
    pub(super) sort: Document,
    pub(super) fields: Document,
    pub(super) skip: u64,
    pub(super) limit: usize,
}

#[async_trait]
impl DocStore for MongoDocs {
    async fn get(&self, id: &DocId) -> StoreResult<Option<Doc>> {
        let collection = self.link.kind(id.kind);
        let find =
            collection.find_one(doc! { "_id": key_of(id) }).projection(query::without_events());
        match self.link.run(find).await? {
            Some(doc) => Stored::new(id.kind, doc).read(id.kind, &id.tenant),
            None => Ok(None),
        }
    }

    async fn find(
        &self,
        kind: &'static str,
        tenant: &TenantId,
        text: &str,
    ) -> StoreResult<Option<Doc>> {
        let collection = self.link.kind(kind);
        let find = collection
            .find_one(doc! { "t": tenant.as_str(), "uk": unique(text) })
            .projection(query::without_events());
        match self.link.run(find).await? {
            Some(doc) => Stored::new(kind, doc).read(kind, tenant),
            None => Ok(None),
        }
    }

    async fn scan(&self, plan: &Plan) -> StoreResult<Vec<Doc>> {
        let listing = Listing {
            sort: query::sort(plan),
            fields: query::without_events(),
            skip: plan.skip,
            limit: plan.limit,
        };
        let found = self.list(plan.kind, query::filter(plan), listing).await?;
        found.into_iter().filter_map(|doc| doc.read(plan.kind, &plan.tenant).transpose()).collect()
    }

    async fn count(&self, plan: &Plan) -> StoreResult<u64> {
        let collection = self.link.kind(plan.kind);
        let count = collection.count_documents(query::count_filter(plan));
        Ok(self.link.run(count).await?)
    }

    async fn tally(&self, plan: &Plan, within: &Span) -> StoreResult<Vec<(String, u64)>> {
        let collection = self.link.kind(plan.kind);
        let counting = collection.aggregate(query::tally(plan, within)).batch_size(PAGE);
        let mut cursor = self.link.run(counting).await?;
        let mut found = Vec::new();
        while self.link.run(cursor.advance()).await? {
            let count: Document = cursor.deserialize_current().map_err(Failure::from)?;
            found.push(counted(plan.kind, &count)?);
        }
        Ok(found)
    }

    async fn write(&self, write: &Write) -> StoreResult<()> {
        self.write_surely(write).await
    }

    async fn tombstone(&self, id: &DocId) -> StoreResult<Option<String>> {
        let found = self.stored(id).await?;
        Ok(found.and_then(|doc| doc.note().map(ToOwned::to_owned)))
    }

    async fn claim(&self, now: Time, lease_until: Time, limit: usize) -> StoreResult<Vec<Event>> {
        self.claim_in(&self.indexes.kinds(), now, lease_until, limit).await
    }

    async fn settle(&self, events: &[Event]) -> StoreResult<()> {
        self.settle_all(events).await
    }

    async fn pending(&self, kind: &str, tenant: &TenantId, id: &str) -> StoreResult<Vec<Event>> {
        self.pending_of(kind, tenant, id).await
    }

    async fn unsettled(&self) -> StoreResult<u64> {
        self.count_unsettled().await
    }

    async fn sweep(&self, before: Time, limit: usize) -> StoreResult<()> {
        self.sweep_tombstones(before, limit).await
    }
}
