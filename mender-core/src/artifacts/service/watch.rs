//! Looks after uploads: does the work on those whose bytes are there, and cleans up after those
//! that came to nothing.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    artifacts::{
        model::{ArtifactId, Upload, UploadState, Work},
        service::{
            Service,
            artifacts::subject,
            blob_of, raw_of,
            upload::{Claimed, LEASE, READY, WATCH},
        },
    },
    commit::Commit,
    ctx::Ctx,
    error::{Error, Result},
    id::TenantId,
    jobs::{Job, MAX_ATTEMPTS, Progress, Worker},
};

/// How long a job waits for work that it began; the work goes on without it.
const PATIENCE: Duration = Duration::from_secs(30);

impl Service {
    /// Takes an upload over, where it is free.
    async fn claim(&self, ctx: &Ctx, was: Upload) -> Result<Upload> {
        let mut to = was.clone();
        to.state = UploadState::Running;
        to.until = self.now() + LEASE;
        let commit = Commit::update(was, to).quiet("somebody works on it");
        let claimed = commit.aggregate().cloned();
        self.commit_upload(ctx, commit).await?;
        claimed.ok_or_else(|| Error::internal("nothing was claimed"))
    }

    /// Does the work on an upload whose bytes are there.
    async fn process(&self, ctx: &Ctx, upload: Upload) -> Result<()> {
        let (id, work) = (upload.id.clone(), upload.work.clone());
        let claimed = Claimed::new(self, ctx, upload);
        let done = match work {
            Work::Stream => return Err(Error::internal("its request is gone")),
            Work::Verify => claimed.work(self.copy(ctx, &claimed, &id)).await,
            Work::Trust(described) => {
                claimed.work(self.trust_headers(ctx, &claimed, &id, described)).await
            }
            Work::Generate(generate) => {
                claimed.work(Box::pin(self.generate_from(ctx, &claimed, &id, generate))).await
            }
        };
        match &done {
            // Trying again may help.
            Err(error) if !error.is_of_input() => {
                claimed.hand_over().await?;
                return done;
            }
            Err(error) => {
                tracing::info!(%id, tenant = %ctx.tenant, %error, "an upload is no artifact");
            }
            Ok(()) => {}
        }
        self.clean_up(&ctx.tenant, &id).await?;
        claimed.end().await
    }

    /// Deletes what an upload leaves behind; the bytes of an artifact that is known stay.
    pub(super) async fn clean_up(&self, tenant: &TenantId, id: &ArtifactId) -> Result<()> {
        let blobs = self.blobs(tenant).await?;
        blobs.delete_blob(&raw_of(tenant, id)?).await?;
        if !self.is_known(tenant, id).await? {
            blobs.delete_blob(&blob_of(tenant, id)?).await?;
        }
        Ok(())
    }

    /// Ends an upload that came to nothing. Whoever works on it finds it taken over, and may have
    /// made the artifact known before.
    async fn abort(&self, ctx: &Ctx, was: Upload) -> Result<()> {
        let id = was.id.clone();
        let claimed = Claimed::new(self, ctx, self.claim(ctx, was).await?);
        self.clean_up(&ctx.tenant, &id).await?;
        claimed.end().await
    }
}

/// Runs the jobs that look after uploads, of one kind.
pub(crate) struct Watch {
    service: Arc<Service>,
    kind: &'static str,
}

impl Watch {
    /// Those for all kinds.
    pub(crate) fn all(service: &Arc<Service>) -> [Arc<dyn Worker>; 2] {
        [WATCH, READY].map(|kind| Arc::new(Self { service: service.clone(), kind }) as _)
    }

    async fn look(&self, job: &Job, tenant: TenantId, id: &ArtifactId) -> Result<Progress> {
        let (service, ctx) = (&self.service, Ctx::system(tenant));
        let Some(upload) = service.store.upload(&ctx.tenant, id).await? else {
            return Ok(Progress::Done);
        };
        let left = upload.until.since(service.now());
        let works = !matches!(upload.work, Work::Stream);
        match upload.state {
            UploadState::Open | UploadState::Running if !left.is_zero() => {
                Ok(Progress::Again(left))
            }
            _ if job.attempt >= MAX_ATTEMPTS => {
                service.abort(&ctx, upload).await?;
                Ok(Progress::Done)
            }
            UploadState::Ready | UploadState::Running if works => {
                let upload = service.claim(&ctx, upload).await?;
                let service = service.clone();
                // A server that stops meanwhile leaves the rest to whoever finds the lease ended.
                let tasks = service.tasks.clone();
                let work = async move { Box::pin(service.process(&ctx, upload)).await };
                let work = tasks.spawn(work);
                match tokio::time::timeout(PATIENCE, work).await {
                    Ok(Ok(Ok(()))) => Ok(Progress::Done),
                    Ok(Ok(Err(error))) => Ok(Progress::Failed(error)),
                    Ok(Err(panic)) => Err(Error::internal("the work panicked").because(panic)),
                    Err(_) => Ok(Progress::Again(LEASE)),
                }
            }
            UploadState::Open | UploadState::Ready | UploadState::Running => {
                service.abort(&ctx, upload).await?;
                Ok(Progress::Done)
            }
        }
    }
}

#[async_trait]
impl Worker for Watch {
    fn kind(&self) -> &str {
        self.kind
    }

    async fn run(&self, job: &Job) -> Progress {
        let Some((tenant, id)) = subject(job) else {
            return Progress::Dead(Error::internal("no upload named"));
        };
        self.look(job, tenant, &id).await.unwrap_or_else(Progress::Failed)
    }
}
