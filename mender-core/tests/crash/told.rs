use std::collections::{BTreeMap, BTreeSet};

use mender_core::{
    Event, Version,
    auth::{Device, DeviceEvent, Status, Tier},
    event::Fact,
};

/// What other areas know of all devices.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Told {
    status: BTreeMap<String, Status>,
    tier: BTreeMap<String, Tier>,
    test: BTreeSet<String>,
    leaving: BTreeSet<String>,
    provisioned: BTreeSet<String>,
}

impl Told {
    pub(crate) fn of(events: &BTreeMap<String, Event>) -> Self {
        let mut told = Self::default();
        let mut gone = BTreeSet::new();
        let mut events: Vec<&Event> = events.values().collect();
        events.sort_by_key(|event| event.version);
        let mut latest: BTreeMap<String, Version> = BTreeMap::new();
        for event in events {
            match DeviceEvent::of(event).unwrap() {
                DeviceEvent::Recorded { device, tier, .. }
                | DeviceEvent::TierChanged { device, tier } => {
                    told.tier.insert(device.to_string(), tier);
                }
                DeviceEvent::StatusChanged { device, status, revision, .. } => {
                    let before = latest.insert(device.to_string(), revision);
                    assert!(before < Some(revision), "one status change for a version");
                    told.status.insert(device.to_string(), status);
                }
                DeviceEvent::Provisioned { device, .. } => {
                    let first = told.provisioned.insert(device.to_string());
                    assert!(first, "provisioned once");
                }
                DeviceEvent::Flagged { device, test: true } => {
                    told.test.insert(device.to_string());
                }
                DeviceEvent::Flagged { device, .. } => {
                    told.test.remove(device.as_str());
                }
                DeviceEvent::Leaving { device, .. } => {
                    told.leaving.insert(device.to_string());
                }
                DeviceEvent::Removed { device } => {
                    gone.insert(device.to_string());
                }
                DeviceEvent::Rejected { .. } | DeviceEvent::Seen { .. } => {}
            }
        }
        told.status.retain(|id, _| !gone.contains(id));
        told.tier.retain(|id, _| !gone.contains(id));
        for known in [&mut told.test, &mut told.leaving, &mut told.provisioned] {
            known.retain(|id| !gone.contains(id));
        }
        told
    }
}

impl<'a> FromIterator<&'a Device> for Told {
    fn from_iter<I: IntoIterator<Item = &'a Device>>(devices: I) -> Self {
        let mut told = Self::default();
        for device in devices {
            let id = device.id.to_string();
            told.status.insert(id.clone(), device.status);
            told.tier.insert(id.clone(), device.tier);
            for (known, holds) in [
                (&mut told.test, device.test),
                (&mut told.leaving, device.leaving),
                (&mut told.provisioned, device.provisioned),
            ] {
                if holds {
                    known.insert(id.clone());
                }
            }
        }
        told
    }
}
