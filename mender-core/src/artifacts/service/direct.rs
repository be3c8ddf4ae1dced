//! Artifacts that clients put into the store of blobs themselves.

use crate::{
    artifacts::{
        format::{Content, Payload},
        model::{ArtifactId, Described, Upload, UploadState, Work},
        service::{Service, blob_of, check_scope, raw_of, upload::LEASE},
    },
    blob::{BlobKey, Link, LinkTo},
    commit::Commit,
    ctx::Ctx,
    error::{Error, Result},
    id::TenantId,
};

impl Described {
    /// Takes over sizes, checksums and dates of files, where the files are the same; returns the
    /// size of the artifact then, where the client said one.
    pub(super) fn apply_to(self, content: &mut Content) -> Option<u64> {
        let names = |payload: &Payload| -> Vec<String> {
            payload.files.iter().map(|file| file.name.clone()).collect()
        };
        let (mine, theirs) = (&content.payloads, &self.payloads);
        if mine.len() != theirs.len() || mine.iter().zip(theirs).any(|(a, b)| names(a) != names(b))
        {
            return None;
        }
        for (payload, described) in content.payloads.iter_mut().zip(self.payloads) {
            payload.files = described.files;
        }
        self.size
    }
}

fn not_found() -> Error {
    Error::not_found("Resource not found")
}

/// The key of the bytes that an upload begins with.
pub(super) fn source_of(tenant: &TenantId, upload: &Upload) -> Result<BlobKey> {
    match upload.work {
        Work::Stream | Work::Trust(_) => blob_of(tenant, &upload.id),
        Work::Verify | Work::Generate(_) => raw_of(tenant, &upload.id),
    }
}

impl Service {
    /// Begins an upload past the server: returns the id that the artifact will have, and a link to
    /// put its bytes. `base` is the URL that the client reaches the server by.
    ///
    /// # Errors
    /// `Forbidden` for users who are limited to some tags, and those of the stores.
    pub async fn upload_link(&self, ctx: &Ctx, base: &str) -> Result<(ArtifactId, Link)> {
        check_scope(ctx)?;
        let id = self.new_id()?;
        let work = match self.config.skip_verify {
            true => Work::Trust(Described::default()),
            false => Work::Verify,
        };
        let upload = self.begin(ctx, id.clone(), work, UploadState::Open).await?;
        let key = source_of(&ctx.tenant, &upload)?;
        let expires = self.config.upload_expires;
        let whose = (&ctx.tenant, &id);
        let link = self.link(whose, &key, LinkTo::Write, expires, base).await?;
        Ok((id, link))
    }

    /// Has the bytes read that a client put: the artifact appears later, or not at all.
    ///
    /// # Errors
    /// `NotFound` where there is no such upload, or no bytes, and those of the stores.
    pub async fn complete_upload(
        &self,
        ctx: &Ctx,
        id: &ArtifactId,
        described: Described,
    ) -> Result<()> {
        check_scope(ctx)?;
        let attempt = || async {
            let upload = self.store.upload(&ctx.tenant, id).await?;
            let open = |upload: &Upload| upload.state == UploadState::Open;
            let was = upload.filter(open).ok_or_else(not_found)?;
            let key = source_of(&ctx.tenant, &was)?;
            self.blobs(&ctx.tenant).await?.blob_size(&key).await?.ok_or_else(not_found)?;
            let mut to = was.clone();
            to.state = UploadState::Ready;
            to.until = self.now() + LEASE;
            if let Work::Trust(_) = was.work {
                to.work = Work::Trust(described.clone());
            }
            let commit = Commit::update(was, to).quiet("a job does the rest");
            self.commit_upload(ctx, commit).await
        };
        self.kernel.retry(attempt).await?;
        self.work_on(ctx, id).await
    }
}
