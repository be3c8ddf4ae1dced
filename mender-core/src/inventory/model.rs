use std::{fmt, str::FromStr};

use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::Map;

mod attributes;
mod coordinates;
mod value;

pub use attributes::{Attribute, AttributeName, Attributes, NewAttribute};
pub use coordinates::Coordinates;
pub use value::{InvalidValue, Value};

use crate::{
    auth::{Status, Tier},
    commit::{Aggregate, IndexKey, Key},
    env::Time,
    id::{DeviceId, Version},
    inventory::{
        entries::{entries, words_of},
        query::Predicate,
    },
};

/// The names of attributes that the server itself keeps.
pub mod name {
    /// Of scope `system`: when the device was recorded.
    pub const CREATED: &str = "created_ts";
    /// Of scope `system`: when the device last reported.
    pub const UPDATED: &str = "updated_ts";
    /// Of scope `system`: the first contact of the last day with one.
    pub const SEEN: &str = "check_in_time";
    /// Of scope `system`: the static group.
    pub const GROUP: &str = "group";
    /// Of scope `system`: the tier, where it is not the standard one.
    pub const TIER: &str = "tier";
    /// Of scope `system`: whether it is a test device.
    pub const TEST: &str = "test_device";
    /// Of scope `identity`: the status of device authentication.
    pub const STATUS: &str = "status";
    /// Of scope `tags`: what users call the device.
    pub const NAME: &str = "name";
    /// Of scope `monitor`: how many alerts there are.
    pub const ALERT_COUNT: &str = "alert_count";
    /// Of scope `monitor`: whether there are any.
    pub const ALERTS: &str = "alerts";
}

/// The name of a static group.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct GroupName(String);

/// Why a text names no group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InvalidGroup {
    /// It is empty.
    Blank,
    /// It has other characters than letters, digits, `-` and `_`.
    Characters,
    /// It is longer than so many bytes.
    TooLong(usize),
}

impl fmt::Display for InvalidGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => f.write_str("cannot be blank"),
            Self::Characters => f.write_str(
                "group name can only contain: upper/lowercase alphanum, -(dash), _(underscore)",
            ),
            Self::TooLong(max) => write!(f, "the length must be no more than {max}"),
        }
    }
}

impl std::error::Error for InvalidGroup {}

impl GroupName {
    /// The longest name of a new group, in bytes.
    pub const MAX: usize = 256;

    /// The longest name that older servers allowed, and that can still be removed.
    pub const LEGACY_MAX: usize = 1024;

    /// Parses a name that may be as long as older servers allowed.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn legacy(text: &str) -> Result<Self, InvalidGroup> {
        Self::parse(text, Self::LEGACY_MAX)
    }

    fn parse(text: &str, max: usize) -> Result<Self, InvalidGroup> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if text.is_empty() {
            Err(InvalidGroup::Blank)
        } else if text.len() > max {
            Err(InvalidGroup::TooLong(max))
        } else if !text.chars().all(plain) {
            Err(InvalidGroup::Characters)
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupName {
    type Err = InvalidGroup;

    fn from_str(text: &str) -> Result<Self, InvalidGroup> {
        Self::parse(text, Self::MAX)
    }
}

/// A number that no other device has, and that grows with the time of creation: the order of
/// lists, and what stores tell devices apart by.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Place(pub i64);

impl Place {
    /// The bits below the millisecond.
    const RANDOM: u32 = 20;

    /// How many places there are in one millisecond.
    pub const PER_MILLISECOND: u64 = 1 << Self::RANDOM;

    /// The place of a device created now that says nothing of the order in which devices of one
    /// millisecond were told of: many are told of at the same time.
    #[must_use]
    pub fn usual(now: Time, id: &DeviceId) -> Self {
        let hash = digest::digest(&digest::SHA256, id.as_str().as_bytes());
        let below = hash.as_ref()[..4].iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        Self::new(now, below)
    }

    /// The place of a device created now; `random` is below [`Self::PER_MILLISECOND`].
    #[must_use]
    pub fn new(now: Time, random: u64) -> Self {
        let below = i64::try_from(random % Self::PER_MILLISECOND).unwrap_or_default();
        Self((now.0 << Self::RANDOM) | below)
    }
}

/// What is known about a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// The id, as given by device authentication.
    pub id: DeviceId,
    /// Where it stands in lists.
    pub place: Place,
    /// Everything that is known.
    pub attributes: Attributes,
    /// The version of the last status that was heard of.
    pub revision: i64,
    /// Changes with every change of tags; `None`: there was none.
    pub etag: Option<String>,
    /// The values of the identity and the name, as of the last change of attributes.
    pub identities: Vec<String>,
    /// The version.
    pub version: Version,
}

