//! Forgetting events, and the tombstones that held them.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use mender_core::{Event, StoreResult, Time};
use mongodb::{
    bson::{Bson, doc},
    options::ReturnDocument,
};

use crate::mongodb::{
    claim::ABREAST,
    docs::{Listing, MongoDocs},
    form::{SETTLED, SWEEPABLE, Stored},
    link::Failure,
    names::key,
};

impl MongoDocs {
    /// Forgets events, a few documents at a time.
    pub(super) async fn settle_all(&self, events: &[Event]) -> StoreResult<()> {
        let mut docs: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
        for event in events {
            let key = key(&event.tenant, &event.key);
            let ids = docs.entry((&event.aggregate, key)).or_default();
            if !ids.contains(&event.id.as_str()) {
                ids.push(event.id.as_str());
            }
        }
        let each = docs.iter().map(|((kind, key), ids)| self.settle_one(kind, key, ids));
        let each: Vec<_> = each.collect();
        let all = stream::iter(each).buffer_unordered(ABREAST);
        Ok(all.try_collect::<()>().await?)
    }

    async fn settle_one(&self, kind: &str, key: &str, ids: &[&str]) -> Result<(), Failure> {
        let collection = self.link.kind(kind);
        // Most often these are all the events of a document that lives on.
        let exactly = doc! {
            "_id": key,
            "body": { "$exists": true },
            "ob": { "$size": i32::try_from(ids.len()).unwrap_or(i32::MAX) },
            "ob.id": { "$all": ids },
        };
        let none: Vec<Bson> = Vec::new();
        let empty = doc! { "$set": { "ob": none, "ob_at": SETTLED }, "$inc": { "r": 1_i64 } };
        let answer = self.link.run(collection.update_one(exactly, empty)).await?;
        if answer.matched_count == 1 {
            return Ok(());
        }
        let pull = doc! {
            "$pull": { "ob": { "id": { "$in": ids } } },
            "$inc": { "r": 1_i64 },
        };
        let pulled = collection
            .find_one_and_update(doc! { "_id": key }, pull)
            .return_document(ReturnDocument::After);
        match self.link.run(pulled).await? {
            Some(doc) => self.mend(kind, &Stored::new(kind, doc)).await,
            None => Ok(()),
        }
    }

    /// Puts `ob_at` right, or removes a tombstone that serves nobody any more. Where the document
    /// changed meanwhile, nothing happens: the next claim sees to it.
    pub(super) async fn mend(&self, kind: &str, doc: &Stored) -> Result<(), Failure> {
        let collection = self.link.kind(kind);
        let was = doc! { "_id": doc.key()?, "r": doc.revision()? };
        if doc.is_dead() && doc.note().is_none() && doc.earliest().is_none() {
            self.link.run(collection.delete_one(was)).await?;
        } else if doc.wakes_at()? != doc.idle_at() {
            let update = doc! { "$set": { "ob_at": doc.idle_at() }, "$inc": { "r": 1_i64 } };
            self.link.run(collection.update_one(was, update)).await?;
        }
        Ok(())
    }

    /// Removes tombstones left before the time whose events are settled.
    pub(super) async fn sweep_tombstones(&self, before: Time, limit: usize) -> StoreResult<()> {
        for kind in self.indexes.kinds() {
            let old = doc! { "ob_at": SWEEPABLE, "dead": { "$lt": before.0 } };
            let listing =
                Listing { sort: doc! { "_id": 1 }, fields: doc! { "_id": 1 }, skip: 0, limit };
            let found = self.list(kind, old.clone(), listing).await?;
            if found.is_empty() {
                continue;
            }
            let keys: StoreResult<Vec<_>> = found.iter().map(Stored::key).collect();
            let mut gone = old;
            gone.insert("_id", doc! { "$in": keys? });
            gone.insert("ob", doc! { "$size": 0 });
            let collection = self.link.kind(kind);
            self.link.run(collection.delete_many(gone)).await?;
        }
        Ok(())
    }
}
