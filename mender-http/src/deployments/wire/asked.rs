use std::collections::BTreeMap;

use mender_core::{
    DeviceId, Time,
    deployments::{
        self, Course, Message, Request, Status, Whom,
        logic::{MAX_ARTIFACT_NAME, MAX_NAME},
    },
};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    course::{self, AskedPhase, UniformPhases},
    safety,
};
use crate::{
    body::{FromBody, Item, JsonError, or_default},
    error::{ApiError, Faults},
};

/// How many bytes the name of a release and what a device provides may have.
const MAX: usize = MAX_ARTIFACT_NAME;

const LENGTH: &str = "the length must be between 1 and 4096";

fn validating(why: impl std::fmt::Display) -> ApiError {
    ApiError::bad_request(format!("Validating request body: {why}"))
}

/// What is wrong with a name.
fn fault(text: &str) -> Option<&'static str> {
    match text.len() {
        0 => Some("cannot be blank"),
        1..=MAX => None,
        _ => Some(LENGTH),
    }
}

/// What is wrong with the name of a deployment.
fn name_fault(name: &str) -> Option<&'static str> {
    match name.len() {
        0 => Some("cannot be blank"),
        1..=MAX_NAME => None,
        _ => Some("the length must be no more than 256"),
    }
}

/// A new deployment.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewDeployment {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    artifact_name: String,
    #[serde(default, deserialize_with = "or_default")]
    devices: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    all_devices: bool,
    #[serde(default, deserialize_with = "or_default")]
    force_installation: bool,
    /// In which phases devices get it; all at once without.
    #[serde(default, deserialize_with = "or_default")]
    phases: Vec<AskedPhase>,
    /// In which equal phases, in place of `phases`.
    #[serde(default)]
    uniform_phases: Option<UniformPhases>,
    /// How often a device that failed tries again.
    #[serde(default, deserialize_with = "or_default")]
    retries: u32,
    /// Where devices wait for a word.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Object)]
    update_control_map: Map<String, Value>,
    /// Devices get deltas where there can be any.
    #[serde(default, deserialize_with = "or_default")]
    autogenerate_delta: bool,
    /// The saved filter that devices have to fit when they ask; for dynamic deployments.
    #[serde(default, deserialize_with = "or_default")]
    filter_id: String,
    /// At most so many devices of a filter; as many as ask without.
    #[serde(default, deserialize_with = "or_default")]
    max_devices: u64,
    /// Of two deployments for a device, the one with the greater priority comes first.
    #[serde(default, deserialize_with = "or_default")]
    priority: i32,
    /// When devices may begin; at any time without.
    #[serde(default, deserialize_with = "or_default")]
    maintenance_windows: Vec<safety::Window>,
    /// What stops the whole of it.
    #[serde(default, deserialize_with = "or_default")]
    thresholds: Vec<safety::Threshold>,
    /// What may be fetched at once.
    #[serde(default)]
    download_budget: Option<safety::Budget>,
    /// After how many minutes a device that began and says nothing more has failed.
    #[serde(default)]
    silence_timeout_minutes: Option<u32>,
}

impl FromBody for NewDeployment {
    fn refuse(error: &JsonError) -> ApiError {
        validating(error)
    }
}

impl NewDeployment {
    fn check(&self) -> Result<(), ApiError> {
        let mut faults = Faults::default();
        faults.note("artifact_name", fault(&self.artifact_name));
        faults.note("name", name_fault(&self.name));
        let blank = |(at, device): (usize, &String)| {
            device.is_empty().then(|| format!("{at}: cannot be blank"))
        };
        let blank: Vec<String> = self.devices.iter().enumerate().filter_map(blank).collect();
        if !blank.is_empty() {
            faults.add("devices", format!("({}.)", blank.join("; ")));
        }
        faults.check().map_err(validating)
    }

    fn with(self, whom: Whom) -> Result<deployments::NewDeployment, ApiError> {
        let Self { name, artifact_name, force_installation, .. } = self;
        let course = Course {
            phases: course::phases(self.phases, self.uniform_phases)
                .map_err(|why| validating(format!("phases: {why}.")))?,
            retries: self.retries,
            control_map: Some(self.update_control_map),
            delta: self.autogenerate_delta,
            ..Course::default()
        };
        let safety = safety::Asked {
            priority: self.priority,
            maintenance_windows: self.maintenance_windows,
            thresholds: self.thresholds,
            download_budget: self.download_budget,
            silence_timeout_minutes: self.silence_timeout_minutes,
        };
        let course = safety.read(course).map_err(|why| validating(format!("{why}.")))?;
        Ok(deployments::NewDeployment { name, artifact_name, force_installation, whom, course })
    }

