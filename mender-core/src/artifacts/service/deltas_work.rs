//! Makes deltas: one worker at a time for each job, which another replaces where it is silent.

use std::{
    fs::File,
    io::{self, Read as _},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use tokio::sync::{Mutex, mpsc};

use crate::{
    artifacts::{
        delta::{Delta, Image, Stop, Unpacker},
        logic::deltas::{self, LEASE, Made, image_of, is_delta},
        model::{Artifact, ArtifactId, DeltaJob, DeltaStatus},
        service::{
            DeltaConfig, NewArtifact, Service, blob_of,
            generate::{unwritable, written},
            lease,
            upload::check_policy,
        },
    },
    blob::ByteStream,
    commit::Commit,
    ctx::Ctx,
    error::{Error, Kind, Result, StoreError},
    id::TenantId,
    jobs::{Job, MAX_ATTEMPTS, NewJob, Progress, Worker},
};

/// The kind of jobs that look after deltas.
pub(super) const WATCH: &str = "artifacts.delta";

/// The kind of jobs that work on deltas at once.
const READY: &str = "artifacts.delta_ready";

/// How long a job waits for work that it began; the work goes on without it.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a job waits until others may have ended.
const PAUSE: Duration = Duration::from_secs(30);

/// How many bytes of a file are read at a time.
const PIECE: usize = 256 << 10;

/// How many pieces wait to be unpacked.
const WAITING: usize = 4;

/// A job that is this worker's.
struct Claimed<'a> {
    service: &'a Service,
    ctx: &'a Ctx,
    job: Mutex<DeltaJob>,
}

impl Claimed<'_> {
    async fn change(&self, decide: impl FnOnce(DeltaJob) -> Commit<DeltaJob>) -> Result<()> {
        let mut job = self.job.lock().await;
        let commit = decide(job.clone());
        let next = commit.aggregate().cloned();
        self.service.commit_delta(self.ctx, commit).await?;
        *job = next.unwrap_or_else(|| job.clone());
        Ok(())
    }

    /// Shows that the work goes on, and what was done.
    ///
    /// # Errors
    /// `Unavailable` where the job is somebody else's by now, or gone; and those of the store.
    async fn proceed(&self, done: Option<&str>) -> Result<()> {
        self.change(|job| deltas::proceed(job, done, self.service.now())).await
    }

    /// Does the work, and shows every now and then that it goes on.
    async fn work<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        lease::keep(LEASE, || self.proceed(None), Box::pin(work)).await
    }
}

impl Service {
    pub(super) async fn put_delta_job(&self, ctx: &Ctx, pair: &str, kind: &str) -> Result<()> {
        let job = NewJob {
            kind: kind.to_owned(),
            key: format!("{}/{pair}", ctx.tenant),
            lane: String::new(),
            due_at: self.now(),
            payload: json!({ "tenant": ctx.tenant, "pair": pair }),
        };
        Ok(self.kernel.jobs.put_jobs(&[job]).await?)
    }

    /// Works on a job that was claimed, until it has ended or another worker may go on.
    async fn make(&self, ctx: &Ctx, job: DeltaJob) -> Result<()> {
        let left = job.deadline().since(self.now());
        let claimed = Claimed { service: self, ctx, job: Mutex::new(job.clone()) };
        let work = claimed.work(Box::pin(self.make_delta_of(ctx, &claimed, &job)));
        let made = match tokio::time::timeout(left, work).await {
            Ok(made) => made,
            Err(_) => Err(timed_out()),
        };
        let now = self.now();
        match made {
            // It is somebody else's, or gone.
            Err(error) if error.is_stale() => return Err(error),
            // Trying again may help.
            Err(error) if !error.is_of_input() => {
                let why = format!("interrupted: {}", error.what);
                claimed.change(|job| deltas::hand_over(job, &why, now)).await?;
                return Err(error);
            }
            // It would have left with the artifact.
            Err(error) if error.kind == Kind::NotFound => {
                claimed.change(|job| Commit::delete(job).quiet("an artifact left")).await?;
            }
            Err(error) => {
                tracing::info!(pair = job.pair, tenant = %ctx.tenant, %error, "a delta failed");
                claimed.change(|job| deltas::finish(job, Err(&error.what), now)).await?;
            }
            Ok(made) => claimed.change(|job| deltas::finish(job, Ok(Some(made)), now)).await?,
        }
        self.wake_next(ctx).await
    }

