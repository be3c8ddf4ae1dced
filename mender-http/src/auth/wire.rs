//! Bodies of requests and answers, as clients know them.

use std::collections::BTreeMap;

use mender_core::{
    Time,
    auth::{self, AcceptRule, AuthTenant, DeviceFilter, DeviceView, Limit, Status, Tier},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub(super) use crate::error::ErrorBody;
use crate::{
    body::{FromBody, JsonError, or_default},
    error::ApiError,
};

/// A device's request for a token.
#[derive(Deserialize, ToSchema)]
pub(super) struct AuthRequest {
    /// The identity as JSON text.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    pub(super) id_data: String,
    /// The public key as PEM.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    pub(super) pubkey: String,
    /// What names the device's tenant.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) tenant_token: String,
    /// `standard`, `micro` or `system`.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) tier: String,
    /// What the device is known as in a cloud provider's hub.
    #[serde(default, deserialize_with = "or_default")]
    #[expect(dead_code, reason = "accepted, and checked by the integrations once they exist")]
    pub(super) external_id: String,
}

/// A device announced by a user.
#[derive(Deserialize, ToSchema)]
pub(super) struct Preauthorize {
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required, value_type = IdentityData)]
    pub(super) identity_data: Map<String, Value>,
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    pub(super) pubkey: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) force: bool,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) tier: String,
}

impl FromBody for Preauthorize {
    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("failed to decode preauth request: {error}"))
    }
}

/// What a device says it is: any attributes, these for instance.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form only")]
struct IdentityData {
    /// The address of its network card.
    mac: Option<String>,
    /// Its type of product.
    sku: Option<String>,
    /// Its serial number.
    sn: Option<String>,
}

/// A device with its keys.
#[derive(Serialize, ToSchema)]
pub(super) struct Device {
    id: String,
    #[schema(value_type = IdentityData)]
    identity_data: Value,
    status: &'static str,
    decommissioning: bool,
    #[schema(value_type = String, format = DateTime)]
    created_ts: Time,
    #[schema(value_type = String, format = DateTime)]
    updated_ts: Time,
    auth_sets: Option<Vec<AuthSet>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    check_in_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<Flags>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<ExternalId>,
}

#[derive(Serialize, ToSchema)]
struct AuthSet {
    id: String,
    #[schema(value_type = IdentityData)]
    identity_data: Value,
    pubkey: String,
    #[schema(value_type = String, format = DateTime)]
    ts: Time,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct ExternalId {
    id: String,
    name: String,
    provider: String,
    data: String,
    active: bool,
}

/// Which form devices have on the wire.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// As the open edition shows them.
    Open,
    /// With tiers, flags and external ids.
    Tiers,
}

impl Form {
    pub(super) fn of(config: &auth::Config) -> Self {
        if config.tiers { Self::Tiers } else { Self::Open }
    }

    fn show<T>(self, value: T) -> Option<T> {
        matches!(self, Self::Tiers).then_some(value)
    }
}

impl Device {
    pub(super) fn of(view: DeviceView, form: Form) -> Self {
        let DeviceView { device, seen } = view;
        let auth::Device {
            id,
            identity,
            sets,
            status,
            tier,
            group: _,
            leaving,
            provisioned: _,
            test,
            external,
            from: _,
            created,
            updated,
            version: _,
        } = device;
        let identity_data = identity.value();
        let set = |set: auth::AuthSet| {
            let auth::AuthSet { id: aid, key, tier, status, live: _, from: _, created } = set;
            AuthSet {
                id: aid.to_string(),
                identity_data: identity_data.clone(),
                pubkey: key,
                ts: created,
                status: status.as_str(),
                tier: form.show(tier.as_str()),
                device_id: form.show(id.to_string()),
            }
        };
        let external_id = external.and_then(|external| {
            let auth::ExternalId { id, name, provider } = external;
            let data = format!("{provider} {id}");
            form.show(ExternalId { id, name, provider, data, active: true })
        });
        Self {
            auth_sets: Some(sets.into_iter().map(set).collect()),
            id: id.to_string(),
            identity_data,
            status: status.as_str(),
            decommissioning: leaving,
            created_ts: created,
            updated_ts: updated,
            check_in_time: seen,
            tier: form.show(tier.as_str()),
            flags: form.show(Flags { test_device: test }),
            external_id,
        }
    }

    /// The form in which a conflict names the device that is there.
    pub(super) fn without_sets(self) -> Self {
        Self { auth_sets: None, ..self }
    }
}

/// A status.
#[derive(Deserialize, Serialize, ToSchema)]
pub(super) struct StatusBody {
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    pub(super) status: String,
}

impl FromBody for StatusBody {
    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("failed to decode status data: {error}"))
    }
}

/// A number of devices.
#[derive(Serialize, ToSchema)]
pub(super) struct Count {
    pub(super) count: u64,
}

