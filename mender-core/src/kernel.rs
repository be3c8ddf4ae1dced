//! What every service is built on: commits, retries, and the parts that run in the background.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};

use crate::{
    commit::{Aggregate, Commit, Stamped, Topic},
    ctx::Ctx,
    env::Env,
    error::{Error, Kind, Result, StoreError, StoreResult},
    event::{Event, MAX_PAYLOAD},
    feed::{Feed, FeedEntry, Freshness, Invalidate},
    id::{EventId, NodeId},
    jobs::Jobs,
    outbox::{self, Journal, Outbox, Waiting},
    presence::Presence,
};

/// A commit that takes longer may be missed by others who look at the feed.
const LONG: Duration = Duration::from_secs(3);

/// For how long a use case decides anew when others change the same thing.
const PATIENCE: Duration = Duration::from_secs(2);

/// The common base of all services.
pub(crate) struct Kernel {
    pub(crate) env: Env,
    pub(crate) node: NodeId,
    pub(crate) jobs: Arc<dyn Jobs>,
    pub(crate) feed: Arc<dyn Feed>,
    pub(crate) outbox: Outbox,
    pub(crate) freshness: Freshness,
    pub(crate) presence: Presence,
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Kernel {
    pub(crate) fn new(
        env: Env,
        jobs: Arc<dyn Jobs>,
        feed: Arc<dyn Feed>,
        feeds: Vec<Arc<dyn Feed>>,
    ) -> Result<(Self, mpsc::Receiver<Waiting>)> {
        let node = env.uuid().parse().map_err(|e| Error::internal("node id").because(e))?;
        let (outbox, events) = Outbox::new();
        let freshness = Freshness::new(env.clone(), feeds);
        let presence = Presence::new(env.now());
        let kernel = Self { env, node, jobs, feed, outbox, freshness, presence };
        Ok((kernel, events))
    }

    /// Returns the clock and the source of randomness.
    #[must_use]
    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    /// Tells whether caches that hear of invalidations may be trusted now.
    #[must_use]
    pub(crate) fn is_fresh(&self) -> bool {
        self.freshness.is_fresh()
    }

    /// Has a cache told what is out of date.
    pub(crate) fn register(&self, cache: Arc<dyn Invalidate>) {
        self.freshness.register(cache);
    }

    /// Stores a decision and sees to its consequences.
    ///
    /// Caches of this node forget at once; events go to their subscribers right after. Where
    /// the store's answer is lost, caches forget all the same, and events, if they are there,
    /// are delivered when their lease ends.
    ///
    /// # Errors
    /// Those of the store, and [`StoreError::TooLarge`].
    pub(crate) async fn commit<A: Aggregate, F>(
        &self,
        ctx: &Ctx,
        journal: &Arc<dyn Journal>,
        commit: Commit<A>,
        write: impl FnOnce(Stamped<A>) -> F,
    ) -> StoreResult<()>
    where
        F: Future<Output = StoreResult<()>> + Send,
    {
        if commit.is_nothing() {
            return Ok(());
        }
        let stamped = self.stamp(ctx, commit)?;
        let events = stamped.events.clone();
        let topics = stamped.invalidates.clone();
        let lease_until = stamped.lease_until;
        let begun = self.env.now();
        let answer = write(stamped).await;
        if matches!(answer, Ok(()) | Err(StoreError::Unavailable(_))) {
            self.freshness.tell_all(&ctx.tenant, &topics);
            let slow = self.env.now().since(begun) > LONG || answer.is_err();
            if !topics.is_empty() {
                if slow {
                    self.announce(ctx, &topics).await;
                }
                self.freshness.changed.notify_one();
            }
        }
        answer?;
        self.outbox.enqueue(journal, events, lease_until);
        Ok(())
    }

    /// Tells the feed again, with the present time: others may have looked past the entries of
    /// a commit that took long, or whose end nobody knows.
    async fn announce(&self, ctx: &Ctx, topics: &[Topic]) {
        let at = self.env.now();
        let entry = |topic: &Topic| FeedEntry {
            id: self.env.uuid(),
            tenant: ctx.tenant.clone(),
            kind: topic.kind.to_owned(),
            key: topic.key.clone(),
            at,
        };
        let entries: Vec<FeedEntry> = topics.iter().map(entry).collect();
        if let Err(error) = self.feed.announce(&entries).await {
            tracing::warn!(%error, "a slow commit could not be told to other nodes again");
        }
    }

    fn stamp<A: Aggregate>(&self, ctx: &Ctx, commit: Commit<A>) -> StoreResult<Stamped<A>> {
        let Commit { change, charges, events, invalidates } = commit;
        let at = self.env.now();
        let mut stamped = Vec::with_capacity(events.len());
        if let Some(aggregate) = change.aggregate() {
            check_size(aggregate)?;
            let heard: Vec<_> =
                events.into_iter().filter(|e| self.outbox.is_heard(&e.kind)).collect();
            let ids: StoreResult<Vec<EventId>> = heard.iter().map(|_| self.event_id()).collect();
            // Ids sort as the events were stated, also within a millisecond.
            let mut ids = ids?;
            ids.sort();
            for (event, id) in heard.into_iter().zip(ids) {
                if event.payload.to_string().len() > MAX_PAYLOAD {
                    return Err(StoreError::TooLarge);
                }
                stamped.push(Event {
                    id,
                    tenant: ctx.tenant.clone(),
                    aggregate: A::KIND.to_owned(),
                    key: aggregate.id().to_owned(),
                    version: aggregate.version(),
                    kind: event.kind,
                    v: event.v,
                    at,
                    actor: ctx.actor.clone(),
                    trace: ctx.request.to_string(),
                    payload: event.payload,
                });
            }
        }
        let lease_until = at + outbox::LEASE;
        let id = self.env.uuid();
        Ok(Stamped { id, change, charges, events: stamped, lease_until, invalidates, at })
    }

    pub(crate) fn event_id(&self) -> StoreResult<EventId> {
        self.env.uuid().parse().map_err(|e| StoreError::corrupt("event id", e))
    }

    /// Runs a use case again while what it decided on is out of date.
    ///
    /// # Errors
    /// The use case's, and [`Kind::Unavailable`] after two seconds.
    pub(crate) async fn retry<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = 1;
        loop {
            match attempt().await {
                Err(error) if error.is_stale() => {
                    if Instant::now() >= deadline {
                        return Err(Error::new(Kind::Unavailable, "too many changes at once"));
                    }
                }
                answer => return answer,
            }
            tokio::time::sleep(Duration::from_millis(self.env.below(pause) + 1)).await;
            pause = (pause * 2).min(64);
        }
    }
}

fn check_size<A: Aggregate>(aggregate: &A) -> StoreResult<()> {
    let text = serde_json::to_vec(aggregate).map_err(|e| StoreError::corrupt(A::KIND, e))?;
    if text.len() > A::MAX_BYTES { Err(StoreError::TooLarge) } else { Ok(()) }
}