    /// Has a job work now that has waited for others.
    async fn wake_next(&self, ctx: &Ctx) -> Result<()> {
        let open = self.open_deltas(ctx).await?;
        let waiting = open.iter().filter(|job| job.status == DeltaStatus::Queued);
        match waiting.min_by_key(|job| (job.started, job.id.clone())) {
            Some(next) => self.put_delta_job(ctx, &next.pair, READY).await,
            None => Ok(()),
        }
    }

    async fn part(&self, ctx: &Ctx, id: &ArtifactId) -> Result<Artifact> {
        self.artifact(ctx, id).await.map_err(|error| match error.is_of_input() {
            true => Error::not_found("an artifact is gone"),
            false => error,
        })
    }

    async fn make_delta_of(
        &self,
        ctx: &Ctx,
        claimed: &Claimed<'_>,
        job: &DeltaJob,
    ) -> Result<Made> {
        let source = self.part(ctx, &job.source).await?;
        let target = self.part(ctx, &job.target).await?;
        let release = self.store.release(&ctx.tenant, &job.to).await?;
        let made = release.iter().flat_map(|release| &release.artifacts);
        let mut made = made.filter(|made| is_delta(made, &source.content, &target.content));
        if let Some(made) = made.next() {
            let target_size = image_of(&target.content).map_or(0, |image| image.size);
            return Ok(Made { delta: made.id.clone(), delta_size: made.size, target_size });
        }
        // Nobody signs what is made here: it would be refused in the end.
        check_policy(&self.settings(ctx).await?, None)?;
        let from = self.image(&ctx.tenant, &source).await?;
        let to = self.image(&ctx.tenant, &target).await?;
        claimed.proceed(Some("images extracted")).await?;
        let stop = StopOnDrop(Stop::default());
        let (sizes, folder, stopped) = (job.sizes, self.config.delta.work.clone(), stop.0.clone());
        let made = move || Delta::between(from, to, &sizes, folder.as_deref(), &stopped);
        let Delta { plan, file, target_size } = off_thread(made).await?;
        let delta_size = plan.size();
        claimed.proceed(Some(&format!("delta of {delta_size} bytes made"))).await?;
        let writer = plan.write().map_err(unwritable)?;
        let bytes = written(writer, Vec::new(), bytes_of(file));
        let new = NewArtifact { size: Some(delta_size), ..NewArtifact::default() };
        let delta = Box::pin(self.upload(ctx, new, bytes)).await?;
        Ok(Made { delta, delta_size, target_size })
    }

    /// Unpacks the image of an artifact.
    async fn image(&self, tenant: &TenantId, artifact: &Artifact) -> Result<Image> {
        let blobs = self.blobs(tenant).await?;
        let bytes = blobs.blob(&blob_of(tenant, &artifact.id)?, None).await?;
        let mut bytes =
            bytes.ok_or_else(|| Error::invalid("artifact", "an artifact has no bytes"))?;
        let (to_thread, mut from_store) = mpsc::channel::<Bytes>(WAITING);
        let DeltaConfig { work, max_image, .. } = self.config.delta.clone();
        let unpacked = off_thread(move || {
            let mut unpacker = Unpacker::new(work.as_deref(), max_image)?;
            while let Some(piece) = from_store.blocking_recv() {
                unpacker.push(&piece)?;
            }
            unpacker.finish()
        });
        let fed = async {
            while let Some(piece) = bytes.next().await {
                // Where nobody listens, it tells why.
                if to_thread.send(piece?).await.is_err() {
                    break;
                }
            }
            drop(to_thread);
            Ok::<_, StoreError>(())
        };
        let (unpacked, fed) = futures_util::join!(unpacked, fed);
        fed?;
        unpacked
    }
}

/// Ends the work of a thread once nobody waits for it.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Does what takes time where nobody waits for the thread.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| Error::internal("making a delta panicked").because(e))?
}

