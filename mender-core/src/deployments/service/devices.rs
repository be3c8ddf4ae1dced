use super::{Service, not_found};
use crate::{
    ctx::Ctx,
    deployments::{
        model::{Deployment, DeploymentId, DeviceDeployment, Status},
        service::read::{Shown, ShownDevice},
    },
    error::{Error, Result},
    id::DeviceId,
    page::PageRequest,
};

/// The most records of a device that are counted.
const COUNTED: u64 = 10_000;

/// How many devices may be asked about at once.
const MAX_LAST: usize = 1024;

impl Service {
    /// Returns a page of the devices of a deployment that have a record, and how many there are.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, and those of the store.
    pub async fn devices(
        &self,
        ctx: &Ctx,
        id: &DeploymentId,
        statuses: &[Status],
        page: PageRequest,
    ) -> Result<(Vec<ShownDevice>, u64)> {
        let deployment = self.load(ctx, id).await?;
        self.check_scope(ctx, &deployment)?;
        let (tenant, limit) = (&ctx.tenant, page.size as usize);
        let total = self.store.count_listed(tenant, id, statuses).await?;
        let rows = self.store.listed(tenant, id, statuses, page.skip(), limit).await?;
        Ok((self.show_devices(ctx, std::slice::from_ref(&deployment), rows).await?, total))
    }

    /// Returns a page of what a device has had, and how much that is.
    ///
    /// # Errors
    /// `Forbidden`, and those of the store.
    pub async fn history(
        &self,
        ctx: &Ctx,
        device: &DeviceId,
        statuses: &[Status],
        page: PageRequest,
    ) -> Result<(Vec<(ShownDevice, Option<Shown>)>, u64)> {
        self.check_device(ctx, device).await?;
        let (tenant, limit) = (&ctx.tenant, page.size as usize);
        let total = self.store.count_history(tenant, device, statuses).await?;
        let rows = self.store.history(tenant, device, statuses, page.skip(), limit).await?;
        Ok((self.with_deployments(ctx, rows).await?, total.min(COUNTED)))
    }

    /// Returns records by their ids with their deployments.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn records(
        &self,
        ctx: &Ctx,
        ids: &[String],
        page: PageRequest,
    ) -> Result<(Vec<(ShownDevice, Option<Shown>)>, u64)> {
        let mut rows = self.store.records(&ctx.tenant, ids).await?;
        rows.sort_by(|a, b| {
            (b.created, b.status, &b.record).cmp(&(a.created, a.status, &a.record))
        });
        let total = rows.len() as u64;
        let skip = usize::try_from(page.skip()).unwrap_or(usize::MAX);
        let rows = rows.into_iter().skip(skip).take(page.size as usize).collect();
        Ok((self.with_deployments(ctx, rows).await?, total.min(COUNTED)))
    }

    /// Returns the last final status of each of the devices that has one.
    ///
    /// # Errors
    /// `Invalid` for none, or too many, and those of the store.
    pub async fn last_statuses(
        &self,
        ctx: &Ctx,
        devices: &[DeviceId],
    ) -> Result<Vec<DeviceDeployment>> {
        if devices.is_empty() {
            return Err(Error::invalid("device_ids", "device ids array cannot be empty"));
        }
        if devices.len() > MAX_LAST {
            return Err(Error::invalid("device_ids", "too many device ids given"));
        }
        Ok(self.store.last_ended(&ctx.tenant, devices).await?)
    }

    async fn with_deployments(
        &self,
        ctx: &Ctx,
        rows: Vec<DeviceDeployment>,
    ) -> Result<Vec<(ShownDevice, Option<Shown>)>> {
        let ids: Vec<DeploymentId> = rows.iter().map(|row| row.deployment.clone()).collect();
        let deployments = self.store.deployments_by_id(&ctx.tenant, &ids).await?;
        let devices = self.show_devices(ctx, &deployments, rows).await?;
        let shown = self.show_all(ctx, deployments).await?;
        let of = |row: &DeviceDeployment| {
            shown.iter().find(|shown| shown.deployment.id == row.deployment).cloned()
        };
        Ok(devices.into_iter().map(|device| (device.clone(), of(&device.row))).collect())
    }

    /// Refuses users who may not see a deployment.
    pub(super) fn check_scope(&self, ctx: &Ctx, deployment: &Deployment) -> Result<()> {
        let Some(allowed) = ctx.scope.groups() else { return Ok(()) };
        if deployment.groups.iter().any(|group| allowed.contains(group)) {
            return Ok(());
        }
        Err(Error::forbidden("a deployment outside of the groups of the user"))
    }

    /// Refuses users who may not see a deployment, or a device.
    ///
    /// # Errors
    /// `NotFound` where there is no such deployment, `Forbidden`, and those of the stores.
    pub async fn check_reach(&self, ctx: &Ctx, id: &DeploymentId, device: &DeviceId) -> Result<()> {
        let deployment = self.load(ctx, id).await?;
        self.check_scope(ctx, &deployment)?;
        self.check_device(ctx, device).await
    }

    /// Refuses users who may not see a device.
    pub(super) async fn check_device(&self, ctx: &Ctx, device: &DeviceId) -> Result<()> {
        if ctx.scope.groups().is_none() {
            return Ok(());
        }
        let group = self.fleet.group_of(&ctx.tenant, device).await?;
        if ctx.scope.has_group(group.as_deref()) {
            return Ok(());
        }
        Err(Error::forbidden("a device outside of the groups of the user"))
    }

    /// Returns the groups that a deployment concerns.
    ///
    /// # Errors
    /// `NotFound`, and those of the store.
    pub async fn groups(&self, ctx: &Ctx, id: &DeploymentId) -> Result<Vec<String>> {
        let deployment = self.store.deployment(&ctx.tenant, id).await?;
        Ok(deployment.ok_or_else(not_found)?.groups)
    }
}
