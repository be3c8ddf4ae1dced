use std::{collections::BTreeMap, fmt, str::FromStr};

use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    commit::{Aggregate, IndexKey, Key},
    env::{Time, hex},
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

/// Why identity data is refused; the text says what is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidIdentity(String);

impl fmt::Display for InvalidIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidIdentity {}

/// What a device says it is: a JSON object in its canonical form, in which every spelling of the
/// same data is the same text.
///
/// ```
/// use mender_core::auth::Identity;
///
/// let one = Identity::parse(r#"{"mac": "00:01", "n": 1.0}"#)?;
/// let two = Identity::parse(r#"{"n":1,"mac":"00:01"}"#)?;
/// assert_eq!(one, two);
/// assert_eq!(one.as_str(), r#"{"mac":"00:01","n":1}"#);
/// # Ok::<_, mender_core::auth::InvalidIdentity>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(String);

impl Identity {
    /// Parses JSON text: an object, or the literal `null`.
    ///
    /// # Errors
    /// [`InvalidIdentity`] for anything else, and for text with U+0000.
    pub fn parse(text: &str) -> Result<Self, InvalidIdentity> {
        let value = serde_json::from_str(text).map_err(|e| InvalidIdentity(e.to_string()))?;
        Self::from_value(&value)
    }

    /// Takes a JSON value: an object, or null.
    ///
    /// # Errors
    /// [`InvalidIdentity`] for anything else, and for text with U+0000.
    pub fn from_value(value: &Value) -> Result<Self, InvalidIdentity> {
        if !matches!(value, Value::Object(_) | Value::Null) {
            return Err(InvalidIdentity("identity data is no JSON object".into()));
        }
        let mut text = String::new();
        write_canonical(value, &mut text);
        if text.contains("\\u0000") {
            return Err(InvalidIdentity("identity data contains U+0000".into()));
        }
        Ok(Self(text))
    }

    /// Returns the canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the SHA-256 of the canonical text in hex: what makes a device unique.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref())
    }

    /// Returns the data as JSON.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// Returns the top-level attributes; none for `null`.
    #[must_use]
    pub fn attributes(&self) -> Map<String, Value> {
        match self.value() {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

/// Writes JSON as the reference does: keys sorted by bytes, numbers as doubles, `<`, `>`, `&`,
/// U+2028 and U+2029 escaped.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            out.push('{');
            for (i, (key, value)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_text(key, out);
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(list) => {
            out.push('[');
            for (i, value) in list.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_canonical(value, out);
            }
            out.push(']');
        }
        Value::String(text) => write_text(text, out),
        Value::Number(number) => write_double(number.as_f64().unwrap_or(0.0), out),
        Value::Bool(_) | Value::Null => out.push_str(&value.to_string()),
    }
}

fn write_text(text: &str, out: &mut String) {
    for c in Value::from(text).to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
}

/// Writes the shortest decimal that reads back, with an exponent below 1e-6 and from 1e21 on.
fn write_double(number: f64, out: &mut String) {
    let size = number.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        out.push_str(&number.to_string());
    } else {
        let text = format!("{number:e}");
        match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                out.push_str(&format!("{digits}e+{exponent}"));
            }
            _ => out.push_str(&text),
        }
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identities_are_canonical() {
        for (text, canonical) in [
            (r#"{"b":1,"a":{"d":null,"c":[3,1]}}"#, r#"{"a":{"c":[3,1],"d":null},"b":1}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (
                r#"{"a":1e21,"b":1e20,"c":0.000001,"d":1e-7,"e":-0.5e-8}"#,
                r#"{"a":1e+21,"b":100000000000000000000,"c":0.000001,"d":1e-7,"e":-5e-9}"#,
            ),
            (r#"{"a":"<&>\u2028ä"}"#, "{\"a\":\"\\u003c\\u0026\\u003e\\u2028ä\"}"),
            (r#"{"a":9007199254740993}"#, r#"{"a":9007199254740992}"#),
            ("null", "null"),
        ] {
            assert_eq!(Identity::parse(text).unwrap().as_str(), canonical);
        }
        for bad in ["", "[]", "1", "\"a\"", "{", r#"{"a":"\u0000"}"#, r#"{"a":1e999}"#] {
            assert!(Identity::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn statuses_are_ordered_by_strength_and_listed_by_name() {
        assert!(Status::Accepted < Status::Preauthorized && Status::Rejected < Status::Noauth);
        assert!(Status::ALL.is_sorted_by_key(|status| status.as_str()));
    }

    proptest! {
        #[test]
        fn canonical_text_is_its_own_canonical_form(
            map in prop::collection::btree_map(".*", any::<f64>().prop_filter("finite", |n| n.is_finite()), 0..5)
        ) {
            prop_assume!(map.keys().all(|key| !key.contains('\0')));
            let once = Identity::from_value(&serde_json::json!(map)).unwrap();
            prop_assert_eq!(Identity::parse(once.as_str()).unwrap(), once);
        }
    }
}
