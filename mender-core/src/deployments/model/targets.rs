use serde::{Deserialize, Serialize};

use crate::{
    commit::{Aggregate, IndexKey, Key},
    error::{StoreError, StoreResult},
    id::{DeviceId, Version},
};

/// How many devices one of them has, but for the last. It never changes: how many parts there are
/// is known by the number of the devices.
pub const CHUNK: usize = 500;

/// How many characters follow the ticket in the key of a part.
const NUMBER: usize = "/00000000".len();

/// Some ids of devices. They are kept as JSON: mostly they are passed on as they are stored, by the
/// million.
///
/// ```
/// # use mender_core::deployments::DeviceIds;
/// let ids = DeviceIds::of(&["pump-1".parse()?, "pump-2".parse()?]);
/// assert_eq!(ids.as_json(), r#"["pump-1","pump-2"]"#);
/// assert_eq!(ids.to_vec()?.len(), 2);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceIds(Box<str>);

impl DeviceIds {
    /// Takes these ids.
    #[must_use]
    pub fn of(ids: &[DeviceId]) -> Self {
        // Texts can always be written.
        Self(serde_json::to_string(ids).unwrap_or_default().into())
    }

    /// Takes what [`as_json`](Self::as_json) returned.
    #[must_use]
    pub fn from_json(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the ids as a JSON array.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// Returns the ids.
    ///
    /// # Errors
    /// Where what is stored are none.
    pub fn to_vec(&self) -> StoreResult<Vec<DeviceId>> {
        serde_json::from_str(self.as_json()).map_err(|e| StoreError::corrupt("ids of devices", e))
    }
}

/// A part of the devices that a deployment was created for, in the order given. They never change.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Targets {
    /// Its id: the ticket and the number of the part.
    pub key: String,
    /// The ticket of the creation: they belong to the deployment that names it.
    pub ticket: String,
    /// The devices.
    pub devices: DeviceIds,
    /// The version.
    pub version: Version,
}

impl Targets {
    /// The n-th part.
    #[must_use]
    pub fn new(ticket: &str, n: usize, devices: &[DeviceId]) -> Self {
        Self {
            key: Self::key(ticket, n),
            ticket: ticket.to_owned(),
            devices: DeviceIds::of(devices),
            version: Version::FIRST,
        }
    }

    /// Returns the id of the n-th part.
    #[must_use]
    pub fn key(ticket: &str, n: usize) -> String {
        format!("{ticket}/{n:08}")
    }

    /// Returns the ticket that the id of a part begins with.
    #[must_use]
    pub fn ticket_of(key: &str) -> Option<&str> {
        key.len().checked_sub(NUMBER).and_then(|end| key.get(..end))
    }
}

impl Aggregate for Targets {
    const KIND: &'static str = "deployments.targets";

    fn id(&self) -> &str {
        &self.key
    }

    fn version(&self) -> Version {
        self.version
    }

    fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    fn unique(&self) -> Key {
        Key { field: "id", value: self.key.clone() }
    }

    fn index(&self) -> Vec<IndexKey> {
        vec![IndexKey::Field("ticket", self.ticket.clone())]
    }
}
