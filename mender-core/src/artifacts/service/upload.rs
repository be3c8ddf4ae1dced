//! Artifacts that come in: read while they are stored, known when both are done.

use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio::sync::{Mutex, mpsc};

use crate::{
    artifacts::{
        format::{self, Content, FormatError, Limits, Parsed, Parser},
        logic,
        model::{
            Artifact, ArtifactId, ArtifactSettings, Described, Policy, Tag, Upload, UploadState,
            Verification, Work,
        },
        service::{Service, blob_of, bounded::Bounds, check_scope, lease, manifests, raw_of},
    },
    blob::ByteStream,
    commit::Commit,
    ctx::Ctx,
    env::Time,
    error::{Error, Kind, Result, StoreError, StoreResult},
    id::{TenantId, Version},
    jobs::NewJob,
    signature::PublicKey,
};

/// How long somebody who works on an upload may be silent.
pub(super) const LEASE: Duration = Duration::from_secs(15 * 60);

/// The kind of jobs that look after uploads.
pub(super) const WATCH: &str = "artifacts.upload";

/// The kind of jobs that work on uploads at once.
pub(super) const READY: &str = "artifacts.ready";

/// How many pieces wait for the store of blobs.
const WAITING: usize = 4;

/// An artifact that comes in.
#[derive(Clone, Debug, Default)]
pub struct NewArtifact {
    /// The id that it shall have; a new one where not given.
    pub id: Option<ArtifactId>,
    /// What users say about it.
    pub description: Option<String>,
    /// How many bytes it has, where that is known.
    pub size: Option<u64>,
}

/// What an artifact that comes in shall be.
pub(super) enum Role {
    /// Anything.
    Any,
    /// A manifest, which gets these tags.
    Manifest(Vec<Tag>),
}

/// The refusal of an id that another artifact has, or is about to have.
fn taken() -> Error {
    Error::conflict("an artifact with the same id already exists")
}

/// The refusal of what is no artifact.
pub(super) fn refused(error: &FormatError) -> Error {
    Error::invalid("artifact", error.to_string())
}

/// An upload that is this caller's to work on.
pub(super) struct Claimed<'a> {
    service: &'a Service,
    ctx: &'a Ctx,
    upload: Mutex<Upload>,
}

impl<'a> Claimed<'a> {
    pub(super) fn new(service: &'a Service, ctx: &'a Ctx, upload: Upload) -> Self {
        Self { service, ctx, upload: Mutex::new(upload) }
    }

    /// Shows that the work goes on.
    ///
    /// # Errors
    /// `Unavailable` where somebody else took the upload over, and those of the store.
    pub(super) async fn renew(&self) -> Result<()> {
        let mut upload = self.upload.lock().await;
        let mut to = upload.clone();
        to.until = self.service.now() + LEASE;
        let commit = Commit::update(upload.clone(), to).quiet("a sign of life");
        let next = commit.aggregate().cloned();
        self.service.commit_upload(self.ctx, commit).await?;
        *upload = next.unwrap_or_else(|| upload.clone());
        Ok(())
    }

    /// Does the work, and shows every now and then that it goes on.
    pub(super) async fn work<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        lease::keep(LEASE, || self.renew(), Box::pin(work)).await
    }

    /// Leaves the work to a worker.
    pub(super) async fn hand_over(self) -> Result<()> {
        let was = self.upload.into_inner();
        let mut to = was.clone();
        to.state = UploadState::Ready;
        let commit = Commit::update(was, to).quiet("a job does the rest");
        self.service.commit_upload(self.ctx, commit).await
    }

    /// Ends the upload.
    pub(super) async fn end(self) -> Result<()> {
        let commit =
            Commit::delete(self.upload.into_inner()).quiet("the artifact is known, or not");
        self.service.commit_upload(self.ctx, commit).await
    }
}

/// Reads an artifact off the async threads: pieces may be inflated a thousandfold.
struct Reading(Box<Parser>);

impl Reading {
    async fn push(mut self, piece: Bytes) -> Result<Self> {
        let pushed = tokio::task::spawn_blocking(move || self.0.push(&piece).map(|()| self));
        let pushed = pushed.await.map_err(|e| Error::internal("reading panicked").because(e))?;
        pushed.map_err(|error| refused(&error))
    }

    fn finish(self) -> Result<Parsed> {
        self.0.finish().map_err(|error| refused(&error))
    }
}

