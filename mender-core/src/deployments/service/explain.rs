//! Why a device gets an update, or gets none.

use std::{collections::BTreeMap, sync::Arc};

use super::Service;
use crate::{
    auth,
    ctx::Ctx,
    deployments::{
        logic::{self, Gate, Older},
        model::{
            Audience, CHUNK, Deployment, DeploymentId, DeviceDeployment, Outcome, Payload, Reason,
            Request, Stage, State, Status,
        },
    },
    env::Time,
    error::Result,
    id::{DeviceId, TenantId},
    inventory::{AttributeName, Device},
};

/// How many deployments that a device has ended are named.
const ENDED: usize = 10;

/// What would be decided about a deployment if a device asked now.
#[derive(Clone, Debug, PartialEq)]
pub struct Considered {
    /// The deployment.
    pub deployment: Deployment,
    /// How far the device is in it; none where it has yet to ask.
    pub status: Option<Status>,
    /// What would be decided.
    pub reason: Reason,
    /// What was decided when the device last asked.
    pub last: Option<Outcome>,
}

/// Why a device gets an update, or gets none.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The device.
    pub device: DeviceId,
    /// The status of device authentication; none for a device that inventory does not know.
    pub accepted: Option<auth::Status>,
    /// What the device is taken to provide: what inventory knows, or what it said when it last
    /// asked where inventory knows neither its type nor what it runs. A deployment that it asked
    /// about and has yet to end is explained by what it said then.
    pub request: Request,
    /// The deployment that it would be told to install now.
    pub next: Option<DeploymentId>,
    /// What would be decided about each deployment for it: the one that comes first, those after
    /// it, and the last ones that it ended.
    pub considered: Vec<Considered>,
}

impl Service {
    /// Explains what a device would be told if it asked now, and what it was told last. Changes
    /// nothing.
    ///
    /// # Errors
    /// `Forbidden`, and those of the stores.
    pub async fn explain(&self, ctx: &Ctx, device: &DeviceId) -> Result<Explanation> {
        self.check_device(ctx, device).await?;
        let tenant = &ctx.tenant;
        let known = self.fleet.device(tenant, device).await?;
        let history = self.store.history(tenant, device, &[], 0, ENDED).await?;
        let request = request_of(known.as_ref(), &history);
        let mut rows = self.store.current(tenant, device).await?;
        let mut deployments = self.known(tenant, &rows).await?;
        let joinable = self.joinable(tenant, device, &rows).await?;
        for joinable in &joinable {
            rows.push(DeviceDeployment::waiting(&joinable.id, device.clone(), joinable.created));
            deployments.insert(joinable.id.clone(), joinable.clone());
        }
        let newest = self.store.newest_ended(tenant, device).await?;
        let newest = logic::newest_ended(&rows, newest);
        let mut considered: Vec<Considered> = Vec::new();
        let mut next = None;
        // Of what was created before this time, what comes first is what the device is told about.
        let mut before = Some(Time(i64::MAX));
        let mut superseded: Vec<DeploymentId> = Vec::new();
        while let Some(row) = logic::choose(&rows, &deployments, newest).cloned() {
            rows.retain(|other| other.key != row.key);
            let Some(deployment) = deployments.get(&row.deployment) else { continue };
            let joins = joinable.iter().any(|joinable| joinable.id == row.deployment);
            let is_older = newest.is_some_and(|ended| row.created <= ended);
            let refused = match joins {
                true if is_older => Some(Reason::Older),
                true => self.refuses(ctx, known.as_ref(), deployment).await?,
                false => None,
            };
            let reason = match refused {
                Some(refused) => refused,
                None if before.is_some_and(|before| row.created < before) => {
                    let reason = self.weigh(ctx, &row, deployment, &request).await?;
                    let is_stored = |row: &&DeviceDeployment| {
                        joinable.iter().all(|joinable| joinable.id != row.deployment)
                    };
                    let older = rows.iter().filter(is_stored);
                    let older = older.filter(|older| Older::is_one(older, &row, &deployments));
                    let older: Vec<_> = older.map(|older| older.deployment.clone()).collect();
                    let becomes = Older::after(reason);
                    let goes_on = becomes == Older::First && !older.is_empty();
                    before = goes_on.then_some(row.created);
                    if becomes == Older::Superseded {
                        superseded = older;
                    }
                    reason
                }
                None if superseded.contains(&row.deployment) => Reason::Superseded,
                None => Reason::Later,
            };
            if reason == Reason::Install && next.is_none() {
                next = Some(row.deployment.clone());
            }
            considered.push(shown(&row, deployment, reason));
        }
        for row in rows {
            if let Some(deployment) = deployments.get(&row.deployment) {
                let reason = passed_over(&row, deployment, newest);
                considered.push(shown(&row, deployment, reason));
            }
        }
        self.add_ended(ctx, history, &mut considered).await?;
        let accepted = known.as_ref().and_then(Device::status);
        Ok(Explanation { device: device.clone(), accepted, request, next, considered })
    }

    /// Returns the dynamic deployments that a device might join: it has no row of them, neither
    /// these current ones nor any that it ended.
    async fn joinable(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
        rows: &[DeviceDeployment],
    ) -> Result<Vec<Arc<Deployment>>> {
        let mut joinable = self.dynamic(tenant).await?.to_vec();
        let has_none = |rows: &[DeviceDeployment], dynamic: &Deployment| {
            rows.iter().all(|row| row.deployment != dynamic.id)
        };
        joinable.retain(|dynamic| dynamic.is_open() && has_none(rows, dynamic));
        let mut skip = 0;
        while let Some(oldest) = joinable.iter().map(|dynamic| dynamic.created).min() {
            let records = self.store.history(tenant, device, &[], skip, CHUNK).await?;
            joinable.retain(|dynamic| has_none(&records, dynamic));
            if records.len() < CHUNK || records.iter().any(|record| record.created < oldest) {
                break;
            }
            skip += CHUNK as u64;
        }
        Ok(joinable)
    }

