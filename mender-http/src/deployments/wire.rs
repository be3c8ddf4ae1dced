//! Bodies of requests and answers, as clients know them.

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mender_core::{
    DeviceId, Time, artifacts, blob,
    deployments::{
        self, Audience, DeploymentId, DeviceDeployment, Payload, Progress, Request, Shown,
        ShownDevice, Status, Tally,
    },
    inventory::Predicate,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema, schema::ObjectBuilder},
};

mod asked;
mod course;
mod explain;
mod safety;

pub(super) use explain::Explanation;
pub(super) use safety::{Pause, TenantSettings};

pub(super) use asked::{
    Change, DeviceIds, Ids, NewConfiguration, NewDeployment, NewLog, NewStatus, Provides,
    ProvidesV2, check,
};

use crate::artifacts::Artifact;
pub(super) use crate::error::ErrorBody;

/// How many devices have which status.
#[derive(Serialize)]
pub(super) struct Counts(BTreeMap<&'static str, u64>);

impl PartialSchema for Counts {
    fn schema() -> RefOr<Schema> {
        let all = ObjectBuilder::new().description(Some("How many devices have which status."));
        let with = |all: ObjectBuilder, status: Status| {
            all.property(status.as_str(), u64::schema()).required(status.as_str())
        };
        Status::ALL.into_iter().fold(all, with).into()
    }
}

impl ToSchema for Counts {
    fn name() -> Cow<'static, str> {
        "StatusCounts".into()
    }
}

impl Counts {
    pub(super) fn of(tally: &Tally) -> Self {
        let count = |status: Status| (status.as_str(), tally.count(status));
        Self(Status::ALL.into_iter().map(count).collect())
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = DeploymentStatistics)]
pub(super) struct Statistics {
    id: String,
    stats: Counts,
}

impl Statistics {
    pub(super) fn of((id, tally): (DeploymentId, Tally)) -> Self {
        Self { id: id.to_string(), stats: Counts::of(&tally) }
    }
}

#[derive(Serialize, ToSchema)]
struct Totals {
    status: Counts,
    total_size: u64,
}

/// A deployment.
#[derive(Serialize, ToSchema)]
pub(super) struct Deployment {
    name: String,
    artifact_name: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    force_installation: bool,
    #[schema(value_type = String, format = DateTime)]
    created: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    finished: Option<Time>,
    id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    artifacts: Vec<String>,
    statistics: Totals,
    /// `scheduled`, `pending`, `inprogress` or `finished`.
    status: &'static str,
    device_count: u64,
    /// How many devices it is for, or may be at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_devices: Option<u64>,
    /// How many devices fitted the filter when it was created.
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_device_count: Option<u64>,
    /// Devices join it as they ask.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dynamic: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<Filter>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    /// `software` or `configuration`.
    r#type: &'static str,
    /// Base64 of JSON, with values cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    phases: Vec<course::Phase>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uniform_phases: Option<course::UniformPhases>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    update_control_map: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    autogenerate_delta: bool,
    #[serde(flatten)]
    safety: safety::Shown,
}

/// A condition on devices.
#[derive(Serialize, ToSchema)]
#[schema(as = DeploymentFilterTerm)]
struct Term {
    scope: String,
    attribute: String,
    /// An operator such as `$eq`.
    #[schema(value_type = String)]
    r#type: Value,
    value: Value,
}

/// The devices that a deployment is for, as conditions on them.
#[derive(Serialize, ToSchema)]
#[schema(as = DeploymentFilter)]
struct Filter {
    /// The filter that it was created for; empty where it was none.
    id: String,
    name: String,
    terms: Vec<Term>,
}

impl Term {
    fn of(Predicate { name, op, value }: &Predicate) -> Self {
        Self {
            scope: name.scope.clone(),
            attribute: name.name.clone(),
            r#type: json!(op),
            value: json!(value),
        }
    }
}

