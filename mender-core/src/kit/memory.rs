//! Documents in memory: validate, then apply, under one lock.

use std::{
    cmp::Ordering,
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
    index::{Clause, Span},
    kit::{Doc, DocId, DocStore, Expect, Plan, Put, Write},
};

/// The documents of one kind and tenant, with the indexes that the driver keeps for them.
#[derive(Debug, Default)]
struct Shelf {
    docs: BTreeMap<String, Doc>,
    unique: HashMap<String, String>,
    index: BTreeMap<String, BTreeSet<String>>,
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

    /// The index texts in a span, each with the ids of its documents.
    fn texts<'a>(
        &'a self,
        span: &'a Span,
    ) -> Box<dyn Iterator<Item = (&'a String, &'a BTreeSet<String>)> + 'a> {
        match span {
            Span::At(text) => Box::new(self.index.get_key_value(text).into_iter()),
            Span::Within { from, to } if from >= to => Box::new(std::iter::empty()),
            Span::Within { from, to } => Box::new(
                self.index.range::<String, _>((Bound::Included(from), Bound::Excluded(to))),
            ),
        }
    }

    fn within<'a>(&'a self, spans: &'a [Span]) -> HashSet<&'a str> {
        let found = spans.iter().flat_map(|span| self.texts(span));
        found.flat_map(|(_, ids)| ids.iter().map(String::as_str)).collect()
    }

    /// Tells of each id whether it fits the conditions.
    fn fits<'a>(&'a self, plan: &'a Plan) -> impl Fn(&str) -> bool + 'a {
        let ids: Option<HashSet<&str>> =
            plan.ids.as_ref().map(|ids| ids.iter().map(String::as_str).collect());
        let found = |clause: &'a Clause| {
            (self.within(&clause.some), clause.none.as_deref().map(|none| self.within(none)))
        };
        let clauses: Vec<_> = plan.all.iter().map(found).collect();
        move |id| {
            let holds = |(some, none): &(HashSet<&str>, Option<HashSet<&str>>)| {
                some.contains(id) || none.as_ref().is_some_and(|none| !none.contains(id))
            };
            ids.as_ref().is_none_or(|ids| ids.contains(id)) && clauses.iter().all(holds)
        }
    }

    fn matching<'a>(&'a self, plan: &'a Plan) -> Box<dyn Iterator<Item = &'a Doc> + 'a> {
        let ordered = self.ordered(plan);
        if plan.sorts.is_empty() {
            return ordered;
        }
        let mut sorted: Vec<&Doc> = ordered.collect();
        sorted.sort_by(|a, b| {
            let by_place = |(name, descending): &(String, bool)| {
                let order = place(a, name).cmp(&place(b, name));
                if *descending { order.reverse() } else { order }
            };
            plan.sorts.iter().map(by_place).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        });
        Box::new(sorted.into_iter())
    }

    /// The documents that fit, by the declared order or by id.
    fn ordered<'a>(&'a self, plan: &'a Plan) -> Box<dyn Iterator<Item = &'a Doc> + 'a> {
        let fits = self.fits(plan);
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

/// The place of a document under a name.
fn place<'a>(doc: &'a Doc, name: &str) -> Option<&'a str> {
    doc.sorts.iter().find(|(known, _)| known == name).map(|(_, place)| place.as_str())
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

    async fn tally(&self, plan: &Plan, within: &Span) -> StoreResult<Vec<(String, u64)>> {
        let tally = |shelf: &Shelf| -> Vec<(String, u64)> {
            let fits = shelf.fits(plan);
            let count = |ids: &BTreeSet<String>| ids.iter().filter(|id| fits(id)).count() as u64;
            let counts = shelf.texts(within).map(|(text, ids)| (text.clone(), count(ids)));
            counts.filter(|(_, count)| *count > 0).collect()
        };
        Ok(self.with(plan.kind, &plan.tenant, tally).unwrap_or_default())
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
