//! What device authentication tells, and what it is told.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;

use crate::{
    auth::DeviceEvent,
    ctx::Ctx,
    env::Time,
    error::{Error, Result},
    event::{Event, Fact, Kinds, Outcome, Subscriber},
    id::{DeviceId, TenantId},
    inventory::{model::Facts, service::Service},
};

/// What inventory asks device authentication.
#[async_trait]
pub(crate) trait FactsOf: Send + Sync + 'static {
    /// Returns what is known of a device; `None`: it is not known, or is leaving.
    async fn facts_of(&self, tenant: &TenantId, device: &DeviceId) -> Result<Option<Facts>>;
}

/// Copies what device authentication knows of a device whenever it changes.
///
/// Events may come late, twice and in any order: each makes it look at the source, and what is
/// older than what is stored is passed over. A device that left is not recorded again; a record that
/// was removed, and made anew by a report, is completed by what comes next.
pub(crate) struct FollowDevices {
    pub(crate) inventory: Arc<Service>,
    pub(crate) source: Arc<dyn FactsOf>,
}

/// The device that an event is about, and when it was in contact.
fn subject(event: &Event) -> Result<(DeviceId, Option<Time>)> {
    let fact = DeviceEvent::of(event).map_err(|e| Error::internal("event").because(e))?;
    Ok(match fact {
        DeviceEvent::Seen { device, at } => (device, Some(at)),
        DeviceEvent::Recorded { device, .. }
        | DeviceEvent::StatusChanged { device, .. }
        | DeviceEvent::Provisioned { device, .. }
        | DeviceEvent::TierChanged { device, .. }
        | DeviceEvent::Flagged { device, .. }
        | DeviceEvent::Rejected { device, .. }
        | DeviceEvent::Leaving { device, .. }
        | DeviceEvent::Removed { device } => (device, None),
    })
}

impl FollowDevices {
    async fn follow(&self, tenant: &TenantId, device: &DeviceId, seen: Option<Time>) -> Result<()> {
        let Some(facts) = self.source.facts_of(tenant, device).await? else {
            return Ok(());
        };
        self.inventory.learn(&Ctx::system(tenant.clone()), device, &facts, seen).await
    }
}

#[async_trait]
impl Subscriber for FollowDevices {
    fn name(&self) -> &'static str {
        "inventory"
    }

    fn kinds(&self) -> Kinds {
        Kinds::Only(&[
            "device.recorded",
            "device.status_changed",
            "device.tier_changed",
            "device.flagged",
            "device.seen",
        ])
    }

    async fn handle(&self, events: &[Event]) -> Vec<Outcome> {
        // Several events about one device need one look.
        let mut subjects: BTreeMap<(TenantId, DeviceId), Option<Time>> = BTreeMap::new();
        let about: Vec<Result<(DeviceId, Option<Time>)>> = events.iter().map(subject).collect();
        for (event, about) in events.iter().zip(&about) {
            if let Ok((device, seen)) = about {
                let at = subjects.entry((event.tenant.clone(), device.clone())).or_default();
                *at = (*at).max(*seen);
            }
        }
        let mut failed = BTreeMap::new();
        for ((tenant, device), seen) in subjects {
            if let Err(error) = self.follow(&tenant, &device, seen).await {
                failed.insert((tenant, device), error.to_string());
            }
        }
        let outcome = |(event, about): (&Event, Result<(DeviceId, Option<Time>)>)| match about {
            Err(error) => Outcome::Dead(error),
            Ok((device, _)) => match failed.get(&(event.tenant.clone(), device)) {
                Some(error) => Outcome::Retry(Error::internal(error.clone())),
                None => Outcome::Done,
            },
        };
        events.iter().zip(about).map(outcome).collect()
    }
}
