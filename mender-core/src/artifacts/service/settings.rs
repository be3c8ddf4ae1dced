//! What is kept for a tenant: trusted keys, payload types, and how much it may store.

use std::collections::BTreeSet;

use crate::{
    artifacts::{
        logic,
        model::{ArtifactSettings, Policy, Release, TrustedKey},
        query::ReleaseQuery,
        service::{Service, check_scope},
    },
    blob::BlobSettings,
    commit::Commit,
    ctx::Ctx,
    error::{Error, Result, Source},
    quota::{Quota, UNLIMITED},
};

/// How much a tenant stores.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Storage {
    /// How many bytes it may store; `None`: as many as it likes.
    pub limit: Option<i64>,
    /// How many it does.
    pub used: i64,
}

impl Service {
    /// Returns how much the tenant stores, and may.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn storage(&self, ctx: &Ctx) -> Result<Storage> {
        let Quota { free, used } = self.quotas.quota(&ctx.tenant, logic::STORAGE).await?;
        let limit = free.saturating_add(used);
        Ok(Storage { limit: (limit < UNLIMITED).then_some(limit), used })
    }

    /// Limits how much the tenant may store; -1 is no limit.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn limit_storage(&self, ctx: &Ctx, limit: i64) -> Result<()> {
        let decide =
            |was: Option<ArtifactSettings>| Ok(logic::limit_storage(was, limit, self.now()));
        self.change_settings(ctx, decide).await
    }

    /// Keeps the bytes of the tenant's artifacts in a store of its own, or, for `None`, where those
    /// of all tenants are. Bytes that are stored already stay where they are.
    ///
    /// # Errors
    /// `Internal` where the store can't be used, and those of ours.
    pub async fn store_in(&self, ctx: &Ctx, storage: Option<BlobSettings>) -> Result<()> {
        if let Some(settings) = &storage {
            let refused = |e: Source| Error::internal("the store can't be used").because(e);
            let blobs = self.open_blobs(settings).await.map_err(|e| refused(e.into()))?;
            blobs.check_blobs().await.map_err(|e| refused(e.into()))?;
        }
        let decide = |was| Ok(logic::store_in(was, storage.clone(), self.now()));
        self.change_settings(ctx, decide).await
    }

    /// Returns what is kept for the tenant.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn settings(&self, ctx: &Ctx) -> Result<ArtifactSettings> {
        Ok(self.store.artifact_settings(&ctx.tenant).await?.unwrap_or_default())
    }

    /// Says which artifacts may be stored from now on, and whose signatures are trusted.
    ///
    /// # Errors
    /// `Invalid` for a key that can't be one, `Forbidden` for users who are limited to some devices or
    /// releases, and those of the store.
    pub async fn trust(&self, ctx: &Ctx, policy: Policy, keys: &[TrustedKey]) -> Result<()> {
        check_scope(ctx)?;
        let decide = |was| logic::trust(was, policy, keys.to_vec(), self.now());
        self.change_settings(ctx, decide).await
    }

    /// Returns the payload types that were ever stored; to users who are limited to some releases
    /// those that these have.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn kinds(&self, ctx: &Ctx) -> Result<BTreeSet<String>> {
        if ctx.scope.tags().is_none() {
            return Ok(self.settings(ctx).await?.kinds);
        }
        let visible = self.all_releases(ctx, ReleaseQuery::default()).await?;
        let kinds = |release: &Release| -> Vec<String> {
            release.kinds().into_iter().map(str::to_owned).collect()
        };
        Ok(visible.iter().flat_map(kinds).collect())
    }

    pub(super) async fn remember_kinds(&self, ctx: &Ctx, kinds: &[String]) -> Result<()> {
        let decide = |was| Ok(logic::remember_kinds(was, kinds.iter().cloned(), self.now()));
        self.change_settings(ctx, decide).await
    }

    pub(super) async fn forget_settings(&self, ctx: &Ctx) -> Result<()> {
        let decide = |was: Option<ArtifactSettings>| {
            Ok(was.map_or_else(Commit::nothing, logic::forget_settings))
        };
        self.change_settings(ctx, decide).await
    }

    pub(super) async fn change_settings(
        &self,
        ctx: &Ctx,
        decide: impl Fn(Option<ArtifactSettings>) -> Result<Commit<ArtifactSettings>>,
    ) -> Result<()> {
        let attempt = || async {
            let was = self.store.artifact_settings(&ctx.tenant).await?;
            self.commit_settings(ctx, decide(was)?).await
        };
        self.kernel.retry(attempt).await
    }
}
