//! What happens by itself: every day the accepted devices of every tenant are counted.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::{
    auth::service::Service,
    env::Time,
    error::Result,
    id::TenantId,
    jobs::{Job, NewJob, Progress, Worker},
    tenants::Directory,
};

const COUNT_USAGE: &str = "auth.license";

/// How many tenants one run of the job counts.
const CHUNK: usize = 100;

/// After how long a count that failed is tried again.
const PAUSE: Duration = Duration::from_secs(300);

/// Counts the accepted devices of every tenant, after each midnight UTC.
///
/// A walk: the payload names the tenant that was counted last. Counting a day twice does no harm.
pub(crate) struct CountUsage {
    pub(crate) service: Arc<Service>,
    pub(crate) directory: Arc<dyn Directory>,
}

impl CountUsage {
    /// The job that goes on for ever; to be put once, again is harmless.
    pub(crate) fn job(now: Time) -> NewJob {
        NewJob {
            kind: COUNT_USAGE.into(),
            key: "daily".into(),
            lane: String::new(),
            due_at: now,
            payload: Value::Null,
        }
    }

    /// Counts some tenants, and returns the last of them; `None`: there are no more.
    async fn count(&self, after: Option<&TenantId>) -> Result<Option<TenantId>> {
        if after.is_none() {
            self.service.count_usage(&TenantId::default()).await?;
        }
        let tenants = self.directory.tenants(after, CHUNK).await?;
        for tenant in &tenants {
            self.service.count_usage(tenant).await?;
        }
        Ok(tenants.into_iter().next_back())
    }
}

#[async_trait]
impl Worker for CountUsage {
    fn kind(&self) -> &str {
        COUNT_USAGE
    }

    async fn run(&self, job: &Job) -> Progress {
        let after = job.payload["after"].as_str().unwrap_or_default().parse();
        let after = after.ok().filter(|tenant: &TenantId| !tenant.is_default());
        match self.count(after.as_ref()).await {
            Ok(Some(last)) => Progress::Next(Duration::ZERO, json!({ "after": last })),
            Ok(None) => {
                let now = self.service.now();
                let midnight = Time::from_seconds((now.day() + 1) * 86_400);
                Progress::Next(midnight.since(now), Value::Null)
            }
            // Not a failure to the table of jobs: after many it would give the job up.
            Err(error) => {
                tracing::warn!(%error, "devices were not counted; tried again later");
                Progress::Again(PAUSE)
            }
        }
    }
}
