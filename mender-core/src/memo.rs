//! Answers that are dear and may be two seconds old.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hash, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How old a remembered answer may be.
const LIFE: Duration = Duration::from_secs(2);

/// An answer that took less is not remembered.
const DEAR: Duration = Duration::from_millis(20);

/// How many questions are kept in mind.
const CAPACITY: usize = 1000;

struct Known<V> {
    /// When finding out began.
    begun: Instant,
    /// When it is forgotten.
    until: Instant,
    value: V,
}

type Slot<V> = Arc<tokio::sync::Mutex<Option<Known<V>>>>;

/// Remembers answers that took long; of several callers who ask the same, one finds out.
pub struct Memo<V> {
    hasher: RandomState,
    /// By the hash of the question, with the time when it was last asked.
    slots: Mutex<HashMap<u64, (Instant, Slot<V>)>>,
}

impl<V> Default for Memo<V> {
    fn default() -> Self {
        Self { hasher: RandomState::new(), slots: Mutex::default() }
    }
}

impl<V> std::fmt::Debug for Memo<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memo").finish_non_exhaustive()
    }
}

impl<V: Clone> Memo<V> {
    /// Remembers nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn slot(&self, key: u64, now: Instant) -> Slot<V> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= CAPACITY && !slots.contains_key(&key) {
            slots.retain(|_, (asked, _)| now.duration_since(*asked) < LIFE);
            if slots.len() >= CAPACITY {
                slots.clear();
            }
        }
        let (asked, slot) = slots.entry(key).or_insert_with(|| (now, Slot::default()));
        *asked = now;
        slot.clone()
    }

    /// Returns the answer, remembered or found out. `is_worth` tells of one that took long
    /// whether it is remembered.
    ///
    /// # Errors
    /// Those of finding out.
    pub async fn get<E>(
        &self,
        question: &impl Hash,
        find_out: impl AsyncFnOnce() -> Result<V, E>,
        is_worth: impl AsyncFnOnce() -> Result<bool, E>,
    ) -> Result<V, E> {
        let (key, asked) = (self.hasher.hash_one(question), Instant::now());
        let slot = self.slot(key, asked);
        let mut known = slot.lock().await;
        if let Some(known) = &*known
            // What was begun after this was asked is as true as what would be found out now.
            && (Instant::now() < known.until || known.begun > asked)
        {
            return Ok(known.value.clone());
        }
        *known = None;
        let begun = Instant::now();
        let value = find_out().await?;
        let is_dear = begun.elapsed() >= DEAR && is_worth().await?;
        let until = if is_dear { Instant::now() + LIFE } else { begun };
        *known = Some(Known { begun, until, value: value.clone() });
        if !is_dear {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.remove(&key);
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Asks for an answer that takes this long to find out; returns how often it was.
    async fn ask(memo: &Memo<u8>, asked: &AtomicU32, takes: u64, is_worth: bool) -> u32 {
        let find_out = async || {
            tokio::time::sleep(Duration::from_millis(takes)).await;
            asked.fetch_add(1, Ordering::Relaxed);
            Ok::<_, ()>(1)
        };
        memo.get(&0_u8, find_out, async || Ok(is_worth)).await.unwrap();
        asked.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn dear_answers_are_remembered_for_two_seconds() {
        let (memo, asked) = (Memo::new(), AtomicU32::new(0));
        assert_eq!(ask(&memo, &asked, 50, true).await, 1);
        assert_eq!(ask(&memo, &asked, 50, true).await, 1);
        tokio::time::advance(LIFE).await;
        assert_eq!(ask(&memo, &asked, 50, true).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn cheap_answers_and_those_not_worth_it_are_found_out_anew() {
        let (memo, asked) = (Memo::new(), AtomicU32::new(0));
        assert_eq!(ask(&memo, &asked, 5, true).await, 1);
        assert_eq!(ask(&memo, &asked, 50, false).await, 2);
        assert_eq!(ask(&memo, &asked, 50, true).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_who_ask_the_same_one_finds_out() {
        let (memo, asked) = (Memo::new(), AtomicU32::new(0));
        let all = (0..8).map(|_| ask(&memo, &asked, 50, true));
        let counts = futures_util::future::join_all(all).await;
        assert_eq!(counts, [1; 8]);
    }
}
