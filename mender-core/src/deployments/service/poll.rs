use std::{slice::from_ref, sync::Arc};

use serde_json::{Map, Value};

use super::{Delta, Service, candidate::Candidate, not_found, pace::Place};
use crate::{
    artifacts::{Artifact, ArtifactId},
    blob::Link,
    ctx::Ctx,
    deployments::{
        logic::{self, Answer, Gate, Offer, Older},
        model::{Deployment, DeploymentId, Request},
    },
    env::Time,
    error::{Error, Kind, Result},
    id::{DeviceId, TenantId},
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
    /// `Invalid` for text that can't be kept, or too much of it, `Conflict` where it says something
    /// else than before: it has failed, `TooMany` where it may begin later, and those of the stores.
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
        if let Some(excess) = request.excess() {
            return Err(Error::invalid("request", excess));
        }
        self.kernel.retry(|| Box::pin(self.poll(ctx, device, request, base, None))).await
    }

    /// Takes a place for a device that begins.
    fn place_for(&self, tenant: &TenantId, now: Time) -> Result<Place<'_>> {
        let later = |wait| Error::new(Kind::TooMany { wait }, "too many devices begin now");
        self.starts.take(tenant, now).map_err(later)
    }

    async fn poll(
        &self,
        ctx: &Ctx,
        device: &DeviceId,
        request: &Request,
        base: &str,
        before: Option<Time>,
    ) -> Result<Option<Instructions>> {
        let Some(candidate) = self.candidate(ctx, device, before).await? else {
            return Ok(None);
        };
        let Candidate { row, deployment, joins, older } = candidate;
        let now = self.now();
        let gate = self.gate(ctx, &row, &deployment).await?;
        if let Gate::Closed(reason) = gate {
            if !joins && row.deleted.is_none() {
                self.commit_device(ctx, logic::held(row, reason, now)).await?;
            }
            return Ok(None);
        }
        // Nothing is stored before: who is sent away asks again, and has lost nothing.
        let place = row.begins().then(|| self.place_for(&ctx.tenant, now)).transpose()?;
        let release = self.kept(&ctx.tenant, &deployment).await?;
        let mut known = match row.artifact.as_ref().filter(|_| !row.failed) {
            Some(id) => self.given(&ctx.tenant, &release, id).await?,
            None => None,
        };
        let mut is_made = false;
        if known.is_none() && deployment.rollout.delta {
            (known, is_made) = self.delta(ctx, &deployment, &release, request, false).await?;
        }
        let selection = self.config.selection;
        let chosen = known.as_ref().or_else(|| logic::target(&release, request, selection));
        let misfit = self.misfit(&ctx.tenant, &row, chosen.filter(|_| !is_made)).await?;
        let shared = self.known_settings(&ctx.tenant).await?.budget;
        let offer = Offer {
            deployment: &deployment,
            known: known.as_ref(),
            release: &release,
            selection,
            gate,
            is_made,
            shared,
            misfit,
            joins,
        };
        let record = self.kernel.env().uuid();
        let (enters, was) = (joins || row.deleted.is_some(), row.status);
        let (commit, answer) = logic::contact(row, offer, request, record, now);
        let status = commit.aggregate().map_or(was, |row| row.status);
        match Older::than(&answer, status) {
            Older::First if !older.is_empty() => {
                let before = Some(deployment.created);
                return Box::pin(self.poll(ctx, device, request, base, before)).await;
            }
            // Before it begins: were it cut off in between, an older one would come afterwards.
            Older::Superseded => {
                for older in older {
                    let (id, record) = (older.deployment.clone(), self.kernel.env().uuid());
                    let commit = logic::supersede(older, &deployment.id, record, now);
                    self.commit_device(ctx, commit).await?;
                    self.settle(ctx, &id).await?;
                }
            }
            Older::First | Older::Waiting => {}
        }
        let has_ended = commit.aggregate().is_some_and(|row| row.status.is_final());
        match self.commit_device(ctx, commit).await {
            // Others came first.
            Err(error) if error.kind == Kind::LimitReached => return Ok(None),
            answer => answer?,
        }
        if let Some(place) = place {
            place.keep();
        }
        if enters && !self.complete_entry(ctx, &deployment.id, device).await? {
            return Ok(None);
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
                let deployment = Box::new(Arc::unwrap_or_clone(deployment));
                return Ok(Some(Instructions::Configure { deployment }));
            }
            Answer::Install(id) => id,
        };
        let chosen = known.or_else(|| release.iter().find(|artifact| artifact.id == id).cloned());
        let artifact = chosen.ok_or_else(|| Error::internal("an artifact that is not there"))?;
        let valid_for = self.config.link_expires;
        let link = self.releases.link(&ctx.tenant, &artifact, valid_for, base).await?;
        let control_map = deployment.rollout.control_map.clone().filter(|_| request.control_map);
        let (deployment, artifact) = (deployment.id.clone(), Box::new(artifact));
        Ok(Some(Instructions::Install { deployment, artifact, link, control_map }))
    }

    /// Returns what a device was given before; the release may have lost it since.
    async fn given(
        &self,
        tenant: &TenantId,
        release: &[Artifact],
        id: &ArtifactId,
    ) -> Result<Option<Artifact>> {
        if let Some(artifact) = release.iter().find(|artifact| artifact.id == *id) {
            return Ok(Some(artifact.clone()));
        }
        Ok(self.releases.by_id(tenant, from_ref(id)).await?.remove(id))
    }

    /// Returns the delta that a device gets in place of an artifact, and whether one is being made.
    /// Where the caller only looks, that is whether one would be.
    pub(super) async fn delta(
        &self,
        ctx: &Ctx,
        deployment: &Deployment,
        release: &[Artifact],
        request: &Request,
        looks: bool,
    ) -> Result<(Option<Artifact>, bool)> {
        let Some(target) = logic::target(release, request, self.config.selection) else {
            return Ok((None, false));
        };
        Ok(match self.releases.delta(ctx, target, request, &deployment.id, looks).await? {
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
}