/// A limit; -1 is none.
#[derive(Deserialize, Serialize, ToSchema)]
pub(super) struct LimitBody {
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    pub(super) limit: i64,
}

impl FromBody for LimitBody {
    const TYPED: bool = false;

    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("failed to decode limit request: {error}"))
    }
}

/// A limit with its name.
#[derive(Deserialize, ToSchema)]
pub(super) struct NamedLimit {
    pub(super) name: String,
    pub(super) value: i64,
}

impl FromBody for Vec<NamedLimit> {
    const TYPED: bool = false;

    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("failed to decode limit request: {error}"))
    }
}

/// The limits of all tiers; -1 is none.
#[derive(Serialize, ToSchema)]
pub(super) struct TierLimits {
    standard: i64,
    micro: i64,
    system: i64,
    test: i64,
}

impl From<&AuthTenant> for TierLimits {
    fn from(tenant: &AuthTenant) -> Self {
        Self {
            standard: tenant.limit(Limit::Devices),
            micro: tenant.limit(Limit::MicroDevices),
            system: tenant.limit(Limit::SystemDevices),
            test: tenant.limit(Limit::TestDevices),
        }
    }
}

/// Properties of a device that a user sets.
#[derive(Deserialize, Serialize, ToSchema)]
pub(super) struct Flags {
    pub(super) test_device: bool,
}

impl FromBody for Flags {
    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("failed to decode flags: {error}"))
    }
}

/// Changes of a device by other services.
#[derive(Deserialize, ToSchema)]
pub(super) struct PatchDevice {
    #[serde(default)]
    pub(super) provisioned: Option<bool>,
}

impl FromBody for PatchDevice {
    const TYPED: bool = false;

    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("invalid request body: {error}"))
    }
}

/// What a device is known as in a cloud provider's hub.
#[derive(Deserialize, ToSchema)]
pub(super) struct External {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) provider: String,
    #[serde(default)]
    #[expect(dead_code, reason = "part of the wire form; the identity itself never changes")]
    pub(super) id_data: Option<Value>,
}

impl FromBody for External {
    const TYPED: bool = false;

    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("invalid request body: {error}"))
    }
}

/// A tenant that exists elsewhere.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "there is nothing to prepare for a tenant")]
pub(super) struct NewTenant {
    tenant_id: String,
}

/// One text, or a list of them.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Texts {
    /// One.
    One(String),
    /// Several; any of them.
    Many(Vec<String>),
}

impl Texts {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

/// Which devices to find.
#[derive(Deserialize, ToSchema)]
pub(super) struct Search {
    #[serde(default)]
    #[schema(value_type = Option<Texts>)]
    status: Value,
    #[serde(default)]
    #[schema(value_type = Option<Texts>)]
    id: Value,
}

impl FromBody for Search {
    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("api: malformed request body: {error}"))
    }
}

impl Search {
    /// Returns the filter; `None`: nothing fits.
    pub(super) fn filter(self) -> Result<Option<DeviceFilter>, ApiError> {
        let texts = |value: Value, name: &str| match value {
            Value::Null => Ok(None),
            value => {
                serde_json::from_value(value).map(|t: Texts| Some(t.into_vec())).map_err(|_| {
                    ApiError::bad_request(format!(
                        "api: malformed request body: invalid JSON type for '{name}': \
                     must be string or []string"
                    ))
                })
            }
        };
        let wanted = texts(self.status, "status")?.filter(|texts| !texts.is_empty());
        let ids = texts(self.id, "id")?.filter(|texts| !texts.is_empty());
        // Compat: an unknown status is no error here, it is the status of no device.
        let statuses: Vec<Status> =
            wanted.iter().flatten().filter_map(|text| text.parse().ok()).collect();
        if wanted.is_some() && statuses.is_empty() {
            return Ok(None);
        }
        let ids = ids.map(|ids| ids.iter().filter_map(|id| id.parse().ok()).collect());
        Ok(Some(DeviceFilter { statuses, ids, groups: None }))
    }
}

/// A rule that accepts new devices without a user.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub(super) struct Rule {
    /// What the rule is called.
    name: String,
    /// Identity attributes and patterns for their text; `*` stands for any text.
    identity: BTreeMap<String, String>,
}

impl FromBody for Vec<Rule> {
    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("failed to decode rules: {error}"))
    }
}

impl From<AcceptRule> for Rule {
    fn from(rule: AcceptRule) -> Self {
        let AcceptRule { name, identity } = rule;
        Self { name, identity }
    }
}

impl From<Rule> for AcceptRule {
    fn from(rule: Rule) -> Self {
        let Rule { name, identity } = rule;
        Self { name, identity }
    }
}

/// Reads a tier; empty is standard.
pub(super) fn tier(text: &str, form: Form) -> Option<Tier> {
    match (form, text) {
        (Form::Open, _) | (_, "") => Some(Tier::Standard),
        (Form::Tiers, text) => text.parse().ok(),
    }
}
