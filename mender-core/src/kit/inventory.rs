use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::{
    commit::{Aggregate, Stamped},
    error::StoreResult,
    id::{DeviceId, TenantId},
    index::{Clause, Sort, Span},
    inventory::{Device, Filter, FilterId, Place, Search, Store, Tally},
    kit::{DocStore, Kit, Plan, read},
};

/// How many documents are read at a time where all must be looked at.
const CHUNK: usize = 500;

fn plan_of(tenant: &TenantId, search: &Search) -> Plan {
    let mut plan = Plan::new(Device::KIND, tenant);
    plan.ids = search.ids.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect());
    plan.all.clone_from(&search.all);
    if !search.words.is_empty() {
        let words = search.words.iter().cloned().map(Span::At);
        plan.all.push(Clause::some(words.collect()));
    }
    let sort = |Sort { prefix, descending }: &Sort| {
        let sign = if *descending { '-' } else { '+' };
        (format!("{sign}{prefix}"), *descending)
    };
    plan.sorts = search.sorts.iter().map(sort).collect();
    plan.order = Some("place");
    plan
}

fn place_of(place: Place) -> String {
    format!("{:016x}", place.0)
}

impl<D: DocStore> Kit<D> {
    /// The devices with the most words first: all that have one are looked at.
    async fn most_relevant(
        &self,
        tenant: &TenantId,
        search: &Search,
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<Device>> {
        let mut plan = plan_of(tenant, search).limit(CHUNK);
        let mut ranked = Vec::new();
        loop {
            let docs = self.docs.scan(&plan).await?;
            for doc in &docs {
                let words = search.words.iter().filter(|word| doc.index.contains(word)).count();
                let place = doc.orders.iter().find(|(name, _)| *name == "place");
                let place = place.map(|(_, place)| place.clone()).unwrap_or_default();
                plan.after = Some(place.clone());
                ranked.push((std::cmp::Reverse(words), place, doc.id.id.clone()));
            }
            if docs.len() < CHUNK {
                break;
            }
        }
        ranked.sort();
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let ids: Vec<String> =
            ranked.into_iter().skip(skip).take(limit).map(|(_, _, id)| id).collect();
        let mut plan = Plan::new(Device::KIND, tenant);
        plan.ids = Some(ids.clone());
        let mut found = BTreeMap::new();
        for device in self.load_all::<Device>(&plan).await? {
            found.insert(device.id.to_string(), device);
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }
}

#[async_trait]
impl<D: DocStore> Store for Kit<D> {
    async fn inventory_device(
        &self,
        tenant: &TenantId,
        id: &DeviceId,
    ) -> StoreResult<Option<Device>> {
        self.load(tenant, id.as_str()).await
    }

    async fn search_inventory(
        &self,
        tenant: &TenantId,
        search: &Search,
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<Device>> {
        if search.is_nothing() {
            return Ok(Vec::new());
        }
        if !search.words.is_empty() {
            return self.most_relevant(tenant, search, skip, limit).await;
        }
        let mut plan = plan_of(tenant, search).limit(limit);
        plan.skip = skip;
        self.load_all(&plan).await
    }

    async fn walk_inventory(
        &self,
        tenant: &TenantId,
        search: &Search,
        after: Option<Place>,
        limit: usize,
    ) -> StoreResult<Vec<Device>> {
        if search.is_nothing() {
            return Ok(Vec::new());
        }
        let mut plan = plan_of(tenant, search).limit(limit);
        plan.sorts.clear();
        plan.after = after.map(place_of);
        self.load_all(&plan).await
    }

    async fn count_inventory(&self, tenant: &TenantId, search: &Search) -> StoreResult<u64> {
        if search.is_nothing() {
            return Ok(0);
        }
        let mut plan = plan_of(tenant, search);
        plan.sorts.clear();
        plan.order = None;
        self.docs.count(&plan).await
    }

    async fn tally_inventory(
        &self,
        tenant: &TenantId,
        search: &Search,
        within: &Span,
        limit: usize,
    ) -> StoreResult<Tally> {
        if search.is_nothing() {
            return Ok(Tally::default());
        }
        let mut plan = plan_of(tenant, search);
        plan.sorts.clear();
        plan.order = None;
        let mut top = self.docs.tally(&plan, within).await?;
        // In the order of the texts where numbers are alike: the sort is stable.
        top.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let others = top.iter().skip(limit).map(|(_, count)| count).sum();
        top.truncate(limit);
        Ok(Tally { top, others })
    }

    async fn inventory_texts(
        &self,
        tenant: &TenantId,
        within: &Span,
        after: Option<&str>,
        limit: usize,
    ) -> StoreResult<Vec<String>> {
        let all = self.docs.tally(&Plan::new(Device::KIND, tenant), within).await?;
        let texts = all.into_iter().map(|(text, _)| text);
        Ok(texts
            .filter(|text| after.is_none_or(|after| text.as_str() > after))
            .take(limit)
            .collect())
    }

    async fn commit_inventory(
        &self,
        tenant: &TenantId,
        commit: Stamped<Device>,
    ) -> StoreResult<()> {
        self.commit(tenant, commit).await
    }

    async fn filter(&self, tenant: &TenantId, id: &FilterId) -> StoreResult<Option<Filter>> {
        self.load(tenant, id.as_str()).await
    }

    async fn filters(
        &self,
        tenant: &TenantId,
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<Filter>> {
        let mut plan = Plan::new(Filter::KIND, tenant).limit(limit);
        plan.order = Some("name");
        plan.skip = skip;
        self.docs.scan(&plan).await?.iter().map(read).collect()
    }

    async fn count_filters(&self, tenant: &TenantId) -> StoreResult<u64> {
        self.docs.count(&Plan::new(Filter::KIND, tenant)).await
    }

    async fn commit_filter(&self, tenant: &TenantId, commit: Stamped<Filter>) -> StoreResult<()> {
        self.commit(tenant, commit).await
    }
}
