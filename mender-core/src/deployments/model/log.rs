use serde::{Deserialize, Serialize};

use crate::{
    commit::{Aggregate, IndexKey, Key},
    deployments::model::DeploymentId,
    id::{DeviceId, Version},
};

/// A line of a log, as the device wrote it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// When it happened, as the device tells time.
    pub timestamp: String,
    /// How grave it is.
    pub level: String,
    /// What happened.
    pub message: String,
}

/// What a device wrote down during a deployment.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Log {
    /// Its id: the deployment and the device.
    pub key: String,
    /// The lines.
    pub messages: Vec<Message>,
    /// The version.
    pub version: Version,
}

impl Log {
    /// A log of a device.
    #[must_use]
    pub fn new(deployment: &DeploymentId, device: &DeviceId, messages: Vec<Message>) -> Self {
        Self { key: Self::key(deployment, device), messages, version: Version::FIRST }
    }

    /// Returns the id of a log.
    #[must_use]
    pub fn key(deployment: &DeploymentId, device: &DeviceId) -> String {
        format!("{deployment}/{device}")
    }
}

impl Aggregate for Log {
    const KIND: &'static str = "deployments.log";

    const MAX_BYTES: usize = 2 << 20;

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
        Vec::new()
    }
}