impl Device {
    /// A device that was just recorded.
    #[must_use]
    pub fn new(id: DeviceId, place: Place, now: Time) -> Self {
        let mut attributes = Attributes::default();
        attributes.set(&AttributeName::system(name::CREATED), Value::Time(now).into());
        Self {
            id,
            place,
            attributes,
            revision: 0,
            etag: None,
            identities: Vec::new(),
            // Ids are not ours: a device may come again.
            version: Version(now.0),
        }
    }

    /// Returns the static group.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.attributes.value(&AttributeName::system(name::GROUP))?.as_text()
    }

    /// Returns when the device last reported.
    #[must_use]
    pub fn updated(&self) -> Option<Time> {
        self.attributes.value(&AttributeName::system(name::UPDATED))?.as_time()
    }

    /// Returns the status of device authentication.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.attributes.value(&AttributeName::identity(name::STATUS))?.as_text()?.parse().ok()
    }

    /// Tells whether device authentication told of it: others tell no identity.
    pub(crate) fn is_told(&self) -> bool {
        let mut identity = self.attributes.of(AttributeName::IDENTITY);
        self.revision > 0 && identity.any(|(known, _)| known != name::STATUS)
    }
}

impl Aggregate for Device {
    const KIND: &'static str = "inventory.device";

    /// A report may be as large as a request, and other scopes come on top of it.
    const MAX_BYTES: usize = 4 << 20;

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
        Key { field: "place", value: self.place.0.to_string() }
    }

    fn index(&self) -> Vec<IndexKey> {
        let mut keys = vec![IndexKey::Order("place", format!("{:016x}", self.place.0))];
        for entry in entries(self) {
            let (prefix, rest) = entry.text.split_at(super::entries::PREFIX);
            for (edge, sign) in [(entry.is_first, '+'), (entry.is_last, '-')] {
                if edge {
                    keys.push(IndexKey::Sort(format!("{sign}{prefix}"), rest.to_owned()));
                }
            }
            keys.push(IndexKey::Text(entry.text));
        }
        keys.extend(words_of(self).into_iter().map(IndexKey::Text));
        keys
    }
}

/// What device authentication knows about a device.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The version of what it knows.
    pub revision: i64,
    /// The status.
    pub status: Status,
    /// The attributes of the identity.
    pub identity: Map<String, serde_json::Value>,
    /// The tier.
    pub tier: Tier,
    /// Whether it is a test device.
    pub test: bool,
}

crate::id! {
    /// Identifies a saved filter.
    FilterId;
}

/// A saved filter: a group of all devices that it fits, whenever one looks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// The id.
    pub id: FilterId,
    /// The name, unique in the tenant.
    pub name: String,
    /// What a device must fit, at least one.
    pub terms: Vec<Predicate>,
    /// The version.
    pub version: Version,
}

impl Filter {
    /// The longest name, in bytes.
    pub const MAX_NAME: usize = 256;

    /// The most terms.
    pub const MAX_TERMS: usize = 100;
}

impl Aggregate for Filter {
    const KIND: &'static str = "inventory.filter";

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
        Key { field: "name", value: self.name.clone() }
    }

    fn index(&self) -> Vec<IndexKey> {
        vec![IndexKey::Order("name", self.name.clone())]
    }
}
