use serde::{Deserialize, Serialize};

use crate::{
    commit::{Aggregate, IndexKey, Key},
    deployments::model::Budget,
    env::Time,
    id::Version,
    quota::NO_LIMIT,
};

/// What is kept for a tenant about deployments.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct DeploymentSettings {
    /// How many bytes an artifact may have for devices of the micro tier, as the wire has it: -1
    /// is no limit; `None`: what holds for all tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_limit: Option<i64>,
    /// What all devices of the tenant together may fetch at once; `None`: what they like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// When its bytes were last filled up; `None`: there never were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refilled: Option<Time>,
    /// The version.
    pub version: Version,
}

impl DeploymentSettings {
    /// The id of the only settings of a tenant.
    pub const ID: &'static str = "settings";

    /// Returns how many bytes an artifact may have for devices of the micro tier, where `default`
    /// holds for tenants that say nothing; `None`: as many as it likes.
    #[must_use]
    pub fn micro_limit_or(&self, default: Option<u64>) -> Option<u64> {
        match self.micro_limit {
            None => default,
            Some(NO_LIMIT) => None,
            Some(limit) => Some(u64::try_from(limit).unwrap_or(0)),
        }
    }
}

impl Aggregate for DeploymentSettings {
    const KIND: &'static str = "deployments.settings";

    fn id(&self) -> &'static str {
        Self::ID
    }

    fn version(&self) -> Version {
        self.version
    }

    fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    fn unique(&self) -> Key {
        Key { field: "id", value: self.id().to_owned() }
    }

    fn index(&self) -> Vec<IndexKey> {
        Vec::new()
    }
}
