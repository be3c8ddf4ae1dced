//! Journal, jobs and feed over documents.

use std::collections::HashMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    env::Time,
    error::{StoreError, StoreResult},
    event::Event,
    feed::{Feed, FeedEntry, Node},
    id::{NodeId, TenantId, Version},
    jobs::{Claim, DeadJob, Job, Jobs, NewJob, Verdict},
    kit::{
        Body, Doc, DocId, DocStore, Expect, Kit, Plan, Put, Write, field, read, sortable,
        sortable_time,
    },
    outbox::Journal,
};

const JOB: &str = "kit.job";
const FEED: &str = "kit.feed";
const NODE: &str = "kit.node";

/// The order of jobs by the time when they may run, and of entries by their time.
const TIME: &str = "time";

/// The order of the jobs within their lane.
const KEY: &str = "key";

fn global(kind: &'static str, id: impl Into<String>) -> DocId {
    DocId { kind, tenant: TenantId::default(), id: id.into() }
}

/// A write of a document that serves nobody but the kit, and tells nobody.
fn own_write(expect: Expect, put: Put, at: Time) -> Write {
    Write { expect, put, events: Vec::new(), lease_until: at, at }
}

fn own_doc<T: Serialize>(id: DocId, version: Version, stored: &T) -> StoreResult<Doc> {
    let body = serde_json::to_string(&Body { a: stored, c: Vec::new() })
        .map_err(|e| StoreError::corrupt(id.kind, e))?;
    let unique = id.id.clone();
    Ok(Doc { id, version, unique, body, index: Vec::new(), orders: Vec::new(), sorts: Vec::new() })
}

#[async_trait]
impl<D: DocStore> Journal for Kit<D> {
    async fn claim_events(
        &self,
        now: Time,
        lease_until: Time,
        limit: usize,
    ) -> StoreResult<Vec<Event>> {
        self.docs.claim(now, lease_until, limit).await
    }

    async fn settle_events(&self, events: &[Event]) -> StoreResult<()> {
        self.docs.settle(events).await
    }

    async fn has_earlier(
        &self,
        tenant: &TenantId,
        aggregate: &str,
        key: &str,
        version: Version,
    ) -> StoreResult<bool> {
        let pending = self.docs.pending(aggregate, tenant, key).await?;
        Ok(pending.iter().any(|event| event.version < version))
    }

    async fn unsettled_events(&self) -> StoreResult<u64> {
        self.docs.unsettled().await
    }
}

#[derive(Serialize, Deserialize)]
struct StoredJob {
    kind: String,
    key: String,
    lane: String,
    due_at: Time,
    lease_until: Time,
    attempt: i64,
    payload: Value,
    error: String,
    dead_at: Option<Time>,
}

fn job_id(kind: &str, key: &str) -> DocId {
    global(JOB, format!("{kind}/{key}"))
}

impl StoredJob {
    fn doc(&self, version: Version) -> StoreResult<Doc> {
        let mut doc = own_doc(job_id(&self.kind, &self.key), version, self)?;
        match self.dead_at {
            Some(at) => {
                doc.index.push(field("dead", ""));
                doc.index.push(field("dead_kind", &self.kind));
                doc.orders.push((TIME, sortable_time(at)));
            }
            None => {
                let free = self.due_at.max(self.lease_until);
                doc.index.push(field("kind", &self.kind));
                doc.orders.push((TIME, sortable_time(free)));
                if !self.lane.is_empty() {
                    doc.index.push(field("lane", &format!("{}/{}", self.kind, self.lane)));
                    doc.orders.push((KEY, sortable(&self.key)));
                }
            }
        }
        Ok(doc)
    }
}

impl<D: DocStore> Kit<D> {
    pub(super) async fn append(&self, entry: &FeedEntry) -> StoreResult<()> {
        let stored = StoredEntry {
            tenant: entry.tenant.clone(),
            kind: entry.kind.clone(),
            key: entry.key.clone(),
            at: entry.at,
        };
        let mut doc = own_doc(global(FEED, &entry.id), Version::FIRST, &stored)?;
        doc.orders.push((TIME, sortable_time(entry.at)));
        let write = own_write(Expect::Absent, Put::Doc(doc), entry.at);
        match self.docs.write(&write).await {
            // Announced before, by the same commit.
            Err(StoreError::Conflict) => Ok(()),
            answer => answer,
        }
    }

