use std::{collections::BTreeMap, slice::from_ref};

use super::Service;
use crate::{
    artifacts::Artifact,
    blob::Link,
    commit::Commit,
    ctx::Ctx,
    deployments::{
        logic::{self, Answer, Offer},
        model::{Deployment, DeploymentId, DeviceDeployment, Request, Stage},
    },
    error::{Error, Result},
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
        let known = match &row.artifact {
            Some(id) => self.releases.by_id(&ctx.tenant, from_ref(id)).await?.remove(id),
            None => None,
        };
        let release = match known {
            Some(_) => Vec::new(),
            None => self.artifacts(&ctx.tenant, &deployment).await?,
        };
        let offer = Offer {
            deployment: &deployment,
            known: known.as_ref(),
            release: &release,
            selection: self.config.selection,
        };
        let (record, now) = (self.kernel.env().uuid(), self.now());
        let is_again = row.deleted.is_some();
        let (commit, answer) = logic::contact(row.clone(), offer, request, record, now);
        let has_ended = commit.aggregate().is_some_and(|row| row.status.is_final());
        self.commit_device(ctx, commit).await?;
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
        let deployment = deployment.id;
        Ok(Some(Instructions::Install { deployment, artifact: Box::new(artifact), link }))
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
