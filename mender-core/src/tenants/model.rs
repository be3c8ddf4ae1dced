use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    commit::{Aggregate, IndexKey, Key},
    env::Time,
    id::{TenantId, Version},
    secret,
};

/// What a tenant pays for.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plan {
    /// The least.
    Os,
    /// More.
    Professional,
    /// Everything.
    #[default]
    Enterprise,
}

impl Plan {
    /// Every plan, the least first.
    pub const ALL: [Self; 3] = [Self::Os, Self::Professional, Self::Enterprise];

    /// Returns the plan as on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Os => "os",
            Self::Professional => "professional",
            Self::Enterprise => "enterprise",
        }
    }
}

/// A feature that is sold on top of a plan.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Addon {
    /// `configure`, `troubleshoot` or `monitor`.
    pub name: String,
    /// Whether the tenant has it.
    pub enabled: bool,
}

impl Addon {
    /// The names of all add-ons.
    pub const NAMES: [&'static str; 3] = ["configure", "troubleshoot", "monitor"];
}

/// Whether a tenant may work.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TenantStatus {
    /// May work.
    #[default]
    Active,
    /// Its users and devices are kept out.
    Suspended,
}

/// A customer: an isolated set of users, devices and everything else.
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
pub struct Tenant {
    /// The id; 24 hex digits where we made it.
    pub id: TenantId,
    /// What it is called.
    pub name: String,
    /// What its devices present to be counted among its own. Shown to its users.
    pub token: String,
    /// Its plan.
    pub plan: Plan,
    /// Whether it is in trial.
    #[serde(default)]
    pub trial: bool,
    /// Its add-ons.
    pub addons: Vec<Addon>,
    /// Whether it may work.
    #[serde(default)]
    pub status: TenantStatus,
    /// When it was made.
    pub created: Time,
    /// When it last changed.
    pub updated: Time,
    /// The version.
    pub version: Version,
}

impl fmt::Debug for Tenant {
    /// Leaves out what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("plan", &self.plan)
            .field("status", &self.status)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Aggregate for Tenant {
    const KIND: &'static str = "tenants.tenant";

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
        Key { field: "tenant_token", value: secret::token_hash(&self.token) }
    }

    fn index(&self) -> Vec<IndexKey> {
        Vec::new()
    }
}

/// What other areas need to know of a tenant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Standing {
    /// The tenant.
    pub tenant: TenantId,
    /// Its plan.
    pub plan: Plan,
    /// Whether it is in trial.
    pub trial: bool,
    /// Its add-ons.
    pub addons: Vec<Addon>,
    /// Whether it may work.
    pub status: TenantStatus,
}

impl Standing {
    /// What holds for a tenant that nobody described: everything is allowed.
    #[must_use]
    pub fn full(tenant: TenantId) -> Self {
        let addon = |name: &str| Addon { name: name.into(), enabled: true };
        Self {
            tenant,
            plan: Plan::Enterprise,
            trial: false,
            addons: Addon::NAMES.map(addon).into(),
            status: TenantStatus::Active,
        }
    }
}

impl From<Tenant> for Standing {
    fn from(tenant: Tenant) -> Self {
        let Tenant { id, plan, trial, addons, status, .. } = tenant;
        Self { tenant: id, plan, trial, addons, status }
    }
}
