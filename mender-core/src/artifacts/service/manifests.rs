//! Manifests: releases that say what the components of a system install.

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt as _, stream};

use crate::{
    artifacts::{
        format::{Parsed, Parser, Recipe, SystemManifest},
        logic,
        model::{Release, Tag},
        query::ReleaseKind,
        service::{
            NewArtifact, Service,
            bounded::Bounds,
            check_scope,
            generate::unwritable,
            upload::{Role, check_policy},
        },
    },
    ctx::Ctx,
    error::{Error, Result},
};

/// How many bytes an artifact with a manifest may have that is stored as one.
pub const MAX_ARTIFACT: u64 = 16 << 20;

/// A manifest that comes in.
#[derive(Clone, Debug, Default)]
pub struct NewManifest {
    /// What users say about its artifact.
    pub description: String,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// How many bytes come, where that is known.
    pub size: Option<u64>,
}

fn invalid(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid("manifest", what)
}

fn not_found() -> Error {
    Error::not_found("manifest not found")
}

/// Checks that an artifact is a manifest and nothing else.
pub(super) fn check(parsed: &Parsed) -> Result<()> {
    let content = &parsed.content;
    if content.version != 3 {
        return Err(invalid("must be an artifact of version 3"));
    }
    let payload = match &content.payloads[..] {
        [payload] if payload.kind.as_deref() == Some(SystemManifest::PAYLOAD) => payload,
        _ => return Err(invalid("must have one payload, of type mender-orchestrator-manifest")),
    };
    if let Some(fault) = &parsed.system_fault {
        return Err(invalid(fault.clone()));
    }
    if content.system.is_none() || payload.files.len() != 1 {
        return Err(invalid("must have one file"));
    }
    Ok(())
}

/// Tells whether more of an artifact is to be read where its headers are trusted.
pub(super) fn is_wanted(parser: &Parser) -> bool {
    parser.headers().is_none_or(|content| {
        let mut kinds = content.payloads.iter().filter_map(|payload| payload.kind.as_deref());
        content.system.is_none()
            && parser.size() < MAX_ARTIFACT
            && kinds.any(|kind| kind == SystemManifest::PAYLOAD)
    })
}

impl Service {
    /// Stores an artifact with a manifest as it comes; returns its name.
    ///
    /// # Errors
    /// Those of [`Service::upload`]; `Invalid { manifest }` for another artifact, `Invalid` for too
    /// many tags, and `Conflict` where the tenant would have too many different ones.
    pub async fn upload_manifest(
        &self,
        ctx: &Ctx,
        new: NewManifest,
        bytes: impl Stream<Item = Result<Bytes>> + Send,
    ) -> Result<String> {
        check_scope(ctx)?;
        let NewManifest { description, tags, size } = new;
        logic::check_description(&description)?;
        let tags = logic::distinct(tags)?;
        self.check_tags(ctx, &tags).await?;
        let bounds = Bounds::new(size, MAX_ARTIFACT.min(self.config.max_size))?;
        let new = NewArtifact { description: Some(description), ..NewArtifact::default() };
        let role = Role::Manifest(tags);
        let id = Box::pin(self.take_in(ctx, new, &role, bounds, bytes)).await?;
        Ok(self.artifact(ctx, &id).await?.content.name)
    }

    /// Makes and stores the artifact of a `manifest.yaml`; returns its name.
    ///
    /// # Errors
    /// `Invalid { manifest }` for what is none, `Conflict` where its name is taken, `TooLarge`, and
    /// those of [`Service::upload_manifest`].
    pub async fn generate_manifest(
        &self,
        ctx: &Ctx,
        new: NewManifest,
        bytes: impl Stream<Item = Result<Bytes>> + Send,
    ) -> Result<String> {
        check_scope(ctx)?;
        logic::check_description(&new.description)?;
        // Nobody signs what is made here.
        check_policy(&self.settings(ctx).await?, None)?;
        let bounds = Bounds::new(new.size, SystemManifest::MAX as u64)?;
        let yaml = collect(bounds, bytes).await?;
        let built = tokio::task::spawn_blocking(move || build(&yaml)).await;
        let (name, artifact) =
            built.map_err(|e| Error::internal("reading panicked").because(e))??;
        if self.store.release(&ctx.tenant, &name).await?.is_some() {
            return Err(logic::name_taken(&name));
        }
        let new = NewManifest { size: Some(artifact.len() as u64), ..new };
        let bytes = stream::iter([Ok(Bytes::from(artifact))]);
        Box::pin(self.upload_manifest(ctx, new, bytes)).await
    }

    /// Returns a manifest.
    ///
    /// # Errors
    /// `NotFound`, also for another release and for one that the caller may not see, and those of
    /// the store.
    pub async fn manifest(&self, ctx: &Ctx, name: &str) -> Result<Release> {
        let manifest = self.find(ctx, name, Some(ReleaseKind::Manifest)).await?;
        manifest.ok_or_else(not_found)
    }

    /// Notes something about a manifest, and gives it these tags and no others, where they are
    /// given.
    ///
    /// # Errors
    /// `NotFound`, and those of [`Service::note`] and [`Service::tag`].
    pub async fn annotate_manifest(
        &self,
        ctx: &Ctx,
        name: &str,
        notes: Option<&str>,
        tags: Option<&[Tag]>,
    ) -> Result<()> {
        if let Some(tags) = tags {
            check_scope(ctx)?;
            self.manifest(ctx, name).await?;
            self.check_tags(ctx, tags).await?;
        }
        let decide = |was| logic::note_and_tag(was, notes, tags.map(<[Tag]>::to_vec));
        self.change_of(ctx, name, ReleaseKind::Manifest, not_found, decide).await
    }

    /// Deletes manifests; names that are those of none are no error. Where open deployments use
    /// one of them, nothing is deleted, and their ids are returned.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn delete_manifests(&self, ctx: &Ctx, names: &[String]) -> Result<Vec<String>> {
        self.delete_of(ctx, names, ReleaseKind::Manifest).await
    }
}

async fn collect(
    bounds: Bounds,
    bytes: impl Stream<Item = Result<Bytes>> + Send,
) -> Result<Vec<u8>> {
    let mut bytes = std::pin::pin!(bytes);
    let mut all = Vec::new();
    while let Some(piece) = bytes.next().await {
        let piece = piece?;
        bounds.check((all.len() + piece.len()) as u64)?;
        all.extend_from_slice(&piece);
    }
    bounds.check_end(all.len() as u64)?;
    Ok(all)
}

/// Makes the artifact of a manifest; returns its name, too.
fn build(yaml: &[u8]) -> Result<(String, Vec<u8>)> {
    let manifest = SystemManifest::parse(yaml).map_err(|why| invalid(why.to_string()))?;
    let size = yaml.len() as u64;
    let recipe = Recipe::system_manifest(&manifest.name, manifest.system_types, size);
    Ok((manifest.name, recipe.build(&[yaml], None).map_err(unwritable)?))
}
