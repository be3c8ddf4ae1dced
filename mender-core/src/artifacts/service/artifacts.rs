//! Artifacts: lists, descriptions, and their end.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use crate::{
    artifacts::{
        logic,
        model::{Artifact, ArtifactId, Release, Retired},
        query::{ArtifactQuery, ReleaseKind, ReleaseQuery},
        service::{Service, blob_of, releases, visible},
    },
    commit::Commit,
    ctx::Ctx,
    env::Time,
    error::{Error, Kind, Result},
    id::{TenantId, Version},
    jobs::{Job, NewJob, Progress, Worker},
    page::{Page, PageRequest},
};

/// How long the bytes of an artifact outlive it: for downloads that have begun, and for copies of
/// the database that still name it.
const GRACE: Duration = Duration::from_secs(24 * 3600);

/// How many releases a walk reads at a time.
const CHUNK: usize = 100;

/// The kind of jobs that delete bytes.
const SWEEP: &str = "artifacts.sweep";

fn not_found() -> Error {
    Error::not_found("Resource not found")
}

impl Service {
    /// Returns an artifact.
    ///
    /// # Errors
    /// `NotFound`, also for one that the caller may not see, and those of the store.
    pub async fn artifact(&self, ctx: &Ctx, id: &ArtifactId) -> Result<Artifact> {
        let release = self.release_of(ctx, id).await?;
        release.artifact(id).cloned().ok_or_else(not_found)
    }

    async fn release_of(&self, ctx: &Ctx, id: &ArtifactId) -> Result<Release> {
        let release = self.store.release_of(&ctx.tenant, id).await?.ok_or_else(not_found)?;
        if releases::is_visible(ctx, &release) { Ok(release) } else { Err(not_found()) }
    }