impl Service {
    pub(super) fn new_id(&self) -> Result<ArtifactId> {
        let id = self.kernel.env().uuid().parse();
        id.map_err(|e| Error::internal("no id").because(e))
    }

    /// Stores an artifact while it is read: it is known when all of it is sound and stored, else
    /// nothing is left of it. Returns its id.
    ///
    /// # Errors
    /// `Invalid { artifact }` for what is no artifact, with what is wrong; `Conflict` where the
    /// release has one for the same devices ([`logic::Taken`]) or the id is taken; `TooLarge`;
    /// `LimitReached` where the tenant may not store so much; `Forbidden` where the policy of the
    /// tenant refuses it, or the user is limited to some tags; the errors of the bytes; and those
    /// of the stores.
    pub async fn upload(
        &self,
        ctx: &Ctx,
        new: NewArtifact,
        bytes: impl Stream<Item = Result<Bytes>> + Send,
    ) -> Result<ArtifactId> {
        check_scope(ctx)?;
        logic::check_description(new.description.as_deref().unwrap_or_default())?;
        let bounds = Bounds::new(new.size, self.config.max_size)?;
        Box::pin(self.take_in(ctx, new, &Role::Any, bounds, bytes)).await
    }

    /// Stores an artifact that shall be what is said, or nothing.
    pub(super) async fn take_in(
        &self,
        ctx: &Ctx,
        new: NewArtifact,
        role: &Role,
        bounds: Bounds,
        bytes: impl Stream<Item = Result<Bytes>> + Send,
    ) -> Result<ArtifactId> {
        let id = match new.id {
            Some(id) => id,
            None => self.new_id()?,
        };
        let upload = self.begin(ctx, id.clone(), Work::Stream, UploadState::Running).await?;
        let claimed = Claimed::new(self, ctx, upload);
        // Once the id is ours: whoever had it before has made the artifact known.
        let stored = if self.is_known(&ctx.tenant, &id).await? {
            Err(taken())
        } else {
            let received = self.receive(ctx, &claimed, new.description, role, bounds, bytes);
            claimed.work(received).await
        };
        self.settle(ctx, claimed, stored).await
    }

    /// Stores an upload, and the job that looks after it.
    pub(super) async fn begin(
        &self,
        ctx: &Ctx,
        id: ArtifactId,
        work: Work,
        state: UploadState,
    ) -> Result<Upload> {
        let life = match state {
            UploadState::Open => self.config.upload_expires,
            UploadState::Ready | UploadState::Running => LEASE,
        };
        let until = self.now() + life;
        self.put_job(ctx, &id, WATCH, until).await?;
        let upload = Upload { id, work, state, until, version: Version::FIRST };
        let commit = Commit::insert(upload.clone()).quiet("nobody is told of what is not there");
        self.commit_upload(ctx, commit).await.map_err(|error| {
            let is_taken = error.kind == Kind::Conflict || error.is_stale();
            if is_taken { taken() } else { error }
        })?;
        Ok(upload)
    }

    async fn put_job(&self, ctx: &Ctx, id: &ArtifactId, kind: &str, due_at: Time) -> Result<()> {
        let job = NewJob {
            kind: kind.to_owned(),
            key: format!("{}/{id}", ctx.tenant),
            lane: String::new(),
            due_at,
            payload: json!({ "tenant": ctx.tenant, "id": id }),
        };
        Ok(self.kernel.jobs.put_jobs(&[job]).await?)
    }

    /// Has the work on an upload done now.
    pub(super) async fn work_on(&self, ctx: &Ctx, id: &ArtifactId) -> Result<()> {
        self.put_job(ctx, id, READY, self.now()).await
    }

    /// Ends an upload that came to this; where it failed, the bytes go at once.
    async fn settle(
        &self,
        ctx: &Ctx,
        claimed: Claimed<'_>,
        stored: Result<ArtifactId>,
    ) -> Result<ArtifactId> {
        if let Err(error) = &stored
            && !error.is_of_input()
        {
            // Whether the artifact is known by now is not: the job finds out.
            return stored;
        }
        if stored.is_err() {
            let id = claimed.upload.lock().await.id.clone();
            if let Err(error) = self.clean_up(&ctx.tenant, &id).await {
                tracing::warn!(%id, %error, "bytes of a refused artifact wait for the sweep");
                return stored;
            }
        }
        if let Err(error) = claimed.end().await {
            tracing::debug!(%error, "an upload waits for the sweep");
        }
        stored
    }