    pub(in crate::deployments) fn read(mut self) -> Result<deployments::NewDeployment, ApiError> {
        self.check()?;
        let invalid = |why: &str| validating(format!("Invalid deployments definition: {why}"));
        match (self.all_devices, self.devices.is_empty()) {
            (false, true) => Err(invalid("provide list of devices or set all_devices flag")),
            // Compat: spelled like that.
            (true, false) => {
                Err(invalid("list of devices provided togheter with all_devices flag"))
            }
            (true, true) => self.with(Whom::All),
            (false, false) => {
                let devices = std::mem::take(&mut self.devices);
                let devices: Result<Vec<DeviceId>, _> =
                    devices.iter().map(|device| device.parse()).collect();
                let devices = devices.map_err(|_| validating("devices: must be valid ids."))?;
                self.with(Whom::Devices(devices))
            }
        }
    }

    pub(in crate::deployments) fn read_for_filter(
        self,
    ) -> Result<deployments::NewDeployment, ApiError> {
        self.check()?;
        if self.filter_id.is_empty() {
            return Err(validating("filter_id: cannot be blank."));
        }
        let id = self.filter_id.parse().map_err(|_| validating("filter_id: must be an id."))?;
        let max_devices = self.max_devices;
        self.with(Whom::Filter { id, max_devices })
    }

    pub(in crate::deployments) fn read_for_group(
        self,
    ) -> Result<deployments::NewDeployment, ApiError> {
        self.check()?;
        if self.all_devices || !self.devices.is_empty() {
            return Err(validating(
                "The deployment for group constructor should have neither list of devices nor \
                 all_devices flag set",
            ));
        }
        self.with(Whom::All)
    }
}

/// A status.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewStatus {
    #[serde(default, deserialize_with = "or_default")]
    status: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::deployments) substate: String,
}

impl FromBody for NewStatus {}

impl NewStatus {
    pub(in crate::deployments) fn status(&self) -> Result<Status, ApiError> {
        let unknown =
            |_| ApiError::bad_request(format!("invalid status for device '{}'", self.status));
        self.status.parse().map_err(unknown)
    }
}

/// Ids of deployments.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Ids {
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::deployments) deployment_ids: Vec<String>,
}

impl FromBody for Ids {}

/// Ids of devices.
#[derive(Deserialize, ToSchema)]
pub(crate) struct DeviceIds {
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::deployments) device_ids: Vec<String>,
}

impl FromBody for DeviceIds {
    const TYPED: bool = false;

    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("cannot parse device ids array: {error}"))
    }
}

/// Checks what a device says of itself.
pub(crate) fn check(request: &Request) -> Result<(), ApiError> {
    let mut faults = Faults::default();
    faults.note("artifact_name", fault(&request.artifact_name));
    faults.note("device_type", fault(&request.device_type));
    let long: Vec<String> = request
        .provides
        .iter()
        .filter(|(_, value)| value.len() > MAX)
        .map(|(key, _)| format!("{key}: {LENGTH}"))
        .collect();
    if let Some(excess) = request.excess() {
        faults.add("artifact_provides", excess);
    } else if !long.is_empty() {
        faults.add("artifact_provides", format!("({}.)", long.join("; ")));
    }
    Ok(faults.check()?)
}

/// What a device says of itself: what it runs, its type, and what else it provides.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Provides {
    #[serde(default, deserialize_with = "or_default")]
    artifact_name: String,
    #[serde(default, deserialize_with = "or_default")]
    device_type: String,
    #[serde(default, deserialize_with = "or_default")]
    artifact_provides: BTreeMap<String, String>,
    /// What else it provides, in the form of other clients.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    more: BTreeMap<String, Value>,
}

impl FromBody for Provides {
    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("invalid schema: {error}"))
    }
}

