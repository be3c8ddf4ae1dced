//! What all devices of a tenant together may fetch at once.

use std::{slice::from_ref, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::json;

use super::Service;
use crate::{
    ctx::Ctx,
    deployments::{
        logic::{self, TENANT_BYTES, TENANT_SLOTS},
        model::{Budget, CHUNK, DeploymentId, DeploymentSettings},
        query::{self, DeploymentQuery},
    },
    error::{Error, Result},
    id::TenantId,
    jobs::{Job, NewJob, Progress, Worker},
};

/// How often places are looked for that nobody needs.
const PERIOD: Duration = Duration::from_secs(60);

const WATCH: &str = "deployments.watch_tenant";

impl Service {
    /// Returns what all devices of the tenant together may fetch at once.
    ///
    /// # Errors
    /// `Forbidden` for users who are limited to some devices or releases, and those of the store.
    pub async fn download_budget(&self, ctx: &Ctx) -> Result<Option<Budget>> {
        unlimited(ctx)?;
        Ok(self.stored_settings(&ctx.tenant).await?.budget)
    }

    /// Says what all devices of the tenant together may fetch at once. Those that do already go
    /// on.
    ///
    /// # Errors
    /// `Invalid` for a budget that lets nothing through, `Forbidden` as above, and those of the
    /// stores.
    pub async fn set_download_budget(&self, ctx: &Ctx, budget: Option<Budget>) -> Result<()> {
        unlimited(ctx)?;
        // Before and after: cut off in between, or ended in between, there is one all the same.
        self.begin_watch_of(&ctx.tenant).await?;
        self.change_settings(ctx, |was| logic::set_budget(was, budget, self.now())).await?;
        self.begin_watch_of(&ctx.tenant).await
    }

    async fn begin_watch_of(&self, tenant: &TenantId) -> Result<()> {
        let job = NewJob {
            kind: WATCH.into(),
            key: tenant.to_string(),
            lane: String::new(),
            due_at: self.now() + PERIOD,
            payload: json!({ "tenant": tenant }),
        };
        Ok(self.kernel.jobs.put_jobs(from_ref(&job)).await?)
    }

    /// Tells whether one more device of the tenant may fetch.
    pub(super) async fn has_share(&self, tenant: &TenantId) -> Result<bool> {
        let settings = self.known_settings(tenant).await?;
        let Some(budget) = settings.budget else { return Ok(true) };
        if budget.parallel.is_some() && self.quotas.quota(tenant, TENANT_SLOTS).await?.free <= 0 {
            return Ok(false);
        }
        let Some((left, earned)) = self.shared_bytes(tenant, &settings).await? else {
            return Ok(true);
        };
        Ok(left.saturating_add(earned) > 0)
    }

    /// Returns how many bytes of the tenant's budget are left, and how many time has given since;
    /// nothing where they are not limited.
    async fn shared_bytes(
        &self,
        tenant: &TenantId,
        settings: &DeploymentSettings,
    ) -> Result<Option<(i64, i64)>> {
        let rate = settings.budget.and_then(|budget| budget.bytes_per_second);
        let Some(rate) = rate else { return Ok(None) };
        let left = self.quotas.quota(tenant, TENANT_BYTES).await?.free;
        let now = self.now();
        let since = settings.refilled.unwrap_or(now);
        Ok(Some((left, logic::refill(rate, since, now, left))))
    }

    /// Tells whether a clock that was wrong filled up the tenant's budget: time gives nothing.
    pub(super) async fn is_stuck(&self, tenant: &TenantId) -> Result<bool> {
        let refilled = self.known_settings(tenant).await?.refilled;
        Ok(refilled.is_some_and(|refilled| logic::is_ahead(refilled, self.now())))
    }

    /// Fills up the tenant's budget where it is used up with what time has given.
    pub(super) async fn refill_shared(&self, ctx: &Ctx) -> Result<()> {
        let settings = self.known_settings(&ctx.tenant).await?;
        let bytes = self.shared_bytes(&ctx.tenant, &settings).await?;
        if bytes.is_none_or(|(left, _)| left > 0) {
            return Ok(());
        }
        // What is kept in memory may be out of date: it is decided on what is stored.
        let stored = self.stored_settings(&ctx.tenant).await?;
        match self.shared_bytes(&ctx.tenant, &stored).await? {
            Some((left, earned)) if left <= 0 => {
                let now = self.now();
                let is_stuck = stored.refilled.is_some_and(|at| logic::is_ahead(at, now));
                if earned == 0 && !is_stuck {
                    return Ok(());
                }
                self.commit_settings(ctx, logic::refilled_settings(stored, earned, now)).await
            }
            _ => Ok(()),
        }
    }

    /// Takes places from devices that fell silent. Tells whether it goes on: as long as the tenant
    /// is there, as devices may have places when the budget is gone.
    async fn watch_tenant(&self, ctx: &Ctx) -> Result<bool> {
        if self.store.deployment_settings(&ctx.tenant).await?.is_none() {
            return Ok(false);
        }
        if self.quotas.quota(&ctx.tenant, TENANT_SLOTS).await?.used <= 0 {
            return Ok(true);
        }
        for id in self.unfinished(&ctx.tenant).await? {
            self.set_right(ctx, &id).await?;
            self.watch(ctx, &id, true).await?;
        }
        Ok(true)
    }

    async fn unfinished(&self, tenant: &TenantId) -> Result<Vec<DeploymentId>> {
        let mut ids = Vec::new();
        for progress in [query::Progress::Pending, query::Progress::InProgress] {
            let query = DeploymentQuery {
                progress: Some(progress),
                now: self.now(),
                ..DeploymentQuery::default()
            };
            let mut skip = 0;
            loop {
                let page = self.store.deployments(tenant, &query, skip, CHUNK).await?;
                let is_last = page.len() < CHUNK;
                skip += page.len() as u64;
                ids.extend(page.into_iter().map(|deployment| deployment.id));
                if is_last {
                    break;
                }
            }
        }
        Ok(ids)
    }
}

/// Refuses users who are limited to some devices or releases.
fn unlimited(ctx: &Ctx) -> Result<()> {
    if ctx.scope.groups().is_none() && ctx.scope.tags().is_none() {
        return Ok(());
    }
    Err(Error::forbidden("for users who may reach all devices and releases"))
}

/// Looks after devices of tenants with a budget that fall silent.
pub(crate) struct WatchTenant(pub(crate) Arc<Service>);

#[async_trait]
impl Worker for WatchTenant {
    fn kind(&self) -> &str {
        WATCH
    }

    async fn run(&self, job: &Job) -> Progress {
        let tenant = job.payload["tenant"].as_str().and_then(|tenant| tenant.parse().ok());
        let Some(tenant) = tenant else {
            return Progress::Dead(Error::internal("no tenant named"));
        };
        match self.0.watch_tenant(&Ctx::system(tenant)).await {
            Ok(true) => Progress::Again(PERIOD),
            Ok(false) => Progress::Done,
            Err(error) => Progress::Failed(error),
        }
    }
}
