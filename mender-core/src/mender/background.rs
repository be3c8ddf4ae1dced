use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{auth, error::Result, feed, mender::Mender};

/// How often contacts are written.
const CONTACTS: Duration = Duration::from_secs(10);

/// How often the background looks for work that other nodes left.
const LOOK: Duration = Duration::from_millis(500);

/// How often what is out of date is swept.
const SWEEP: Duration = Duration::from_secs(60);

/// How much one sweep removes.
const SWEEP_LIMIT: usize = 1000;

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
        every(feed::PERIOD, |m| Box::pin(async move { Ok(m.0.kernel.freshness.look().await?) }));
        every(Duration::from_secs(1), |m| Box::pin(async move { m.beat(true).await }));
        every(CONTACTS, |m| Box::pin(async move { m.auth().record_contacts().await.map(|_| ()) }));
        every(LOOK, |m| Box::pin(async move { m.adopt().await.map(|_| ()) }));
        every(LOOK, |m| Box::pin(async move { m.run_jobs().await.map(|_| ()) }));
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
        let (mender, stopped) = (self.clone(), stop.clone());
        tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = stopped.cancelled() => break,
                    () = mender.0.courier.new_job.notified() => {
                        log_failure(mender.run_jobs().await);
                    }
                }
            }
        });
        tasks.close();
        tasks.wait().await;
        while self.0.courier.deliver_waiting().await > 0 {}
        log_failure(self.auth().record_contacts().await);
        log_failure(self.0.kernel.feed.leave(&self.0.kernel.node).await);
    }

    async fn beat(&self, runs: bool) -> Result<()> {
        let kernel = &self.0.kernel;
        let node = feed::Node { id: kernel.node.clone(), at: kernel.env.now(), runs };
        Ok(kernel.feed.beat(&node).await?)
    }

    /// Takes over the events of nodes that died; returns how many.
    async fn adopt(&self) -> Result<usize> {
        let mut count = 0;
        for journal in &self.0.journals {
            count += self.0.courier.deliver_orphans(journal).await?;
        }
        Ok(count)
    }

    async fn run_jobs(&self) -> Result<usize> {
        Ok(self.0.runner.run_due().await?)
    }

    async fn sweep(&self) -> Result<()> {
        let (kernel, now) = (&self.0.kernel, self.env().now());
        kernel.feed.sweep_feed(now - feed::KEPT, SWEEP_LIMIT).await?;
        Ok(kernel.quotas.sweep_quotas(now - feed::KEPT, SWEEP_LIMIT).await?)
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
            done += self.run_jobs().await?;
            if done == 0 {
                return Ok(());
            }
        }
    }
}

type Work = std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send>>;

fn log_failure<T, E: std::error::Error>(answer: Result<T, E>) {
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
