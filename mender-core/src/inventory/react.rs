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
    lifecycle::Forget as _,
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
/// older than what is stored is passed over. A device that left is not recorded again; one that
/// was removed without leaving, as nobody but the inventory knew it, is forgotten here.
pub(crate) struct FollowDevices {
    pub(crate) inventory: Arc<Service>,
    pub(crate) source: Arc<dyn FactsOf>,
}

/// What events say about a device, beyond that something changed.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    /// When it was in contact.
    seen: Option<Time>,
    /// Whether it was removed.
    removed: bool,
}

/// The device that an event is about, and the news.
fn subject(event: &Event) -> Result<(DeviceId, News)> {
    let fact = DeviceEvent::of(event).map_err(|e| Error::internal("event").because(e))?;
    Ok(match fact {
        DeviceEvent::Seen { device, at } => (device, News { seen: Some(at), removed: false }),
        DeviceEvent::Removed { device } => (device, News { seen: None, removed: true }),
        DeviceEvent::Recorded { device, .. }
        | DeviceEvent::StatusChanged { device, .. }
        | DeviceEvent::Provisioned { device, .. }
        | DeviceEvent::TierChanged { device, .. }
        | DeviceEvent::Flagged { device, .. }
        | DeviceEvent::Rejected { device, .. }
        | DeviceEvent::Leaving { device, .. } => (device, News::default()),
    })
}

impl FollowDevices {
    async fn follow(&self, tenant: &TenantId, device: &DeviceId, news: News) -> Result<()> {
        match self.source.facts_of(tenant, device).await? {
            Some(facts) => {
                let ctx = Ctx::system(tenant.clone());
                self.inventory.learn(&ctx, device, &facts, news.seen).await
            }
            None if news.removed => self.inventory.forget_device(tenant, device).await,
            None => Ok(()),
        }
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
            "device.removed",
        ])
    }

    async fn handle(&self, events: &[Event]) -> Vec<Outcome> {
        // Several events about one device need one look.
        let mut subjects: BTreeMap<(TenantId, DeviceId), News> = BTreeMap::new();
        let about: Vec<Result<(DeviceId, News)>> = events.iter().map(subject).collect();
        for (event, about) in events.iter().zip(&about) {
            if let Ok((device, news)) = about {
                let known = subjects.entry((event.tenant.clone(), device.clone())).or_default();
                known.seen = known.seen.max(news.seen);
                known.removed |= news.removed;
            }
        }
        let mut failed = BTreeMap::new();
        for ((tenant, device), news) in subjects {
            if let Err(error) = self.follow(&tenant, &device, news).await {
                failed.insert((tenant, device), error.to_string());
            }
        }
        let outcome = |(event, about): (&Event, Result<(DeviceId, News)>)| match about {
            Err(error) => Outcome::Dead(error),
            Ok((device, _)) => match failed.get(&(event.tenant.clone(), device)) {
                Some(error) => Outcome::Retry(Error::internal(error.clone())),
                None => Outcome::Done,
            },
        };
        events.iter().zip(about).map(outcome).collect()
    }
}
