//! Where events wait until every subscriber has heard them.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{FutureExt, future::join_all};
use tokio::sync::{Mutex, Notify, mpsc};

use crate::{
    env::{Env, Time},
    error::{Error, StoreResult},
    event::{Delivery, Event, Kinds, Outcome, Subscriber},
    id::{TenantId, Version},
    jobs::{Job, Jobs, NewJob, Progress, Worker},
    port,
};

/// How long a node has for the delivery of its own events before others may take over.
pub const LEASE: Duration = Duration::from_secs(30);

/// How long one call of a subscriber may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The events that wait in memory; those beyond wait for the end of their lease.
const QUEUE: usize = 16 * 1024;

/// How many events one call of a subscriber gets at most.
pub const BATCH: usize = 256;

/// What the kinds of delivery jobs begin with; the name of the subscriber follows.
pub(crate) const DELIVER: &str = "deliver/";

port! {
    /// The events that commits wrote and that are not yet delivered. It belongs to the store
    /// whose aggregates it serves: a commit writes aggregate and events together.
    pub trait Journal {
        /// Takes over at most `limit` events whose lease ended at or before `now`, oldest first,
        /// and leases them until `lease_until`. No event goes to two callers.
        async fn claim_events(&self, now: Time, lease_until: Time, limit: usize) -> Vec<Event>;

        /// Forgets events that every subscriber has heard. Unknown ones are no error.
        async fn settle_events(&self, events: &[Event]) -> ();

        /// Tells whether an undelivered event of the aggregate has a smaller version.
        async fn has_earlier(
            &self,
            tenant: &TenantId,
            aggregate: &str,
            key: &str,
            version: Version,
        ) -> bool;

        /// Counts the events that are not settled.
        async fn unsettled_events(&self) -> u64;
    }
}

/// An event on its way, with the journal that holds it and the end of its lease.
pub(crate) type Waiting = (Arc<dyn Journal>, Event, Time);

/// Where commits leave their events. It knows what is heard, not by whom: subscribers hold
/// services, and services hold the kernel with this.
pub(crate) struct Outbox {
    heard: OnceLock<Vec<Kinds>>,
    sender: mpsc::Sender<Waiting>,
}

impl Outbox {
    /// An outbox, and the end that a courier takes from.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Waiting>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let heard = OnceLock::new();
        (Self { heard, sender }, receiver)
    }

    pub(crate) fn set_heard(&self, kinds: Vec<Kinds>) {
        let first = self.heard.set(kinds).is_ok();
        debug_assert!(first, "subscribers are set once");
    }

    /// Tells whether anybody listens to the kind: others are not even written.
    pub(crate) fn is_heard(&self, kind: &str) -> bool {
        let heard = self.heard.get().map_or(&[][..], Vec::as_slice);
        heard.iter().any(|kinds| kinds.has(kind))
    }

    /// Takes committed events for delivery. What does not fit waits for the end of its lease.
    pub(crate) fn enqueue(
        &self,
        journal: &Arc<dyn Journal>,
        events: Vec<Event>,
        lease_until: Time,
    ) {
        for event in events {
            if self.sender.try_send((journal.clone(), event, lease_until)).is_err() {
                tracing::debug!("the outbox is full, events wait for the end of their lease");
                break;
            }
        }
    }
}

/// Takes events from the outbox to the subscribers.
pub(crate) struct Courier {
    env: Env,
    jobs: Arc<dyn Jobs>,
    subscribers: Vec<Arc<dyn Subscriber>>,
    receiver: Mutex<mpsc::Receiver<Waiting>>,
    /// Told when a delivery became a job.
    pub(crate) new_job: Notify,
}

impl Courier {
    pub(crate) fn new(
        env: Env,
        jobs: Arc<dyn Jobs>,
        subscribers: Vec<Arc<dyn Subscriber>>,
        receiver: mpsc::Receiver<Waiting>,
    ) -> Self {
        let receiver = Mutex::new(receiver);
        Self { env, jobs, subscribers, receiver, new_job: Notify::new() }
    }

    /// Waits for events. Dropping the future loses none.
    pub(crate) async fn next(&self) -> Vec<Waiting> {
        let mut batch = Vec::new();
        self.receiver.lock().await.recv_many(&mut batch, BATCH).await;
        batch
    }

    /// Delivers what waits already; returns how many there were.
    pub(crate) async fn deliver_waiting(&self) -> usize {
        let mut batch = Vec::new();
        let mut receiver = self.receiver.lock().await;
        while batch.len() < BATCH
            && let Ok(entry) = receiver.try_recv()
        {
            batch.push(entry);
        }
        drop(receiver);
        self.deliver_batch(batch).await
    }

    pub(crate) async fn deliver_batch(&self, mut batch: Vec<Waiting>) -> usize {
        let count = batch.len();
        let now = self.env.now();
        // What waited here for longer than its lease is somebody else's by now.
        batch.retain(|(_, _, lease_until)| *lease_until > now);
        while let Some((journal, ..)) = batch.first() {
            let journal = journal.clone();
            let same = |other: &Arc<dyn Journal>| {
                std::ptr::addr_eq(Arc::as_ptr(&journal), Arc::as_ptr(other))
            };
            let (mine, rest): (Vec<_>, Vec<_>) =
                batch.into_iter().partition(|(other, ..)| same(other));
            batch = rest;
            let events: Vec<Event> = mine.into_iter().map(|(_, event, _)| event).collect();
            if let Err(error) = self.deliver(journal.as_ref(), &events).await {
                tracing::warn!(%error, "delivery is repeated after the lease of its events");
            }
        }
        count
    }

