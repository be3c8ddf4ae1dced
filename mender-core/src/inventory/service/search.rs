//! Searches.

use std::collections::HashMap;

use crate::{
    ctx::Ctx,
    error::{Error, Result},
    id::{DeviceId, TenantId},
    index::{Clause, Sort, Span},
    inventory::{
        entries,
        model::{AttributeName, Device, Place, name},
        query::{Compiled, MAX_KEYS, MAX_TERMS, Query, Search},
        service::{CHUNK, Service, scoped},
    },
    page::PageRequest,
};

/// How many characters of a beginning are looked for in the index.
const MAX_BEGINNING: usize = 50;

/// How many devices that fit patterns are named in one search.
const MAX_FITTING: usize = 50_000;

/// A page of devices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The devices, in the order of the search.
    pub devices: Vec<Device>,
    /// How many devices fit, on all pages.
    pub total: u64,
}

/// What sorts a device among others: the place of each key, and its own.
type Rank = (Vec<(bool, Option<String>)>, Place);

impl Service {
    /// Returns a page of the devices that fit.
    ///
    /// # Errors
    /// `Invalid` for a predicate that makes no sense, and those of the store.
    pub async fn search(&self, ctx: &Ctx, query: &Query, page: PageRequest) -> Result<Found> {
        let (search, fits) = self.compile(ctx, query)?;
        match fits {
            Some(fits) => self.walk(&ctx.tenant, search, fits, page).await,
            None => self.found(&ctx.tenant, &search, page).await,
        }
    }

    /// Compiles a query to what the caller may see of it, and what decides about devices that
    /// come into question, where the search does not.
    pub(crate) fn compile(
        &self,
        ctx: &Ctx,
        query: &Query,
    ) -> Result<(Search, Option<impl Fn(&Device) -> bool + use<>>)> {
        if query.filters.len() > MAX_TERMS {
            return Err(Error::invalid("filters", format!("at most {MAX_TERMS} filters")));
        }
        if query.sort.len() > MAX_KEYS {
            return Err(Error::invalid("sort", format!("at most {MAX_KEYS} sort keys")));
        }
        let compiled = query.compile().map_err(|e| Error::invalid("filters", e.to_string()))?;
        let Compiled { search, patterns } = compiled;
        let fits = (!patterns.is_empty())
            .then_some(move |device: &Device| patterns.iter().all(|pattern| pattern.fits(device)));
        Ok((scoped(ctx, search), fits))
    }

