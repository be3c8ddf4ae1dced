//! What keeps deployments from doing harm.

use std::{slice::from_ref, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::json;

use super::{Service, create::user_of, fill::subject};
use crate::{
    ctx::{Actor, Ctx},
    deployments::{
        logic::{self, Gate},
        model::{
            CHUNK, Cause, Deployment, DeploymentId, DeviceDeployment, Payload, Reason, Remedy,
            Score, ZONE_ATTRIBUTE, Zone,
        },
    },
    env::Time,
    error::{Error, Kind, Result},
    id::DeviceId,
    inventory::AttributeName,
    jobs::{Job, NewJob, Progress, Worker},
    quota::Quota,
};

/// How often silent devices are looked for.
const PERIOD: Duration = Duration::from_secs(60);

const WATCH: &str = "deployments.watch";

impl Service {
    /// Has no further device begin a deployment; those that began go on.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` for one that has ended, `Invalid` for a long reason, `Forbidden`, and
    /// those of the store.
    pub async fn pause(&self, ctx: &Ctx, id: &DeploymentId, reason: &str) -> Result<()> {
        let cause = Cause::User { id: user_of(ctx), reason: reason.to_owned() };
        let attempt = || async {
            let deployment = self.reachable(ctx, id).await?;
            self.commit(ctx, logic::pause(deployment, cause.clone(), self.now())?).await
        };
        self.kernel.retry(attempt).await
    }

    /// Has devices begin again that a pause held back. Thresholds count anew.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` for one that has ended, `Forbidden`, and those of the store.
    pub async fn resume(&self, ctx: &Ctx, id: &DeploymentId) -> Result<()> {
        let attempt = || async {
            let deployment = self.reachable(ctx, id).await?;
            self.commit(ctx, logic::resume(deployment)?).await
        };
        self.kernel.retry(attempt).await
    }

    /// Lets a phase begin, at the word of a user who did not create the deployment.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` for a deployment that has ended or a phase that needs no approval,
    /// `Forbidden` for its creator and for programs, and those of the store.
    pub async fn approve(&self, ctx: &Ctx, id: &DeploymentId, phase: &str) -> Result<()> {
        let Actor::User(user) = &ctx.actor else {
            return Err(Error::forbidden("a user has to approve the phase"));
        };
        let attempt = || async {
            let deployment = self.reachable(ctx, id).await?;
            let commit = logic::approve(deployment, phase, user.clone(), self.now())?;
            self.commit(ctx, commit).await
        };
        self.kernel.retry(attempt).await
    }

    async fn reachable(&self, ctx: &Ctx, id: &DeploymentId) -> Result<Deployment> {
        let deployment = self.load(ctx, id).await?;
        self.check_scope(ctx, &deployment)?;
        Ok(deployment)
    }

    /// Tells what is to become of a deployment whose devices fared worse than its thresholds
    /// allow.
    async fn verdict(&self, ctx: &Ctx, deployment: &Deployment) -> Result<Option<(Remedy, Cause)>> {
        if deployment.conduct.hold.is_some() || deployment.is_finished() {
            return Ok(None);
        }
        let parts: Vec<_> = logic::judged_now(deployment, self.now()).collect();
        if parts.is_empty() {
            return Ok(None);
        }
        let round = deployment.conduct.round;
        let names = |part| <[String; 2]>::from(logic::score_quotas(&deployment.id, part, round));
        let names: Vec<String> = parts.iter().flat_map(|(part, _)| names(*part)).collect();
        let quotas = self.quotas.quotas_of(&ctx.tenant, &names).await?;
        let count = |quota: Quota| u64::try_from(quota.used).unwrap_or_default();
        for ((part, thresholds), counted) in parts.into_iter().zip(quotas.chunks_exact(2)) {
            let score = Score { failed: count(counted[0]), succeeded: count(counted[1]) };
            if let Some(threshold) = logic::passed(thresholds, score) {
                return Ok(Some(logic::remedy(part, threshold, score)));
            }
        }
        Ok(None)
    }

    /// Stops a deployment whose devices fared worse than its thresholds allow. Tells whether it
    /// did.
    pub(super) async fn judge(&self, ctx: &Ctx, deployment: &Deployment) -> Result<bool> {
        let Some((remedy, cause)) = self.verdict(ctx, deployment).await? else {
            return Ok(false);
        };
        let stopped = match remedy {
            Remedy::Pause => {
                let pause = |was| logic::pause(was, cause.clone(), self.now());
                self.change(ctx, &deployment.id, pause).await
            }
            Remedy::Abort => self.abort(&Ctx::system(ctx.tenant.clone()), &deployment.id).await,
        };
        match stopped {
            // It ended meanwhile.
            Err(error) if error.kind == Kind::Conflict && !error.is_stale() => Ok(true),
            stopped => stopped.map(|()| true),
        }
    }

    /// Tells whether a device may begin, as far as can be told without beginning, and where; sees
    /// to what is due.
    pub(super) async fn gate(
        &self,
        ctx: &Ctx,
        row: &DeviceDeployment,
        deployment: &Deployment,
    ) -> Result<Gate> {
        let gate = self.look(ctx, row, deployment).await?;
        match gate {
            // The counters are ahead of what is decided by them.
            Gate::Closed(Reason::Paused) => self.judge(ctx, deployment).await.map(|_| gate),
            Gate::Open | Gate::Phase { .. } => {
                self.refill(ctx, deployment).await?;
                self.refill_shared(ctx).await.map(|()| gate)
            }
            // Devices wait until it is filled up, and it never would be.
            Gate::Closed(Reason::BudgetUsed)
                if logic::is_ahead(logic::unfilled_since(deployment), self.now()) =>
            {
                self.refill(ctx, deployment).await.map(|()| gate)
            }
            Gate::Closed(Reason::TenantBudgetUsed) if self.is_stuck(&ctx.tenant).await? => {
                self.refill_shared(ctx).await.map(|()| gate)
            }
            Gate::Passed | Gate::Closed(_) => Ok(gate),
        }
    }

    /// As above, and changes nothing.
    pub(super) async fn look(
        &self,
        ctx: &Ctx,
        row: &DeviceDeployment,
        deployment: &Deployment,
    ) -> Result<Gate> {
        let now = self.now();
        let zone = self.zone(ctx, &row.device, deployment).await?;
        let gate = logic::gate(row, deployment, zone.as_deref(), now);
        if matches!(gate, Gate::Passed | Gate::Closed(_)) {
            return Ok(gate);
        }
        if self.verdict(ctx, deployment).await?.is_some() {
            return Ok(Gate::Closed(Reason::Paused));
        }
        if let Gate::Phase { number, is_limited: true } = gate {
            let name = logic::quota_of(&deployment.id, number);
            if self.quotas.quota(&ctx.tenant, &name).await?.free <= 0 {
                return Ok(Gate::Closed(logic::why_full(deployment, number, now)));
            }
        }
        if !row.fetching && !self.has_budget(ctx, deployment).await? {
            return Ok(Gate::Closed(Reason::BudgetUsed));
        }
        let is_software = deployment.payload == Payload::Software;
        if is_software && !row.shares && !self.has_share(&ctx.tenant).await? {
            return Ok(Gate::Closed(Reason::TenantBudgetUsed));
        }
        Ok(gate)
    }

    /// Returns the time zone of a device, where windows open by it. What users say of the device
    /// goes before what it says itself.
    async fn zone(
        &self,
        ctx: &Ctx,
        device: &DeviceId,
        deployment: &Deployment,
    ) -> Result<Option<String>> {
        if deployment.rollout.windows.iter().all(|window| window.zone != Zone::Device) {
            return Ok(None);
        }
        let Some(device) = self.fleet.device(&ctx.tenant, device).await? else { return Ok(None) };
        let names = [AttributeName::tag(ZONE_ATTRIBUTE), AttributeName::inventory(ZONE_ATTRIBUTE)];
        let value = names.iter().find_map(|name| device.attributes.value(name)?.as_text());
        Ok(value.map(str::to_owned))
    }

    /// Tells whether one more device may fetch.
    async fn has_budget(&self, ctx: &Ctx, deployment: &Deployment) -> Result<bool> {
        let Some(budget) = deployment.rollout.budget else { return Ok(true) };
        if budget.parallel.is_some() {
            let quota = logic::slots_quota(&deployment.id);
            if self.quotas.quota(&ctx.tenant, &quota).await?.free <= 0 {
                return Ok(false);
            }
        }
        let Some(rate) = budget.bytes_per_second else { return Ok(true) };
        let (left, earned) = self.bytes(ctx, deployment, rate).await?;
        Ok(left.saturating_add(earned) > 0)
    }

    /// Returns how many bytes of a budget are left, and how many time has given since.
    async fn bytes(&self, ctx: &Ctx, deployment: &Deployment, rate: u64) -> Result<(i64, i64)> {
        let quota = logic::bytes_quota(&deployment.id);
        let left = self.quotas.quota(&ctx.tenant, &quota).await?.free;
        let since = logic::unfilled_since(deployment);
        Ok((left, logic::refill(rate, since, self.now(), left)))
    }

    /// Fills up a budget that is used up with what time has given.
    async fn refill(&self, ctx: &Ctx, deployment: &Deployment) -> Result<()> {
        let rate = deployment.rollout.budget.and_then(|budget| budget.bytes_per_second);
        let Some(rate) = rate else { return Ok(()) };
        if self.bytes(ctx, deployment, rate).await?.0 > 0 {
            return Ok(());
        }
        // What is kept in memory may be out of date: it is decided on what is stored.
        let stored = self.load(ctx, &deployment.id).await?;
        let (left, earned) = self.bytes(ctx, &stored, rate).await?;
        let now = self.now();
        let is_stuck = logic::is_ahead(logic::unfilled_since(&stored), now);
        if left > 0 || (earned == 0 && !is_stuck) {
            return Ok(());
        }
        self.commit(ctx, logic::refilled(stored, earned, now)).await
    }

    /// Has devices fall silent from now on that were heard of by a clock that was wrong.
    pub(super) async fn set_right(&self, ctx: &Ctx, id: &DeploymentId) -> Result<()> {
        let now = self.now();
        loop {
            let ahead = logic::ahead(now);
            let rows = self.store.silent_rows(&ctx.tenant, id, ahead, CHUNK).await?;
            for row in &rows {
                let decide = |row| logic::set_right(row, now);
                self.change_row(ctx, (id, &row.device), decide).await?;
            }
            if rows.len() < CHUNK {
                return Ok(());
            }
        }
    }

    /// Has the devices of a deployment looked after whose creation may have been cut off.
    pub(crate) async fn complete_creation(&self, ctx: &Ctx, id: &DeploymentId) -> Result<()> {
        match self.store.deployment(&ctx.tenant, id).await? {
            Some(deployment) => self.begin_watch(ctx, &deployment).await,
            None => Ok(()),
        }
    }

    /// Has the devices of a deployment looked after, where they may fall silent.
    pub(super) async fn begin_watch(&self, ctx: &Ctx, deployment: &Deployment) -> Result<()> {
        let rollout = &deployment.rollout;
        if rollout.silence_minutes.is_none() && rollout.budget.is_none() {
            return Ok(());
        }
        let job = NewJob {
            kind: WATCH.into(),
            key: format!("{}/{}", ctx.tenant, deployment.id),
            lane: String::new(),
            due_at: self.now() + PERIOD,
            payload: json!({ "tenant": ctx.tenant, "id": deployment.id }),
        };
        Ok(self.kernel.jobs.put_jobs(from_ref(&job)).await?)
    }

    /// Looks after the silent devices of a deployment. `shares`: some may have places among those
    /// of the tenant. Tells whether it goes on.
    pub(super) async fn watch(&self, ctx: &Ctx, id: &DeploymentId, shares: bool) -> Result<bool> {
        let (tenant, now) = (&ctx.tenant, self.now());
        let Some(deployment) = self.store.deployment(tenant, id).await? else { return Ok(false) };
        if deployment.is_finished() {
            return Ok(false);
        }
        let fetches = match deployment.payload {
            Payload::Software => self.config.link_expires,
            Payload::Configuration(_) => self.config.configuration_expires,
        };
        let (mut from, mut limit) = (Time(i64::MIN), CHUNK);
        let patience = logic::patience(&deployment, shares);
        let until = Time((now - patience).0 + 1);
        // Whom nobody could hear was not silent.
        let listening = self.kernel.presence.since(now);
        while now.since(listening) >= patience {
            let rows = self.store.silent_rows(tenant, id, from..until, limit).await?;
            let last = rows.last().and_then(|row| row.heard).filter(|_| rows.len() == limit);
            for row in rows {
                let device = row.device.clone();
                let silenced = |row| logic::silenced(row, &deployment, fetches, listening, now);
                match self.commit_device(ctx, silenced(row)).await {
                    Err(error) if error.is_stale() => {
                        self.change_row(ctx, (id, &device), silenced).await?;
                    }
                    answer => answer?,
                }
            }
            match last {
                // More of a moment than are looked at together.
                Some(last) if last == from => limit *= 2,
                Some(last) => from = last,
                None => break,
            }
        }
        self.settle(ctx, id).await?;
        Ok(true)
    }
}

/// Looks after devices that fall silent.
pub(crate) struct Watch(pub(crate) Arc<Service>);

#[async_trait]
impl Worker for Watch {
    fn kind(&self) -> &str {
        WATCH
    }

    async fn run(&self, job: &Job) -> Progress {
        let Some((ctx, id)) = subject(job) else {
            return Progress::Dead(Error::internal("no deployment named"));
        };
        if let Err(error) = self.0.set_right(&ctx, &id).await {
            return Progress::Failed(error);
        }
        match self.0.watch(&ctx, &id, false).await {
            Ok(true) => Progress::Again(PERIOD),
            Ok(false) => Progress::Done,
            Err(error) => Progress::Failed(error),
        }
    }
}