    /// Takes over events whose node died, and delivers them; returns how many.
    pub(crate) async fn deliver_orphans(&self, journal: &Arc<dyn Journal>) -> StoreResult<usize> {
        let now = self.env.now();
        let events = journal.claim_events(now, now + LEASE, BATCH).await?;
        self.deliver(journal.as_ref(), &events).await?;
        Ok(events.len())
    }

    /// Lets every subscriber hear the events, leaves jobs for what must wait, then forgets them.
    async fn deliver(&self, journal: &dyn Journal, events: &[Event]) -> StoreResult<()> {
        if events.is_empty() {
            return Ok(());
        }
        // All at once: one that is slow delays the others by its patience, not by its place.
        let heard = self.subscribers.iter().map(|s| self.tell(s.as_ref(), events));
        let later: Vec<NewJob> = join_all(heard).await.into_iter().flatten().collect();
        if !later.is_empty() {
            self.jobs.put_jobs(&later).await?;
            self.new_job.notify_one();
        }
        journal.settle_events(events).await
    }

    /// Lets a subscriber hear events; returns the jobs for what must wait.
    async fn tell(&self, subscriber: &dyn Subscriber, events: &[Event]) -> Vec<NewJob> {
        let wanted: Vec<Event> = events
            .iter()
            .filter(|e| subscriber.kinds().has(&e.kind) && subscriber.wants(&e.tenant))
            .cloned()
            .collect();
        if wanted.is_empty() {
            return Vec::new();
        }
        if subscriber.delivery() != Delivery::Prompt {
            return wanted.iter().map(|event| self.job(subscriber, event, 0)).collect();
        }
        let outcomes = handle(subscriber, &wanted).await;
        let mut later = Vec::new();
        for (event, outcome) in wanted.iter().zip(outcomes) {
            if let Outcome::Retry(error) | Outcome::Dead(error) = outcome {
                tracing::warn!(
                    subscriber = subscriber.name(), event = %event.id, %error,
                    "a subscriber failed, its delivery becomes a job"
                );
                later.push(self.job(subscriber, event, 1000));
            }
        }
        later
    }

    fn job(&self, subscriber: &dyn Subscriber, event: &Event, after: u64) -> NewJob {
        let ordered = subscriber.delivery() == Delivery::Ordered;
        let lane = if ordered {
            format!("{}/{}/{}", event.tenant, event.aggregate, event.key)
        } else {
            String::new()
        };
        NewJob {
            kind: format!("{DELIVER}{}", subscriber.name()),
            key: if ordered {
                format!("{lane}/{:020}/{}", event.version.0, event.id)
            } else {
                event.id.to_string()
            },
            lane,
            due_at: self.env.now() + Duration::from_millis(after),
            payload: serde_json::json!({ "event": event }),
        }
    }
}

/// Runs the deliveries to one subscriber that became jobs.
pub(crate) struct Deliveries {
    pub(crate) kind: String,
    pub(crate) subscriber: Arc<dyn Subscriber>,
    pub(crate) journals: Vec<Arc<dyn Journal>>,
}

#[async_trait]
impl Worker for Deliveries {
    fn kind(&self) -> &str {
        &self.kind
    }

    async fn run(&self, job: &Job) -> Progress {
        let subscriber = self.subscriber.as_ref();
        let event: Event = match serde_json::from_value(job.payload["event"].clone()) {
            Ok(event) => event,
            Err(error) => return Progress::Dead(Error::internal("not an event").because(error)),
        };
        if subscriber.delivery() == Delivery::Ordered && job.payload["alone"] != true {
            for journal in &self.journals {
                let (aggregate, key) = (&event.aggregate, &event.key);
                match journal.has_earlier(&event.tenant, aggregate, key, event.version).await {
                    Ok(false) => {}
                    Ok(true) => return Progress::Again(Duration::from_secs(1)),
                    Err(error) => return Progress::Failed(error.into()),
                }
            }
            // An earlier event may have become a job meanwhile: the next claim knows its lane.
            let payload = serde_json::json!({ "event": event, "alone": true });
            return Progress::Next(Duration::ZERO, payload);
        }
        match handle(subscriber, std::slice::from_ref(&event)).await.pop() {
            Some(Outcome::Done) => Progress::Done,
            Some(Outcome::Retry(error)) => Progress::Failed(error),
            Some(Outcome::Dead(error)) => Progress::Dead(error),
            None => Progress::Dead(Error::internal("the subscriber gave no outcome")),
        }
    }
}

/// Calls a subscriber. A panic, a missing outcome and too long a time count as failures.
async fn handle(subscriber: &dyn Subscriber, events: &[Event]) -> Vec<Outcome> {
    let call = AssertUnwindSafe(subscriber.handle(events)).catch_unwind();
    let failed = |what: &'static str| {
        events.iter().map(|_| Outcome::Retry(Error::internal(what))).collect::<Vec<_>>()
    };
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(Ok(outcomes)) if outcomes.len() == events.len() => outcomes,
        Ok(Ok(_)) => failed("the subscriber gave another number of outcomes than events"),
        Ok(Err(_)) => failed("the subscriber panicked"),
        Err(_) => failed("the subscriber took too long"),
    }
}
