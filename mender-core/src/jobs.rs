//! Work that is due at some time: deferred deliveries, schedules, walks and sweeps.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::FutureExt;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    env::{Env, Time},
    error::{Error, StoreResult},
    port,
};

/// How long a job is its worker's before another may take over.
const LEASE: Duration = Duration::from_secs(60);

/// How long a worker may take: less than its lease, so that it is settled before that ends.
const PATIENCE: Duration = Duration::from_secs(45);

/// How often a job is tried before it is a dead letter.
pub const MAX_ATTEMPTS: i64 = 20;

/// How many jobs one claim takes.
const CLAIM: usize = 32;

/// A job to put into the table.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// Who runs it.
    pub kind: String,
    /// Which one; with the kind the identity of the job.
    pub key: String,
    /// Jobs of one kind and lane run one after the other, by key. Empty: no lane.
    pub lane: String,
    /// When it may first run.
    pub due_at: Time,
    /// What the runner needs to know.
    pub payload: Value,
}

/// A job that was claimed. The attempt number is, with the due time, the right to settle it.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Who runs it.
    pub kind: String,
    /// Which one.
    pub key: String,
    /// How often it was claimed, this time included.
    pub attempt: i64,
    /// When it was due.
    pub due_at: Time,
    /// What the runner needs to know.
    pub payload: Value,
}

/// A job that failed for good.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadJob {
    /// Who runs it.
    pub kind: String,
    /// Which one.
    pub key: String,
    /// How often it was tried.
    pub attempt: i64,
    /// When it was given up.
    pub at: Time,
    /// Why.
    pub error: String,
    /// What the runner needs to know.
    pub payload: Value,
}

/// Which jobs to claim.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Jobs of these kinds.
    pub kinds: Vec<String>,
    /// The present time: jobs due at or before it, whose lease ended at or before it.
    pub now: Time,
    /// Until when they are the caller's.
    pub lease_until: Time,
    /// How many at most.
    pub limit: usize,
}

/// What becomes of a claimed job.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is done: forget it.
    Done,
    /// Run it again.
    Again {
        /// Not before this time.
        due_at: Time,
        /// With this payload.
        payload: Value,
        /// Why, where it failed. Empty: it was planned, and attempts count from 0 again.
        error: String,
    },
    /// It failed for good: keep it as a dead letter.
    Dead {
        /// When.
        at: Time,
        /// Why.
        error: String,
    },
}

port! {
    /// The table of jobs. Every time in it is the caller's.
    pub trait Jobs {
        /// Puts jobs in. One that is there already stays as it is.
        async fn put_jobs(&self, jobs: &[NewJob]) -> ();

        /// Takes over due jobs, the longest due first. No attempt goes to two callers. A job
        /// with a lane waits for those of its lane with a smaller key, dead ones excepted.
        async fn claim_jobs(&self, claim: &Claim) -> Vec<Job>;

        /// Settles claimed jobs. Where the attempt is not the last any more, by its number and
        /// its due time, nothing happens.
        async fn settle_jobs(&self, settled: &[(Job, Verdict)]) -> ();

        /// Returns dead jobs, oldest first.
        async fn dead_jobs(&self, limit: usize) -> Vec<DeadJob>;

        /// Makes dead jobs of the kind due at `now` again, all kinds where it is `None`, and
        /// returns how many. Attempts count from 0 again.
        async fn redrive_jobs(&self, kind: Option<&str>, now: Time) -> u64;

        /// Returns when the next job of the kinds is due or free of its lease; `None`: there is
        /// none.
        async fn next_due(&self, kinds: &[String]) -> Option<Time>;
    }
}

/// What came of running a job.
#[derive(Debug)]
pub enum Progress {
    /// It is done.
    Done,
    /// It goes on after this time, as planned.
    Again(Duration),
    /// It goes on after this time with another payload: the next part of a walk.
    Next(Duration, Value),
    /// It failed; it is tried again with growing pauses, [`MAX_ATTEMPTS`] times.
    Failed(Error),
    /// It will never work.
    Dead(Error),
}

