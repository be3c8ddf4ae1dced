//! What touches every area: a device or a tenant that leaves is forgotten everywhere.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::json;

use crate::{
    auth::DeviceEvent,
    env::{Env, Time},
    error::{Error, Result},
    event::{Event, Fact, Kinds, Outcome, Subscriber},
    id::{DeviceId, TenantId},
    jobs::{Job, Jobs, NewJob, Progress, Worker},
};

/// The longest that a request may last: after it nothing writes for a device that has left, or for
/// a deployment as if it were open that has ended.
pub(crate) const LONGEST_REQUEST: Duration = Duration::from_secs(120);

pub(crate) const FORGET_DEVICE: &str = "lifecycle.forget_device";

pub(crate) const FORGET_TENANT: &str = "lifecycle.forget_tenant";

/// Forgets devices and tenants; every area that keeps something for them has one. Each call may
/// be repeated.
#[async_trait]
pub trait Forget: Send + Sync + 'static {
    /// Removes everything that the area keeps for a device.
    async fn forget_device(&self, tenant: &TenantId, device: &DeviceId) -> Result<()>;

    /// Removes everything that the area keeps for a tenant.
    async fn forget_tenant(&self, tenant: &TenantId) -> Result<()>;
}

/// Conducts the areas, in the order given: `auth` and `tenants` come last, so that what is not
/// yet forgotten can still be found.
pub(crate) struct Lifecycle {
    pub(crate) env: Env,
    pub(crate) jobs: Arc<dyn Jobs>,
    pub(crate) areas: Vec<Arc<dyn Forget>>,
}

impl Lifecycle {
    async fn forget(&self, tenant: &TenantId, device: &DeviceId) -> Result<()> {
        for area in &self.areas {
            area.forget_device(tenant, device).await?;
        }
        Ok(())
    }

    async fn leave(&self, event: &Event) -> Result<()> {
        let Ok(DeviceEvent::Leaving { device, .. } | DeviceEvent::Removed { device }) =
            DeviceEvent::of(event)
        else {
            return Err(Error::internal("not a leaving device"));
        };
        self.forget(&event.tenant, &device).await?;
        // Once more, for what a request wrote that was under way.
        let again = NewJob {
            kind: FORGET_DEVICE.into(),
            key: format!("{}/{device}", event.tenant),
            lane: String::new(),
            due_at: self.env.now() + LONGEST_REQUEST,
            payload: json!({ "tenant": event.tenant, "device": device }),
        };
        Ok(self.jobs.put_jobs(&[again]).await?)
    }
}

#[async_trait]
impl Subscriber for Lifecycle {
    fn name(&self) -> &'static str {
        "lifecycle"
    }

    fn kinds(&self) -> Kinds {
        // A device that never came is removed at once, without leaving first.
        Kinds::Only(&[DeviceEvent::LEAVING, DeviceEvent::REMOVED])
    }

    async fn handle(&self, events: &[Event]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(events.len());
        for event in events {
            outcomes.push(self.leave(event).await.into());
        }
        outcomes
    }
}

#[async_trait]
impl Worker for Lifecycle {
    fn kind(&self) -> &str {
        FORGET_DEVICE
    }

    async fn run(&self, job: &Job) -> Progress {
        let id = |name: &str| job.payload[name].as_str().unwrap_or_default();
        let (Ok(tenant), Ok(device)) = (id("tenant").parse(), id("device").parse()) else {
            return Progress::Dead(Error::internal("no device named"));
        };
        match self.forget(&tenant, &device).await {
            Ok(()) => Progress::Done,
            Err(error) => Progress::Failed(error),
        }
    }
}

/// Has every area forget a tenant; a job, for it may take long.
pub(crate) struct ForgetTenant(pub(crate) Arc<Lifecycle>);

impl ForgetTenant {
    /// The job that forgets a tenant.
    pub(crate) fn job(tenant: &TenantId, now: Time) -> NewJob {
        NewJob {
            kind: FORGET_TENANT.into(),
            key: tenant.to_string(),
            lane: String::new(),
            due_at: now,
            payload: json!({ "tenant": tenant }),
        }
    }
}

#[async_trait]
impl Worker for ForgetTenant {
    fn kind(&self) -> &str {
        FORGET_TENANT
    }

    async fn run(&self, job: &Job) -> Progress {
        let Ok(tenant) = job.payload["tenant"].as_str().unwrap_or_default().parse() else {
            return Progress::Dead(Error::internal("no tenant named"));
        };
        for area in &self.0.areas {
            if let Err(error) = area.forget_tenant(&tenant).await {
                return Progress::Failed(error);
            }
        }
        // Once more, for what a request wrote that was under way.
        match job.payload["again"].as_bool() {
            Some(true) => Progress::Done,
            _ => Progress::Next(LONGEST_REQUEST, json!({ "tenant": tenant, "again": true })),
        }
    }
}
