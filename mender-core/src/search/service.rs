mod records;

use std::sync::Arc;

use crate::{
    ctx::Ctx,
    deployments,
    env::Time,
    error::{Error, Result},
    id::TenantId,
    index::{Clause, Span},
    inventory::{self, AttributeName, Coordinates, Found, Search, Tally, Value, entries},
    jobs::Jobs,
    outbox::DELIVER,
    page::PageRequest,
    search::{
        Aggregation, Area, Bucket, DeviceSearch, IndexDoc, SearchIndex, Term,
        react::{Lag, NAME},
    },
    tenants::Directory,
};

/// How many attributes an index of old could tell apart; clients show it as a limit.
pub const MAX_ATTRIBUTES: usize = 100;

/// How deep pages go: the last device of a page, counted from the first.
pub const MAX_WINDOW: u64 = 10_000;

/// How many buckets one answer has at most.
pub const MAX_BUCKETS: usize = 5000;

/// How many devices a rebuild reads at a time.
const CHUNK: usize = 500;

/// How many tenants a rebuild reads at a time.
const TENANTS: usize = 100;

/// The use cases of search.
pub struct Service {
    inventory: Arc<inventory::Service>,
    deployments: Arc<deployments::Service>,
    directory: Arc<dyn Directory>,
    jobs: Arc<dyn Jobs>,
    index: Option<Arc<dyn SearchIndex>>,
    lag: Arc<Lag>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("search::Service")
            .field("index", &self.index.is_some())
            .finish_non_exhaustive()
    }
}

impl Service {
    pub(crate) fn new(
        inventory: Arc<inventory::Service>,
        deployments: Arc<deployments::Service>,
        directory: Arc<dyn Directory>,
        jobs: Arc<dyn Jobs>,
        index: Option<Arc<dyn SearchIndex>>,
        lag: Arc<Lag>,
    ) -> Self {
        Self { inventory, deployments, directory, jobs, index, lag }
    }

    /// Tells whether an index of its own answers, not the primary store.
    #[must_use]
    pub fn has_index(&self) -> bool {
        self.index.is_some()
    }