impl Provides {
    pub(in crate::deployments) fn read(self) -> Result<Request, ApiError> {
        let Self { artifact_name, device_type, artifact_provides, more } = self;
        let text = |(key, value): (String, Value)| match value {
            Value::String(text) => Some((key, text)),
            _ => None,
        };
        let mut provides: BTreeMap<String, String> = more.into_iter().filter_map(text).collect();
        provides.extend(artifact_provides);
        let request = Request { artifact_name, device_type, provides, control_map: false };
        check(&request)?;
        Ok(request)
    }
}

/// What a device says of itself, in the form of newer clients.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ProvidesV2 {
    device_provides: Provides,
    /// Whether it understands where it is to wait.
    #[serde(default, deserialize_with = "or_default")]
    update_control_map: bool,
}

impl ProvidesV2 {
    pub(in crate::deployments) fn read(self) -> Result<Request, ApiError> {
        let control_map = self.update_control_map;
        Ok(Request { control_map, ..self.device_provides.read()? })
    }
}

/// What of a deployment changes.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Change {
    /// Where devices wait for a word.
    #[serde(default)]
    #[schema(value_type = Object)]
    update_control_map: Option<Map<String, Value>>,
}

impl FromBody for Change {}

impl Change {
    pub(in crate::deployments) fn read(self) -> Result<Map<String, Value>, ApiError> {
        let missing = || ApiError::bad_request("update_control_map: cannot be blank.");
        self.update_control_map.ok_or_else(missing)
    }
}

impl FromBody for ProvidesV2 {
    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("invalid schema: {error}"))
    }
}

#[derive(Deserialize, ToSchema)]
struct Line {
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(default)]
    level: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    message: String,
}

/// What a device wrote down.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewLog {
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Vec<Line>)]
    messages: Vec<Item<Line>>,
}

impl FromBody for NewLog {}

impl NewLog {
    // Compat: small devices tell no time, or none that is known, and no level.
    pub(in crate::deployments) fn read(self, now: Time) -> Result<Vec<Message>, ApiError> {
        let read = |Item(line): Item<Line>| {
            if line.message.is_empty() {
                return Err(ApiError::bad_request("message: cannot be blank."));
            }
            let timestamp =
                line.timestamp.filter(|text| !text.is_empty()).unwrap_or_else(|| now.to_string());
            let level = line.level.unwrap_or_default();
            let sound = |text: String| text.replace('\0', "");
            Ok(Message {
                timestamp: sound(timestamp),
                level: sound(level),
                message: sound(line.message),
            })
        };
        self.messages.into_iter().map(read).collect()
    }
}

/// A configuration for a device.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewConfiguration {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    /// JSON, or text with JSON in it.
    #[serde(default, deserialize_with = "Option::deserialize")]
    #[schema(value_type = Object)]
    configuration: Option<Value>,
    #[serde(default, deserialize_with = "or_default")]
    pub(in crate::deployments) retries: u32,
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Object)]
    pub(in crate::deployments) update_control_map: Map<String, Value>,
}

impl FromBody for NewConfiguration {
    const TYPED: bool = false;

    fn refuse(error: &JsonError) -> ApiError {
        validating(error)
    }
}

impl NewConfiguration {
    /// Returns the name, and the configuration as JSON text.
    pub(in crate::deployments) fn read(self) -> Result<(String, String), ApiError> {
        let mut faults = Faults::default();
        faults.note("name", name_fault(&self.name));
        let configuration = match self.configuration {
            Some(Value::String(text)) => text,
            Some(value) => value.to_string(),
            None => String::new(),
        };
        if configuration.is_empty() {
            faults.add("configuration", "cannot be blank");
        }
        faults.check().map_err(validating)?;
        Ok((self.name, configuration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_length_are_refused_and_not_repeated() {
        let value = |value: &str| Value::String(value.into());
        let refusal = |key: String, text: &str| {
            let more = BTreeMap::from([(key, value(text))]);
            let (artifact_name, device_type) = ("old".into(), "rpi".into());
            let artifact_provides = BTreeMap::new();
            Provides { artifact_name, device_type, artifact_provides, more }
                .read()
                .err()
                .map(|error| String::from_utf8_lossy(&error.body("")).into_owned())
        };
        assert_eq!(refusal("k".repeat(4096), "v"), None);
        let long = refusal("k".repeat(900_000), &"v".repeat(5000)).unwrap();
        let text = "artifact_provides: the length of a name must be no more than 4096.";
        assert!(long.contains(text) && long.len() < 200, "{} bytes", long.len());
    }
}
