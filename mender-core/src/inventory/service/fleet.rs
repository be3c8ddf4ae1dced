//! What deployments ask.

use async_trait::async_trait;

use crate::{
    ctx::Ctx,
    deployments::Fleet,
    error::{Kind, Result},
    id::{DeviceId, TenantId},
    inventory::{
        model::{AttributeName, Value},
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
        match self.device(&Ctx::system(tenant.clone()), device).await {
            Ok(device) => Ok(device.group().map(str::to_owned)),
            Err(error) if error.kind == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
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