    /// Reads an artifact, stores its bytes, then what is known of it.
    pub(super) async fn receive(
        &self,
        ctx: &Ctx,
        claimed: &Claimed<'_>,
        description: Option<String>,
        role: &Role,
        bounds: Bounds,
        bytes: impl Stream<Item = Result<Bytes>> + Send,
    ) -> Result<ArtifactId> {
        let id = claimed.upload.lock().await.id.clone();
        let parsed = self.read_into_store(&ctx.tenant, &id, bounds, bytes).await?;
        if let Role::Manifest(_) = role {
            manifests::check(&parsed)?;
        }
        let verification = self.verify(ctx, &parsed).await?;
        let Parsed { content, size, .. } = parsed;
        let artifact = self.artifact_of(id.clone(), description, content, size, verification);
        claimed.renew().await?;
        self.record_as(ctx, artifact, role).await?;
        Ok(id)
    }

    /// An artifact that is stored now.
    fn artifact_of(
        &self,
        id: ArtifactId,
        description: Option<String>,
        content: Content,
        size: u64,
        verification: Option<Verification>,
    ) -> Artifact {
        let now = self.now();
        Artifact { id, description, content, size, verification, stored: now, modified: now }
    }

    /// Reads bytes that are in the store, and stores them as an artifact.
    pub(super) async fn copy(
        &self,
        ctx: &Ctx,
        claimed: &Claimed<'_>,
        id: &ArtifactId,
    ) -> Result<()> {
        let raw = self.blobs(&ctx.tenant).await?.blob(&raw_of(&ctx.tenant, id)?, None).await?;
        let raw = raw.ok_or_else(|| Error::not_found("bytes"))?;
        let bounds = Bounds::new(None, self.config.max_size)?;
        let bytes = raw.map(|piece| piece.map_err(Error::from));
        self.receive(ctx, claimed, None, &Role::Any, bounds, bytes).await.map(drop)
    }

    /// Makes an artifact known whose headers alone are read; its files are taken for what the
    /// client said, where that fits them.
    pub(super) async fn trust_headers(
        &self,
        ctx: &Ctx,
        claimed: &Claimed<'_>,
        id: &ArtifactId,
        described: Described,
    ) -> Result<()> {
        let key = blob_of(&ctx.tenant, id)?;
        let blobs = self.blobs(&ctx.tenant).await?;
        let size = blobs.blob_size(&key).await?.ok_or_else(|| Error::not_found("bytes"))?;
        let bytes = blobs.blob(&key, None).await?;
        let mut bytes = bytes.ok_or_else(|| Error::not_found("bytes"))?;
        let mut reading = Reading(Box::new(Parser::new(Limits::default())));
        while manifests::is_wanted(&reading.0) {
            reading = match bytes.next().await {
                Some(piece) => reading.push(piece?).await?,
                None => break,
            };
        }
        let parsed = reading.0.into_headers().map_err(|error| refused(&error))?;
        let verification = self.verify(ctx, &parsed).await?;
        let mut content = parsed.content;
        let said = described.apply_to(&mut content);
        let size = said.filter(|said| *said <= self.config.max_size).unwrap_or(size);
        let artifact = self.artifact_of(id.clone(), None, content, size, verification);
        claimed.renew().await?;
        self.record(ctx, artifact).await
    }

    /// Stores the bytes while they are read. Where they are no artifact, nothing stays.
    async fn read_into_store(
        &self,
        tenant: &TenantId,
        id: &ArtifactId,
        bounds: Bounds,
        bytes: impl Stream<Item = Result<Bytes>> + Send,
    ) -> Result<Parsed> {
        let (to_store, from_reader) = mpsc::channel::<StoreResult<Bytes>>(WAITING);
        let next = |mut from: mpsc::Receiver<_>| async { from.recv().await.map(|got| (got, from)) };
        let pieces: ByteStream = Box::pin(stream::unfold(from_reader, next));
        let key = blob_of(tenant, id)?;
        let blobs = self.blobs(tenant).await?;
        let put = blobs.put_blob(&key, pieces);
        let read = async {
            let answer = read(bounds, bytes, &to_store).await;
            if answer.is_err() {
                // Nothing of it may become visible. Where nobody listens, the store failed.
                let _ = to_store.send(Err(StoreError::unavailable("refused"))).await;
            }
            drop(to_store);
            answer
        };
        match futures_util::join!(put, read) {
            (Ok(_), read) => read?.ok_or_else(|| Error::internal("bytes were not stored")),
            (Err(_), Err(refusal)) => Err(refusal),
            (Err(failure), Ok(_)) => Err(failure.into()),
        }
    }

