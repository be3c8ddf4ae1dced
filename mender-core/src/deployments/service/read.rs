use std::{
    collections::{BTreeMap, BTreeSet},
    slice::from_ref,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::{Releases, Service};
use crate::{
    artifacts::{Artifact, ArtifactId},
    ctx::Ctx,
    deployments::{
        logic,
        model::{Deployment, DeploymentId, DeviceDeployment, Payload, State, Status, Tally},
        query::{DeploymentQuery, Progress},
    },
    error::Result,
    id::{DeviceId, TenantId},
    inventory::AttributeName,
    page::PageRequest,
};

/// Up to how many records of a deployment are counted for each answer.
const EXACT: u64 = 10_000;

/// Tells whether a deployment may have more records than are counted for each answer.
fn may_be_many(deployment: &Deployment) -> bool {
    let is_bounded = deployment.max_devices > 0 || !deployment.is_dynamic();
    deployment.max_devices > EXACT || !is_bounded
}

/// A deployment as it is shown.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What was asked.
    pub deployment: Deployment,
    /// What there is to give.
    pub artifacts: Vec<ArtifactId>,
    /// What came of it so far; `pending` includes devices that never asked.
    pub tally: Tally,
    /// How far it is.
    pub progress: Progress,
}

/// A device of a deployment as it is shown.
#[derive(Clone, Debug)]
pub struct ShownDevice {
    /// The row.
    pub row: DeviceDeployment,
    /// What it was told to install.
    pub artifact: Option<Artifact>,
    /// How often it began, where it may try again.
    pub attempts: Option<u32>,
    /// The id of the phase in which it began.
    pub phase: Option<String>,
}

impl ShownDevice {
    /// Returns how long it took; nothing while it has not ended.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.row.finished.map_or(Duration::ZERO, |finished| finished.since(self.row.created))
    }
}

impl Service {
    /// Returns a deployment.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, and those of the stores.
    pub async fn deployment(&self, ctx: &Ctx, id: &DeploymentId) -> Result<Shown> {
        let deployment = self.load(ctx, id).await?;
        self.check_scope(ctx, &deployment)?;
        let shown = self.show_all(ctx, vec![deployment]).await?.pop();
        shown.ok_or_else(super::not_found)
    }

    /// Returns a page of deployments, and how many there are.
    ///
    /// # Errors
    /// Those of the stores.
    pub async fn deployments(
        &self,
        ctx: &Ctx,
        mut query: DeploymentQuery,
        page: PageRequest,
    ) -> Result<(Vec<Shown>, u64)> {
        query.now = self.now();
        query.groups = ctx.scope.groups().map(<[String]>::to_vec);
        let (tenant, limit) = (&ctx.tenant, page.size as usize);
        let total = self.store.count_deployments(tenant, &query).await?;
        let found = self.store.deployments(tenant, &query, page.skip(), limit).await?;
        Ok((self.show_all(ctx, found).await?, total))
    }

    /// Returns a device by the value of an attribute.
    ///
    /// # Errors
    /// Those of inventory.
    pub async fn find_device(
        &self,
        ctx: &Ctx,
        attribute: &AttributeName,
        value: &str,
    ) -> Result<Option<DeviceId>> {
        self.fleet.find(ctx, attribute, value).await
    }

