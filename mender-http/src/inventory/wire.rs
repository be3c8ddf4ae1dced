//! Bodies of requests and answers, as clients know them.

use mender_core::{
    Time,
    auth::Tier,
    inventory::{self, AttributeName, Moved, NameCount, Statuses, Value, name},
};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value as Json;
use utoipa::ToSchema;

use crate::{
    body::{FromBody, Item, JsonError, or_default},
    error::ApiError,
};

mod attributes;
mod search;

pub(super) use attributes::{Attribute, Attributes, NewDevice, Undeclared, with_times};
pub(super) use search::{
    Asked, AskedPrefix, FilterDefinition, IdentitySearch, SavedFilter, SearchParams, nothing,
};

/// A value as clients see it.
struct Shown(Value);

/// A number as clients see it: whole ones have no fraction.
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        // Compat: from here on, numbers have an exponent.
        if self.0.fract() == 0.0 && self.0.abs() < 1e21 {
            return to.serialize_i128(self.0 as i128);
        }
        to.serialize_f64(self.0)
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Value::Text(text) => to.serialize_str(text),
            Value::Number(number) => Number(*number).serialize(to),
            Value::Flag(flag) => to.serialize_bool(*flag),
            Value::Time(time) => time.serialize(to),
            Value::Texts(texts) => texts.serialize(to),
            Value::Numbers(numbers) => to.collect_seq(numbers.iter().copied().map(Number)),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(super) struct ShownAttribute {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Text, number, truth, time, or a list of texts or numbers.
    #[schema(value_type = Json)]
    value: Shown,
    scope: String,
    /// When it was set; of tags only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    timestamp: Option<Time>,
}

/// A device.
#[derive(Serialize, ToSchema)]
#[schema(as = DeviceInventory)]
pub(super) struct Device {
    id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attributes: Vec<ShownAttribute>,
    /// When the device last reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    updated_ts: Option<Time>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    identities: Vec<String>,
}

impl Device {
    /// The device with everything that is known.
    pub(super) fn of(device: inventory::Device) -> Self {
        Self::showing(device, &[])
    }

    /// The device with these attributes, and the time of the last report; with everything where
    /// none are named.
    pub(super) fn showing(device: inventory::Device, wanted: &[AttributeName]) -> Self {
        let updated_ts = device.updated();
        let inventory::Device {
            id,
            place: _,
            attributes,
            revision: _,
            etag: _,
            identities,
            version: _,
        } = device;
        let updated = AttributeName::system(name::UPDATED);
        let is_wanted = |scope: &str, name: &str| {
            let mut wanted_names = wanted.iter().chain([&updated]);
            wanted.is_empty() || wanted_names.any(|one| one.scope == scope && one.name == name)
        };
        let shown = attributes.iter().filter(|(scope, name, _)| is_wanted(scope, name));
        let attribute = |(scope, name, attribute): (&str, &str, &inventory::Attribute)| {
            let inventory::Attribute { value, description, timestamp } = attribute.clone();
            let (name, scope) = (name.to_owned(), scope.to_owned());
            ShownAttribute { name, description, value: Shown(value), scope, timestamp }
        };
        Self {
            id: id.to_string(),
            attributes: shown.map(attribute).collect(),
            updated_ts,
            identities: if wanted.is_empty() { identities } else { Vec::new() },
        }
    }
}

/// The static group of a device.
#[derive(Deserialize, Serialize, ToSchema)]
pub(super) struct Group {
    #[serde(default)]
    pub(super) group: Option<String>,
}

impl FromBody for Group {
    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("failed to decode device group data: {error}"))
    }
}

/// The static groups of a device: one, or null.
#[derive(Serialize, ToSchema)]
pub(super) struct Groups {
    pub(super) groups: Option<Vec<String>>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// How many devices a request was about; what is zero is left out.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct Counts {
    #[serde(skip_serializing_if = "is_zero")]
    matched_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    updated_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    created_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    deleted_count: u64,
}

impl Counts {
    pub(super) fn deleted(count: u64) -> Self {
        Self { deleted_count: count, ..Self::default() }
    }
}

impl From<Moved> for Counts {
    fn from(Moved { matched, updated }: Moved) -> Self {
        Self { matched_count: matched, updated_count: updated, ..Self::default() }
    }
}

impl From<Statuses> for Counts {
    fn from(Statuses { matched, created }: Statuses) -> Self {
        Self { matched_count: matched, created_count: created, ..Self::default() }
    }
}

/// The name of an attribute, and how many devices have it.
#[derive(Serialize, ToSchema)]
pub(super) struct FilterAttribute {
    name: String,
    scope: String,
    count: u64,
}

impl From<&NameCount> for FilterAttribute {
    fn from(NameCount { name, count }: &NameCount) -> Self {
        Self { name: name.name.clone(), scope: name.scope.clone(), count: *count }
    }
}

#[derive(Serialize, ToSchema)]
struct ByTier {
    standard: u64,
    micro: u64,
    system: u64,
}

#[derive(Serialize, ToSchema)]
struct ByStatus {
    accepted: ByTier,
    pending: ByTier,
}

/// How many devices there are, by status and tier.
#[derive(Serialize, ToSchema)]
pub(super) struct Statistics {
    devices_by_status: ByStatus,
}

impl From<inventory::Statistics> for Statistics {
    fn from(inventory::Statistics { accepted, pending }: inventory::Statistics) -> Self {
        let of = |counts: &std::collections::BTreeMap<Tier, u64>| {
            let count = |tier| counts.get(&tier).copied().unwrap_or_default();
            let [standard, micro, system] = [Tier::Standard, Tier::Micro, Tier::System].map(count);
            ByTier { standard, micro, system }
        };
        Self { devices_by_status: ByStatus { accepted: of(&accepted), pending: of(&pending) } }
    }
}

/// A tenant that exists elsewhere.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewInventoryTenant)]
pub(super) struct NewTenant {
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    pub(super) tenant_id: String,
}

impl FromBody for NewTenant {
    const TYPED: bool = false;
}

/// A device and the revision of what is told about it.
#[derive(Deserialize, ToSchema)]
pub(super) struct DeviceRevision {
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    pub(super) id: String,
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    pub(super) revision: u64,
}

/// Devices with a status.
pub(super) struct DeviceRevisions(pub(super) Vec<Item<DeviceRevision>>);

impl<'de> Deserialize<'de> for DeviceRevisions {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        or_default(from).map(Self)
    }
}

impl FromBody for DeviceRevisions {
    const TYPED: bool = false;

    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("cant parse devices: {error}"))
    }
}

/// Ids of devices.
pub(super) struct Ids(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let ids: Vec<Option<String>> = or_default(from)?;
        Ok(Self(ids.into_iter().map(Option::unwrap_or_default).collect()))
    }
}

/// Devices, and the groups that they should be in.
#[derive(Deserialize, ToSchema)]
pub(super) struct DevicesInGroups {
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    pub(super) devices: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    pub(super) groups: Vec<String>,
}

impl FromBody for DevicesInGroups {
    const TYPED: bool = false;

    fn refuse(error: &JsonError) -> ApiError {
        Attributes::refuse(error)
    }
}

/// An error.
#[derive(Serialize, ToSchema)]
#[schema(as = InventoryErrorBody)]
pub(super) struct ErrorBody {
    error: String,
    request_id: String,
}
