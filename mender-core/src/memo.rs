//! Answers that are dear and may be two seconds old.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How old a remembered answer may be.
const LIFE: Duration = Duration::from_secs(2);

/// An answer that took less is not remembered.
const DEAR: Duration = Duration::from_millis(20);

/// How many answers are remembered.
const CAPACITY: usize = 1000;

type Slot<V> = Arc<tokio::sync::Mutex<Option<(Instant, V)>>>;

/// Remembers answers that took long; of several callers who ask the same, one finds out.
pub(crate) struct Memo<K, V> {
    slots: Mutex<HashMap<K, Slot<V>>>,
}

impl<K: Clone + Eq + Hash, V: Clone> Memo<K, V> {
    pub(crate) fn new() -> Self {
        Self { slots: Mutex::default() }
    }

    fn slot(&self, key: &K) -> Slot<V> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= CAPACITY && !slots.contains_key(key) {
            slots.clear();
        }
        slots.entry(key.clone()).or_default().clone()
    }

    /// Returns the answer, remembered or found out. `is_worth` tells of one that took long
    /// whether it is remembered.
    pub(crate) async fn get<E>(
        &self,
        key: &K,
        find_out: impl AsyncFnOnce() -> Result<V, E>,
        is_worth: impl AsyncFnOnce() -> Result<bool, E>,
    ) -> Result<V, E> {
        let slot = self.slot(key);
        let mut known = slot.lock().await;
        if let Some((at, value)) = &*known
            && at.elapsed() < LIFE
        {
            return Ok(value.clone());
        }
        *known = None;
        let begun = Instant::now();
        let value = find_out().await?;
        if begun.elapsed() >= DEAR && is_worth().await? {
            *known = Some((Instant::now(), value.clone()));
        } else {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.remove(key);
        }
        Ok(value)
    }
}
