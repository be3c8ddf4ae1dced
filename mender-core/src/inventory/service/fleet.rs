//! What deployments ask.

use async_trait::async_trait;

use crate::{
    ctx::Ctx,
    deployments::Fleet,
    error::{Kind, Result},
    id::{DeviceId, TenantId},
    inventory::{
        model::{AttributeName, Device, Filter, FilterId, Value},
        query::{Op, Operand, Predicate, Query, Search},
        service::{CHUNK, Service, has_status, in_groups},
    },
    page::PageRequest,
};

#[async_trait]
impl Fleet for Service {
    async fn accepted(&self, tenant: &TenantId, group: Option<&str>) -> Result<Vec<DeviceId>> {
        let mut search = Search::all().and(has_status("accepted"));
        if let Some(group) = group {
            search = search.and(in_groups(&[group.to_owned()]));
        }
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let devices = self.store.walk_inventory(tenant, &search, after, CHUNK).await?;
            let Some(last) = devices.last() else { break };
            after = Some(last.place);
            ids.extend(devices.into_iter().map(|device| device.id));
        }
        ids.sort();
        Ok(ids)
    }

    async fn group_of(&self, tenant: &TenantId, device: &DeviceId) -> Result<Option<String>> {
        let device = Fleet::device(self, tenant, device).await?;
        Ok(device.and_then(|device| device.group().map(str::to_owned)))
    }

    async fn device(&self, tenant: &TenantId, device: &DeviceId) -> Result<Option<Device>> {
        match Self::device(self, &Ctx::system(tenant.clone()), device).await {
            Ok(device) => Ok(Some(device)),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn filter(&self, ctx: &Ctx, id: &FilterId) -> Result<Option<Filter>> {
        match Self::filter(self, ctx, id).await {
            Ok(filter) => Ok(Some(filter)),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn count(&self, tenant: &TenantId, terms: &[Predicate]) -> Result<u64> {
        let query = Query { filters: terms.to_vec(), ..Query::default() };
        let (search, fits) = self.compile(&Ctx::system(tenant.clone()), &query)?;
        let search = search.and(has_status("accepted"));
        match fits {
            Some(fits) => Ok(self.walk(tenant, search, fits, PageRequest::new(1, 1)).await?.total),
            None => Self::count(self, tenant, &search).await,
        }
    }

    async fn find(
        &self,
        ctx: &Ctx,
        attribute: &AttributeName,
        value: &str,
    ) -> Result<Option<DeviceId>> {
        let is = Operand::Value(Value::Text(value.to_owned()));
        let filter = Predicate { name: attribute.clone(), op: Op::Eq, value: is };
        let query = Query { filters: vec![filter], ..Query::default() };
        let found = self.search(ctx, &query, PageRequest::new(1, 1)).await?;
        Ok(found.devices.into_iter().next().map(|device| device.id))
    }
}
