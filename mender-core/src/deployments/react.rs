//! What others hear, and are told.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;

use crate::{
    artifacts::Usage,
    ctx::Ctx,
    deployments::{events::DeploymentEvent, model::DeploymentId, service::Service, store::Store},
    env::Time,
    error::{Error, Result},
    event::{Event, Fact as _, Kinds, Outcome, Subscriber},
    id::{DeviceId, TenantId},
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
/// ended, what begins when a device or a deployment does, and what is counted when one has ended.
pub(crate) struct Settle(pub(crate) Arc<Service>);

/// What is to be done after an event; of several events often the same.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
enum Due {
    /// To settle a deployment.
    Settle(TenantId, DeploymentId),
    /// To complete the entry of a device.
    Entry(TenantId, DeploymentId, DeviceId),
    /// To look after the devices of a deployment.
    Watch(TenantId, DeploymentId),
    /// To count a deployment.
    Count(TenantId, DeploymentId),
}

impl Due {
    fn after(event: &Event) -> Result<Option<Self>> {
        let tenant = event.tenant.clone();
        let fact = DeploymentEvent::of(event).map_err(|e| Error::internal("event").because(e))?;
        Ok(match fact {
            DeploymentEvent::DeviceEnded { id, .. } => Some(Self::Settle(tenant, id)),
            DeploymentEvent::DeviceJoined { id, device }
            | DeploymentEvent::DeviceAgain { id, device } => Some(Self::Entry(tenant, id, device)),
            DeploymentEvent::Finished { id, .. } => Some(Self::Count(tenant, id)),
            DeploymentEvent::Created { id, .. } => Some(Self::Watch(tenant, id)),
            DeploymentEvent::Paused { .. }
            | DeploymentEvent::Resumed { .. }
            | DeploymentEvent::PhaseApproved { .. }
            | DeploymentEvent::SettingsChanged {} => None,
        })
    }
}

impl Settle {
    async fn see_to(&self, due: &Due) -> Result<()> {
        match due {
            Due::Settle(tenant, id) => self.0.settle(&Ctx::system(tenant.clone()), id).await,
            Due::Entry(tenant, id, device) => {
                let ctx = Ctx::system(tenant.clone());
                self.0.complete_entry(&ctx, id, device).await.map(|_| ())
            }
            Due::Watch(tenant, id) => {
                self.0.complete_creation(&Ctx::system(tenant.clone()), id).await
            }
            Due::Count(tenant, id) => self.0.begin_count(&Ctx::system(tenant.clone()), id).await,
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
            "deployment.created",
            "deployment.device_ended",
            "deployment.device_joined",
            "deployment.device_again",
            "deployment.finished",
        ])
    }

    async fn handle(&self, events: &[Event]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(events.len());
        let mut seen_to = BTreeSet::new();
        for event in events {
            let outcome = match Due::after(event) {
                Ok(Some(due)) if !seen_to.contains(&due) => {
                    let outcome = self.see_to(&due).await;
                    if outcome.is_ok() {
                        seen_to.insert(due);
                    }
                    outcome
                }
                due => due.map(|_| ()),
            };
            outcomes.push(outcome.map_or_else(Outcome::Retry, |()| Outcome::Done));
        }
        outcomes
    }
}