    /// Tells whether another job of the lane comes first. `firsts` remembers those of lanes that
    /// were looked at: many jobs of one lane may be due.
    async fn waits(
        &self,
        job: &StoredJob,
        firsts: &mut HashMap<String, Option<DocId>>,
    ) -> StoreResult<bool> {
        if job.lane.is_empty() {
            return Ok(false);
        }
        let lane = field("lane", &format!("{}/{}", job.kind, job.lane));
        if !firsts.contains_key(&lane) {
            let plan = Plan::new(JOB, &TenantId::default()).any([lane.clone()]).limit(1);
            let found = self.docs.scan(&Plan { order: Some(KEY), ..plan }).await?.pop();
            firsts.insert(lane.clone(), found.map(|doc| doc.id));
        }
        Ok(firsts[&lane].as_ref() != Some(&job_id(&job.kind, &job.key)))
    }
}

#[async_trait]
impl<D: DocStore> Jobs for Kit<D> {
    async fn put_jobs(&self, jobs: &[NewJob]) -> StoreResult<()> {
        for job in jobs {
            let stored = StoredJob {
                kind: job.kind.clone(),
                key: job.key.clone(),
                lane: job.lane.clone(),
                due_at: job.due_at,
                lease_until: Time(0),
                attempt: 0,
                payload: job.payload.clone(),
                error: String::new(),
                dead_at: None,
            };
            let put = Put::Doc(stored.doc(Version::FIRST)?);
            match self.docs.write(&own_write(Expect::Absent, put, job.due_at)).await {
                // It is there already.
                Err(StoreError::Conflict) => {}
                answer => answer?,
            }
        }
        Ok(())
    }

    async fn claim_jobs(&self, claim: &Claim) -> StoreResult<Vec<Job>> {
        let kinds = claim.kinds.iter().map(|kind| field("kind", kind));
        let mut plan = Plan::new(JOB, &TenantId::default()).any(kinds);
        plan.order = Some(TIME);
        plan.until = Some(sortable_time(claim.now));
        let mut claimed = Vec::new();
        let mut firsts = HashMap::new();
        // Jobs that wait for others of their lane must not hide those behind them.
        plan.limit = claim.limit * 2 + 16;
        loop {
            let found = self.docs.scan(&plan).await?;
            let mut waiting = 0;
            for doc in &found {
                if claimed.len() == claim.limit {
                    return Ok(claimed);
                }
                let mut stored: StoredJob = read(doc)?;
                if self.waits(&stored, &mut firsts).await? {
                    waiting += 1;
                    continue;
                }
                stored.attempt += 1;
                stored.lease_until = claim.lease_until;
                let put = Put::Doc(stored.doc(doc.version.next())?);
                let write = own_write(Expect::At(doc.version), put, claim.now);
                match self.docs.write(&write).await {
                    // Another node was faster.
                    Err(StoreError::Conflict) => continue,
                    answer => answer?,
                }
                claimed.push(Job {
                    kind: stored.kind,
                    key: stored.key,
                    attempt: stored.attempt,
                    due_at: stored.due_at,
                    payload: stored.payload,
                });
            }
            if found.len() < plan.limit {
                return Ok(claimed);
            }
            // What was claimed is not in the plan any more. Many jobs may be due at one time, so
            // that the time of the last one can't say where to go on.
            plan.skip += waiting;
        }
    }

    async fn settle_jobs(&self, settled: &[(Job, Verdict)]) -> StoreResult<()> {
        for (job, verdict) in settled {
            let Some(doc) = self.docs.get(&job_id(&job.kind, &job.key)).await? else {
                continue;
            };
            let mut stored: StoredJob = read(&doc)?;
            // Attempts count anew after what was planned; the due time tells them apart.
            let outdated = stored.attempt != job.attempt || stored.due_at != job.due_at;
            if outdated || stored.dead_at.is_some() {
                continue;
            }
            let put = match verdict {
                Verdict::Done => Put::Nothing { id: doc.id.clone(), note: None },
                Verdict::Again { due_at, payload, error } => {
                    stored.due_at = *due_at;
                    stored.lease_until = Time(0);
                    stored.payload = payload.clone();
                    if error.is_empty() {
                        stored.attempt = 0;
                    }
                    stored.error = error.clone();
                    Put::Doc(stored.doc(doc.version.next())?)
                }
                Verdict::Dead { at, error } => {
                    stored.dead_at = Some(*at);
                    stored.error = error.clone();
                    Put::Doc(stored.doc(doc.version.next())?)
                }
            };
            match self.docs.write(&own_write(Expect::At(doc.version), put, stored.due_at)).await {
                Err(StoreError::Conflict) => {}
                answer => answer?,
            }
        }
        Ok(())
    }

    async fn dead_jobs(&self, limit: usize) -> StoreResult<Vec<DeadJob>> {
        let mut plan = Plan::new(JOB, &TenantId::default()).any([field("dead", "")]).limit(limit);
        plan.order = Some(TIME);
        let dead = |doc: &Doc| {
            let StoredJob { kind, key, attempt, payload, error, dead_at, .. } = read(doc)?;
            let at = dead_at.unwrap_or_default();
            Ok(DeadJob { kind, key, attempt, at, error, payload })
        };
        self.docs.scan(&plan).await?.iter().map(dead).collect()
    }

