//! Which deployment a device goes on with, or begins with.

use std::{collections::BTreeMap, slice::from_ref, sync::Arc};

use super::Service;
use crate::{
    ctx::Ctx,
    deployments::{
        logic::{self, Older},
        model::{Audience, Deployment, DeploymentId, DeviceDeployment, Payload, Stage},
    },
    env::Time,
    error::{Error, Result},
    id::{DeviceId, TenantId},
    inventory::Device,
};

/// What a device goes on with, or begins with.
pub(super) struct Candidate {
    /// Its row.
    pub(super) row: DeviceDeployment,
    /// The deployment.
    pub(super) deployment: Arc<Deployment>,
    /// The row is yet to be stored: the device joins.
    pub(super) joins: bool,
    /// Rows of older deployments that it comes before, as its priority is higher.
    pub(super) older: Vec<DeviceDeployment>,
}

impl Service {
    /// Finds what a device goes on with, or begins with; of what was created before a time.
    pub(super) async fn candidate(
        &self,
        ctx: &Ctx,
        device: &DeviceId,
        before: Option<Time>,
    ) -> Result<Option<Candidate>> {
        let tenant = &ctx.tenant;
        let mut rows = self.store.current(tenant, device).await?;
        let mut dynamic = self.dynamic(tenant).await?.to_vec();
        dynamic.retain(|dynamic| {
            dynamic.is_open() && rows.iter().all(|row| row.deployment != dynamic.id)
        });
        if rows.is_empty() && dynamic.is_empty() {
            return Ok(None);
        }
        let mut deployments = self.known(tenant, &rows).await?;
        // Only what came back, and what the device would join, asks for it.
        let came_back = |row: &DeviceDeployment| row.stage == Stage::Record && row.ended.is_some();
        let asks = |row: &DeviceDeployment| came_back(row) || row.deleted.is_some();
        let newest = if !dynamic.is_empty() || rows.iter().any(asks) {
            logic::newest_ended(&rows, self.store.newest_ended(tenant, device).await?)
        } else {
            None
        };
        for row in rows.extract_if(.., |row| came_back(row) && newest > Some(row.created)) {
            if let Some(deployment) = deployments.get(&row.deployment).filter(|one| one.is_open()) {
                self.commit_device(ctx, logic::restore(row, deployment)).await?;
                self.settle(ctx, &deployment.id).await?;
            }
        }
        dynamic.retain(|dynamic| newest.is_none_or(|ended| dynamic.created > ended));
        if let Some(before) = before {
            dynamic.retain(|dynamic| dynamic.created < before);
            rows.retain(|row| row.created < before);
        }
        for joined in &dynamic {
            let row = DeviceDeployment::waiting(&joined.id, device.clone(), joined.created);
            rows.push(row);
            deployments.insert(joined.id.clone(), joined.clone());
        }
        let mut member = None;
        loop {
            let Some(row) = logic::choose(&rows, &deployments, newest).cloned() else {
                return Ok(None);
            };
            let Some(deployment) = deployments.get(&row.deployment).cloned() else {
                return Ok(None);
            };
            let joins = dynamic.iter().any(|dynamic| dynamic.id == row.deployment);
            if joins && !self.may_join(tenant, device, &deployment, &mut member).await? {
                rows.retain(|other| other.deployment != row.deployment);
                continue;
            }
            let is_stored =
                |row: &DeviceDeployment| dynamic.iter().all(|dynamic| dynamic.id != row.deployment);
            rows.retain(|other| is_stored(other) && Older::is_one(other, &row, &deployments));
            return Ok(Some(Candidate { row, deployment, joins, older: rows }));
        }
    }

    /// Tells whether a device may join a deployment. `member` is what inventory knows of it, once
    /// it was asked.
    async fn may_join(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
        deployment: &Deployment,
        member: &mut Option<Option<Device>>,
    ) -> Result<bool> {
        let Audience::Filter { terms, .. } = &deployment.audience else { return Ok(false) };
        if member.is_none() {
            *member = Some(self.fleet.device(tenant, device).await?);
        }
        let Some(Some(member)) = member else { return Ok(false) };
        if !logic::is_member(terms, member) {
            return Ok(false);
        }
        if deployment.max_devices == 0 {
            return Ok(true);
        }
        let quota = logic::devices_quota(&deployment.id);
        Ok(self.quotas.quota(tenant, &quota).await?.free > 0)
    }

    /// Returns the deployments of rows.
    pub(super) async fn known(
        &self,
        tenant: &TenantId,
        rows: &[DeviceDeployment],
    ) -> Result<BTreeMap<DeploymentId, Arc<Deployment>>> {
        let mut known = BTreeMap::new();
        for row in rows {
            let id = &row.deployment;
            let mut loaded = None;
            // Configurations are for one device and may be long: they are not kept.
            let load = async || {
                loaded = self.store.deployment(tenant, id).await?.map(Arc::new);
                Ok::<_, Error>(loaded.clone().filter(|known| known.payload == Payload::Software))
            };
            let fresh = self.kernel.is_fresh();
            let kept = self.known.get_or_load(fresh, tenant, id.as_str(), load).await?;
            let deployment = match kept.or(loaded) {
                Some(deployment) => Some(deployment),
                None => self.store.deployment(tenant, id).await?.map(Arc::new),
            };
            known.extend(deployment.map(|deployment| (id.clone(), deployment)));
        }
        Ok(known)
    }

    /// Returns the dynamic deployments that are open.
    pub(super) async fn dynamic(&self, tenant: &TenantId) -> Result<Arc<[Arc<Deployment>]>> {
        let load = async || {
            let open = self.store.dynamic_deployments(tenant).await?;
            Ok(open.into_iter().map(Arc::new).collect())
        };
        self.dynamic.get_or_load(self.kernel.is_fresh(), tenant, "", load).await
    }

    /// Completes what began when a device entered a deployment: its earlier attempts count no
    /// more, and where the deployment ended meanwhile, the device is out again. Tells whether it
    /// is in.
    pub(crate) async fn complete_entry(
        &self,
        ctx: &Ctx,
        deployment: &DeploymentId,
        device: &DeviceId,
    ) -> Result<bool> {
        let attempt = || async {
            let last = self.store.device_deployment(&ctx.tenant, deployment, device).await?;
            let Some(last) = last else { return Ok(false) };
            for row in self.store.current(&ctx.tenant, device).await? {
                if row.deployment == *deployment && row.attempt < last.attempt {
                    self.commit_device(ctx, logic::replace(row)).await?;
                }
            }
            let known = self.store.deployments_by_id(&ctx.tenant, from_ref(deployment)).await?;
            if known.iter().any(|deployment| !deployment.is_finished()) {
                return Ok(true);
            }
            self.commit_device(ctx, logic::close_row(last)).await?;
            Ok(false)
        };
        self.kernel.retry(attempt).await
    }
}