    /// Returns when the oldest change was made that this node could not tell the index, as long
    /// as deliveries to it wait.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn waiting_since(&self) -> Result<Option<Time>> {
        let waiting = self.lag.waiting_since();
        if waiting.is_some() && self.jobs.next_due(&[format!("{DELIVER}{NAME}")]).await?.is_none() {
            // Other nodes may have delivered what waited.
            self.lag.clear();
            return Ok(None);
        }
        Ok(waiting)
    }

    /// Checks that what answers is there.
    ///
    /// # Errors
    /// Those of the index.
    pub async fn check(&self) -> Result<()> {
        match &self.index {
            Some(index) => Ok(index.check().await?),
            None => Ok(()),
        }
    }

    /// Returns a page of the devices that fit.
    ///
    /// # Errors
    /// `Invalid` for a predicate that makes no sense and a page beyond [`MAX_WINDOW`], and those
    /// of the index and the store.
    pub async fn search(
        &self,
        ctx: &Ctx,
        wanted: &DeviceSearch,
        page: PageRequest,
    ) -> Result<Found> {
        check_window(page)?;
        let (search, fits) = self.inventory.compile(ctx, &wanted.query)?;
        let Some(area) = wanted.area else {
            if let Some(fits) = fits {
                return self.inventory.walk(&ctx.tenant, search, fits, page).await;
            }
            return self.page(ctx, &search, page).await;
        };
        let near = search.and(latitudes(&area));
        let fits = |device: &inventory::Device| {
            Coordinates::of(&device.attributes).is_some_and(|place| area.has(place))
                && fits.as_ref().is_none_or(|fits| fits(device))
        };
        self.inventory.walk(&ctx.tenant, near, fits, page).await
    }

    async fn page(&self, ctx: &Ctx, search: &Search, page: PageRequest) -> Result<Found> {
        if search.is_nothing() {
            return Ok(Found::default());
        }
        let tenant = &ctx.tenant;
        let Some(index) = &self.index else {
            return self.inventory.found(tenant, search, page).await;
        };
        let hits = match index.find(tenant, search, page.skip(), page.size as usize).await {
            Ok(hits) => hits,
            Err(error) => {
                tracing::warn!(%error, "the database answers for the search index");
                return self.inventory.found(tenant, search, page).await;
            }
        };
        let mut devices = self.inventory.in_order(tenant, &hits.devices).await?;
        // The index may not know yet that a device went to another group.
        devices.retain(|device| ctx.scope.has_group(device.group()));
        Ok(Found { devices, total: hits.total })
    }

    /// Counts devices that fit by the texts of attributes.
    ///
    /// # Errors
    /// `Invalid` for a predicate that makes no sense and for too many or too deep terms, and
    /// those of the index and the store.
    pub async fn aggregate(
        &self,
        ctx: &Ctx,
        terms: &[Term],
        wanted: &DeviceSearch,
    ) -> Result<Vec<Aggregation>> {
        if depth(terms) > Term::MAX_DEPTH {
            return Err(Error::invalid("aggregations", "too many nested aggregations, limit is 5"));
        }
        let (search, fits) = self.inventory.compile(ctx, &wanted.query)?;
        let mut search = Search { sorts: Vec::new(), ..search };
        if let Some(fits) = fits {
            let ids = self.inventory.fitting(&ctx.tenant, &search, fits).await?;
            search = search.with_ids(ids);
        }
        let mut left = MAX_BUCKETS;
        self.count_terms(&ctx.tenant, terms, search, &mut left).await
    }

    async fn count_terms(
        &self,
        tenant: &TenantId,
        terms: &[Term],
        search: Search,
        left: &mut usize,
    ) -> Result<Vec<Aggregation>> {
        let mut aggregations = Vec::with_capacity(terms.len());
        for term in terms {
            let prefix = entries::prefix(&term.attribute);
            // Texts only, no numbers, truths and times.
            let within = Span::beginning(&format!("{prefix}s"));
            let limit = if term.limit == 0 { Term::LIMIT } else { term.limit };
            let limit = limit.min(*left + 1);
            let Tally { top, others } = self.tally(tenant, &search, &within, limit).await?;
            // A term that finds nothing costs a look, too.
            *left = left.checked_sub(top.len().max(1)).ok_or_else(|| {
                Error::invalid("aggregations", format!("more than {MAX_BUCKETS} items"))
            })?;
            let mut items = Vec::with_capacity(top.len());
            for (text, count) in top {
                let key = entries::text_of(&text[entries::PREFIX..]).unwrap_or_default();
                let with = search.clone().and(Clause::some(vec![Span::At(text)]));
                let inner = self.count_terms(tenant, &term.terms, with, left);
                let aggregations = Box::pin(inner).await?;
                items.push(Bucket { key, count, aggregations });
            }
            aggregations.push(Aggregation { name: term.name.clone(), items, other_count: others });
        }
        Ok(aggregations)
    }

    async fn tally(
        &self,
        tenant: &TenantId,
        search: &Search,
        within: &Span,
        limit: usize,
    ) -> Result<Tally> {
        if search.is_nothing() {
            return Ok(Tally::default());
        }
        if let Some(index) = &self.index {
            match index.tally(tenant, search, within, limit).await {
                Ok(tally) => return Ok(tally),
                Err(error) => tracing::warn!(%error, "the database answers for the search index"),
            }
        }
        let tally = self.inventory.tally(tenant, search, within.clone(), limit).await?;
        Ok((*tally).clone())
    }

    /// Returns the names of attributes that count as filterable, [`MAX_ATTRIBUTES`] at most.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn filterable(&self, ctx: &Ctx) -> Result<Vec<AttributeName>> {
        let names = self.inventory.attribute_names(ctx).await?;
        let counted = names.iter().map(|known| &known.name).filter(|name| {
            name.scope != AttributeName::SYSTEM && **name != AttributeName::identity("status")
        });
        Ok(counted.take(MAX_ATTRIBUTES).cloned().collect())
    }

    /// Returns the names of attributes that can be searched for, in order.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn searchable(&self, ctx: &Ctx) -> Result<Vec<AttributeName>> {
        let names = self.inventory.attribute_names(ctx).await?;
        let mut names: Vec<AttributeName> = names.iter().map(|known| known.name.clone()).collect();
        names.sort();
        Ok(names)
    }

    /// Builds the index anew while the old one answers; `told` hears how many devices are done.
    /// Cut off, it can be repeated.
    ///
    /// # Errors
    /// `Invalid` where there is no index, and those of the index and the store.
    pub async fn rebuild(&self, told: impl Fn(u64) + Send + Sync) -> Result<u64> {
        let Some(index) = &self.index else {
            return Err(Error::invalid("search", "the primary store answers, there is no index"));
        };
        let new = index.begin_rebuild().await?;
        let mut done = 0;
        let mut tenants = vec![TenantId::default()];
        while let Some(last) = tenants.last().cloned() {
            for tenant in &tenants {
                let mut after = None;
                loop {
                    let devices = self.inventory.after(tenant, after, CHUNK).await?;
                    let Some(device) = devices.last() else { break };
                    after = Some(device.place);
                    let docs: Vec<_> = devices.iter().map(|d| IndexDoc::of(tenant, d)).collect();
                    index.put(&docs).await?;
                    done += docs.len() as u64;
                    told(done);
                }
            }
            let after = (!last.is_default()).then_some(&last);
            tenants = self.directory.tenants(after, TENANTS).await?;
        }
        index.finish_rebuild(&new).await?;
        Ok(done)
    }
}

/// How many terms lie inside each other at most.
/// Refuses pages that are too deep.
fn check_window(page: PageRequest) -> Result<()> {
    if page.skip() + u64::from(page.size) > MAX_WINDOW {
        let what = format!("page * per_page must be no greater than {MAX_WINDOW}");
        return Err(Error::invalid("page", what));
    }
    Ok(())
}

fn depth<A>(terms: &[Term<A>]) -> usize {
    terms.iter().map(|term| 1 + depth(&term.terms)).max().unwrap_or(0)
}

/// The clause for devices between the degrees that an area spans.
fn latitudes(area: &Area) -> Clause {
    let prefix = entries::prefix(&entries::latitude());
    let (south, north) = area.latitudes();
    let from = entries::entry(&prefix, &Value::Number(south));
    let to = entries::entry(&prefix, &Value::Number(north)) + "\u{1}";
    Clause::some(vec![Span::Within { from, to }])
}
