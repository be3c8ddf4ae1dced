//! Work that is due at some time: deferred deliveries, schedules, walks and sweeps.

use serde_json::Value;

use crate::{env::Time, port};

/// A job to put into the table.
#[derive(Clone, Debug, PartialEq)]
pub struct NewJob {
    /// Who runs it.
    pub kind: String,
    /// Which one; with the kind the identity of the job.
    pub key: String,
    /// Jobs of one lane run one after the other, by key. Empty: no lane.
    pub lane: String,
    /// When it may first run.
    pub due_at: Time,
    /// What the runner needs to know.
    pub payload: Value,
}

/// A job that was claimed. The attempt number is the right to settle it.
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
        /// Why, where it failed.
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

        /// Settles claimed jobs. Where the attempt is not the last any more, nothing happens.
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