/// The bytes that are left of a file.
fn bytes_of(file: File) -> ByteStream {
    Box::pin(stream::try_unfold(file, |file| async move {
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = Vec::with_capacity(PIECE);
            (&file).take(PIECE as u64).read_to_end(&mut piece)?;
            Ok::<_, io::Error>((piece, file))
        });
        let read = read.await.map_err(StoreError::unavailable)?;
        let (piece, file) = read.map_err(StoreError::unavailable)?;
        Ok((!piece.is_empty()).then(|| (Bytes::from(piece), file)))
    }))
}

fn timed_out() -> Error {
    Error::invalid("timeout", "generation timed out")
}

/// Runs the jobs that make deltas, of one kind.
pub(crate) struct Deltas {
    service: Arc<Service>,
    kind: &'static str,
}

impl Deltas {
    /// Those for all kinds.
    pub(crate) fn all(service: &Arc<Service>) -> [Arc<dyn Worker>; 2] {
        [WATCH, READY].map(|kind| Arc::new(Self { service: service.clone(), kind }) as _)
    }

    /// Waits, where nobody else does.
    fn wait(&self, time: Duration) -> Progress {
        if self.kind == READY { Progress::Done } else { Progress::Again(time) }
    }

    async fn fail(&self, ctx: &Ctx, delta: DeltaJob, why: &str) -> Result<Progress> {
        let now = self.service.now();
        self.service.commit_delta(ctx, deltas::finish(delta, Err(why), now)).await?;
        self.service.wake_next(ctx).await?;
        Ok(Progress::Done)
    }

    async fn look(&self, job: &Job, tenant: TenantId, pair: &str) -> Result<Progress> {
        let (service, ctx) = (&self.service, Ctx::system(tenant));
        let delta = service.store.delta_job(&ctx.tenant, pair).await?;
        let Some(delta) = delta.filter(|delta| delta.status.is_open()) else {
            return Ok(Progress::Done);
        };
        let now = service.now();
        let works = delta.status == DeltaStatus::Pending;
        if works && now >= delta.deadline() {
            return self.fail(&ctx, delta, &timed_out().what).await;
        }
        if works && now < delta.until {
            return Ok(self.wait(delta.until.since(now)));
        }
        if job.attempt >= MAX_ATTEMPTS {
            return self.fail(&ctx, delta, "it failed too often").await;
        }
        let open = service.open_deltas(&ctx).await?;
        let settings = service.settings(&ctx).await?.delta.unwrap_or_default();
        if !works && !deltas::may_start(&delta, &open, &settings) {
            return Ok(self.wait(PAUSE));
        }
        let Ok(permit) = service.delta_slots.clone().try_acquire_owned() else {
            return Ok(self.wait(PAUSE));
        };
        let commit = deltas::start(delta, now);
        let claimed = commit.aggregate().cloned();
        service.commit_delta(&ctx, commit).await?;
        let claimed = claimed.ok_or_else(|| Error::internal("nothing was claimed"))?;
        let service = service.clone();
        // A server that stops meanwhile leaves the rest to whoever finds the lease ended.
        let tasks = service.tasks.clone();
        let work = tasks.spawn(async move {
            let done = Box::pin(service.make(&ctx, claimed)).await;
            drop(permit);
            done
        });
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(Ok(()))) => Ok(Progress::Done),
            Ok(Ok(Err(error))) => Ok(Progress::Failed(error)),
            Ok(Err(panic)) => Err(Error::internal("the work panicked").because(panic)),
            Err(_) => Ok(self.wait(LEASE)),
        }
    }
}

#[async_trait]
impl Worker for Deltas {
    fn kind(&self) -> &str {
        self.kind
    }

    async fn run(&self, job: &Job) -> Progress {
        let text = |name: &str| job.payload[name].as_str();
        let tenant = text("tenant").and_then(|tenant| tenant.parse().ok());
        let (Some(tenant), Some(pair)) = (tenant, text("pair")) else {
            return Progress::Dead(Error::internal("no delta named"));
        };
        self.look(job, tenant, pair).await.unwrap_or_else(Progress::Failed)
    }
}
