//! What happens by itself: every day the accepted devices of every tenant are counted, and the
//! static groups of devices are copied.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::{
    auth::{model::Tier, service::Service},
    ctx::Ctx,
    deployments::Tiers,
    env::Time,
    error::{Error, Kind, Result},
    event::{Event, Fact as _, Kinds, Outcome, Subscriber},
    id::{DeviceId, TenantId},
    inventory::{Facts, FactsOf, GroupOf, InventoryEvent},
    jobs::{Job, NewJob, Progress, Worker},
    tenants::Directory,
};

const COUNT_USAGE: &str = "auth.license";

/// How many tenants one run of the job counts.
const CHUNK: usize = 100;

/// After how long a count that failed is tried again.
const PAUSE: Duration = Duration::from_secs(300);

#[async_trait]
impl Tiers for Service {
    fn has_tiers(&self) -> bool {
        self.config().tiers
    }

    async fn tier(&self, tenant: &TenantId, device: &DeviceId) -> Result<Tier> {
        if !self.config().tiers {
            return Ok(Tier::Standard);
        }
        let device = self.stored(tenant, device).await?;
        Ok(device.map_or(Tier::Standard, |device| device.tier))
    }
}

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

/// Copies the static group of a device, which the scopes of users depend on.
pub(crate) struct FollowGroups {
    pub(crate) auth: Arc<Service>,
    pub(crate) source: Arc<dyn GroupOf>,
}

impl FollowGroups {
    /// Looks at the source: events may come late, twice and in any order.
    async fn follow(&self, event: &Event) -> Result<()> {
        let fact = InventoryEvent::of(event).map_err(|e| Error::internal("event").because(e))?;
        let (InventoryEvent::Regrouped { device, .. } | InventoryEvent::Removed { device }) = fact
        else {
            return Ok(());
        };
        let ctx = Ctx::system(event.tenant.clone());
        let mut group = self.source.group_of(&event.tenant, &device).await?;
        loop {
            match self.auth.set_group(&ctx, &device, group.as_deref()).await {
                // Inventory may know devices that nobody authenticated.
                Err(error) if error.kind == Kind::NotFound => return Ok(()),
                answer => answer?,
            }
            // Another may have written what it read earlier: who writes last looks again.
            let now = self.source.group_of(&event.tenant, &device).await?;
            if now == group {
                return Ok(());
            }
            group = now;
        }
    }
}

#[async_trait]
impl Subscriber for FollowGroups {
    fn name(&self) -> &'static str {
        "auth.groups"
    }

    fn kinds(&self) -> Kinds {
        Kinds::Only(&[InventoryEvent::REGROUPED, InventoryEvent::REMOVED])
    }

    async fn handle(&self, events: &[Event]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(events.len());
        for event in events {
            outcomes.push(self.follow(event).await.into());
        }
        outcomes
    }
}

#[async_trait]
impl FactsOf for Service {
    async fn facts_of(&self, tenant: &TenantId, device: &DeviceId) -> Result<Option<Facts>> {
        let device = self.stored(tenant, device).await?.filter(|device| !device.leaving);
        Ok(device.map(|device| Facts {
            revision: device.version.0,
            status: device.status,
            identity: device.identity.attributes(),
            tier: device.tier,
            test: device.test,
        }))
    }
}
