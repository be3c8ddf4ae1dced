//! Documents in memory: validate, then apply, under one lock.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use crate::{
    env::Time,
    error::{StoreError, StoreResult},
    event::Event,
    id::{EventId, TenantId},
    kit::{Doc, DocId, DocStore, Expect, Plan, Put, Write},
};

/// The documents of one kind and tenant, with the indexes that the driver keeps for them.
#[derive(Debug, Default)]
struct Shelf {
    docs: BTreeMap<String, Doc>,
    unique: HashMap<String, String>,
    index: HashMap<String, BTreeSet<String>>,
    orders: HashMap<&'static str, BTreeSet<(String, String)>>,
    tombstones: BTreeMap<String, (Time, String)>,
}

#[derive(Debug, Default)]
struct State {
    shelves: HashMap<(String, TenantId), Shelf>,
    /// Events that are not settled, by age, with the end of their lease.
    events: BTreeMap<EventId, (Time, Event)>,
}

/// A store of documents in memory.
#[derive(Debug, Default)]
pub struct MemoryDocs {
    state: Mutex<State>,
}

impl Shelf {
    fn remove(&mut self, id: &str) {
        let Some(doc) = self.docs.remove(id) else {
            return;
        };
        self.unique.remove(&doc.unique);
        for text in doc.index {
            if let Some(ids) = self.index.get_mut(&text) {
                ids.remove(id);
                if ids.is_empty() {
                    self.index.remove(&text);
                }
            }
        }
        for (order, place) in doc.orders {
            if let Some(places) = self.orders.get_mut(order) {
                places.remove(&(place, id.to_owned()));
            }
        }
    }

    fn insert(&mut self, doc: &Doc) {
        let id = &doc.id.id;
        self.remove(id);
        self.tombstones.remove(id);
        self.unique.insert(doc.unique.clone(), id.clone());
        for text in &doc.index {
            self.index.entry(text.clone()).or_default().insert(id.clone());
        }
        for (order, place) in &doc.orders {
            self.orders.entry(order).or_default().insert((place.clone(), id.clone()));
        }
        self.docs.insert(id.clone(), doc.clone());
    }

    /// The ids that fit the conditions; `None`: all do.
    fn candidates<'a>(&'a self, plan: &'a Plan) -> Option<HashSet<&'a str>> {
        let mut found: Option<HashSet<&str>> =
            plan.ids.as_ref().map(|ids| ids.iter().map(String::as_str).collect());
        for any in &plan.all {
            let with = |text| self.index.get(text).into_iter().flatten().map(String::as_str);
            let ids: HashSet<&str> = any.iter().flat_map(with).collect();
            found = Some(match found {
                Some(found) => found.intersection(&ids).copied().collect(),
                None => ids,
            });
        }
        found
    }

    fn matching<'a>(&'a self, plan: &'a Plan) -> Box<dyn Iterator<Item = &'a Doc> + 'a> {
        let found = self.candidates(plan);
        let fits = move |id: &str| found.as_ref().is_none_or(|found| found.contains(id));
        match plan.order {
            None => {
                let after = plan.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
                let until = plan.until.as_ref().map_or(Bound::Unbounded, Bound::Included);
                if is_empty_range(plan) {
                    return Box::new(std::iter::empty());
                }
                let docs = self.docs.range::<String, _>((after, until));
                Box::new(docs.filter(move |(id, _)| fits(id)).map(|(_, doc)| doc))
            }
            Some(order) => {
                let within = |place: &String| {
                    plan.after.as_ref().is_none_or(|after| place > after)
                        && plan.until.as_ref().is_none_or(|until| place <= until)
                };
                let places = self.orders.get(order).into_iter().flatten();
                Box::new(
                    places
                        .filter(move |(place, id)| within(place) && fits(id))
                        .filter_map(|(_, id)| self.docs.get(id)),
                )
            }
        }
    }
}

fn is_empty_range(plan: &Plan) -> bool {
    matches!((&plan.after, &plan.until), (Some(after), Some(until)) if after >= until)
}

