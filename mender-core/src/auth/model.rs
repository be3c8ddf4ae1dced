use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

mod identity;

pub use identity::{Identity, InvalidIdentity};

use crate::{
    commit::{Aggregate, IndexKey, Key},
    env::Time,
    id::{DeviceId, TenantId, Version},
    quota::NO_LIMIT,
};

crate::id! {
    /// Identifies one key that a device presented; the `jti` of the tokens it gets.
    AuthSetId;
}

/// The most auth sets that a device may have.
pub const MAX_SETS: usize = 64;

/// The status of an auth set, and of a device: that of its strongest set.
///
/// Declared from the strongest to the weakest.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// May work.
    Accepted,
    /// Will be accepted as soon as the device asks.
    Preauthorized,
    /// Asked, and waits for a user.
    Pending,
    /// A user said no.
    Rejected,
    /// Has no auth set; of devices only.
    Noauth,
}

impl Status {
    /// Every status, in the order of their names, which is the order of lists.
    pub const ALL: [Self; 5] =
        [Self::Accepted, Self::Noauth, Self::Pending, Self::Preauthorized, Self::Rejected];

    /// Returns the status as on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Preauthorized => "preauthorized",
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::Noauth => "noauth",
        }
    }
}

/// The text names no status.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unknown;

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown value")
    }
}

impl std::error::Error for Unknown {}

impl FromStr for Status {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(Unknown)
    }
}

/// What kind of device it is, for limits and plans.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Runs Linux and the ordinary client.
    #[default]
    Standard,
    /// A microcontroller.
    Micro,
    /// Runs the orchestrator.
    System,
}

impl Tier {
    /// Every tier.
    pub const ALL: [Self; 3] = [Self::Standard, Self::Micro, Self::System];

    /// Returns the tier as on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Micro => "micro",
            Self::System => "system",
        }
    }

    /// Returns the limit that counts accepted devices of the tier.
    #[must_use]
    pub fn limit(self) -> Limit {
        match self {
            Self::Standard => Limit::Devices,
            Self::Micro => Limit::MicroDevices,
            Self::System => Limit::SystemDevices,
        }
    }
}

impl FromStr for Tier {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::ALL.into_iter().find(|tier| tier.as_str() == text).ok_or(Unknown)
    }
}

/// A limit of a tenant. Each is a quota of the same name.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Limit {
    /// Accepted devices of the standard tier.
    #[serde(rename = "max_devices")]
    Devices,
    /// Accepted devices of the micro tier.
    #[serde(rename = "max_micro_devices")]
    MicroDevices,
    /// Accepted devices of the system tier.
    #[serde(rename = "max_system_devices")]
    SystemDevices,
    /// Accepted test devices.
    #[serde(rename = "max_test_devices")]
    TestDevices,
}

impl Limit {
    /// The limits that a caller may set.
    pub const TIERS: [Self; 3] = [Self::Devices, Self::MicroDevices, Self::SystemDevices];

    /// Returns the name, on the wire and of the quota.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Devices => "max_devices",
            Self::MicroDevices => "max_micro_devices",
            Self::SystemDevices => "max_system_devices",
            Self::TestDevices => "max_test_devices",
        }
    }
}

impl FromStr for Limit {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::TIERS.into_iter().find(|limit| limit.as_str() == text).ok_or(Unknown)
    }
}

/// One key of a device, and what was decided about it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct AuthSet {
    /// The id; the `jti` of its tokens.
    pub id: AuthSetId,
    /// The public key as PEM in its normal form.
    pub key: String,
    /// The tier that the device claimed with this key.
    #[serde(default)]
    pub tier: Tier,
    /// What was decided.
    pub status: Status,
    /// Whether it has tokens that are not revoked.
    pub live: bool,
    /// Tokens issued before this second are not valid.
    pub from: i64,
    /// When the device first presented the key, or a user preauthorized it.
    pub created: Time,
}

/// What a device is known as in a cloud provider's hub.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ExternalId {
    /// The id there.
    pub id: String,
    /// The name of the integration.
    pub name: String,
    /// The provider.
    pub provider: String,
}

/// A device: an identity with the keys that claim it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// The id, made by the server.
    pub id: DeviceId,
    /// What the device says it is; never changes.
    pub identity: Identity,
    /// Its keys, oldest first. At most one is accepted.
    pub sets: Vec<AuthSet>,
    /// The status of the strongest set.
    pub status: Status,
    /// The tier of the accepted set, else of the strongest.
    #[serde(default)]
    pub tier: Tier,
    /// The static group, as inventory told.
    #[serde(default)]
    pub group: Option<String>,
    /// Whether it is being decommissioned.
    pub leaving: bool,
    /// Whether other areas were told to prepare for it.
    pub provisioned: bool,
    /// Whether it is a test device.
    #[serde(default)]
    pub test: bool,
    /// What it is known as elsewhere.
    #[serde(default)]
    pub external: Option<ExternalId>,
    /// Tokens issued before this second are not valid.
    pub from: i64,
    /// When it was first seen or preauthorized.
    pub created: Time,
    /// When it last changed.
    pub updated: Time,
    /// Its version, which inventory knows as its revision.
    pub version: Version,
}

