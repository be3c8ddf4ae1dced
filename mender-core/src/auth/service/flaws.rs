//! Looks whether the limits count what there is.

use std::collections::BTreeMap;

use crate::{
    auth::{
        logic,
        model::{Device, DeviceFilter, Limit, Status},
        service::Service,
    },
    error::Result,
    id::{DeviceId, TenantId},
};

impl Service {
    /// Returns those of these devices that are there.
    pub(crate) async fn these(&self, tenant: &TenantId, ids: Vec<DeviceId>) -> Result<Vec<Device>> {
        let limit = ids.len();
        let filter = DeviceFilter { ids: Some(ids), ..DeviceFilter::default() };
        Ok(self.store.devices(tenant, &filter, 0, limit).await?)
    }

    /// Returns what of a tenant's devices does not fit together; `look` sees all of them.
    pub(crate) async fn flaws(
        &self,
        tenant: &TenantId,
        mut look: impl AsyncFnMut(Vec<Device>) -> Result<()>,
    ) -> Result<Vec<String>> {
        let (mut flaws, mut after) = (Vec::new(), None);
        let mut held: BTreeMap<Limit, i64> = BTreeMap::new();
        loop {
            let devices = self.store.walk_devices(tenant, after.as_ref(), CHUNK).await?;
            let Some(last) = devices.last() else { break };
            after = Some(last.id.clone());
            for device in &devices {
                logic::held(Some(device)).iter().for_each(|l| *held.entry(*l).or_default() += 1);
                let accepted = device.sets.iter().filter(|set| set.status == Status::Accepted);
                if accepted.count() > 1 {
                    flaws.push(format!("device {}: more than one key is accepted", device.id));
                }
            }
            look(devices).await?;
        }
        for limit in Limit::TIERS.into_iter().chain([Limit::TestDevices]) {
            let name = limit.as_str();
            let (used, there) = (self.quotas.quota(tenant, name).await?.used, held.get(&limit));
            let there = there.copied().unwrap_or_default();
            if used != there {
                flaws.push(format!("{name} counts {used} devices, and there are {there}"));
            }
        }
        Ok(flaws)
    }
}

/// How many devices are read at a time.
const CHUNK: usize = 500;