    /// Counts the devices of deployments by status; those that are not there are left out.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn statistics(
        &self,
        ctx: &Ctx,
        ids: &[DeploymentId],
    ) -> Result<Vec<(DeploymentId, Tally)>> {
        let mut deployments = self.store.deployments_by_id(&ctx.tenant, ids).await?;
        deployments.retain(|deployment| self.check_scope(ctx, deployment).is_ok());
        let mut tallies = self.tallies(ctx, &deployments).await?;
        let tally = |deployment: Deployment| {
            let tally = tallies.remove(&deployment.id).unwrap_or_default();
            (deployment.id, tally)
        };
        Ok(deployments.into_iter().map(tally).collect())
    }

    async fn tallies(
        &self,
        ctx: &Ctx,
        deployments: &[Deployment],
    ) -> Result<BTreeMap<DeploymentId, Tally>> {
        let mut tallies = self.counted(&ctx.tenant, deployments).await?;
        for deployment in deployments {
            let tally = tallies.entry(deployment.id.clone()).or_default();
            if deployment.state == State::Closing {
                let active = |status: &Status| status.is_active();
                let closed: u64 =
                    tally.counts.iter().filter(|(s, _)| active(s)).map(|(_, count)| count).sum();
                tally.counts.retain(|status, _| !active(status));
                *tally.counts.entry(Status::Aborted).or_default() += closed;
            } else if !deployment.is_finished() {
                // Those that are yet to ask, their rows written or not.
                let silent = deployment.max_devices.saturating_sub(tally.devices);
                *tally.counts.entry(Status::Pending).or_default() += silent;
            }
        }
        Ok(tallies)
    }

    /// Counts the records of deployments: all of them, but for those that were counted when the
    /// deployment had ended.
    async fn counted(
        &self,
        tenant: &TenantId,
        deployments: &[Deployment],
    ) -> Result<BTreeMap<DeploymentId, Tally>> {
        let ids = |fits: fn(&&Deployment) -> bool| -> Vec<DeploymentId> {
            deployments.iter().filter(fits).map(|d| d.id.clone()).collect()
        };
        let mut tallies = BTreeMap::new();
        let few = ids(|d| d.tally.is_none() && !may_be_many(d));
        if !few.is_empty() {
            tallies = self.store.tallies(tenant, &few).await?;
        }
        for id in ids(|d| d.tally.is_none() && may_be_many(d)) {
            let tally = self.remembered(tenant, &id).await?;
            tallies.insert(id, tally);
        }
        let over = ids(|d| d.tally.is_some());
        if !over.is_empty() {
            let mut late = self.store.late(tenant, &over).await?;
            for deployment in deployments {
                if let Some(tally) = deployment.tally.clone() {
                    let late = late.remove(&deployment.id).unwrap_or_default();
                    tallies.insert(deployment.id.clone(), tally.with_late(late));
                }
            }
        }
        Ok(tallies)
    }

    /// Counts the records of a deployment that may have many; where it does, what is told may be
    /// two seconds old.
    async fn remembered(&self, tenant: &TenantId, id: &DeploymentId) -> Result<Tally> {
        let devices = AtomicU64::new(0);
        let count = async || {
            let tally = self.store.tallies(tenant, from_ref(id)).await?.remove(id);
            let tally = tally.unwrap_or_default();
            devices.store(tally.devices, Ordering::Relaxed);
            Ok(tally)
        };
        let are_many = async || Ok(devices.load(Ordering::Relaxed) > EXACT);
        self.memo.get(&(tenant, id), count, are_many).await
    }

    /// Returns which of the deployments have begun whose count may be out of date.
    async fn begun(
        &self,
        tenant: &TenantId,
        deployments: &[Deployment],
    ) -> Result<Option<Vec<DeploymentId>>> {
        let open = deployments.iter().filter(|d| !d.is_finished() && may_be_many(d));
        let open: Vec<DeploymentId> = open.map(|d| d.id.clone()).collect();
        if open.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.store.begun(tenant, &open).await?))
    }

    /// Adds to deployments what is shown of them.
    pub(super) async fn show_all(
        &self,
        ctx: &Ctx,
        deployments: Vec<Deployment>,
    ) -> Result<Vec<Shown>> {
        let mut tallies = self.tallies(ctx, &deployments).await?;
        let begun = self.begun(&ctx.tenant, &deployments).await?;
        let mut shown = Vec::with_capacity(deployments.len());
        let mut releases: BTreeMap<String, Vec<ArtifactId>> = BTreeMap::new();
        for deployment in deployments {
            let tally = tallies.remove(&deployment.id).unwrap_or_default();
            let has_begun = match &begun {
                Some(begun) if may_be_many(&deployment) => begun.contains(&deployment.id),
                _ => tally.has_begun(),
            };
            let progress = match (deployment.is_finished(), has_begun) {
                (true, _) => Progress::Finished,
                (false, true) => Progress::InProgress,
                (false, false) if deployment.is_scheduled(self.now()) => Progress::Scheduled,
                (false, false) => Progress::Pending,
            };
            let live = !deployment.is_finished() && deployment.payload == Payload::Software;
            let artifacts = match releases.get(&deployment.artifact_name) {
                Some(artifacts) if live => artifacts.clone(),
                _ => {
                    let artifacts = self.artifact_ids(ctx, &deployment).await?;
                    if live {
                        releases.insert(deployment.artifact_name.clone(), artifacts.clone());
                    }
                    artifacts
                }
            };
            shown.push(Shown { deployment, artifacts, tally, progress });
        }
        Ok(shown)
    }

    /// Adds to rows what is shown of them.
    pub(super) async fn show_devices(
        &self,
        ctx: &Ctx,
        deployments: &[Deployment],
        rows: Vec<DeviceDeployment>,
    ) -> Result<Vec<ShownDevice>> {
        show_devices(&*self.releases, &ctx.tenant, deployments, rows).await
    }
}

/// Adds to rows what is shown of them.
pub(super) async fn show_devices(
    releases: &dyn Releases,
    tenant: &TenantId,
    deployments: &[Deployment],
    rows: Vec<DeviceDeployment>,
) -> Result<Vec<ShownDevice>> {
    let ids: BTreeSet<ArtifactId> = rows.iter().filter_map(|row| row.artifact.clone()).collect();
    let ids: Vec<ArtifactId> = ids.into_iter().collect();
    let artifacts = releases.by_id(tenant, &ids).await?;
    let show = |row: DeviceDeployment| {
        let artifact = row.artifact.as_ref().and_then(|id| artifacts.get(id)).cloned();
        let Some(deployment) = deployments.iter().find(|d| d.id == row.deployment) else {
            return ShownDevice { row, artifact, attempts: None, phase: None };
        };
        let row = logic::seen(row, deployment);
        let may_retry = deployment.rollout.retries > 0;
        let may_retry = may_retry && deployment.payload == Payload::Software;
        let attempts = may_retry.then_some(row.tries);
        let phase = row.phase.and_then(|n| deployment.rollout.phases.get(n as usize));
        let phase = phase.map(|phase| phase.id.clone());
        ShownDevice { row, artifact, attempts, phase }
    };
    Ok(rows.into_iter().map(show).collect())
}