    /// Returns a page of the devices whose attribute begins with a text: a value of the identity,
    /// the id, or the name that users gave.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn search_prefix(
        &self,
        ctx: &Ctx,
        attribute: &AttributeName,
        beginning: &str,
        page: PageRequest,
    ) -> Result<Found> {
        let is_name = *attribute == AttributeName::tag(name::NAME);
        let attribute = match (attribute.scope.as_str(), attribute.name.as_str()) {
            (AttributeName::IDENTITY, "id") => AttributeName::device_id(),
            (AttributeName::IDENTITY, _) => attribute.clone(),
            _ if is_name => attribute.clone(),
            _ => return Ok(Found::default()),
        };
        if beginning.contains('\0') {
            return Ok(Found::default());
        }
        // Long texts are not in the index as they are.
        let short: String = beginning.chars().take(MAX_BEGINNING).collect();
        let texts = format!("{}s{}", entries::prefix(&attribute), crate::kit::sortable(&short));
        let clause = Clause::some(vec![Span::beginning(&texts)]);
        let search = scoped(ctx, Search::all().and(clause));
        if short.len() == beginning.len() {
            return self.found(&ctx.tenant, &search, page).await;
        }
        let begins = |device: &Device| {
            let value = device.attributes.value(&attribute);
            value.is_some_and(|value| value.texts().iter().any(|t| t.starts_with(beginning)))
        };
        self.walk(&ctx.tenant, search, begins, page).await
    }

    /// Returns a page of a search.
    pub(crate) async fn found(
        &self,
        tenant: &TenantId,
        search: &Search,
        page: PageRequest,
    ) -> Result<Found> {
        if search.is_nothing() {
            return Ok(Found::default());
        }
        let (skip, size) = (page.skip(), page.size as usize);
        let devices = self.store.search_inventory(tenant, search, skip, size).await?;
        // The last page tells how many there are.
        let seen = if devices.is_empty() { 0 } else { skip + devices.len() as u64 };
        let is_last = devices.len() < size && (skip == 0 || !devices.is_empty());
        let total = if is_last { seen } else { self.count(tenant, search).await?.max(seen) };
        Ok(Found { devices, total })
    }

    /// Returns devices by their ids, in any order.
    pub(crate) async fn by_ids(
        &self,
        tenant: &TenantId,
        ids: Vec<DeviceId>,
    ) -> Result<Vec<Device>> {
        let count = ids.len();
        let search = Search::all().with_ids(ids);
        Ok(self.store.search_inventory(tenant, &search, 0, count).await?)
    }

    /// Returns devices in the order of their ids; those that are gone are left out.
    pub(crate) async fn in_order(
        &self,
        tenant: &TenantId,
        ids: &[DeviceId],
    ) -> Result<Vec<Device>> {
        let devices = self.by_ids(tenant, ids.to_vec()).await?;
        let mut found: HashMap<DeviceId, Device> =
            devices.into_iter().map(|device| (device.id.clone(), device)).collect();
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    /// Returns devices by place, those after `after`: for walks over all of a tenant.
    pub(crate) async fn after(
        &self,
        tenant: &TenantId,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Device>> {
        Ok(self.store.walk_inventory(tenant, &Search::all(), after, limit).await?)
    }

    /// Returns the ids of the devices that fit, looking at every one that comes into question.
    ///
    /// # Errors
    /// `Invalid` for more than can be named in one search, and those of the store.
    pub(crate) async fn fitting(
        &self,
        tenant: &TenantId,
        search: &Search,
        fits: impl Fn(&Device) -> bool,
    ) -> Result<Vec<DeviceId>> {
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let devices = self.store.walk_inventory(tenant, search, after, CHUNK).await?;
            let Some(last) = devices.last() else { return Ok(ids) };
            after = Some(last.place);
            ids.extend(devices.iter().filter(|device| fits(device)).map(|d| d.id.clone()));
            if ids.len() > MAX_FITTING {
                let what = format!("the patterns fit more than {MAX_FITTING} devices");
                return Err(Error::invalid("filters", what));
            }
        }
    }

    /// Looks at every device that comes into question: costs as much as there are.
    pub(crate) async fn walk(
        &self,
        tenant: &TenantId,
        search: Search,
        fits: impl Fn(&Device) -> bool,
        page: PageRequest,
    ) -> Result<Found> {
        let skip = usize::try_from(page.skip()).unwrap_or(usize::MAX);
        let wanted = skip.saturating_add(page.size as usize);
        let by_rank = |(a, _): &(Rank, DeviceId), (b, _): &(Rank, DeviceId)| compare(a, b);
        let mut ranked: Vec<(Rank, DeviceId)> = Vec::new();
        let (mut after, mut total) = (None, 0);
        loop {
            let devices = self.store.walk_inventory(tenant, &search, after, CHUNK).await?;
            let Some(last) = devices.last() else { break };
            after = Some(last.place);
            let fitting: Vec<&Device> = devices.iter().filter(|device| fits(device)).collect();
            total += fitting.len() as u64;
            ranked.extend(fitting.iter().map(|device| (rank(device, &search), device.id.clone())));
            // Only as many as the page needs are kept.
            if ranked.len() > wanted.saturating_mul(2).max(10_000) {
                ranked.sort_by(by_rank);
                ranked.truncate(wanted);
            }
        }
        ranked.sort_by(by_rank);
        let ids: Vec<DeviceId> =
            ranked.into_iter().skip(skip).take(page.size as usize).map(|(_, id)| id).collect();
        Ok(Found { devices: self.in_order(tenant, &ids).await?, total })
    }
}

/// Returns what sorts a device in a search.
fn rank(device: &Device, search: &Search) -> Rank {
    if search.sorts.is_empty() && search.words.is_empty() {
        return (Vec::new(), device.place);
    }
    let entries = entries::entries(device);
    let place = |Sort { prefix, descending }: &Sort| {
        let wanted = |entry: &&entries::Entry| {
            let edge = if *descending { entry.is_last } else { entry.is_first };
            edge && entry.text.starts_with(prefix.as_str())
        };
        (*descending, entries.iter().find(wanted).map(|entry| entry.text.clone()))
    };
    let mut keys: Vec<_> = search.sorts.iter().map(place).collect();
    if !search.words.is_empty() {
        let has = entries::words_of(device);
        let count = search.words.iter().filter(|word| has.contains(word)).count();
        keys.push((true, Some(format!("{count:08}"))));
    }
    (keys, device.place)
}

fn compare(a: &Rank, b: &Rank) -> std::cmp::Ordering {
    let keys = a.0.iter().zip(&b.0).map(|((descending, a), (_, b))| {
        let order = a.cmp(b);
        if *descending { order.reverse() } else { order }
    });
    keys.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then).then(a.1.cmp(&b.1))
}
