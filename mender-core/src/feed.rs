//! What nodes tell each other: cached state that is out of date, and that they are alive.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    commit::Topic,
    env::{Env, Time},
    error::StoreResult,
    id::{NodeId, TenantId},
    port,
};

/// Cached state of a tenant that is out of date.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FeedEntry {
    /// Unique.
    pub id: String,
    /// The tenant.
    pub tenant: TenantId,
    /// The kind of thing, see [`crate::commit::Topic`].
    pub kind: String,
    /// Which one; empty for all of the tenant.
    pub key: String,
    /// When it changed, by the clock of the node that changed it.
    pub at: Time,
}

/// A process that works on the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    /// Which.
    pub id: NodeId,
    /// Its clock when it last said so.
    pub at: Time,
    /// Whether it delivers events and runs jobs.
    pub runs: bool,
}

port! {
    /// The feed of invalidations, which commits write together with their change, and the list
    /// of nodes.
    pub trait Feed {
        /// Adds entries of their own, besides those that commits add. Known ones stay.
        async fn announce(&self, entries: &[FeedEntry]) -> ();

        /// Returns the entries made at or after `since`.
        async fn feed_since(&self, since: Time) -> Vec<FeedEntry>;

        /// Removes entries and nodes older than `before`, at most `limit` of each.
        async fn sweep_feed(&self, before: Time, limit: usize) -> ();

        /// Says that a node lives.
        async fn beat(&self, node: &Node) -> ();

        /// Returns the nodes that were alive at or after `since`.
        async fn nodes(&self, since: Time) -> Vec<Node>;

        /// Takes a node off the list.
        async fn leave(&self, node: &NodeId) -> ();
    }
}

/// How far back each look at the feed goes: longer than clocks differ and commits last.
const WINDOW: Duration = Duration::from_secs(10);

/// How often a node looks at the feed.
pub(crate) const PERIOD: Duration = Duration::from_millis(300);

/// How long a node that says nothing counts as alive.
pub(crate) const ALIVE: Duration = Duration::from_secs(5);

/// By how much the clocks of nodes may differ.
pub(crate) const SKEW: Duration = Duration::from_secs(2);

/// How long entries are kept.
pub(crate) const KEPT: Duration = Duration::from_secs(300);

/// After which time without a look caches are not trusted any more.
const STALE: Duration = Duration::from_secs(1);

/// State that is kept in memory and must go when the feed says so.
pub trait Invalidate: Send + Sync + 'static {
    /// Forgets what was loaded of a thing; an empty key means all of the tenant.
    fn invalidate(&self, tenant: &TenantId, kind: &str, key: &str);

    /// Forgets everything that was loaded: nobody knows what changed meanwhile.
    fn clear(&self);
}

/// Values of one kind that were loaded, until the feed says that they are out of date.
pub struct Cache<V> {
    kind: &'static str,
    capacity: usize,
    loaded: Mutex<Loaded<V>>,
}

struct Loaded<V> {
    epoch: u64,
    values: HashMap<(TenantId, String), V>,
}

impl<V: Clone + Send + 'static> Cache<V> {
    /// An empty cache for values of this kind of topic.
    #[must_use]
    pub fn new(kind: &'static str, capacity: usize) -> Self {
        let loaded = Loaded { epoch: 0, values: HashMap::new() };
        Self { kind, capacity, loaded: Mutex::new(loaded) }
    }

    fn loaded(&self) -> std::sync::MutexGuard<'_, Loaded<V>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the value, or loads it. What was invalidated while it loaded is not kept.
    ///
    /// # Errors
    /// Those of the load.
    pub async fn get_or_load<E>(
        &self,
        fresh: bool,
        tenant: &TenantId,
        key: &str,
        load: impl AsyncFnOnce() -> Result<V, E>,
    ) -> Result<V, E> {
        let at = (tenant.clone(), key.to_owned());
        let epoch = {
            let loaded = self.loaded();
            if fresh && let Some(value) = loaded.values.get(&at) {
                return Ok(value.clone());
            }
            loaded.epoch
        };
        let value = load().await?;
        let mut loaded = self.loaded();
        if loaded.epoch == epoch {
            if loaded.values.len() >= self.capacity {
                loaded.values.clear();
            }
            loaded.values.insert(at, value.clone());
        }
        Ok(value)
    }
}

