//! Taking over events whose lease ended.

use std::collections::BTreeMap;

use futures_util::{StreamExt, future::try_join_all, stream};
use mender_core::{Event, StoreResult, TenantId, Time};
use mongodb::{
    bson::{Document, doc},
    options::ReturnDocument,
};

use crate::mongodb::{
    docs::{Listing, MongoDocs},
    form::{SWEEPABLE, Stored, lease},
    link::Failure,
    names::key,
};

/// How many documents of a kind are looked at, at least: the oldest events first.
const WINDOW: usize = 256;

/// How many documents are changed at the same time.
pub(super) const ABREAST: usize = 16;

/// How often a claim looks again when others took all it found.
const ROUNDS: usize = 3;

/// Everything about the events of a document but their content.
fn leases() -> Document {
    doc! { "r": 1, "dead": 1, "note": 1, "ob_at": 1, "ob.id": 1, "ob.l": 1 }
}

/// A document with events to take over.
pub(super) struct Find {
    pub(super) kind: &'static str,
    pub(super) doc: Stored,
    /// Which of its events.
    pub(super) places: Vec<usize>,
}

impl MongoDocs {
    /// Takes over events of these kinds.
    pub(super) async fn claim_in(
        &self,
        kinds: &[&'static str],
        now: Time,
        lease_until: Time,
        limit: usize,
    ) -> StoreResult<Vec<Event>> {
        for _ in 0..ROUNDS {
            let finds = self.find_free(kinds, now, limit).await?;
            let found = finds.len();
            let takes = finds.iter().map(|find| self.take(find, lease_until));
            let takes: Vec<_> = takes.collect();
            let mut answers = stream::iter(takes).buffer_unordered(ABREAST);
            let mut claimed = Vec::new();
            let mut failure = None;
            while let Some(answer) = answers.next().await {
                match answer {
                    Ok(events) => claimed.extend(events),
                    Err(error) => failure = Some(error),
                }
            }
            claimed.sort_by(|a, b| a.id.cmp(&b.id));
            match failure {
                // Those that were taken are delivered; the others at the end of their lease.
                Some(error) if claimed.is_empty() => return Err(error.into()),
                _ if found == 0 || !claimed.is_empty() => return Ok(claimed),
                _ => {}
            }
        }
        Ok(Vec::new())
    }

    /// Finds the oldest events whose lease ended, by document.
    async fn find_free(
        &self,
        kinds: &[&'static str],
        now: Time,
        limit: usize,
    ) -> Result<Vec<Find>, Failure> {
        let lists = kinds.iter().map(|kind| {
            let listing = Listing {
                sort: doc! { "ob_at": 1 },
                fields: leases(),
                skip: 0,
                limit: limit.max(WINDOW),
            };
            let due = doc! { "ob_at": { "$lte": now.0.min(SWEEPABLE - 1) } };
            self.list(kind, due, listing)
        });
        let mut docs = Vec::new();
        for (kind, found) in kinds.iter().zip(try_join_all(lists).await?) {
            docs.extend(found.into_iter().map(|doc| (*kind, doc)));
        }
        let mut free: Vec<(String, usize, usize)> = Vec::new();
        for (n, (kind, doc)) in docs.iter().enumerate() {
            let before = free.len();
            for (place, (id, until)) in doc.leases().enumerate() {
                if until <= now.0 {
                    free.push((id.to_owned(), n, place));
                }
            }
            if free.len() == before {
                self.mend(kind, doc).await?;
            }
        }
        free.sort();
        free.truncate(limit);
        let mut places: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (_, n, place) in free {
            places.entry(n).or_default().push(place);
        }
        let with_places = |(n, (kind, doc))| {
            let places = places.remove(&n)?;
            Some(Find { kind, doc, places })
        };
        Ok(docs.into_iter().enumerate().filter_map(with_places).collect())
    }

    /// Takes over events of one document, or none where others were faster.
    pub(super) async fn take(&self, find: &Find, lease_until: Time) -> Result<Vec<Event>, Failure> {
        let Find { kind, doc, places } = find;
        let until = lease(lease_until);
        let mut set = Document::new();
        let mut earliest = until;
        for (place, (_, was)) in doc.leases().enumerate() {
            if places.contains(&place) {
                set.insert(format!("ob.{place}.l"), until);
            } else {
                earliest = earliest.min(was);
            }
        }
        set.insert("ob_at", earliest);
        // Invariant: at this revision `ob` is as it was read, so each place is still the same event.
        let was = doc! { "_id": doc.key()?, "r": doc.revision()? };
        let update = doc! { "$set": set, "$inc": { "r": 1_i64 } };
        let collection = self.link.kind(kind);
        let taken =
            collection.find_one_and_update(was, update).return_document(ReturnDocument::After);
        let Some(taken) = self.link.run(taken).await? else {
            return Ok(Vec::new());
        };
        let events = Stored::new(kind, taken).events()?;
        let mine = |(place, event)| places.contains(&place).then_some(event);
        Ok(events.into_iter().enumerate().filter_map(mine).collect())
    }

    /// Returns the events of a document that are not settled, by age.
    pub(super) async fn pending_of(
        &self,
        kind: &str,
        tenant: &TenantId,
        id: &str,
    ) -> StoreResult<Vec<Event>> {
        let collection = self.link.kind(kind);
        let find =
            collection.find_one(doc! { "_id": key(tenant, id) }).projection(doc! { "ob": 1 });
        let Some(doc) = self.link.run(find).await? else {
            return Ok(Vec::new());
        };
        let mut events = Stored::new(kind, doc).events()?;
        events.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(events)
    }

    /// Counts the events that are not settled.
    pub(super) async fn count_unsettled(&self) -> StoreResult<u64> {
        let mut count = 0;
        for kind in self.indexes.kinds() {
            let collection = self.link.kind(kind);
            let find = collection
                .find(doc! { "ob_at": { "$lt": SWEEPABLE } })
                .projection(doc! { "ob.id": 1 });
            let mut cursor = self.link.run(find).await?;
            while self.link.run(cursor.advance()).await? {
                let doc = cursor.deserialize_current().map_err(Failure::from)?;
                count += Stored::new(kind, doc).leases().count() as u64;
            }
        }
        Ok(count)
    }
}