    async fn redrive_jobs(&self, kind: Option<&str>, now: Time) -> StoreResult<u64> {
        let wanted = kind.map_or_else(|| field("dead", ""), |kind| field("dead_kind", kind));
        let plan = Plan::new(JOB, &TenantId::default()).any([wanted]);
        let mut count = 0;
        for doc in self.docs.scan(&plan).await? {
            let mut stored: StoredJob = read(&doc)?;
            stored.dead_at = None;
            stored.attempt = 0;
            stored.due_at = now;
            stored.lease_until = Time(0);
            let put = Put::Doc(stored.doc(doc.version.next())?);
            match self.docs.write(&own_write(Expect::At(doc.version), put, now)).await {
                Err(StoreError::Conflict) => {}
                answer => {
                    answer?;
                    count += 1;
                }
            }
        }
        Ok(count)
    }

    async fn next_due(&self, kinds: &[String]) -> StoreResult<Option<Time>> {
        let kinds = kinds.iter().map(|kind| field("kind", kind));
        let mut plan = Plan::new(JOB, &TenantId::default()).any(kinds).limit(1);
        plan.order = Some(TIME);
        let first = self.docs.scan(&plan).await?;
        let job: Option<StoredJob> = first.first().map(read).transpose()?;
        Ok(job.map(|job| job.due_at.max(job.lease_until)))
    }
}

#[derive(Serialize, Deserialize)]
struct StoredEntry {
    tenant: TenantId,
    kind: String,
    key: String,
    at: Time,
}

#[async_trait]
impl<D: DocStore> Feed for Kit<D> {
    async fn announce(&self, entries: &[FeedEntry]) -> StoreResult<()> {
        for entry in entries {
            self.append(entry).await?;
        }
        Ok(())
    }

    async fn feed_since(&self, since: Time) -> StoreResult<Vec<FeedEntry>> {
        let mut plan = Plan::new(FEED, &TenantId::default());
        plan.order = Some(TIME);
        plan.after = Some(sortable_time(Time(since.0 - 1)));
        let entry = |doc: &Doc| {
            let StoredEntry { tenant, kind, key, at } = read(doc)?;
            Ok(FeedEntry { id: doc.id.id.clone(), tenant, kind, key, at })
        };
        self.docs.scan(&plan).await?.iter().map(entry).collect()
    }

    async fn sweep_feed(&self, before: Time, limit: usize) -> StoreResult<()> {
        for kind in [FEED, NODE] {
            let mut plan = Plan::new(kind, &TenantId::default()).limit(limit);
            plan.order = Some(TIME);
            plan.until = Some(sortable_time(Time(before.0 - 1)));
            for doc in self.docs.scan(&plan).await? {
                let put = Put::Nothing { id: doc.id, note: None };
                match self.docs.write(&own_write(Expect::At(doc.version), put, before)).await {
                    Err(StoreError::Conflict) => {}
                    answer => answer?,
                }
            }
        }
        Ok(())
    }

    async fn beat(&self, node: &Node) -> StoreResult<()> {
        let id = global(NODE, node.id.as_str());
        let was = self.docs.get(&id).await?.map(|doc| doc.version);
        let stored = StoredNode { at: node.at, runs: node.runs };
        let mut doc = own_doc(id, was.map_or(Version::FIRST, Version::next), &stored)?;
        doc.orders.push((TIME, sortable_time(node.at)));
        let expect = was.map_or(Expect::Absent, Expect::At);
        match self.docs.write(&own_write(expect, Put::Doc(doc), node.at)).await {
            // Two beats at once: either will do.
            Err(StoreError::Conflict) => Ok(()),
            answer => answer,
        }
    }

    async fn nodes(&self, since: Time) -> StoreResult<Vec<Node>> {
        let mut plan = Plan::new(NODE, &TenantId::default());
        plan.order = Some(TIME);
        plan.after = Some(sortable_time(Time(since.0 - 1)));
        let mut nodes = Vec::new();
        for doc in self.docs.scan(&plan).await? {
            let StoredNode { at, runs } = read(&doc)?;
            let id = doc.id.id.parse().map_err(|e| StoreError::corrupt(NODE, e))?;
            nodes.push(Node { id, at, runs });
        }
        Ok(nodes)
    }

    async fn leave(&self, node: &NodeId) -> StoreResult<()> {
        let id = global(NODE, node.as_str());
        if let Some(doc) = self.docs.get(&id).await? {
            let put = Put::Nothing { id, note: None };
            match self.docs.write(&own_write(Expect::At(doc.version), put, Time(0))).await {
                Err(StoreError::Conflict) => {}
                answer => answer?,
            }
        }
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct StoredNode {
    at: Time,
    runs: bool,
}