/// What was asked, as conditions on devices.
fn filter(shown: &Shown) -> Option<Filter> {
    let (scope, attribute, kind, value) =
        match (&shown.deployment.audience, &shown.deployment.payload) {
            // Named devices may be many, and are written piece by piece.
            (_, Payload::Configuration(_)) | (Audience::Devices, _) => return None,
            (Audience::Group(group), _) => ("system", "group", "$eq", json!(group)),
            (Audience::All, _) => ("identity", "status", "$eq", json!("accepted")),
            (Audience::Filter { id, name, terms, initial: _ }, _) => {
                let terms = terms.iter().map(Term::of).collect();
                return Some(Filter { id: id.to_string(), name: name.clone(), terms });
            }
        };
    let (scope, attribute, r#type) = (scope.into(), attribute.into(), kind.into());
    let terms = vec![Term { scope, attribute, r#type, value }];
    Some(Filter { id: String::new(), name: String::new(), terms })
}

/// How much of a value of a configuration is shown.
const SHOWN: usize = 3;

/// Cuts off the values of a configuration: they may be secrets.
fn masked(value: Value) -> Value {
    match value {
        Value::String(text) if text.len() > SHOWN => {
            let start = &text[..text.floor_char_boundary(SHOWN)];
            Value::String(format!("{start}...<omitted>"))
        }
        Value::Array(items) => Value::Array(items.into_iter().map(masked).collect()),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(key, value)| (key, masked(value))).collect())
        }
        other => other,
    }
}

fn configuration(payload: &Payload) -> Option<String> {
    let Payload::Configuration(text) = payload else { return None };
    let value = serde_json::from_str(text).unwrap_or_default();
    Some(BASE64_STANDARD.encode(masked(value).to_string()))
}

impl Deployment {
    pub(super) fn of(shown: Shown) -> Self {
        let (filter, configuration) = (filter(&shown), configuration(&shown.deployment.payload));
        let Shown { deployment, artifacts, tally, progress } = shown;
        let deployments::Deployment {
            id,
            name,
            artifact_name,
            force_installation,
            payload,
            audience,
            groups,
            fingerprint: _,
            max_devices,
            rollout,
            conduct,
            ticket: _,
            created,
            state: _,
            finished,
            artifacts: _,
            tally: _,
            version: _,
        } = deployment;
        let phases = course::Phase::all(&rollout, &conduct, &tally);
        let safety = safety::Shown::of(&rollout, conduct);
        let initial_device_count = match &audience {
            Audience::Filter { initial, .. } => Some(*initial),
            Audience::Devices | Audience::Group(_) | Audience::All => None,
        };
        let is_software = payload == Payload::Software;
        Self {
            name,
            artifact_name,
            force_installation,
            created,
            finished,
            id: id.to_string(),
            artifacts: artifacts.iter().map(ToString::to_string).collect(),
            statistics: Totals { status: Counts::of(&tally), total_size: tally.bytes },
            status: match progress {
                Progress::Scheduled => "scheduled",
                Progress::Pending => "pending",
                Progress::InProgress => "inprogress",
                Progress::Finished => "finished",
            },
            device_count: tally.devices,
            max_devices: (max_devices > 0).then_some(max_devices),
            initial_device_count,
            dynamic: initial_device_count.is_some(),
            filter,
            groups,
            r#type: payload.kind(),
            configuration,
            phases,
            uniform_phases: rollout.uniform.map(course::UniformPhases::of),
            // Compat: those of configurations are not shown.
            retries: (rollout.retries > 0 && is_software).then_some(rollout.retries),
            update_control_map: rollout.control_map,
            autogenerate_delta: rollout.delta,
            safety,
        }
    }
}

/// A device of a deployment.
#[derive(Serialize, ToSchema)]
#[schema(as = DeploymentDevice)]
pub(super) struct Device {
    id: String,
    #[schema(value_type = String, format = DateTime)]
    created: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    started: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    finished: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    deleted: Option<Time>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<Artifact>,
    log: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    substate: String,
    /// How often it began, where it may try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    /// In which phase it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    phase_id: Option<String>,
}

