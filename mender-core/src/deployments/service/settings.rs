//! What is kept for a tenant.

use std::sync::Arc;

use super::Service;
use crate::{
    artifacts::Artifact,
    commit::Commit,
    ctx::Ctx,
    deployments::{
        logic,
        model::{DeploymentSettings, DeviceDeployment, Status},
    },
    error::Result,
    id::TenantId,
};

impl Service {
    /// Returns how many bytes an artifact may have for devices of the micro tier; `None`: as many
    /// as it likes.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn micro_limit(&self, ctx: &Ctx) -> Result<Option<u64>> {
        let settings = self.stored_settings(&ctx.tenant).await?;
        Ok(settings.micro_limit_or(self.config.micro_limit))
    }

    /// Says how many bytes an artifact may have for devices of the micro tier; -1 is no limit.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn limit_micro(&self, ctx: &Ctx, limit: i64) -> Result<()> {
        self.change_settings(ctx, |was| Ok(logic::limit_micro(was, limit, self.now()))).await
    }

    pub(super) async fn stored_settings(&self, tenant: &TenantId) -> Result<DeploymentSettings> {
        Ok(self.store.deployment_settings(tenant).await?.unwrap_or_default())
    }

    /// Returns what is kept for a tenant, from memory where it is known to be true.
    pub(super) async fn known_settings(
        &self,
        tenant: &TenantId,
    ) -> Result<Arc<DeploymentSettings>> {
        let load = async || Ok(Arc::new(self.stored_settings(tenant).await?));
        self.settings.get_or_load(self.kernel.is_fresh(), tenant, "", load).await
    }

    pub(super) async fn change_settings(
        &self,
        ctx: &Ctx,
        decide: impl Fn(Option<DeploymentSettings>) -> Result<Commit<DeploymentSettings>>,
    ) -> Result<()> {
        let attempt = || async {
            let was = self.store.deployment_settings(&ctx.tenant).await?;
            self.commit_settings(ctx, decide(was)?).await
        };
        self.kernel.retry(attempt).await
    }

    pub(super) async fn commit_settings(
        &self,
        ctx: &Ctx,
        commit: Commit<DeploymentSettings>,
    ) -> Result<()> {
        let write = |commit| self.store.commit_deployment_settings(&ctx.tenant, commit);
        Ok(self.kernel.commit(ctx, &self.journal, commit, write).await?)
    }

    pub(super) async fn forget_settings(&self, ctx: &Ctx) -> Result<()> {
        let forget = |was: Option<DeploymentSettings>| {
            Ok(was.map_or_else(Commit::nothing, logic::forget_settings))
        };
        self.change_settings(ctx, forget).await
    }

    /// Tells how it ends for a device that must not get what it would, as that is not for its
    /// tier. What it was given already stays its own.
    pub(super) async fn misfit(
        &self,
        tenant: &TenantId,
        row: &DeviceDeployment,
        artifact: Option<&Artifact>,
    ) -> Result<Option<Status>> {
        let is_given = row.artifact.is_some() && !row.failed;
        let Some(artifact) = artifact.filter(|_| !is_given) else { return Ok(None) };
        let limit = if self.tiers.has_tiers() {
            let settings = self.known_settings(tenant).await?;
            settings.micro_limit_or(self.config.micro_limit)
        } else {
            None
        };
        if !logic::depends_on_tier(artifact, limit) {
            return Ok(None);
        }
        let tier = self.tiers.tier(tenant, &row.device).await?;
        Ok(logic::misfit(artifact, tier, limit))
    }
}
