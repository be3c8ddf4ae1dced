//! Links to the bytes of artifacts: the store's own, or ours where it has none.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use bytes::Bytes;
use futures_core::Stream;
use serde::{Deserialize, Serialize};

use crate::{
    artifacts::{
        model::{Artifact, ArtifactId, UploadState},
        service::{Service, blob_of, bounded::Bounds},
    },
    blob::{ARTIFACT_TYPE, Audience, BlobKey, ByteStream, Link, LinkTo, disposition},
    ctx::Ctx,
    env::Time,
    error::{Error, Result, StoreError},
    id::TenantId,
    token::Numbered,
};

/// Where the server serves blobs by links of its own, below its public URL.
pub const PATH: &str = "/api/storage/v1/";

/// What a link of ours allows.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    blob: String,
    method: String,
    exp: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    tenant: TenantId,
    id: ArtifactId,
}

/// A blob that a link of ours leads to.
pub struct Linked {
    /// Whose it is.
    pub tenant: TenantId,
    /// Its key.
    pub key: BlobKey,
    /// How many bytes it has.
    pub size: u64,
    /// Since when it is as it is.
    pub modified: Time,
    /// What the client is told to save it as, as a `Content-Disposition`.
    pub disposition: Option<String>,
    /// What it is.
    pub content_type: &'static str,
}

impl std::fmt::Debug for Linked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Linked").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Service {
    /// Returns a link to an artifact. `base` is the URL that the client reaches the server by.
    ///
    /// # Errors
    /// `NotFound`, and those of the stores.
    pub async fn download_link(&self, ctx: &Ctx, id: &ArtifactId, base: &str) -> Result<Link> {
        let artifact = self.artifact(ctx, id).await?;
        self.link_to(&ctx.tenant, &artifact, self.config.download_expires, base).await
    }

    /// Returns a link to an artifact for as long as it is good for.
    pub(crate) async fn link_to(
        &self,
        tenant: &TenantId,
        artifact: &Artifact,
        valid_for: Duration,
        base: &str,
    ) -> Result<Link> {
        let name = format!("{}.mender", artifact.content.name);
        let key = blob_of(tenant, &artifact.id)?;
        let to = LinkTo::Read { file_name: Some(&name) };
        self.link((tenant, &artifact.id), &key, to, valid_for, base).await
    }

    /// Makes a link to a blob.
    pub(super) async fn link(
        &self,
        (tenant, id): (&TenantId, &ArtifactId),
        key: &BlobKey,
        to: LinkTo<'_>,
        valid_for: Duration,
        base: &str,
    ) -> Result<Link> {
        let now = self.now();
        let blobs = self.blobs(tenant).await?;
        let link = blobs.link_to(key, to, Audience::Public, valid_for, now).await?;
        if let Some(link) = link {
            return Ok(link);
        }
        let name = match to {
            LinkTo::Read { file_name } => file_name.map(str::to_owned),
            LinkTo::Write | LinkTo::Delete => None,
        };
        if matches!(to, LinkTo::Read { .. }) && blobs.blob_size(key).await?.is_none() {
            let missing = StoreError::corrupt(key.as_str(), "the blob is missing");
            return Err(missing.into());
        }
        let expire = Time::from_seconds((now + valid_for).seconds());
        let claims = Claims {
            blob: key.to_string(),
            method: to.method().to_owned(),
            exp: expire.seconds(),
            name,
            tenant: tenant.clone(),
            id: id.clone(),
        };
        let token = self.keys.sign(Numbered::No, &claims)?;
        let uri = format!("{}{PATH}{key}?token={token}", base.trim_end_matches('/'));
        Ok(Link { uri, expire, method: to.method(), headers: BTreeMap::new() })
    }

    fn follow(&self, key: &str, method: &str, token: &str) -> Result<(BlobKey, Claims)> {
        let refused = |what: &'static str| Error::forbidden(what);
        let claims: Claims =
            self.keys.verify(Numbered::No, token).ok_or_else(|| refused("signature invalid"))?;
        if claims.blob != key || claims.method != method {
            return Err(refused("signature invalid"));
        }
        if claims.exp < self.now().seconds() {
            return Err(refused("URL expired"));
        }
        let key = BlobKey::new(key).ok_or_else(|| Error::not_found("blob"))?;
        Ok((key, claims))
    }

    /// Returns an artifact, also one that left its release: devices may be at it.
    pub(crate) async fn known(&self, tenant: &TenantId, id: &ArtifactId) -> Result<Artifact> {
        let release = self.store.release_of(tenant, id).await?;
        if let Some(artifact) = release.as_ref().and_then(|release| release.artifact(id)) {
            return Ok(artifact.clone());
        }
        let retired = self.store.retired(tenant, id).await?;
        Ok(retired.ok_or_else(|| Error::not_found("blob"))?.artifact)
    }

    /// Follows a link of ours to a blob.
    ///
    /// # Errors
    /// `Forbidden` for a link that is not ours or has expired, `NotFound`, and those of the store.
    pub async fn linked(&self, key: &str, token: &str) -> Result<Linked> {
        let (key, claims) = self.follow(key, "GET", token)?;
        let artifact = self.known(&claims.tenant, &claims.id).await?;
        let blobs = self.blobs(&claims.tenant).await?;
        let size = blobs.blob_size(&key).await?.ok_or_else(|| Error::not_found("blob"))?;
        let modified = artifact.stored;
        let disposition = claims.name.as_deref().map(disposition);
        Ok(Linked {
            tenant: claims.tenant,
            key,
            size,
            modified,
            disposition,
            content_type: ARTIFACT_TYPE,
        })
    }

    /// Returns a part of a blob that a link of ours leads to.
    ///
    /// # Errors
    /// `NotFound`, and those of the store.
    pub async fn read_linked(&self, linked: &Linked, part: Range<u64>) -> Result<ByteStream> {
        let bytes = self.blobs(&linked.tenant).await?.blob(&linked.key, Some(part)).await?;
        bytes.ok_or_else(|| Error::not_found("blob"))
    }

    /// Stores the bytes that a client puts by a link of ours.
    ///
    /// # Errors
    /// `Forbidden` for a link that is not ours, has expired, or is used up; `TooLarge`; the errors
    /// of the bytes; and those of the stores.
    pub async fn write_linked(
        &self,
        key: &str,
        token: &str,
        bytes: impl Stream<Item = Result<Bytes>> + Send + 'static,
    ) -> Result<()> {
        let (key, claims) = self.follow(key, "PUT", token)?;
        let upload = self.store.upload(&claims.tenant, &claims.id).await?;
        if !upload.is_some_and(|upload| upload.state == UploadState::Open) {
            return Err(Error::forbidden("the link is used up"));
        }
        let bounds = Bounds::new(None, self.config.max_size)?;
        self.put_bounded(&claims.tenant, &key, bytes, bounds).await
    }
}