impl<V: Clone + Send + 'static> Invalidate for Cache<V> {
    fn invalidate(&self, tenant: &TenantId, kind: &str, key: &str) {
        if kind == self.kind {
            let mut loaded = self.loaded();
            loaded.epoch += 1;
            loaded.values.retain(|at, _| at.0 != *tenant || !(key.is_empty() || at.1 == key));
        }
    }

    fn clear(&self) {
        let mut loaded = self.loaded();
        loaded.epoch += 1;
        loaded.values.clear();
    }
}

/// Keeps caches true: tells them what changed here and elsewhere, and whether they may be
/// trusted at all.
pub(crate) struct Freshness {
    env: Env,
    feeds: Vec<Arc<dyn Feed>>,
    caches: RwLock<Vec<Arc<dyn Invalidate>>>,
    looked_at: AtomicI64,
    /// Something is new in the feed, from here.
    pub(crate) changed: Notify,
    /// Another node said that something is new in the feed.
    pub(crate) hinted: Notify,
}

impl Freshness {
    pub(crate) fn new(env: Env, feeds: Vec<Arc<dyn Feed>>) -> Self {
        Self {
            env,
            feeds,
            caches: RwLock::default(),
            looked_at: AtomicI64::new(i64::MIN),
            changed: Notify::new(),
            hinted: Notify::new(),
        }
    }

    pub(crate) fn register(&self, cache: Arc<dyn Invalidate>) {
        self.caches.write().unwrap_or_else(PoisonError::into_inner).push(cache);
    }

    /// Tells whether caches may be trusted: the feed was read within the last second. A clock
    /// that steps back makes them stale, not fresh for as long as it stepped.
    pub(crate) fn is_fresh(&self) -> bool {
        let (looked_at, now) = (Time(self.looked_at.load(Ordering::Acquire)), self.env.now());
        looked_at.0 != i64::MIN && now >= looked_at && now.since(looked_at) <= STALE
    }

    fn tell(&self, tenant: &TenantId, kind: &str, key: &str) {
        for cache in self.caches.read().unwrap_or_else(PoisonError::into_inner).iter() {
            cache.invalidate(tenant, kind, key);
        }
    }

    pub(crate) fn tell_all(&self, tenant: &TenantId, topics: &[Topic]) {
        for topic in topics {
            self.tell(tenant, topic.kind, &topic.key);
        }
    }

    /// Reads what other nodes changed.
    pub(crate) async fn look(&self) -> StoreResult<()> {
        let at = self.env.now();
        let last = Time(self.looked_at.load(Ordering::Acquire));
        // From before the last look on: a node that was away for a while missed nothing.
        let from = if last.0 == i64::MIN { at } else { last.min(at) };
        let since = from - WINDOW;
        let mut entries = Vec::new();
        for feed in &self.feeds {
            entries.extend(feed.feed_since(since).await?);
        }
        if last.0 == i64::MIN || at.since(since) >= KEPT {
            // What happened while nobody looked may be swept already.
            for cache in self.caches.read().unwrap_or_else(PoisonError::into_inner).iter() {
                cache.clear();
            }
        }
        // Entries of the last seconds are heard again and again: a document store announces a
        // change before it is made, and what was loaded in between is out of date as well.
        for entry in entries {
            self.tell(&entry.tenant, &entry.kind, &entry.key);
        }
        self.looked_at.store(at.0, Ordering::Release);
        Ok(())
    }
}