    /// Checks the signature, as the tenant wants it.
    async fn verify(&self, ctx: &Ctx, parsed: &Parsed) -> Result<Option<Verification>> {
        let settings = self.settings(ctx).await?;
        let found = check_signature(&settings, parsed);
        check_policy(&settings, found.as_ref())?;
        Ok(found)
    }

    /// Makes an artifact known: its bytes are stored.
    pub(super) async fn record(&self, ctx: &Ctx, artifact: Artifact) -> Result<()> {
        self.record_as(ctx, artifact, &Role::Any).await
    }

    async fn record_as(&self, ctx: &Ctx, artifact: Artifact, role: &Role) -> Result<()> {
        logic::check(&artifact)?;
        let kinds: Vec<String> = artifact.kinds().map(str::to_owned).collect();
        self.remember_kinds(ctx, &kinds).await?;
        let attempt = || async {
            let release = self.store.release(&ctx.tenant, &artifact.content.name).await?;
            let (artifact, now) = (artifact.clone(), self.now());
            let commit = match role {
                Role::Any => logic::add(release, artifact, now)?,
                Role::Manifest(tags) => logic::add_manifest(release, artifact, tags.clone(), now)?,
            };
            self.commit(ctx, commit).await
        };
        match self.kernel.retry(attempt).await {
            Err(error) if error.kind == Kind::LimitReached => {
                Err(Error::new(Kind::LimitReached, "storage limit exceeded").because(error))
            }
            answer => answer,
        }
    }
}

/// Reads an artifact, and passes its bytes on; `None`: nobody took them.
async fn read(
    bounds: Bounds,
    bytes: impl Stream<Item = Result<Bytes>> + Send,
    to_store: &mpsc::Sender<StoreResult<Bytes>>,
) -> Result<Option<Parsed>> {
    let mut bytes = std::pin::pin!(bytes);
    let mut reading = Reading(Box::new(Parser::new(Limits::default())));
    let mut size = 0;
    while let Some(piece) = bytes.next().await {
        let piece = piece?;
        size += piece.len() as u64;
        if let Err(error) = bounds.check(size) {
            // Compat: within an artifact, one byte too many is a matter of reading it.
            let allowed = piece.len() - usize::try_from(bounds.beyond(size)).unwrap_or(piece.len());
            let complete = reading.push(piece.slice(..allowed)).await?.0.is_complete();
            let within = || Error::invalid("artifact", "read too many bytes");
            return Err(if complete { error } else { within() });
        }
        let (sent, read) =
            futures_util::join!(to_store.send(Ok(piece.clone())), reading.push(piece));
        reading = read?;
        if sent.is_err() {
            return Ok(None);
        }
    }
    let parsed = reading.finish()?;
    bounds.check_end(size)?;
    Ok(Some(parsed))
}

/// Refuses what the policy does not allow.
pub(super) fn check_policy(
    settings: &ArtifactSettings,
    found: Option<&Verification>,
) -> Result<()> {
    let refused = match (settings.policy, found) {
        (Policy::Any, _)
        | (_, Some(Verification::Trusted { .. }))
        | (Policy::NoneWrong, None | Some(Verification::Unsigned)) => return Ok(()),
        (_, None | Some(Verification::Unsigned)) => "the artifact is not signed",
        (_, Some(Verification::Untrusted)) => "the artifact is not signed by a trusted key",
    };
    Err(Error::forbidden(refused))
}

fn check_signature(settings: &ArtifactSettings, parsed: &Parsed) -> Option<Verification> {
    if settings.keys.is_empty() {
        return None;
    }
    let Some(signature) = &parsed.signature else {
        return Some(Verification::Unsigned);
    };
    let signed_by = settings.keys.iter().find(|key| {
        PublicKey::from_pem(&key.pem)
            .is_ok_and(|public| format::verify(&parsed.manifest, signature, &public).is_ok())
    });
    Some(match signed_by {
        Some(key) => Verification::Trusted { key: key.name.clone() },
        None => Verification::Untrusted,
    })
}
