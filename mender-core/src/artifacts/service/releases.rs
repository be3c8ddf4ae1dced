//! Releases: lists, tags and notes.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    artifacts::{
        logic,
        model::{Artifact, Release, Tag},
        query::{ReleaseKind, ReleaseQuery},
        service::{Service, check_scope, visible},
    },
    commit::Commit,
    ctx::Ctx,
    error::{Error, Result},
    id::TenantId,
    page::PageRequest,
};

/// How many different tags the releases of a tenant may have: soft, a race may overshoot it.
const MAX_TAGS: usize = 100;

fn not_found() -> Error {
    Error::not_found("release not found")
}

pub(super) fn is_visible(ctx: &Ctx, release: &Release) -> bool {
    ctx.scope.tags().is_none_or(|tags| {
        release.tags.iter().any(|tag| tags.iter().any(|visible| visible == tag.as_str()))
    })
}

fn scoped(ctx: &Ctx, mut query: ReleaseQuery) -> ReleaseQuery {
    query.tags.extend(visible(ctx));
    query
}

impl Service {
    /// Returns the artifacts of a release, none where there is none or where it is leaving.
    pub(crate) async fn artifacts_of(
        &self,
        tenant: &TenantId,
        name: &str,
    ) -> Result<Vec<Artifact>> {
        let release = self.store.release(tenant, name).await?;
        let stays = release.filter(|release| !release.is_leaving(self.now()));
        Ok(stays.map_or_else(Vec::new, |release| release.artifacts))
    }

    /// Returns the artifacts of a release from memory, where it is known to be true. One that is
    /// leaving has them: nobody knows yet whether it may.
    pub(crate) async fn kept_artifacts_of(
        &self,
        tenant: &TenantId,
        name: &str,
    ) -> Result<Arc<[Artifact]>> {
        let load = async || {
            let release = self.store.release(tenant, name).await?;
            Ok(release.map_or_else(Vec::new, |release| release.artifacts).into())
        };
        self.kept.get_or_load(self.kernel.is_fresh(), tenant, name, load).await
    }

    /// Returns a release.
    ///
    /// # Errors
    /// `NotFound`, also for a manifest and for one that the caller may not see, and those of the
    /// store.
    pub async fn release(&self, ctx: &Ctx, name: &str) -> Result<Release> {
        let release = self.find(ctx, name, Some(ReleaseKind::Release)).await?;
        release.ok_or_else(not_found)
    }

    /// Returns a release or a manifest, or what is of a kind, where the caller may see it.
    pub(in crate::artifacts) async fn find(
        &self,
        ctx: &Ctx,
        name: &str,
        of: Option<ReleaseKind>,
    ) -> Result<Option<Release>> {
        let release = self.store.release(&ctx.tenant, name).await?;
        let fits = |release: &Release| of.is_none_or(|of| of.fits(release));
        Ok(release.filter(|release| fits(release) && is_visible(ctx, release)))
    }

    /// Returns a page of releases.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn releases(
        &self,
        ctx: &Ctx,
        query: ReleaseQuery,
        page: PageRequest,
    ) -> Result<Vec<Release>> {
        let query = scoped(ctx, query);
        let limit = page.size as usize;
        Ok(self.store.releases(&ctx.tenant, &query, page.skip(), limit).await?)
    }

    /// Returns all releases, however many.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn all_releases(&self, ctx: &Ctx, query: ReleaseQuery) -> Result<Vec<Release>> {
        let query = scoped(ctx, query);
        Ok(self.store.releases(&ctx.tenant, &query, 0, usize::MAX).await?)
    }

    /// Counts releases.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn count_releases(&self, ctx: &Ctx, query: ReleaseQuery) -> Result<u64> {
        Ok(self.store.count_releases(&ctx.tenant, &scoped(ctx, query)).await?)
    }

    /// Returns the tags that any release has which the caller may see, or any of a kind, each once.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn release_tags(&self, ctx: &Ctx, of: Option<ReleaseKind>) -> Result<Vec<String>> {
        if ctx.scope.tags().is_none() {
            return Ok(self.store.release_tags(&ctx.tenant, of).await?);
        }
        // A release that the caller may see shows all of its tags.
        let visible =
            self.all_releases(ctx, ReleaseQuery { of, ..ReleaseQuery::default() }).await?;
        let tags: BTreeSet<String> =
            visible.into_iter().flat_map(|release| release.tags).map(String::from).collect();
        Ok(tags.into_iter().collect())
    }

    /// Notes something about a release.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` for what can't be noted, and those of the store.
    pub async fn note(&self, ctx: &Ctx, name: &str, notes: &str) -> Result<()> {
        let of = ReleaseKind::Release;
        self.change_of(ctx, name, of, not_found, |was| logic::note(was, notes)).await
    }

    /// Gives a release these tags, and no others.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` for too many, `Conflict` where the tenant would have too many
    /// different ones, `Forbidden` for users who are limited to some, and those of the store.
    pub async fn tag(&self, ctx: &Ctx, name: &str, tags: &[Tag]) -> Result<()> {
        check_scope(ctx)?;
        self.release(ctx, name).await?;
        self.check_tags(ctx, tags).await?;
        let of = ReleaseKind::Release;
        self.change_of(ctx, name, of, not_found, |was| logic::tag(was, tags.to_vec())).await
    }

    /// Checks how many different tags the tenant would have.
    pub(super) async fn check_tags(&self, ctx: &Ctx, tags: &[Tag]) -> Result<()> {
        let mut known = self.store.release_tags(&ctx.tenant, None).await?;
        known.extend(tags.iter().map(|tag| tag.as_str().to_owned()));
        known.sort();
        known.dedup();
        if known.len() > MAX_TAGS {
            let what = "the total number of unique tags (100) has been exceeded";
            return Err(Error::conflict(what));
        }
        Ok(())
    }

    pub(super) async fn change_of(
        &self,
        ctx: &Ctx,
        name: &str,
        of: ReleaseKind,
        missing: fn() -> Error,
        decide: impl Fn(Release) -> Result<Commit<Release>>,
    ) -> Result<()> {
        let attempt = || async {
            let release = self.find(ctx, name, Some(of)).await?.ok_or_else(missing)?;
            self.commit(ctx, decide(release)?).await
        };
        self.kernel.retry(attempt).await
    }
}