impl Device {
    /// Returns the set with this id.
    #[must_use]
    pub fn set(&self, id: &AuthSetId) -> Option<&AuthSet> {
        self.sets.iter().find(|set| set.id == *id)
    }

    /// Returns the set that is accepted.
    #[must_use]
    pub fn accepted_set(&self) -> Option<&AuthSet> {
        self.sets.iter().find(|set| set.status == Status::Accepted)
    }
}

impl Aggregate for Device {
    const KIND: &'static str = "auth.device";

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn version(&self) -> Version {
        self.version
    }

    fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    fn unique(&self) -> Key {
        Key { field: "identity", value: self.identity.hash() }
    }

    fn index(&self) -> Vec<IndexKey> {
        let status = self.status.as_str();
        let mut keys = vec![
            IndexKey::Field("status", status.into()),
            IndexKey::Order("status", format!("{status}/{}", self.id)),
        ];
        keys.extend(self.group.iter().map(|group| IndexKey::Field("group", group.clone())));
        keys.extend(self.sets.iter().map(|set| IndexKey::Field("set", set.id.to_string())));
        keys
    }
}

/// A rule that accepts new devices without a user.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct AcceptRule {
    /// What the rule is called.
    pub name: String,
    /// Top-level identity attributes and patterns for their text; `*` stands for any text.
    /// Every one must match.
    pub identity: BTreeMap<String, String>,
}

/// What device authentication keeps for a tenant.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct AuthTenant {
    /// The tenant.
    pub tenant: TenantId,
    /// The limits that were set, as they were set.
    #[serde(default)]
    pub limits: BTreeMap<Limit, i64>,
    /// Rules that accept new devices; the first that matches decides.
    #[serde(default)]
    pub accept: Vec<AcceptRule>,
    /// The UTC day of the last change of a device's flags, and how many there were.
    #[serde(default)]
    pub flag_changes: (i64, u32),
    /// Tokens issued before this second are not valid.
    #[serde(default)]
    pub from: i64,
    /// How many devices were accepted, a count for each UTC day, oldest first.
    #[serde(default)]
    pub usage: Vec<Usage>,
    /// The version.
    pub version: Version,
}

/// How many devices were accepted on one day.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The number of the UTC day.
    pub day: i64,
    /// Devices of the standard tier.
    pub standard: u64,
    /// Microcontrollers.
    pub micro: u64,
    /// Devices that run the orchestrator.
    pub system: u64,
}

impl AuthTenant {
    /// What holds for a tenant of which nothing is stored.
    #[must_use]
    pub fn new(tenant: TenantId) -> Self {
        Self {
            tenant,
            limits: BTreeMap::new(),
            accept: Vec::new(),
            flag_changes: (0, 0),
            from: 0,
            usage: Vec::new(),
            version: Version::default(),
        }
    }

    /// Returns a limit; -1 where there is none.
    #[must_use]
    pub fn limit(&self, limit: Limit) -> i64 {
        self.limits.get(&limit).copied().unwrap_or(NO_LIMIT)
    }
}

impl Aggregate for AuthTenant {
    const KIND: &'static str = "auth.tenant";

    /// One for each tenant.
    fn id(&self) -> &'static str {
        "tenant"
    }

    fn version(&self) -> Version {
        self.version
    }

    fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    fn unique(&self) -> Key {
        Key { field: "tenant", value: "tenant".into() }
    }

    fn index(&self) -> Vec<IndexKey> {
        Vec::new()
    }
}

/// Which devices are meant. Empty lists do not restrict, `Some` of an empty list is nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DeviceFilter {
    /// Devices with any of these statuses.
    pub statuses: Vec<Status>,
    /// Devices with any of these ids.
    pub ids: Option<Vec<DeviceId>>,
    /// Devices in any of these static groups.
    pub groups: Option<Vec<String>>,
}

/// That a device was in contact.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The tenant.
    pub tenant: TenantId,
    /// The device.
    pub device: DeviceId,
    /// When.
    pub at: Time,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_ordered_by_strength_and_listed_by_name() {
        assert!(Status::Accepted < Status::Preauthorized && Status::Rejected < Status::Noauth);
        assert!(Status::ALL.is_sorted_by_key(|status| status.as_str()));
    }
}
