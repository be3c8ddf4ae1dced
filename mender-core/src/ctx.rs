//! Who calls, for which tenant, and what the caller may see.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{DeviceId, TenantId, UserId};

/// Who acts.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type", content = "id")]
pub enum Actor {
    /// A device, with its token.
    Device(DeviceId),
    /// A user, with a session or a personal token.
    User(UserId),
    /// The server itself, or a caller of the internal interface.
    System,
}

/// What the caller may see and change: everything, or some groups and release tags.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Scope {
    /// Everything of the tenant.
    #[default]
    All,
    /// Only what belongs to these.
    Only {
        /// Static groups of devices; `None` is no restriction.
        groups: Option<Vec<String>>,
        /// Tags of releases; `None` is no restriction.
        tags: Option<Vec<String>>,
    },
}

impl Scope {
    /// Returns the device groups that the caller is limited to.
    #[must_use]
    pub fn groups(&self) -> Option<&[String]> {
        match self {
            Self::All => None,
            Self::Only { groups, .. } => groups.as_deref(),
        }
    }

    /// Returns the tags of releases that the caller is limited to.
    #[must_use]
    pub fn tags(&self) -> Option<&[String]> {
        match self {
            Self::All => None,
            Self::Only { tags, .. } => tags.as_deref(),
        }
    }

    /// Tells whether a device of this group is in the scope.
    #[must_use]
    pub fn has_group(&self, group: Option<&str>) -> bool {
        self.groups().is_none_or(|groups| groups.iter().any(|g| Some(g.as_str()) == group))
    }
}

/// The context of one call. Services take it first.
#[derive(Clone, Debug)]
pub struct Ctx {
    /// The tenant whose data is meant.
    pub tenant: TenantId,
    /// Who acts.
    pub actor: Actor,
    /// What the actor may see.
    pub scope: Scope,
    /// The id of the request, for logs and events.
    pub request: Arc<str>,
}

impl Ctx {
    /// A call of an actor.
    #[must_use]
    pub fn new(tenant: TenantId, actor: Actor, scope: Scope) -> Self {
        Self { tenant, actor, scope, request: "".into() }
    }

    /// A call by the server itself.
    #[must_use]
    pub fn system(tenant: TenantId) -> Self {
        Self::new(tenant, Actor::System, Scope::All)
    }

    /// Names the request.
    #[must_use]
    pub fn with_request(mut self, request: impl Into<Arc<str>>) -> Self {
        self.request = request.into();
        self
    }
}
