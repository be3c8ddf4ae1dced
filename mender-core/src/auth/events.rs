use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    auth::model::{AuthSet, Status, Tier},
    env::Time,
    event::Fact,
    id::{DeviceId, Version},
};

/// What happens to devices. `revision` is the device's version after the change.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum DeviceEvent {
    /// A device was recorded for the first time, with its identity attributes.
    #[serde(rename = "device.recorded")]
    Recorded {
        /// The device.
        device: DeviceId,
        /// The top-level attributes of its identity; `None`: too large for an event.
        identity: Option<Map<String, Value>>,
        /// Its tier.
        tier: Tier,
    },
    /// The status of a device changed.
    #[serde(rename = "device.status_changed")]
    StatusChanged {
        /// The device.
        device: DeviceId,
        /// The status it has now.
        status: Status,
        /// The device's version; a smaller one is old news.
        revision: Version,
        /// When the device was recorded.
        created: Time,
        /// The auth set that made the difference.
        set: Option<Box<AuthSet>>,
    },
    /// A device was accepted for the first time: areas that keep something for it prepare it.
    #[serde(rename = "device.provisioned")]
    Provisioned {
        /// The device.
        device: DeviceId,
        /// The device's version.
        revision: Version,
        /// When the device was recorded.
        created: Time,
        /// The accepted set.
        set: Option<Box<AuthSet>>,
    },
    /// The tier of a device changed.
    #[serde(rename = "device.tier_changed")]
    TierChanged {
        /// The device.
        device: DeviceId,
        /// The tier it has now.
        tier: Tier,
    },
    /// A device was made a test device, or an ordinary one.
    #[serde(rename = "device.flagged")]
    Flagged {
        /// The device.
        device: DeviceId,
        /// Whether it is a test device now.
        test: bool,
    },
    /// A user rejected an auth set of a device.
    #[serde(rename = "device.rejected")]
    Rejected {
        /// The device.
        device: DeviceId,
        /// The canonical text of its identity; `None`: too large for an event.
        identity: Option<String>,
    },
    /// A device is being decommissioned: every area forgets it, `auth` last.
    #[serde(rename = "device.leaving")]
    Leaving {
        /// The device.
        device: DeviceId,
        /// The canonical text of its identity; `None`: too large for an event.
        identity: Option<String>,
    },
    /// A device is gone.
    #[serde(rename = "device.removed")]
    Removed {
        /// The device.
        device: DeviceId,
    },
    /// A device was in contact for the first time, or for the first time this UTC day.
    #[serde(rename = "device.seen")]
    Seen {
        /// The device.
        device: DeviceId,
        /// When.
        at: Time,
    },
}

impl Fact for DeviceEvent {}

impl DeviceEvent {
    /// The kind of [`DeviceEvent::Leaving`].
    pub const LEAVING: &'static str = "device.leaving";
    /// The kind of [`DeviceEvent::Removed`].
    pub const REMOVED: &'static str = "device.removed";
}
