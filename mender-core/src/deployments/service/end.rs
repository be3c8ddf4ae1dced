//! What ends devices, and deployments.

use std::slice::from_ref;

use serde_json::{Map, Value};

use super::{
    Service,
    create::{check_map, named},
    not_found,
};
use crate::{
    ctx::Ctx,
    deployments::{
        logic::{self, MAX_SUBSTATE},
        model::{CHUNK, Deployment, DeploymentId, Status},
        query::DeploymentQuery,
    },
    error::{Error, Result},
    id::DeviceId,
};

impl Service {
    /// Stores how far a device is.
    ///
    /// # Errors
    /// `Invalid` for what devices don't report, `NotFound` where the device has no record,
    /// `Conflict` where it was ended for the device, and those of the store.
    pub async fn report(
        &self,
        ctx: &Ctx,
        id: &DeploymentId,
        device: &DeviceId,
        status: Status,
        substate: &str,
    ) -> Result<()> {
        if !status.is_reportable() {
            return Err(Error::invalid("status", "must be a valid value"));
        }
        if substate.len() > MAX_SUBSTATE {
            let what = format!("the length must be no more than {MAX_SUBSTATE}");
            return Err(Error::invalid("substate", what));
        }
        if substate.contains('\0') {
            return Err(Error::invalid("substate", "U+0000 can't be kept"));
        }
        let attempt = || async {
            let row = self.store.device_deployment(&ctx.tenant, id, device).await?;
            let row = row.ok_or_else(not_found)?;
            let deployment = self.load(ctx, id).await?;
            let commit = logic::report(row, &deployment, status, substate, self.now())?;
            self.commit_device(ctx, commit).await
        };
        self.kernel.retry(attempt).await?;
        if status.is_final() { self.settle(ctx, id).await } else { Ok(()) }
    }

    /// Says anew where the devices of a deployment wait for a word.
    ///
    /// # Errors
    /// `Invalid` for a map that is too long, `NotFound`, `Conflict` for a deployment that has ended
    /// or none, `Forbidden`, and those of the store.
    pub async fn set_control_map(
        &self,
        ctx: &Ctx,
        id: &DeploymentId,
        map: Map<String, Value>,
    ) -> Result<()> {
        check_map(&map)?;
        let attempt = || async {
            let deployment = self.load(ctx, id).await?;
            self.check_scope(ctx, &deployment)?;
            let commit = logic::control(deployment, named(map.clone(), id))?;
            self.commit(ctx, commit).await
        };
        self.kernel.retry(attempt).await
    }

    /// Ends a deployment whatever its devices do.
    ///
    /// # Errors
    /// `Conflict` where it has ended, or never was, `Forbidden`, and those of the store.
    pub async fn abort(&self, ctx: &Ctx, id: &DeploymentId) -> Result<()> {
        let finished = || Error::conflict("Deployment already finished");
        let attempt = || async {
            let deployment = self.store.deployment(&ctx.tenant, id).await?;
            let deployment = deployment.ok_or_else(finished)?;
            self.check_scope(ctx, &deployment)?;
            let artifacts = self.artifact_ids(ctx, &deployment).await?;
            let rows = self.size(ctx, &deployment).await?;
            self.commit(ctx, logic::abort(deployment, artifacts, self.now())?).await?;
            Ok(rows)
        };
        let rows = self.kernel.retry(attempt).await?;
        self.begin_walk(ctx, id, rows).await
    }

    /// Returns how many rows a deployment has, or may have.
    async fn size(&self, ctx: &Ctx, deployment: &Deployment) -> Result<usize> {
        let rows = if deployment.is_dynamic() {
            let tallies = self.store.tallies(&ctx.tenant, from_ref(&deployment.id)).await?;
            tallies.get(&deployment.id).map_or(0, |tally| tally.devices)
        } else {
            deployment.max_devices
        };
        Ok(usize::try_from(rows).unwrap_or(usize::MAX))
    }

    /// Takes a device out of every deployment that it has not ended, at the wish of a user.
    ///
    /// # Errors
    /// `Forbidden`, and those of the store.
    pub async fn abort_device(&self, ctx: &Ctx, device: &DeviceId) -> Result<()> {
        self.check_device(ctx, device).await?;
        self.take_out(ctx, device, Status::Aborted).await
    }

    /// Takes a device that is no more out of every deployment that it has not ended.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn decommission(&self, ctx: &Ctx, device: &DeviceId) -> Result<()> {
        self.take_out(ctx, device, Status::Decommissioned).await
    }

    async fn take_out(&self, ctx: &Ctx, device: &DeviceId, status: Status) -> Result<()> {
        let rows = self.store.current(&ctx.tenant, device).await?;
        let ids: Vec<DeploymentId> = rows.iter().map(|row| row.deployment.clone()).collect();
        for deployment in self.store.deployments_by_id(&ctx.tenant, &ids).await? {
            if deployment.is_finished() {
                continue;
            }
            let pair = (&deployment.id, device);
            let record = self.kernel.env().uuid();
            let take_out = |row| logic::take_out(row, status, record.clone(), self.now());
            self.change_row(ctx, pair, take_out).await?;
            self.settle(ctx, &deployment.id).await?;
        }
        Ok(())
    }

    /// Forgets what a device ended: it gets again what is still open.
    ///
    /// # Errors
    /// `Forbidden`, and those of the store.
    pub async fn reset_history(&self, ctx: &Ctx, device: &DeviceId) -> Result<()> {
        self.check_device(ctx, device).await?;
        let now = self.now();
        let mut skip = 0;
        loop {
            let (tenant, chunk) = (&ctx.tenant, CHUNK);
            let rows = self.store.history(tenant, device, &[], skip, chunk).await?;
            skip += rows.len() as u64;
            let is_last = rows.len() < chunk;
            for row in rows.into_iter().filter(|row| row.is_listed() && row.status.is_final()) {
                let id = row.deployment.clone();
                self.change_row(ctx, (&id, device), |row| logic::reset(row, now)).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    pub(super) async fn forget_all(&self, ctx: &Ctx) -> Result<()> {
        let query = DeploymentQuery::default();
        loop {
            let deployments = self.store.deployments(&ctx.tenant, &query, 0, CHUNK).await?;
            if deployments.is_empty() {
                return self.forget_settings(ctx).await;
            }
            for deployment in deployments {
                while self.store.erase_rows(&ctx.tenant, &deployment.id, CHUNK).await? > 0 {}
                self.drop_targets(ctx, &deployment.ticket).await?;
                self.commit(ctx, logic::forget(deployment)).await?;
            }
        }
    }
}