impl MemoryDocs {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, kind: &str, tenant: &TenantId, read: impl FnOnce(&Shelf) -> T) -> Option<T> {
        self.state().shelves.get(&(kind.to_owned(), tenant.clone())).map(read)
    }

    /// Counts the documents of each kind: for checks that nothing is left.
    #[must_use]
    pub fn sizes(&self) -> BTreeMap<String, usize> {
        let state = self.state();
        let mut sizes = BTreeMap::new();
        for ((kind, _), shelf) in &state.shelves {
            *sizes.entry(kind.clone()).or_default() += shelf.docs.len();
        }
        sizes
    }
}

#[async_trait]
impl DocStore for MemoryDocs {
    async fn get(&self, id: &DocId) -> StoreResult<Option<Doc>> {
        Ok(self.with(id.kind, &id.tenant, |shelf| shelf.docs.get(&id.id).cloned()).flatten())
    }

    async fn find(
        &self,
        kind: &'static str,
        tenant: &TenantId,
        unique: &str,
    ) -> StoreResult<Option<Doc>> {
        let find =
            |shelf: &Shelf| shelf.unique.get(unique).and_then(|id| shelf.docs.get(id)).cloned();
        Ok(self.with(kind, tenant, find).flatten())
    }

    async fn scan(&self, plan: &Plan) -> StoreResult<Vec<Doc>> {
        let skip = usize::try_from(plan.skip).unwrap_or(usize::MAX);
        let scan = |shelf: &Shelf| -> Vec<Doc> {
            shelf.matching(plan).skip(skip).take(plan.limit).cloned().collect()
        };
        Ok(self.with(plan.kind, &plan.tenant, scan).unwrap_or_default())
    }

    async fn count(&self, plan: &Plan) -> StoreResult<u64> {
        let count = |shelf: &Shelf| shelf.matching(plan).count() as u64;
        Ok(self.with(plan.kind, &plan.tenant, count).unwrap_or_default())
    }

    async fn write(&self, write: &Write) -> StoreResult<()> {
        let mut state = self.state();
        let id = write.put.id();
        let key = (id.kind.to_owned(), id.tenant.clone());
        let shelf = state.shelves.entry(key).or_default();
        let version = shelf.docs.get(&id.id).map(|doc| doc.version);
        let expected = match write.expect {
            Expect::Absent => version.is_none(),
            Expect::At(expected) => version == Some(expected),
        };
        if !expected {
            return Err(StoreError::Conflict);
        }
        match &write.put {
            Put::Doc(doc) => {
                if shelf.unique.get(&doc.unique).is_some_and(|other| *other != id.id) {
                    return Err(StoreError::Duplicate { field: "unique" });
                }
                shelf.insert(doc);
            }
            Put::Nothing { note, .. } => {
                shelf.remove(&id.id);
                if let Some(note) = note {
                    shelf.tombstones.insert(id.id.clone(), (write.at, note.clone()));
                }
            }
        }
        for event in &write.events {
            state.events.insert(event.id.clone(), (write.lease_until, event.clone()));
        }
        Ok(())
    }

    async fn tombstone(&self, id: &DocId) -> StoreResult<Option<String>> {
        let note = |shelf: &Shelf| shelf.tombstones.get(&id.id).map(|(_, note)| note.clone());
        Ok(self.with(id.kind, &id.tenant, note).flatten())
    }

    async fn claim(&self, now: Time, lease_until: Time, limit: usize) -> StoreResult<Vec<Event>> {
        let mut state = self.state();
        let free = state.events.values_mut().filter(|(lease, _)| *lease <= now).take(limit);
        Ok(free
            .map(|(lease, event)| {
                *lease = lease_until;
                event.clone()
            })
            .collect())
    }

    async fn settle(&self, events: &[Event]) -> StoreResult<()> {
        let mut state = self.state();
        for event in events {
            state.events.remove(&event.id);
        }
        Ok(())
    }

    async fn pending(&self, kind: &str, tenant: &TenantId, id: &str) -> StoreResult<Vec<Event>> {
        let state = self.state();
        let mine = |e: &&Event| e.aggregate == kind && e.tenant == *tenant && e.key == id;
        Ok(state.events.values().map(|(_, event)| event).filter(mine).cloned().collect())
    }

    async fn unsettled(&self) -> StoreResult<u64> {
        Ok(self.state().events.len() as u64)
    }

    async fn sweep(&self, before: Time, _: usize) -> StoreResult<()> {
        for shelf in self.state().shelves.values_mut() {
            shelf.tombstones.retain(|_, (at, _)| *at >= before);
        }
        Ok(())
    }
}