/// Runs the jobs of a kind. A job may run twice; the second time must do no harm.
#[async_trait]
pub trait Worker: Send + Sync + 'static {
    /// The kind of jobs.
    fn kind(&self) -> &str;

    /// Runs a job, within the minute of its lease.
    async fn run(&self, job: &Job) -> Progress;
}

/// Decides when a job that came to this runs next.
fn verdict(env: &Env, job: &Job, progress: Progress) -> Verdict {
    let now = env.now();
    let again = |after: Duration, payload: Value, error: String| Verdict::Again {
        due_at: now + after,
        payload,
        error,
    };
    match progress {
        Progress::Done => Verdict::Done,
        Progress::Again(after) => again(after, job.payload.clone(), String::new()),
        Progress::Next(after, payload) => again(after, payload, String::new()),
        Progress::Failed(error) if job.attempt < MAX_ATTEMPTS => {
            let doubled = 1000_u64 << job.attempt.clamp(0, 12);
            let pause = doubled.min(3_600_000);
            let pause = pause / 2 + env.below(pause / 2 + 1);
            again(Duration::from_millis(pause), job.payload.clone(), describe(&error))
        }
        Progress::Failed(error) | Progress::Dead(error) => {
            Verdict::Dead { at: now, error: describe(&error) }
        }
    }
}

fn describe(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Claims due jobs and has them run.
pub(crate) struct Runner {
    pub(crate) env: Env,
    pub(crate) jobs: Arc<dyn Jobs>,
    pub(crate) workers: BTreeMap<String, Arc<dyn Worker>>,
}

impl Runner {
    /// Runs what is due, until nothing is or it shall stop; returns how many jobs there were.
    ///
    /// Each job is a task that settles itself: one that is slow does not make others run again,
    /// and none waits for a connection that another holds and is not polled.
    pub(crate) async fn run_due(&self, stop: &CancellationToken) -> StoreResult<usize> {
        let mut count = 0;
        let mut failed = None;
        let mut running = JoinSet::new();
        loop {
            let free = CLAIM - running.len();
            if free > 0 && failed.is_none() && !stop.is_cancelled() {
                let now = self.env.now();
                let kinds = self.workers.keys().cloned().collect();
                let claim = Claim { kinds, now, lease_until: now + LEASE, limit: free };
                match self.jobs.claim_jobs(&claim).await {
                    Ok(claimed) => {
                        count += claimed.len();
                        for job in claimed {
                            running.spawn(self.run(job));
                        }
                    }
                    Err(error) => failed = Some(error),
                }
            }
            match running.join_next().await {
                Some(Ok(settled)) => failed = failed.or(settled.err()),
                Some(Err(error)) => tracing::warn!(%error, "a job ended without an answer"),
                None => return failed.map_or(Ok(count), Err),
            }
        }
    }

    /// Runs a job and settles it.
    fn run(&self, job: Job) -> impl Future<Output = StoreResult<()>> + Send + 'static {
        let (env, jobs) = (self.env.clone(), self.jobs.clone());
        let worker = self.workers.get(&job.kind).cloned();
        async move {
            let progress = match worker {
                Some(worker) => work(worker.as_ref(), &job).await,
                None => Progress::Dead(Error::internal("nobody runs it")),
            };
            if let Progress::Failed(error) | Progress::Dead(error) = &progress {
                let (kind, key, attempt) = (&job.kind, &job.key, job.attempt);
                tracing::warn!(kind, key, attempt, %error, "a job failed");
            }
            let verdict = verdict(&env, &job, progress);
            jobs.settle_jobs(&[(job, verdict)]).await
        }
    }
}

/// Calls a worker. A panic and too long a time count as failures.
async fn work(worker: &dyn Worker, job: &Job) -> Progress {
    let call = AssertUnwindSafe(worker.run(job)).catch_unwind();
    let failed = |what: &'static str| Progress::Failed(Error::internal(what));
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(progress)) => progress,
        Ok(Err(_)) => failed("the worker panicked"),
        Err(_) => failed("the job took too long"),
    }
}