    /// Tells why a device can't join a deployment.
    async fn refuses(
        &self,
        ctx: &Ctx,
        device: Option<&Device>,
        deployment: &Deployment,
    ) -> Result<Option<Reason>> {
        let Audience::Filter { terms, .. } = &deployment.audience else { return Ok(None) };
        if !device.is_some_and(|device| logic::is_member(terms, device)) {
            return Ok(Some(Reason::NoMatch));
        }
        let quota = logic::devices_quota(&deployment.id);
        let is_full =
            deployment.max_devices > 0 && self.quotas.quota(&ctx.tenant, &quota).await?.free <= 0;
        Ok(is_full.then_some(Reason::DevicesReached))
    }

    /// Decides on the deployment that comes first.
    async fn weigh(
        &self,
        ctx: &Ctx,
        row: &DeviceDeployment,
        deployment: &Deployment,
        request: &Request,
    ) -> Result<Reason> {
        if let Gate::Closed(reason) = self.look(ctx, row, deployment).await? {
            return Ok(reason);
        }
        if row.begins() && self.starts.wait(&ctx.tenant, self.now()).is_some() {
            return Ok(Reason::TooManyBegin);
        }
        // Whatever else it said would be a contradiction.
        let said = row.request.as_ref().filter(|_| !row.failed && row.deleted.is_none());
        let request = said.unwrap_or(request);
        let is_given = row.artifact.is_some() && !row.failed;
        if is_given || matches!(deployment.payload, Payload::Configuration(_)) {
            return Ok(Reason::Install);
        }
        let release = self.kept(&ctx.tenant, deployment).await?;
        let (mut delta, mut is_made) = (None, false);
        if deployment.rollout.delta {
            // The user may be limited, the device is not.
            let device = Ctx::system(ctx.tenant.clone());
            (delta, is_made) = self.delta(&device, deployment, &release, request, true).await?;
        }
        let selection = self.config.selection;
        Ok(match delta.as_ref().or_else(|| logic::target(&release, request, selection)) {
            None => Reason::NoArtifact,
            Some(artifact)
                if !deployment.force_installation
                    && logic::is_installed(artifact, request, selection) =>
            {
                Reason::AlreadyInstalled
            }
            Some(_) if is_made => Reason::MakingDelta,
            Some(artifact) => match self.misfit(&ctx.tenant, row, Some(artifact)).await? {
                Some(Status::ArtifactTooBig) => Reason::ArtifactTooBig,
                Some(_) => Reason::IncompatibleTier,
                None => Reason::Install,
            },
        })
    }

    /// Adds the deployments that the device ended last.
    async fn add_ended(
        &self,
        ctx: &Ctx,
        history: Vec<DeviceDeployment>,
        considered: &mut Vec<Considered>,
    ) -> Result<()> {
        let ids: Vec<DeploymentId> = history.iter().map(|row| row.deployment.clone()).collect();
        let ended = self.store.deployments_by_id(&ctx.tenant, &ids).await?;
        let ended: BTreeMap<_, _> =
            ended.into_iter().map(|known| (known.id.clone(), known)).collect();
        for row in history {
            let is_there = considered.iter().any(|other| other.deployment.id == row.deployment);
            let Some(deployment) = ended.get(&row.deployment).filter(|_| !is_there) else {
                continue;
            };
            let reason = match row.outcome.map(|outcome| outcome.reason) {
                Some(
                    reason @ (Reason::Superseded | Reason::NoArtifact | Reason::Contradiction),
                ) => reason,
                _ if row.status == Status::ArtifactTooBig => Reason::ArtifactTooBig,
                _ if row.status == Status::IncompatibleTier => Reason::IncompatibleTier,
                _ if row.status == Status::Aborted && deployment.is_finished() => Reason::Ended,
                _ => Reason::Done,
            };
            considered.push(shown(&row, deployment, reason));
        }
        Ok(())
    }
}

/// Says why a row does not come into question.
fn passed_over(row: &DeviceDeployment, deployment: &Deployment, newest: Option<Time>) -> Reason {
    match deployment.state {
        State::Filling => Reason::Filling,
        State::Closing | State::Closed => Reason::Ended,
        State::Open if newest.is_some_and(|ended| row.created <= ended) => Reason::Older,
        State::Open => Reason::Done,
    }
}

fn shown(row: &DeviceDeployment, deployment: &Deployment, reason: Reason) -> Considered {
    let status = (row.stage == Stage::Record).then_some(row.status);
    Considered { deployment: deployment.clone(), status, reason, last: row.outcome }
}

/// Returns what a device is taken to provide.
fn request_of(device: Option<&Device>, history: &[DeviceDeployment]) -> Request {
    let text = |name: &str| {
        let value = device?.attributes.value(&AttributeName::inventory(name))?.as_text();
        value.map(str::to_owned)
    };
    let (Some(device_type), Some(artifact_name)) = (text("device_type"), text("artifact_name"))
    else {
        let last = history.iter().find_map(|row| row.request.clone());
        return last.unwrap_or_default();
    };
    let said = device.into_iter().flat_map(|known| known.attributes.of(AttributeName::INVENTORY));
    let provides = said.filter_map(|(name, attribute)| {
        let is_own = matches!(name, "device_type" | "artifact_name");
        let value = attribute.value.as_text().filter(|_| !is_own)?;
        Some((name.to_owned(), value.to_owned()))
    });
    Request { artifact_name, device_type, provides: provides.collect(), control_map: false }
}
