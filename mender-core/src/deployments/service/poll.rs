use std::{collections::BTreeMap, slice::from_ref};

use serde_json::{Map, Value};

use super::{Delta, Service, not_found};
use crate::{
    artifacts::Artifact,
    blob::Link,
    commit::Commit,
    ctx::Ctx,
    deployments::{
        logic::{self, Answer, Gate, Offer},
        model::{Deployment, DeploymentId, DeviceDeployment, Request, Stage},
    },
    error::{Error, Kind, Result},
    id::DeviceId,
};

/// What a device is to do.
#[derive(Clone, Debug)]
pub enum Instructions {
    /// To fetch an artifact and install it.
    Install {
        /// The deployment.
        deployment: DeploymentId,
        /// The artifact.
        artifact: Box<Artifact>,
        /// Where it is.
        link: Link,
        /// Where it is to wait, where it understands that.
        control_map: Option<Map<String, Value>>,
    },
    /// To take over a configuration.
    Configure {
        /// The deployment.
        deployment: Box<Deployment>,
    },
}

impl Service {
    /// Tells a device what to do; `None`: nothing. `base` is the URL that it reaches the server by.
    ///
    /// # Errors
    /// `Invalid` for text that can't be kept, `Conflict` where it says something else than before: it
    /// has failed, and those of the stores.
    pub async fn next(
        &self,
        ctx: &Ctx,
        device: &DeviceId,
        request: &Request,
        base: &str,
    ) -> Result<Option<Instructions>> {
        if !request.is_storable() {
            return Err(Error::invalid("request", "U+0000 can't be kept"));
        }
        self.kernel.retry(|| self.poll(ctx, device, request, base)).await
    }

    async fn poll(
        &self,
        ctx: &Ctx,
        device: &DeviceId,
        request: &Request,
        base: &str,
    ) -> Result<Option<Instructions>> {
        let Some((row, deployment)) = self.candidate(ctx, device).await? else {
            return Ok(None);
        };
        let now = self.now();
        let gate = logic::gate(&row, &deployment, now);
        if !self.is_open(ctx, &deployment, gate).await? {
            return Ok(None);
        }
        let mut known = match &row.artifact {
            Some(id) if !row.failed => {
                self.releases.by_id(&ctx.tenant, from_ref(id)).await?.remove(id)
            }
            _ => None,
        };
        let release = match known {
            Some(_) => Vec::new(),
            None => self.artifacts(&ctx.tenant, &deployment).await?,
        };
        let mut is_made = false;
        if known.is_none() && deployment.rollout.delta {
            (known, is_made) = self.delta(ctx, &deployment, &release, request).await?;
        }
        let offer = Offer {
            deployment: &deployment,
            known: known.as_ref(),
            release: &release,
            selection: self.config.selection,
            gate,
            is_made,
        };
        let record = self.kernel.env().uuid();
        let is_again = row.deleted.is_some();
        let (commit, answer) = logic::contact(row.clone(), offer, request, record, now);
        let has_ended = commit.aggregate().is_some_and(|row| row.status.is_final());
        match self.commit_device(ctx, commit).await {
            // Others came first.
            Err(error) if error.kind == Kind::LimitReached => return Ok(None),
            answer => answer?,
        }
        if is_again {
            self.commit_device(ctx, logic::replace(row)).await?;
        }
        if has_ended {
            self.settle(ctx, &deployment.id).await?;
        }
        let id = match answer {
            Answer::Nothing => return Ok(None),
            Answer::Conflict => {
                return Err(Error::conflict("Device provided conflicting request data"));
            }
            Answer::Configure => {
                return Ok(Some(Instructions::Configure { deployment: Box::new(deployment) }));
            }
            Answer::Install(id) => id,
        };
        let chosen = known.into_iter().chain(release).find(|artifact| artifact.id == id);
        let artifact = chosen.ok_or_else(|| Error::internal("an artifact that is not there"))?;
        let valid_for = self.config.link_expires;
        let link = self.releases.link(&ctx.tenant, &artifact, valid_for, base).await?;
        let control_map = deployment.rollout.control_map.filter(|_| request.control_map);
        let (deployment, artifact) = (deployment.id, Box::new(artifact));
        Ok(Some(Instructions::Install { deployment, artifact, link, control_map }))
    }

