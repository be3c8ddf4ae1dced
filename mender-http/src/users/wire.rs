//! Bodies of requests and answers, as clients know them.

use mender_core::{
    Time,
    users::{self, Membership},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) use crate::error::ErrorBody;
use crate::{
    body::{FromBody, JsonError},
    error::ApiError,
};

/// How to log in.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct LogIn {
    /// Whether the session lasts until it is ended.
    #[serde(default)]
    pub(super) no_expiry: Option<bool>,
}

/// A user to make.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewUser {
    #[serde(default)]
    pub(super) email: Option<String>,
    #[serde(default)]
    pub(super) password: Option<String>,
}

impl FromBody for NewUser {
    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("failed to decode request body: {error}"))
    }
}

/// A user.
#[derive(Serialize, ToSchema)]
pub(super) struct User {
    id: String,
    email: String,
    #[schema(value_type = String, format = DateTime)]
    created_ts: Time,
    #[schema(value_type = String, format = DateTime)]
    updated_ts: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    login_ts: Option<Time>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
}

impl User {
    pub(super) fn of(account: users::Account, tenant: &mender_core::TenantId) -> Self {
        let users::Account {
            id,
            email,
            password: _,
            memberships,
            sessions: _,
            created,
            updated,
            login,
            version: _,
        } = account;
        let here = memberships.into_iter().find(|member| member.tenant == *tenant);
        let Membership { roles, .. } =
            here.unwrap_or(Membership { tenant: tenant.clone(), roles: Vec::new() });
        Self {
            id: id.to_string(),
            email: email.as_str().to_owned(),
            created_ts: created,
            updated_ts: updated,
            login_ts: login,
            roles,
        }
    }
}
