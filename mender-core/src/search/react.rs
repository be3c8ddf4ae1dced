use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use async_trait::async_trait;

use crate::{
    env::{Env, Time},
    error::{Error, Result},
    event::{Event, Fact as _, Kinds, Outcome, Subscriber},
    id::{DeviceId, TenantId, Version},
    inventory::{self, InventoryEvent},
    search::{IndexDoc, SearchIndex},
};

/// The name of the subscriber.
pub(crate) const NAME: &str = "search";

/// How far an index lies behind.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    /// When the oldest change was made that the index could not take up; 0: none.
    waiting_since: AtomicI64,
}

impl Lag {
    /// Nothing waits any more.
    pub(crate) fn clear(&self) {
        self.waiting_since.store(0, Ordering::Relaxed);
    }

    /// Returns when the oldest change was made that the index does not know.
    pub(crate) fn waiting_since(&self) -> Option<Time> {
        Some(Time(self.waiting_since.load(Ordering::Relaxed))).filter(|at| at.0 > 0)
    }
}

/// Keeps an index true: takes up devices that changed, and forgets those that are gone.
///
/// Events may come late, twice and in any order: each makes it look at the source.
pub(crate) struct FollowInventory {
    pub(crate) env: Env,
    pub(crate) inventory: Arc<inventory::Service>,
    pub(crate) index: Arc<dyn SearchIndex>,
    pub(crate) lag: Arc<Lag>,
}

impl FollowInventory {
    async fn follow(&self, events: &[Event]) -> Result<()> {
        let mut subjects: BTreeMap<TenantId, BTreeMap<DeviceId, Version>> = BTreeMap::new();
        for event in events {
            let fact =
                InventoryEvent::of(event).map_err(|e| Error::internal("event").because(e))?;
            if let InventoryEvent::Written { device } | InventoryEvent::Removed { device } = fact {
                let devices = subjects.entry(event.tenant.clone()).or_default();
                let version = devices.entry(device).or_default();
                *version = (*version).max(event.version);
            }
        }
        let (mut docs, mut gone) = (Vec::new(), Vec::new());
        for (tenant, mut devices) in subjects {
            let ids = devices.keys().cloned().collect();
            for device in self.inventory.by_ids(&tenant, ids).await? {
                devices.remove(&device.id);
                docs.push(IndexDoc::of(&tenant, &device));
            }
            gone.extend(devices.into_iter().map(|(id, version)| (tenant.clone(), id, version)));
        }
        if !docs.is_empty() {
            self.index.put(&docs).await?;
        }
        if !gone.is_empty() {
            self.index.remove(&gone).await?;
        }
        Ok(())
    }

    fn note(&self, events: &[Event], is_done: bool) {
        let oldest = events.iter().map(|event| event.at.0).min().unwrap_or_default();
        let waiting = &self.lag.waiting_since;
        let known = waiting.load(Ordering::Relaxed);
        if !is_done && (known == 0 || oldest < known) {
            waiting.store(oldest, Ordering::Relaxed);
        }
    }
}

#[async_trait]
impl Subscriber for FollowInventory {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kinds(&self) -> Kinds {
        Kinds::Only(&[InventoryEvent::WRITTEN, InventoryEvent::REMOVED])
    }

    async fn handle(&self, events: &[Event]) -> Vec<Outcome> {
        let answer = self.follow(events).await;
        self.note(events, answer.is_ok());
        let lag = self.lag.waiting_since().map(|since| self.env.now().since(since));
        if let (Err(error), Some(lag)) = (&answer, lag) {
            tracing::warn!(%error, lag_seconds = lag.as_secs(), "the search index is not up to date");
        }
        let text = answer.err().map(|error| error.to_string());
        let outcome = |_: &Event| match &text {
            None => Outcome::Done,
            Some(text) => Outcome::Retry(Error::internal(text.clone())),
        };
        events.iter().map(outcome).collect()
    }
}
