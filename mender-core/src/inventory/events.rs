use serde::{Deserialize, Serialize};

use crate::{
    event::Fact,
    id::DeviceId,
    inventory::{
        NewAttribute,
        model::{FilterId, Value},
    },
};

/// An attribute as it was reported.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reported {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// Its scope.
    pub scope: String,
}

impl From<&NewAttribute> for Reported {
    fn from(new: &NewAttribute) -> Self {
        let name = &new.name;
        Self { name: name.name.clone(), value: new.value.clone(), scope: name.scope.clone() }
    }
}

/// What happens to what is known about devices.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum InventoryEvent {
    /// A device reported something new.
    #[serde(rename = "inventory.changed")]
    Changed {
        /// The device.
        device: DeviceId,
        /// What it reported; `None`: too large for an event.
        inventory: Option<Vec<Reported>>,
    },
    /// A device is known from now on.
    #[serde(rename = "inventory.recorded")]
    Recorded {
        /// The device.
        device: DeviceId,
    },
    /// Something about a device changed, whatever it was.
    #[serde(rename = "inventory.written")]
    Written {
        /// The device.
        device: DeviceId,
    },
    /// A device is in another static group, or in none.
    #[serde(rename = "inventory.regrouped")]
    Regrouped {
        /// The device.
        device: DeviceId,
        /// The group that it is in now.
        group: Option<String>,
    },
    /// Nothing is known about a device any more.
    #[serde(rename = "inventory.removed")]
    Removed {
        /// The device.
        device: DeviceId,
    },
}

impl Fact for InventoryEvent {}

impl InventoryEvent {
    /// The kind of [`InventoryEvent::Recorded`].
    pub const RECORDED: &'static str = "inventory.recorded";
    /// The kind of [`InventoryEvent::Written`].
    pub const WRITTEN: &'static str = "inventory.written";
    /// The kind of [`InventoryEvent::Regrouped`].
    pub const REGROUPED: &'static str = "inventory.regrouped";
    /// The kind of [`InventoryEvent::Removed`].
    pub const REMOVED: &'static str = "inventory.removed";
}

/// What happens to saved filters.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum FilterEvent {
    /// A filter was saved.
    #[serde(rename = "filter.created")]
    Created {
        /// The filter.
        filter: FilterId,
        /// Its name.
        name: String,
    },
    /// A filter was changed.
    #[serde(rename = "filter.changed")]
    Changed {
        /// The filter.
        filter: FilterId,
        /// Its name.
        name: String,
    },
    /// A filter was deleted.
    #[serde(rename = "filter.deleted")]
    Deleted {
        /// The filter.
        filter: FilterId,
        /// Its name.
        name: String,
    },
}

impl Fact for FilterEvent {}
