use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{auth, env::Time, error::Result, feed, mender::Mender, outbox};

/// How often contacts are written.
const CONTACTS: Duration = Duration::from_secs(10);

/// How often the background looks for work that other nodes left.
const LOOK: Duration = Duration::from_millis(500);

/// How often what is out of date is swept.
const SWEEP: Duration = Duration::from_secs(60);

/// How much one sweep removes.
const SWEEP_LIMIT: usize = 10_000;

impl Mender {
    /// Puts the jobs that come back for ever, for instance every day; [`Mender::run`] does so by
    /// itself. Again is harmless.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn schedule(&self) -> Result<()> {
        let jobs = [auth::CountUsage::job(self.env().now())];
        Ok(self.0.kernel.jobs.put_jobs(&jobs).await?)
    }

    /// Delivers events, runs jobs and keeps caches true, until told to stop. Then it finishes
    /// what it has begun.
    pub async fn run(&self, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let every = |period: Duration, work: fn(Self) -> Work| {
            tasks.spawn(repeat(self.clone(), stop.clone(), period, work));
        };
        self.follow_feed(&tasks, &stop);
        every(Duration::from_secs(1), |m| Box::pin(async move { m.beat(true).await }));
        every(CONTACTS, |m| Box::pin(async move { m.auth().record_contacts().await.map(|_| ()) }));
        every(LOOK, |m| Box::pin(async move { m.adopt().await.map(|_| ()) }));
        let (mender, stopped) = (self.clone(), stop.clone());
        tasks.spawn(async move {
            loop {
                log_failure(mender.0.runner.run_due(&stopped).await);
                tokio::select! {
                    () = stopped.cancelled() => break,
                    () = mender.0.courier.new_job.notified() => {}
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        });
        every(SWEEP, |m| {
            Box::pin(async move {
                m.schedule().await?;
                m.sweep().await
            })
        });
        let (mender, stopped) = (self.clone(), stop.clone());
        tasks.spawn(async move {
            loop {
                let batch = tokio::select! {
                    biased;
                    () = stopped.cancelled() => break,
                    batch = mender.0.courier.next() => batch,
                };
                mender.0.courier.deliver_batch(batch).await;
            }
        });
        tasks.close();
        tasks.wait().await;
        log_failure(self.auth().record_contacts().await);
        while self.0.courier.deliver_waiting().await > 0 {}
        log_failure(self.0.kernel.feed.leave(&self.0.kernel.node).await);
    }

    async fn beat(&self, runs: bool) -> Result<()> {
        let kernel = &self.0.kernel;
        let node = feed::Node { id: kernel.node.clone(), at: kernel.env.now(), runs };
        kernel.feed.beat(&node).await?;
        kernel.presence.note(node.at);
        Ok(())
    }

    /// Takes over the events of nodes that died, and those that this one could not deliver in
    /// time; returns how many. Where there are many, all of them: a fleet that works at once leaves
    /// more of them than fit into the queue.
    async fn adopt(&self) -> Result<usize> {
        let mut count = 0;
        for journal in &self.0.journals {
            loop {
                let found = self.0.courier.deliver_orphans(journal).await?;
                count += found;
                if found < outbox::BATCH {
                    break;
                }
            }
        }
        Ok(count)
    }

    async fn sweep(&self) -> Result<()> {
        let now = self.env().now();
        for base in &self.0.bases {
            base.sweep_feed(now - feed::KEPT, SWEEP_LIMIT).await?;
            base.sweep_quotas(now - feed::KEPT, SWEEP_LIMIT).await?;
        }
        Ok(())
    }

    /// Returns when the next job is due; `None`: there is none. On virtual time, that is when it
    /// is worth looking again.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn next_due(&self) -> Result<Option<Time>> {
        let kinds: Vec<String> = self.0.runner.workers.keys().cloned().collect();
        Ok(self.0.kernel.jobs.next_due(&kinds).await?)
    }

    /// Does everything that is due now, until nothing is left: for tests and command-line tools,
    /// which do not [`Mender::run`].
    ///
    /// # Errors
    /// Those of the store.
    pub async fn drain(&self) -> Result<()> {
        loop {
            self.0.kernel.freshness.look().await?;
            let mut done = self.auth().record_contacts().await?;
            done += self.0.courier.deliver_waiting().await;
            done += self.adopt().await?;
            done += self.0.runner.run_due(&CancellationToken::new()).await?;
            if done == 0 {
                return Ok(());
            }
        }
    }
}

type Work = std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>>;

pub(super) fn log_failure<T, E: std::error::Error>(answer: Result<T, E>) {
    if let Err(error) = answer {
        let source = error.source().map(ToString::to_string);
        tracing::warn!(%error, source, "background work failed and is tried again");
    }
}

async fn repeat(
    mender: Mender,
    stop: CancellationToken,
    period: Duration,
    work: fn(Mender) -> Work,
) {
    loop {
        log_failure(work(mender.clone()).await);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(period) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestDevice, TestEnv};

    /// As where a fleet made more events than the queue takes: their leases have ended.
    #[tokio::test(start_paused = true)]
    async fn a_backlog_of_events_is_delivered_at_once() {
        let time = TestEnv::seeded(1);
        let mender = Mender::in_memory().env(time.env()).build().unwrap();
        for n in 0..3 * outbox::BATCH {
            let device = TestDevice::new(&format!(r#"{{"mac":"{n}"}}"#), 1);
            mender.auth().request("", &device.request()).await.unwrap_err();
        }
        assert!(mender.undelivered().await.unwrap() >= 3 * outbox::BATCH as u64);
        time.advance(outbox::LEASE + Duration::from_secs(1));
        let stop = CancellationToken::new();
        let begun = tokio::time::Instant::now();
        let wait = async {
            while mender.undelivered().await.unwrap() > 0 {
                tokio::time::sleep(LOOK / 100).await;
            }
            let took = begun.elapsed();
            stop.cancel();
            took
        };
        let (took, ()) = tokio::join!(wait, mender.run(stop.clone()));
        assert!(took < LOOK, "{took:?}");
    }
}
