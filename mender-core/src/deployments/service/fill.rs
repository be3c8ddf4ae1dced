//! Walks over the rows of a deployment: they are written when it begins, and closed when it is
//! aborted. Short walks end before the answer, jobs do the others.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use serde_json::json;

use super::{Service, stream::PARTS};
use crate::{
    commit::Commit,
    ctx::Ctx,
    deployments::{
        logic,
        model::{CHUNK, Deployment, DeploymentId, State},
    },
    env::Time,
    error::{Error, Result},
    id::{DeviceId, TenantId},
    jobs::{Job, NewJob, Progress, Worker},
};

/// How many rows a walk has that ends before the answer.
const SHORT: usize = 5000;

/// How long a creation may take, after which it is completed, or what it left behind is removed.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

const WALK: &str = "deployments.walk";

const COMPLETE: &str = "deployments.complete";

pub(super) fn complete_job(
    tenant: &TenantId,
    id: &DeploymentId,
    ticket: &str,
    now: Time,
) -> NewJob {
    NewJob {
        kind: COMPLETE.into(),
        key: format!("{tenant}/{ticket}"),
        lane: String::new(),
        due_at: now + PATIENCE,
        payload: json!({ "tenant": tenant, "id": id, "ticket": ticket }),
    }
}

impl Service {
    /// Has the rows of a deployment brought to where it is; at once where they are few.
    pub(super) async fn begin_walk(&self, ctx: &Ctx, id: &DeploymentId, rows: usize) -> Result<()> {
        let is_short = rows <= SHORT;
        let job = NewJob {
            kind: WALK.into(),
            key: format!("{}/{id}", ctx.tenant),
            lane: String::new(),
            // Where this process ends before the walk does.
            due_at: if is_short { self.now() + Duration::from_secs(60) } else { self.now() },
            payload: json!({ "tenant": ctx.tenant, "id": id }),
        };
        self.kernel.jobs.put_jobs(&[job]).await?;
        if is_short { self.walk(ctx, id).await } else { Ok(()) }
    }

    /// Brings the rows of a deployment to where it is.
    pub(super) async fn walk(&self, ctx: &Ctx, id: &DeploymentId) -> Result<()> {
        match self.store.deployment(&ctx.tenant, id).await? {
            Some(deployment) if deployment.state == State::Filling => {
                self.fill(ctx, &deployment).await
            }
            Some(deployment) if deployment.state == State::Closing => {
                self.close(ctx, &deployment).await
            }
            _ => Ok(()),
        }
    }

    async fn fill(&self, ctx: &Ctx, deployment: &Deployment) -> Result<()> {
        let mut devices: Vec<DeviceId> = Vec::new();
        let mut parts = self.parts(&ctx.tenant, &deployment.ticket);
        while let Some(part) = parts.try_next().await? {
            devices.extend(part.to_vec()?);
        }
        // Inserts in the order of an index cost a fraction of what those in no order do.
        devices.sort();
        for chunk in devices.chunks(CHUNK) {
            self.store.fill(&ctx.tenant, &Self::rows(deployment, chunk)).await?;
        }
        self.change(ctx, &deployment.id, |was| Ok(logic::open(was))).await?;
        // Whoever aborted it meanwhile may have looked before the last rows were there.
        match self.store.deployment(&ctx.tenant, &deployment.id).await? {
            Some(deployment) if deployment.is_finished() => self.close(ctx, &deployment).await,
            _ => Ok(()),
        }
    }

    async fn close(&self, ctx: &Ctx, deployment: &Deployment) -> Result<()> {
        let (tenant, id) = (&ctx.tenant, &deployment.id);
        while self.store.close_rows(tenant, id, CHUNK).await? > 0 {}
        // Those that fetch give their places back, one by one.
        loop {
            let rows = self.store.open_rows(tenant, id, None, CHUNK).await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let device = row.device.clone();
                let close = async || self.commit_device(ctx, logic::close_row(row)).await;
                match close().await {
                    Err(error) if error.is_stale() => {
                        self.change_row(ctx, (id, &device), logic::close_row).await?;
                    }
                    answer => answer?,
                }
            }
        }
        self.change(ctx, id, |was| Ok(logic::close(was))).await
    }

    /// Changes a deployment as it is now, as often as it takes.
    pub(super) async fn change(
        &self,
        ctx: &Ctx,
        id: &DeploymentId,
        decide: impl Fn(Deployment) -> Result<Commit<Deployment>>,
    ) -> Result<()> {
        let attempt = || async {
            match self.store.deployment(&ctx.tenant, id).await? {
                Some(deployment) => self.commit(ctx, decide(deployment)?).await,
                None => Ok(()),
            }
        };
        self.kernel.retry(attempt).await
    }

    /// Removes the devices of creations that came to nothing.
    pub(super) async fn drop_targets(&self, ctx: &Ctx, ticket: &str) -> Result<()> {
        let mut last: Option<String> = None;
        loop {
            let (after, limit) = (last.as_deref(), PARTS);
            let found = self.store.targets_of(&ctx.tenant, ticket, after, limit).await?;
            let Some(end) = found.last() else { return Ok(()) };
            last = Some(end.key.clone());
            for targets in found {
                let commit = Commit::delete(targets).quiet("nobody named them");
                match self.commit_targets(ctx, commit).await {
                    Err(error) if error.is_stale() => {}
                    answer => answer?,
                }
            }
        }
    }
}

pub(super) fn subject(job: &Job) -> Option<(Ctx, DeploymentId)> {
    let text = |name: &str| job.payload[name].as_str();
    Some((Ctx::system(text("tenant")?.parse().ok()?), text("id")?.parse().ok()?))
}

/// Walks over the rows of deployments.
pub(crate) struct Walk(pub(crate) Arc<Service>);

#[async_trait]
impl Worker for Walk {
    fn kind(&self) -> &str {
        WALK
    }

    async fn run(&self, job: &Job) -> Progress {
        let Some((ctx, id)) = subject(job) else {
            return Progress::Dead(Error::internal("no deployment named"));
        };
        match self.0.walk(&ctx, &id).await {
            Ok(()) => Progress::Done,
            Err(error) => Progress::Failed(error),
        }
    }
}

/// Completes creations that were cut off, and removes the devices of those that came to nothing.
pub(crate) struct Complete(pub(crate) Arc<Service>);

impl Complete {
    async fn complete(&self, ctx: &Ctx, id: &DeploymentId, ticket: &str) -> Result<()> {
        let deployment = self.0.store.deployment(&ctx.tenant, id).await?;
        if deployment.is_some_and(|deployment| deployment.ticket == ticket) {
            return self.0.walk(ctx, id).await;
        }
        self.0.drop_targets(ctx, ticket).await
    }
}

#[async_trait]
impl Worker for Complete {
    fn kind(&self) -> &str {
        COMPLETE
    }

    async fn run(&self, job: &Job) -> Progress {
        let (Some((ctx, id)), Some(ticket)) = (subject(job), job.payload["ticket"].as_str()) else {
            return Progress::Dead(Error::internal("no ticket named"));
        };
        match self.complete(&ctx, &id, ticket).await {
            Ok(()) => Progress::Done,
            Err(error) => Progress::Failed(error),
        }
    }
}