impl Device {
    pub(super) fn of(shown: ShownDevice) -> Self {
        let ShownDevice { row, artifact, attempts, phase } = shown;
        let DeviceDeployment {
            key: _,
            deployment: _,
            device,
            attempt: _,
            stage: _,
            record: _,
            status,
            substate,
            created,
            started,
            finished,
            deleted,
            replaced: _,
            request: _,
            phase: _,
            tries: _,
            failed: _,
            heard: _,
            fetching: _,
            shares: _,
            outcome: _,
            artifact: _,
            bytes: _,
            log,
            ended: _,
            late: _,
            round: _,
            version: _,
        } = row;
        Self {
            id: device.to_string(),
            created,
            started,
            finished,
            deleted,
            status: status.as_str(),
            image: artifact.map(Artifact::of),
            log,
            substate,
            attempts,
            phase_id: phase,
        }
    }
}

/// A record of a device with its deployment, as it is written piece by piece.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the document")]
pub(super) struct Record {
    id: String,
    deployment: Option<Deployment>,
    device: Device,
}

#[derive(Serialize, ToSchema)]
struct Source {
    uri: String,
    #[schema(value_type = String, format = DateTime)]
    expire: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
}

#[derive(Serialize, ToSchema)]
struct ToInstall {
    id: String,
    artifact_name: String,
    source: Source,
    device_types_compatible: Vec<String>,
}

/// What a device is to do.
#[derive(Serialize, ToSchema)]
#[schema(as = Instructions)]
pub(super) struct Update {
    id: String,
    artifact: ToInstall,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    update_control_map: Option<Map<String, Value>>,
}

/// Where a device is to wait.
#[derive(Serialize, ToSchema)]
pub(super) struct ControlMap {
    #[schema(value_type = Object)]
    pub(super) update_control_map: Map<String, Value>,
}

impl Update {
    pub(super) fn install(
        deployment: &DeploymentId,
        artifact: artifacts::Artifact,
        link: blob::Link,
        update_control_map: Option<Map<String, Value>>,
    ) -> Self {
        let artifact = ToInstall {
            id: artifact.id.to_string(),
            artifact_name: artifact.content.name,
            source: Source { uri: link.uri, expire: link.expire, method: Some(link.method) },
            device_types_compatible: artifact.content.device_types,
        };
        Self { id: deployment.to_string(), artifact, update_control_map }
    }

    pub(super) fn configure(
        deployment: &deployments::Deployment,
        device: &DeviceId,
        request: &Request,
        uri: String,
        expire: Time,
    ) -> Self {
        let id = &deployment.id;
        let artifact = ToInstall {
            id: format!("{id}{device}"),
            artifact_name: deployment.artifact_name.clone(),
            source: Source { uri, expire, method: None },
            device_types_compatible: vec![request.device_type.clone()],
        };
        let map = deployment.rollout.control_map.clone();
        let update_control_map = map.filter(|_| request.control_map);
        Self { id: id.to_string(), artifact, update_control_map }
    }
}

/// The groups that a deployment concerns.
#[derive(Serialize, ToSchema)]
#[schema(as = DeploymentGroups)]
pub(super) struct Groups {
    pub(super) groups: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct LastStatus {
    device_id: String,
    deployment_id: String,
    device_deployment_id: String,
    device_deployment_status: &'static str,
}

#[derive(Serialize, ToSchema)]
pub(super) struct LastStatuses {
    device_deployment_last_statuses: Vec<LastStatus>,
}

impl LastStatuses {
    pub(super) fn of(rows: Vec<DeviceDeployment>) -> Self {
        let last = |row: DeviceDeployment| LastStatus {
            device_id: row.device.to_string(),
            deployment_id: row.deployment.to_string(),
            device_deployment_id: row.record,
            device_deployment_status: row.ended.map_or(row.status, |ended| ended.status).as_str(),
        };
        Self { device_deployment_last_statuses: rows.into_iter().map(last).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_three_bytes_of_a_secret_are_shown() {
        let value = json!({ "a": "secret", "b": ["abc", "é€x", 1], "c": { "d": null } });
        let expected = json!({
            "a": "sec...<omitted>", "b": ["abc", "é...<omitted>", 1], "c": { "d": null }
        });
        assert_eq!(masked(value), expected);
    }
}
