use std::collections::{BTreeMap, BTreeSet};

use mender_core::{
    Event, Version,
    artifacts::ArtifactEvent,
    auth::{Device, DeviceEvent, Status, Tier},
    event::Fact,
    inventory::{self, Filter, FilterEvent, InventoryEvent},
};

/// What others know of inventory.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ToldOfInventory {
    /// Every device with its group.
    groups: BTreeMap<String, Option<String>>,
    /// Every filter with its name.
    filters: BTreeMap<String, String>,
}

impl ToldOfInventory {
    pub(crate) fn of(events: &BTreeMap<String, Event>) -> Self {
        let mut told = Self::default();
        let mut events: Vec<&Event> = events.values().collect();
        // What ends has the version of what was there.
        let is_end =
            |event: &Event| event.kind == InventoryEvent::REMOVED || event.kind == "filter.deleted";
        events.sort_by_key(|event| (event.version, is_end(event)));
        for event in events {
            if event.kind.starts_with("inventory.") {
                told.hear(InventoryEvent::of(event).unwrap());
            } else if event.kind.starts_with("filter.") {
                told.hear_of_filter(FilterEvent::of(event).unwrap());
            }
        }
        told
    }

    fn hear(&mut self, event: InventoryEvent) {
        match event {
            InventoryEvent::Recorded { device } | InventoryEvent::Written { device } => {
                self.groups.entry(device.to_string()).or_default();
            }
            InventoryEvent::Regrouped { device, group } => {
                self.groups.insert(device.to_string(), group);
            }
            InventoryEvent::Removed { device } => {
                assert!(self.groups.remove(device.as_str()).is_some(), "removed once");
            }
            InventoryEvent::Changed { .. } => {}
        }
    }

    fn hear_of_filter(&mut self, event: FilterEvent) {
        match event {
            FilterEvent::Created { filter, name } => {
                assert_eq!(self.filters.insert(filter.to_string(), name), None, "created once");
            }
            FilterEvent::Changed { filter, name } => {
                self.filters.insert(filter.to_string(), name);
            }
            FilterEvent::Deleted { filter, .. } => {
                assert!(self.filters.remove(filter.as_str()).is_some(), "deleted once");
            }
        }
    }

    pub(crate) fn stored(devices: &[inventory::Device], filters: &[Filter]) -> Self {
        let group = |d: &inventory::Device| (d.id.to_string(), d.group().map(str::to_owned));
        Self {
            groups: devices.iter().map(group).collect(),
            filters: filters.iter().map(|f| (f.id.to_string(), f.name.clone())).collect(),
        }
    }
}

/// Returns the ids of all artifacts that others know of.
pub(crate) fn told_of_artifacts(events: &BTreeMap<String, Event>) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    let mut events: Vec<&Event> =
        events.values().filter(|event| event.kind.starts_with("artifact.")).collect();
    events.sort_by_key(|event| (event.version, event.kind == "artifact.removed"));
    for event in events {
        match ArtifactEvent::of(event).unwrap() {
            ArtifactEvent::Stored { id, .. } => assert!(told.insert(id.to_string()), "stored once"),
            ArtifactEvent::Removed { id, .. } => {
                assert!(told.remove(id.as_str()), "removed once");
            }
            ArtifactEvent::Described { id, .. } => assert!(told.contains(id.as_str())),
            ArtifactEvent::Annotated { .. } => {}
        }
    }
    told
}

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
        let mut events: Vec<&Event> =
            events.values().filter(|event| event.kind.starts_with("device.")).collect();
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
