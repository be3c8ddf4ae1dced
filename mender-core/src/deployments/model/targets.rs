use serde::{Deserialize, Serialize};

use crate::{
    commit::{Aggregate, IndexKey, Key},
    id::{DeviceId, Version},
};

/// How many devices one of them has.
pub const CHUNK: usize = 500;

/// A part of the devices that a deployment was created for, in the order given. They never change.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Targets {
    /// Its id: the ticket and the number of the part.
    pub key: String,
    /// The ticket of the creation: they belong to the deployment that names it.
    pub ticket: String,
    /// The devices.
    pub devices: Vec<DeviceId>,
    /// The version.
    pub version: Version,
}

impl Targets {
    /// The n-th part.
    #[must_use]
    pub fn new(ticket: &str, n: usize, devices: Vec<DeviceId>) -> Self {
        let key = format!("{ticket}/{n:08}");
        Self { key, ticket: ticket.to_owned(), devices, version: Version::FIRST }
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
