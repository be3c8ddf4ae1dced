use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    auth::{AuthSetId, AuthTenant, Device, DeviceFilter, Seen, Store},
    commit::{Aggregate, Stamped},
    env::Time,
    error::{StoreError, StoreResult},
    event::Event,
    id::{DeviceId, TenantId, Version},
    kit::{Body, Doc, DocId, DocStore, Expect, Kit, Plan, Put, Write, field, read},
};

const SEEN: &str = "auth.seen";

#[derive(Serialize, Deserialize)]
struct StoredSeen {
    at: Time,
}

fn plan_of(tenant: &TenantId, filter: &DeviceFilter) -> Plan {
    let mut plan = Plan::new(Device::KIND, tenant);
    if !filter.statuses.is_empty() {
        plan = plan.any(filter.statuses.iter().map(|s| field("status", s.as_str())));
    }
    if let Some(groups) = &filter.groups {
        plan = plan.any(groups.iter().map(|group| field("group", group)));
    }
    plan.ids = filter.ids.as_ref().map(|ids| ids.iter().map(ToString::to_string).collect());
    plan
}

#[async_trait]
impl<D: DocStore> Store for Kit<D> {
    async fn device(&self, tenant: &TenantId, id: &DeviceId) -> StoreResult<Option<Device>> {
        self.load(tenant, id.as_str()).await
    }

    async fn device_by_identity(
        &self,
        tenant: &TenantId,
        hash: &str,
    ) -> StoreResult<Option<Device>> {
        self.load_unique(tenant, hash).await
    }

    async fn device_of_set(
        &self,
        tenant: &TenantId,
        set: &AuthSetId,
    ) -> StoreResult<Option<Device>> {
        let plan = Plan::new(Device::KIND, tenant).any([field("set", set.as_str())]).limit(1);
        Ok(self.load_all(&plan).await?.pop())
    }

    async fn devices(
        &self,
        tenant: &TenantId,
        filter: &DeviceFilter,
        skip: u64,
        limit: usize,
    ) -> StoreResult<Vec<Device>> {
        let mut plan = plan_of(tenant, filter);
        plan.order = Some("status");
        plan.skip = skip;
        plan.limit = limit;
        self.load_all(&plan).await
    }

    async fn count_devices(&self, tenant: &TenantId, filter: &DeviceFilter) -> StoreResult<u64> {
        self.docs.count(&plan_of(tenant, filter)).await
    }

    async fn walk_devices(
        &self,
        tenant: &TenantId,
        after: Option<&DeviceId>,
        limit: usize,
    ) -> StoreResult<Vec<Device>> {
        let mut plan = Plan::new(Device::KIND, tenant).limit(limit);
        plan.after = after.map(ToString::to_string);
        self.load_all(&plan).await
    }

    async fn commit_device(&self, tenant: &TenantId, commit: Stamped<Device>) -> StoreResult<()> {
        self.commit(tenant, commit).await
    }

    async fn auth_tenant(&self, tenant: &TenantId) -> StoreResult<Option<AuthTenant>> {
        self.load(tenant, "tenant").await
    }

    async fn commit_auth_tenant(
        &self,
        tenant: &TenantId,
        commit: Stamped<AuthTenant>,
    ) -> StoreResult<()> {
        self.commit(tenant, commit).await
    }

    async fn seen(
        &self,
        tenant: &TenantId,
        ids: &[DeviceId],
    ) -> StoreResult<Vec<(DeviceId, Time)>> {
        let mut plan = Plan::new(SEEN, tenant);
        plan.ids = Some(ids.iter().map(ToString::to_string).collect());
        let mut seen = Vec::new();
        for doc in self.docs.scan(&plan).await? {
            let stored: StoredSeen = read(&doc)?;
            let id = doc.id.id.parse().map_err(|e| StoreError::corrupt(SEEN, e))?;
            seen.push((id, stored.at));
        }
        Ok(seen)
    }

    async fn record_seen(
        &self,
        contacts: &[Seen],
        events: &[Event],
        lease_until: Time,
    ) -> StoreResult<()> {
        for seen in contacts {
            let mine = |e: &&Event| e.tenant == seen.tenant && e.key == seen.device.as_str();
            let events: Vec<Event> = events.iter().filter(mine).cloned().collect();
            self.record_one(seen, events, lease_until).await?;
        }
        Ok(())
    }

    async fn forget_seen(&self, tenant: &TenantId, id: &DeviceId) -> StoreResult<()> {
        let id = DocId { kind: SEEN, tenant: tenant.clone(), id: id.to_string() };
        while let Some(doc) = self.docs.get(&id).await? {
            let write = Write {
                expect: Expect::At(doc.version),
                put: Put::Nothing { id: id.clone(), note: None },
                events: Vec::new(),
                lease_until: Time(0),
                at: Time(0),
            };
            match self.docs.write(&write).await {
                Err(StoreError::Conflict) => {}
                answer => return answer,
            }
        }
        Ok(())
    }
}

impl<D: DocStore> Kit<D> {
    async fn record_one(
        &self,
        seen: &Seen,
        events: Vec<Event>,
        lease_until: Time,
    ) -> StoreResult<()> {
        let id = DocId { kind: SEEN, tenant: seen.tenant.clone(), id: seen.device.to_string() };
        loop {
            let doc = self.docs.get(&id).await?;
            let was = doc.as_ref().map(read::<StoredSeen>).transpose()?;
            let at = was.map_or(seen.at, |was| was.at.max(seen.at));
            let body = serde_json::to_string(&Body { a: StoredSeen { at }, c: Vec::new() })
                .map_err(|e| StoreError::corrupt(SEEN, e))?;
            let version = doc.as_ref().map_or(Version(seen.at.0), |doc| doc.version.next());
            let write = Write {
                expect: doc.map_or(Expect::Absent, |doc| Expect::At(doc.version)),
                put: Put::Doc(Doc {
                    id: id.clone(),
                    version,
                    unique: id.id.clone(),
                    body,
                    index: Vec::new(),
                    orders: Vec::new(),
                    sorts: Vec::new(),
                }),
                events: events.clone(),
                lease_until,
                at: seen.at,
            };
            match self.docs.write(&write).await {
                Err(StoreError::Conflict) => {}
                answer => return answer,
            }
        }
    }
}