    /// Returns a page of artifacts.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn artifacts(
        &self,
        ctx: &Ctx,
        mut query: ArtifactQuery,
        page: PageRequest,
    ) -> Result<Vec<Artifact>> {
        query.tags.extend(visible(ctx));
        let limit = page.size as usize;
        Ok(self.store.artifacts(&ctx.tenant, &query, page.skip(), limit).await?)
    }

    /// Returns a page of artifacts, and whether more follow.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn find_artifacts(
        &self,
        ctx: &Ctx,
        mut query: ArtifactQuery,
        page: PageRequest,
    ) -> Result<Page<Artifact>> {
        query.tags.extend(visible(ctx));
        let limit = page.size as usize + 1;
        let rows = self.store.artifacts(&ctx.tenant, &query, page.skip(), limit).await?;
        Ok(Page::of(rows, page))
    }

    /// Returns all artifacts, however many.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn all_artifacts(
        &self,
        ctx: &Ctx,
        mut query: ArtifactQuery,
    ) -> Result<Vec<Artifact>> {
        query.tags.extend(visible(ctx));
        Ok(self.store.artifacts(&ctx.tenant, &query, 0, usize::MAX).await?)
    }

    /// Counts artifacts.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn count_artifacts(&self, ctx: &Ctx, mut query: ArtifactQuery) -> Result<u64> {
        query.tags.extend(visible(ctx));
        Ok(self.store.count_artifacts(&ctx.tenant, &query).await?)
    }

    /// Describes an artifact anew.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` for a text that is too long, `Conflict` for one that a deployment
    /// has used, and those of the store.
    pub async fn describe(&self, ctx: &Ctx, id: &ArtifactId, text: &str) -> Result<()> {
        let used = || Error::conflict("Image has already been used in deployment");
        let attempt = || async {
            let release = match self.release_of(ctx, id).await {
                // Compat: what was used is told before that it is gone.
                Err(_) if self.store.retired(&ctx.tenant, id).await?.is_some() => {
                    return Err(used());
                }
                found => found?,
            };
            let artifact = release.artifact(id).ok_or_else(not_found)?;
            if self.was_used(ctx, artifact).await? {
                return Err(used());
            }
            let commit = logic::describe(release, id, text.to_owned(), self.now())?;
            self.commit(ctx, commit).await
        };
        self.kernel.retry(attempt).await
    }

    /// Tells whether a deployment used an artifact: one of its name was open after it was stored.
    async fn was_used(&self, ctx: &Ctx, artifact: &Artifact) -> Result<bool> {
        let name = &artifact.content.name;
        let names = std::slice::from_ref(name);
        if !self.usage.open(&ctx.tenant, names).await?.is_empty() {
            return Ok(true);
        }
        let last = self.usage.last_end(&ctx.tenant, name).await?;
        Ok(last.is_some_and(|end| end >= artifact.stored))
    }

    /// Deletes an artifact.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` for one that an open deployment uses, and those of the store.
    pub async fn delete_artifact(&self, ctx: &Ctx, id: &ArtifactId) -> Result<()> {
        let name = self.release_of(ctx, id).await?.name;
        let names = std::slice::from_ref(&name);
        let used = self.leave(ctx, names, |artifact| artifact.id == *id).await?;
        if used.is_empty() {
            return Ok(());
        }
        Err(Error::conflict("Artifact is used in active deployment"))
    }

    /// Deletes releases with all of their artifacts; names that are none are no error, nor are those
    /// that the caller may not see, which stay. Where open
    /// deployments use one of them, nothing is deleted, and their ids are returned.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn delete_releases(&self, ctx: &Ctx, names: &[String]) -> Result<Vec<String>> {
        self.delete_of(ctx, names, ReleaseKind::Release).await
    }

    /// Deletes what is of a kind; other names are those of nothing, and so are those that the
    /// caller may not see.
    pub(super) async fn delete_of(
        &self,
        ctx: &Ctx,
        names: &[String],
        of: ReleaseKind,
    ) -> Result<Vec<String>> {
        let mut meant = Vec::with_capacity(names.len());
        for name in names {
            match self.store.release(&ctx.tenant, name).await? {
                Some(release) if !releases::is_visible(ctx, &release) || !of.fits(&release) => {}
                None if ctx.scope.tags().is_some() => {}
                _ => meant.push(name.clone()),
            }
        }
        let is_manifest = of == ReleaseKind::Manifest;
        self.leave(ctx, &meant, |artifact| artifact.is_manifest() == is_manifest).await
    }

    /// Removes artifacts of releases, or none, where deployments use one of the releases:
    /// returns which. The intent is stored before deployments are looked at, and they look at it
    /// after they are stored: both may give way, never neither.
    async fn leave(
        &self,
        ctx: &Ctx,
        names: &[String],
        gone: impl Fn(&Artifact) -> bool + Copy,
    ) -> Result<Vec<String>> {
        for name in names {
            self.change(ctx, name, |was| logic::mark(was, Some(self.now()))).await?;
        }
        let used = self.usage.open(&ctx.tenant, names).await;
        let stays = !used.as_ref().is_ok_and(Vec::is_empty);
        for name in names {
            if stays {
                self.change(ctx, name, |was| logic::mark(was, None)).await?;
            } else {
                self.remove(ctx, name, gone).await?;
            }
        }
        used
    }

    /// Removes artifacts of a release that is marked as leaving.
    async fn remove(
        &self,
        ctx: &Ctx,
        name: &str,
        gone: impl Fn(&Artifact) -> bool + Copy,
    ) -> Result<()> {
        let attempt = || async {
            let Some(release) = self.store.release(&ctx.tenant, name).await? else {
                return Ok(());
            };
            let now = self.now();
            if !release.is_leaving(now) {
                return Err(Error::new(Kind::Unavailable, "the release is in use again"));
            }
            for artifact in release.artifacts.iter().filter(|artifact| gone(artifact)) {
                if self.was_used(ctx, artifact).await? {
                    self.retire(ctx, artifact, now).await?;
                }
            }
            // Before the metadata goes: the job deletes nothing that is known.
            let removed = release.artifacts.iter().filter(|artifact| gone(artifact));
            let removed: Vec<ArtifactId> = removed.map(|artifact| artifact.id.clone()).collect();
            let sweep = |id: &ArtifactId| sweep_job(&ctx.tenant, id, now + GRACE);
            let jobs: Vec<NewJob> = removed.iter().map(sweep).collect();
            self.kernel.jobs.put_jobs(&jobs).await?;
            let commit = logic::remove(release, gone, now);
            if commit.is_nothing() {
                return self.change(ctx, name, |was| logic::mark(was, None)).await;
            }
            self.commit(ctx, commit).await?;
            for id in removed {
                if let Err(error) = self.forget_deltas(ctx, Some(&id)).await {
                    tracing::warn!(%id, %error, "deltas of an artifact wait for the sweep");
                }
            }
            Ok(())
        };
        self.kernel.retry(attempt).await
    }

    async fn retire(&self, ctx: &Ctx, artifact: &Artifact, now: Time) -> Result<()> {
        let (artifact, version) = (artifact.clone(), Version(now.0));
        let retired = Retired { artifact, at: now, version };
        let commit = Commit::insert(retired).quiet("read where a deployment shows it");
        match self.commit_retired(ctx, commit).await {
            // It is there since an earlier attempt.
            Err(error) if error.is_stale() || error.kind == Kind::Conflict => Ok(()),
            answer => answer,
        }
    }

    async fn change(
        &self,
        ctx: &Ctx,
        name: &str,
        decide: impl Fn(Release) -> Commit<Release>,
    ) -> Result<()> {
        let attempt = || async {
            match self.store.release(&ctx.tenant, name).await? {
                Some(release) => self.commit(ctx, decide(release)).await,
                None => Ok(()),
            }
        };
        self.kernel.retry(attempt).await
    }

    pub(super) async fn forget_releases(&self, ctx: &Ctx) -> Result<()> {
        loop {
            let query = ReleaseQuery::default();
            let releases = self.store.releases(&ctx.tenant, &query, 0, CHUNK).await?;
            if releases.is_empty() {
                break;
            }
            let names: Vec<String> = releases.into_iter().map(|release| release.name).collect();
            let used = self.leave(ctx, &names, |_| true).await?;
            if !used.is_empty() {
                return Err(Error::conflict("releases of the tenant are used"));
            }
        }
        loop {
            let retired = self.store.walk_retired(&ctx.tenant, None, CHUNK).await?;
            if retired.is_empty() {
                return Ok(());
            }
            for retired in retired {
                let commit = Commit::delete(retired).quiet("a tenant left");
                self.commit_retired(ctx, commit).await?;
            }
        }
    }

    /// Tells whether a release has an artifact, or had it while a deployment used it.
    pub(super) async fn is_known(&self, tenant: &TenantId, id: &ArtifactId) -> Result<bool> {
        Ok(self.store.release_of(tenant, id).await?.is_some()
            || self.store.retired(tenant, id).await?.is_some())
    }

    /// Deletes the bytes of an artifact that left its release, unless its id came back.
    async fn sweep(&self, tenant: &TenantId, id: &ArtifactId) -> Result<Progress> {
        if self.store.upload(tenant, id).await?.is_some() {
            return Ok(Progress::Again(GRACE));
        }
        if self.store.release_of(tenant, id).await?.is_none() {
            self.blobs(tenant).await?.delete_blob(&blob_of(tenant, id)?).await?;
            self.forget_deltas(&Ctx::system(tenant.clone()), Some(id)).await?;
        }
        Ok(Progress::Done)
    }
}

fn sweep_job(tenant: &TenantId, id: &ArtifactId, due_at: Time) -> NewJob {
    NewJob {
        kind: SWEEP.into(),
        key: format!("{tenant}/{id}"),
        lane: String::new(),
        due_at,
        payload: json!({ "tenant": tenant, "id": id }),
    }
}

/// Reads whom a job is about.
pub(super) fn subject(job: &Job) -> Option<(TenantId, ArtifactId)> {
    let text = |name: &str| job.payload[name].as_str();
    Some((text("tenant")?.parse().ok()?, text("id")?.parse().ok()?))
}

/// Deletes the bytes of artifacts that are gone.
pub(crate) struct Sweep(pub(crate) std::sync::Arc<Service>);

#[async_trait]
impl Worker for Sweep {
    fn kind(&self) -> &str {
        SWEEP
    }

    async fn run(&self, job: &Job) -> Progress {
        let Some((tenant, id)) = subject(job) else {
            return Progress::Dead(Error::internal("no artifact named"));
        };
        self.0.sweep(&tenant, &id).await.unwrap_or_else(Progress::Failed)
    }
}