    /// Tells whether a device may begin, as far as can be told without beginning.
    async fn is_open(&self, ctx: &Ctx, deployment: &Deployment, gate: Gate) -> Result<bool> {
        Ok(match gate {
            Gate::Open | Gate::Phase { is_limited: false, .. } => true,
            Gate::Closed => false,
            Gate::Phase { number, is_limited: true } => {
                let name = logic::quota_of(&deployment.id, number);
                self.quotas.quota(&ctx.tenant, &name).await?.free > 0
            }
        })
    }

    /// Returns the delta that a device gets in place of an artifact, and whether one is being made.
    async fn delta(
        &self,
        ctx: &Ctx,
        deployment: &Deployment,
        release: &[Artifact],
        request: &Request,
    ) -> Result<(Option<Artifact>, bool)> {
        let Some(target) = logic::target(release, request, self.config.selection) else {
            return Ok((None, false));
        };
        Ok(match self.releases.delta(ctx, target, request, &deployment.id).await? {
            Delta::None => (None, false),
            Delta::InMaking => (None, true),
            Delta::Ready(id) => {
                let mut found = self.releases.by_id(&ctx.tenant, from_ref(&id)).await?;
                (found.remove(&id), false)
            }
        })
    }

    /// Returns where a device is to wait that has yet to end a deployment.
    ///
    /// # Errors
    /// `NotFound`, and those of the store.
    pub async fn control_map(
        &self,
        ctx: &Ctx,
        id: &DeploymentId,
        device: &DeviceId,
    ) -> Result<Map<String, Value>> {
        let row = self.store.device_deployment(&ctx.tenant, id, device).await?;
        let row = row.ok_or_else(not_found)?;
        let deployment = self.load(ctx, id).await?;
        let row = logic::seen(row, &deployment);
        if !row.is_listed() || row.status.is_final() {
            return Err(not_found());
        }
        Ok(deployment.rollout.control_map.unwrap_or_default())
    }

    /// Returns what a device goes on with, or begins with.
    async fn candidate(
        &self,
        ctx: &Ctx,
        device: &DeviceId,
    ) -> Result<Option<(DeviceDeployment, Deployment)>> {
        let rows = self.store.current(&ctx.tenant, device).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let ids: Vec<DeploymentId> = rows.iter().map(|row| row.deployment.clone()).collect();
        let deployments = self.store.deployments_by_id(&ctx.tenant, &ids).await?;
        let mut deployments: BTreeMap<DeploymentId, Deployment> =
            deployments.into_iter().map(|deployment| (deployment.id.clone(), deployment)).collect();
        // Only what came back asks for it.
        let came_back = |row: &DeviceDeployment| row.stage == Stage::Record && row.ended.is_some();
        let newest = if rows.iter().any(|row| came_back(row) || row.deleted.is_some()) {
            self.store.newest_ended(&ctx.tenant, device).await?
        } else {
            None
        };
        let chosen = logic::choose(rows, &deployments, newest);
        Ok(chosen.and_then(|row| {
            let deployment = deployments.remove(&row.deployment)?;
            Some((row, deployment))
        }))
    }

    /// Has the last attempt of a device count in place of those before it.
    pub(crate) async fn replace_before(
        &self,
        ctx: &Ctx,
        deployment: &DeploymentId,
        device: &DeviceId,
    ) -> Result<()> {
        let attempt = || async {
            let last = self.store.device_deployment(&ctx.tenant, deployment, device).await?;
            let Some(last) = last else { return Ok(()) };
            for row in self.store.current(&ctx.tenant, device).await? {
                if row.deployment == *deployment && row.attempt < last.attempt {
                    let commit: Commit<DeviceDeployment> = logic::replace(row);
                    self.commit_device(ctx, commit).await?;
                }
            }
            Ok(())
        };
        self.kernel.retry(attempt).await
    }
}
