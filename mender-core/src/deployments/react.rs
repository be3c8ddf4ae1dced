//! What others hear, and are told.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    artifacts::Usage,
    ctx::Ctx,
    deployments::{events::DeploymentEvent, service::Service, store::Store},
    env::Time,
    error::{Error, Result},
    event::{Event, Fact as _, Kinds, Outcome, Subscriber},
    id::TenantId,
};

/// Tells artifacts which releases deployments use.
pub(crate) struct UsageOf(pub(crate) Arc<dyn Store>);

#[async_trait]
impl Usage for UsageOf {
    async fn open(&self, tenant: &TenantId, names: &[String]) -> Result<Vec<String>> {
        let mut ids = self.0.open_deployments(tenant, names).await?;
        ids.sort();
        Ok(ids.iter().map(ToString::to_string).collect())
    }

    async fn last_end(&self, tenant: &TenantId, name: &str) -> Result<Option<Time>> {
        Ok(self.0.last_end(tenant, name).await?)
    }
}

/// Completes what a request that was cut off left: the end of a deployment whose last device
/// ended, and what begins when a device does.
pub(crate) struct Settle(pub(crate) Arc<Service>);

impl Settle {
    async fn settle(&self, event: &Event) -> Result<()> {
        let ctx = Ctx::system(event.tenant.clone());
        let fact = DeploymentEvent::of(event).map_err(|e| Error::internal("event").because(e))?;
        match fact {
            DeploymentEvent::DeviceEnded { id, .. } => {
                self.0.judge_now(&ctx, &id).await?;
                self.0.settle(&ctx, &id).await
            }
            DeploymentEvent::DeviceJoined { id, device }
            | DeploymentEvent::DeviceAgain { id, device } => {
                self.0.complete_entry(&ctx, &id, &device).await.map(|_| ())
            }
            DeploymentEvent::Created { .. }
            | DeploymentEvent::Finished { .. }
            | DeploymentEvent::Paused { .. }
            | DeploymentEvent::Resumed { .. }
            | DeploymentEvent::PhaseApproved { .. } => Ok(()),
        }
    }
}

#[async_trait]
impl Subscriber for Settle {
    fn name(&self) -> &'static str {
        "deployments"
    }

    fn kinds(&self) -> Kinds {
        Kinds::Only(&[
            "deployment.device_ended",
            "deployment.device_joined",
            "deployment.device_again",
        ])
    }

    async fn handle(&self, events: &[Event]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(events.len());
        for event in events {
            outcomes.push(match self.settle(event).await {
                Ok(()) => Outcome::Done,
                Err(error) => Outcome::Retry(error),
            });
        }
        outcomes
    }
}
