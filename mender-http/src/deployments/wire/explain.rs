//! Why a device gets an update, or gets none.

use std::collections::BTreeMap;

use mender_core::{
    Time, auth,
    deployments::{self, Outcome, Status},
};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a device gets an update, or gets none.
#[derive(Serialize, ToSchema)]
pub(crate) struct Explanation {
    device_id: String,
    /// The status of device authentication; missing for a device that inventory does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    provides: Provided,
    /// The deployment that the device would be told to install now.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// The deployment that comes first, those after it, and the last ones that it ended.
    deployments: Vec<Considered>,
}

/// What the device is taken to provide: what inventory knows, or what it said when it last asked.
#[derive(Serialize, ToSchema)]
struct Provided {
    artifact_name: String,
    device_type: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    artifact_provides: BTreeMap<String, String>,
}

/// What would be decided about a deployment if the device asked now.
#[derive(Serialize, ToSchema)]
struct Considered {
    id: String,
    name: String,
    artifact_name: String,
    #[schema(value_type = String, format = DateTime)]
    created: Time,
    /// How far the device is in it; missing where it has yet to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(flatten)]
    now: Reason,
    /// What would have to change for the device to get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
    /// What was decided when the device last asked, and since when it is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Last>,
}

#[derive(Serialize, ToSchema)]
struct Reason {
    /// What decides, as a word.
    code: &'static str,
    /// What decides, as a sentence.
    reason: String,
}

#[derive(Serialize, ToSchema)]
struct Last {
    #[serde(flatten)]
    reason: Reason,
    #[schema(value_type = String, format = DateTime)]
    since: Time,
}

impl Reason {
    fn of(reason: deployments::Reason) -> Self {
        Self { code: reason.code(), reason: reason.to_string() }
    }
}

impl Considered {
    fn of(considered: deployments::Considered) -> Self {
        let deployments::Considered { deployment, status, reason, last } = considered;
        let told = |Outcome { reason, since }: Outcome| Last { reason: Reason::of(reason), since };
        Self {
            id: deployment.id.to_string(),
            name: deployment.name,
            artifact_name: deployment.artifact_name,
            created: deployment.created,
            status: status.map(Status::as_str),
            now: Reason::of(reason),
            remedy: reason.remedy(),
            last: last.map(told),
        }
    }
}

impl Explanation {
    pub(crate) fn of(explanation: deployments::Explanation) -> Self {
        let deployments::Explanation { device, accepted, request, next, considered } = explanation;
        let deployments::Request { artifact_name, device_type, provides, control_map: _ } = request;
        Self {
            device_id: device.to_string(),
            status: accepted.map(auth::Status::as_str),
            provides: Provided { artifact_name, device_type, artifact_provides: provides },
            next: next.map(|id| id.to_string()),
            deployments: considered.into_iter().map(Considered::of).collect(),
        }
    }
}
