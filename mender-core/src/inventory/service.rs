use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::{
    commit::Commit,
    ctx::Ctx,
    error::{Error, Kind, Result, StoreError},
    id::{DeviceId, TenantId},
    index::{Clause, Span},
    inventory::{
        entries,
        logic::{self, Known},
        model::{AttributeName, Device, Filter, Place, Value, name},
        query::Search,
        store::{Store, Tally},
    },
    kernel::Kernel,
    lifecycle::Forget,
    memo::Memo,
    outbox::Journal,
};

mod attributes;
mod filters;
mod fleet;
mod groups;
mod search;
mod statistics;
mod statuses;
mod transfer;

pub use crate::inventory::logic::How;
pub use groups::Moved;
pub use search::Found;
pub use statistics::{NameCount, Statistics};
pub use statuses::Statuses;
pub use transfer::{Line, LineOutcome};

/// How inventory behaves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// How many attributes a device may report; 0: as many as fit.
    pub max_attributes: usize,
    /// How many tags a device may have; 0: as many as fit.
    pub max_tags: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_attributes: 100, max_tags: 20 }
    }
}

/// How many devices of one request are changed at the same time.
const AT_ONCE: usize = 32;

/// How many devices a walk reads at a time.
const CHUNK: usize = 500;

/// The largest tally that is remembered, in texts.
const MAX_KEPT: usize = 1000;

/// Fleets of fewer devices are always counted anew.
const LARGE: u64 = 10_000;

/// The use cases of inventory.
pub struct Service {
    kernel: Arc<Kernel>,
    store: Arc<dyn Store>,
    journal: Arc<dyn Journal>,
    config: Config,
    counts: Memo<u64>,
    tallies: Memo<Arc<Tally>>,
    names: Memo<Arc<Vec<NameCount>>>,
    texts: Memo<Arc<Vec<String>>>,
    large: Memo<bool>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("inventory::Service").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The clause for devices with one of these texts as the value of an attribute.
fn is(name: &AttributeName, texts: impl IntoIterator<Item = String>) -> Clause {
    let prefix = entries::prefix(name);
    // U+0000 is in no text, and not every store can be asked for it.
    let texts = texts.into_iter().filter(|text| !text.contains('\0'));
    let spans = texts.map(|text| Span::At(entries::entry(&prefix, &Value::Text(text))));
    Clause::some(spans.collect())
}

/// The clause for devices in one of these groups.
fn in_groups(groups: &[String]) -> Clause {
    is(&AttributeName::system(name::GROUP), groups.iter().cloned())
}

/// The clause for devices with this status.
fn has_status(status: &str) -> Clause {
    is(&AttributeName::identity(name::STATUS), [status.to_owned()])
}

/// Limits a search to what the caller may see.
fn scoped(ctx: &Ctx, search: Search) -> Search {
    match ctx.scope.groups() {
        Some(groups) => search.and(in_groups(groups)),
        None => search,
    }
}

impl Service {
    pub(crate) fn new(
        kernel: Arc<Kernel>,
        store: Arc<dyn Store>,
        journal: Arc<dyn Journal>,
        config: Config,
    ) -> Self {
        let (counts, tallies, names) = (Memo::new(), Memo::new(), Memo::new());
        let (texts, large) = (Memo::new(), Memo::new());
        Self { kernel, store, journal, config, counts, tallies, names, texts, large }
    }

    /// Returns how inventory behaves.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns a device.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden` for one that the caller may not see, and those of the store.
    pub async fn device(&self, ctx: &Ctx, id: &DeviceId) -> Result<Device> {
        let device = self.store.inventory_device(&ctx.tenant, id).await?;
        let device = device.ok_or_else(|| Error::not_found("device"))?;
        check_scope(ctx, &device)?;
        Ok(device)
    }

    /// Loads a device that the caller may change, if there is one.
    async fn stored(&self, ctx: &Ctx, id: &DeviceId) -> Result<Option<Device>> {
        let device = self.store.inventory_device(&ctx.tenant, id).await?;
        device.iter().try_for_each(|device| check_scope(ctx, device))?;
        Ok(device)
    }

    /// Loads a device, or makes one as it would be recorded now; `crowded`: where its usual place
    /// was another device's.
    async fn known(&self, ctx: &Ctx, id: &DeviceId, crowded: bool) -> Result<Known> {
        if let Some(device) = self.stored(ctx, id).await? {
            return Ok(Known::Stored(device));
        }
        if ctx.scope.groups().is_some() {
            return Err(Error::forbidden("device outside of the groups of the user"));
        }
        let env = self.kernel.env();
        let now = env.now();
        let place = if crowded {
            Place::new(now, env.below(Place::PER_MILLISECOND))
        } else {
            Place::usual(now, id)
        };
        Ok(Known::New(Device::new(id.clone(), place, now)))
    }

    async fn commit(&self, ctx: &Ctx, commit: Commit<Device>) -> Result<()> {
        let write = |commit| self.store.commit_inventory(&ctx.tenant, commit);
        Ok(self.kernel.commit(ctx, &self.journal, commit, write).await?)
    }

    async fn commit_filter(&self, ctx: &Ctx, commit: Commit<Filter>) -> Result<()> {
        let write = |commit| self.store.commit_filter(&ctx.tenant, commit);
        Ok(self.kernel.commit(ctx, &self.journal, commit, write).await?)
    }

    /// Decides about one device, stored or new, again where it changed meanwhile.
    async fn change_known(
        &self,
        ctx: &Ctx,
        id: &DeviceId,
        decide: impl Fn(Known) -> Result<Commit<Device>>,
    ) -> Result<()> {
        let crowded = AtomicBool::new(false);
        let attempt = || async {
            let known = self.known(ctx, id, crowded.load(Ordering::Relaxed)).await?;
            let commit = decide(known)?;
            match self.commit(ctx, commit).await {
                // Another device has the place: take another one.
                Err(e) if e.kind == Kind::Conflict && e.what == "place" => {
                    crowded.store(true, Ordering::Relaxed);
                    Err(StoreError::Conflict.into())
                }
                answer => answer,
            }
        };
        self.kernel.retry(attempt).await
    }

    /// Decides about one device, if it is there, again where it changed meanwhile.
    async fn change_stored<T>(
        &self,
        ctx: &Ctx,
        id: &DeviceId,
        decide: impl Fn(Option<Device>) -> Result<(Commit<Device>, T)>,
    ) -> Result<T> {
        let attempt = || async {
            let (commit, answer) = decide(self.stored(ctx, id).await?)?;
            self.commit(ctx, commit).await?;
            Ok(answer)
        };
        self.kernel.retry(attempt).await
    }

    /// Does something with every device of a list, many at the same time; returns the answers.
    async fn each<I, T, F>(
        &self,
        items: impl IntoIterator<Item = I>,
        work: impl Fn(I) -> F,
    ) -> Result<Vec<T>>
    where
        F: Future<Output = Result<T>>,
    {
        stream::iter(items.into_iter().map(work)).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Tells whether a tenant has so many devices that what is dear to find out is remembered.
    async fn is_large(&self, tenant: &TenantId) -> Result<bool> {
        let count = async || {
            let count = self.store.count_inventory(tenant, &Search::all()).await?;
            Ok(count >= LARGE)
        };
        self.large.get(tenant, count, async || Ok(true)).await
    }

    /// Counts the devices of a search. Large numbers may be two seconds old.
    async fn count(&self, tenant: &TenantId, search: &Search) -> Result<u64> {
        if search.is_nothing() {
            return Ok(0);
        }
        let key = (tenant.clone(), Search { sorts: Vec::new(), ..search.clone() });
        let count = async || Ok(self.store.count_inventory(tenant, &key.1).await?);
        self.counts.get(&key, count, async || self.is_large(tenant).await).await
    }

    /// Counts the devices of a search by the texts of an attribute. May be two seconds old.
    pub(crate) async fn tally(
        &self,
        tenant: &TenantId,
        search: &Search,
        within: Span,
        limit: usize,
    ) -> Result<Arc<Tally>> {
        let key = (tenant.clone(), search.clone(), within, limit);
        let tally = async || {
            let tally = self.store.tally_inventory(tenant, search, &key.2, limit).await?;
            Ok(Arc::new(tally))
        };
        let is_worth = async || Ok(limit <= MAX_KEPT && self.is_large(tenant).await?);
        self.tallies.get(&key, tally, is_worth).await
    }

    async fn remove_stored(&self, ctx: &Ctx, id: &DeviceId) -> Result<bool> {
        let decide = |was: Option<Device>| {
            let is_there = was.is_some();
            Ok((was.map_or_else(Commit::nothing, logic::remove), is_there))
        };
        self.change_stored(ctx, id, decide).await
    }
}

fn check_scope(ctx: &Ctx, device: &Device) -> Result<()> {
    if ctx.scope.has_group(device.group()) {
        return Ok(());
    }
    Err(Error::forbidden("device outside of the groups of the user"))
}

#[async_trait]
impl Forget for Service {
    async fn forget_device(&self, tenant: &TenantId, device: &DeviceId) -> Result<()> {
        self.remove_stored(&Ctx::system(tenant.clone()), device).await.map(drop)
    }

    async fn forget_tenant(&self, tenant: &TenantId) -> Result<()> {
        let ctx = Ctx::system(tenant.clone());
        loop {
            let devices = self.store.walk_inventory(tenant, &Search::all(), None, CHUNK).await?;
            if devices.is_empty() {
                break;
            }
            let remove = |device: Device| {
                let ctx = &ctx;
                async move { self.remove_stored(ctx, &device.id).await }
            };
            self.each(devices, remove).await?;
        }
        loop {
            let filters = self.store.filters(tenant, 0, CHUNK).await?;
            if filters.is_empty() {
                return Ok(());
            }
            for filter in filters {
                self.delete_filter(&ctx, &filter.id).await?;
            }
        }
    }
}

/// What the rest of the server asks inventory: the static group of a device.
#[async_trait]
pub(crate) trait GroupOf: Send + Sync + 'static {
    /// Returns the static group that a device is in.
    async fn group_of(&self, tenant: &TenantId, device: &DeviceId) -> Result<Option<String>>;
}

#[async_trait]
impl GroupOf for Service {
    async fn group_of(&self, tenant: &TenantId, device: &DeviceId) -> Result<Option<String>> {
        let device = self.store.inventory_device(tenant, device).await?;
        Ok(device.and_then(|device| device.group().map(str::to_owned)))
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests;
