//! Records of what deployments did on devices.

use std::collections::{BTreeMap, HashSet};

use mender_core::{
    Time,
    artifacts::format::{Content, Depend},
    deployments::{Deployment, DeviceDeployment, ShownDevice},
    inventory::Value,
    page::PageRequest,
    search::{self, DeviceRecord, Field, RecordSearch},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use super::{Item, NEVER, comparison, is_descending, page_of, required, terms};

/// What is counted of records.
type RecordTerm = search::Term<Option<Field>>;

/// A condition.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = RecordFilter)]
pub(crate) struct Filter {
    attribute: Option<String>,
    r#type: Option<String>,
    #[serde(default)]
    #[schema(value_type = Object)]
    value: Json,
}

/// A key of the order.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = RecordSortKey)]
pub(crate) struct SortKey {
    attribute: Option<String>,
    order: Option<String>,
}

/// A field.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = RecordSelect)]
pub(crate) struct Select {
    attribute: Option<String>,
}

/// A search for records.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = RecordSearch)]
pub(crate) struct Search {
    page: Option<i64>,
    per_page: Option<i64>,
    #[schema(value_type = Option<Vec<Filter>>)]
    filters: Option<Vec<Item<Filter>>>,
    #[schema(value_type = Option<Vec<SortKey>>)]
    sort: Option<Vec<Item<SortKey>>>,
    #[schema(value_type = Option<Vec<Select>>)]
    attributes: Option<Vec<Item<Select>>>,
    device_ids: Option<Vec<String>>,
    deployment_ids: Option<Vec<String>>,
}

/// What is counted.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = RecordTerm)]
pub(crate) struct Term {
    name: Option<String>,
    attribute: Option<String>,
    limit: Option<i64>,
    #[schema(no_recursion, value_type = Option<Vec<Term>>)]
    aggregations: Option<Vec<Item<Term>>>,
}

/// A question for numbers of records.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = RecordAggregate)]
pub(crate) struct Aggregate {
    #[schema(value_type = Option<Vec<Term>>)]
    aggregations: Option<Vec<Item<Term>>>,
    #[schema(value_type = Option<Vec<Filter>>)]
    filters: Option<Vec<Item<Filter>>>,
}

/// The field that is meant; `None`: one that no record has.
fn field(attribute: Option<String>) -> Result<Option<Field>, String> {
    Ok(required("attribute", attribute)?.parse().ok())
}

fn conditions(filters: Option<Vec<Item<Filter>>>) -> Result<Vec<search::Condition>, String> {
    let read = |Item(filter): Item<Filter>| {
        let field = field(filter.attribute)?;
        let (op, operand) = comparison(filter.r#type, &filter.value)?;
        search::Condition::new(field, op, operand).map_err(|e| e.to_string())
    };
    filters.unwrap_or_default().into_iter().map(read).collect()
}

/// Reads ids; none is no restriction, and what is no id is nobody's.
fn ids<T: std::str::FromStr>(asked: Option<Vec<String>>) -> Option<Vec<T>> {
    let asked = asked.filter(|asked| !asked.is_empty())?;
    let distinct: HashSet<String> = asked.into_iter().collect();
    Some(distinct.iter().filter_map(|id| id.parse().ok()).collect())
}

impl Search {
    /// Reads what is searched for, which fields are shown, and the page.
    pub(crate) fn read(self) -> Result<(RecordSearch, HashSet<String>, PageRequest), String> {
        let Self { page, per_page, filters, sort, attributes, device_ids, deployment_ids } = self;
        let mut keys = Vec::new();
        for Item(key) in sort.unwrap_or_default() {
            let (field, descending) = (field(key.attribute)?, is_descending(key.order)?);
            keys.extend(field.map(|field| (field, descending)));
        }
        let select = |Item(one): Item<Select>| required("attribute", one.attribute);
        let selected = attributes.unwrap_or_default().into_iter().map(select);
        let selected = selected.collect::<Result<_, _>>()?;
        let wanted = RecordSearch {
            conditions: conditions(filters)?,
            sort: keys,
            devices: ids(device_ids),
            deployments: ids(deployment_ids),
        };
        Ok((wanted, selected, page_of(page, per_page)))
    }
}

impl Aggregate {
    /// Reads what is counted, and of which records.
    pub(crate) fn read(self) -> Result<(Vec<RecordTerm>, RecordSearch), String> {
        let asked = self.aggregations.unwrap_or_default();
        if asked.is_empty() {
            return Err("aggregations: cannot be blank.".into());
        }
        let conditions = conditions(self.filters)?;
        Ok((terms(asked)?, RecordSearch { conditions, ..RecordSearch::default() }))
    }
}

impl super::ReadTerm for Term {
    type Attribute = Option<Field>;

    fn parts(self) -> Result<super::TermParts<Self>, String> {
        let Self { name, attribute, limit, aggregations } = self;
        let name = required("name", name)?;
        Ok(super::TermParts { name, attribute: field(attribute)?, limit, inner: aggregations })
    }
}

/// A record.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeploymentRecord)]
pub(crate) struct Record {
    id: String,
    tenant_id: String,
    device_id: String,
    deployment_id: String,
    deployment_name: String,
    deployment_artifact_name: String,
    deployment_type: &'static str,
    #[schema(value_type = String, format = DateTime)]
    deployment_created: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment_filter_id: Option<String>,
    deployment_all_devices: bool,
    deployment_force_installation: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deployment_groups: Vec<String>,
    deployment_phased: bool,
    deployment_phase_id: String,
    deployment_retries: u32,
    deployment_max_devices: u64,
    // Compat: clients know it with this spelling.
    deployment_autogenerate_deta: bool,
    #[schema(value_type = String, format = DateTime)]
    device_created: Time,
    #[schema(value_type = Option<String>, format = DateTime)]
    device_finished: Option<Time>,
    device_elapsed_seconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    device_deleted: Option<Time>,
    device_status: &'static str,
    device_is_log_available: bool,
    device_retries: u32,
    device_attempts: u32,
    image_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_description: Option<String>,
    image_artifact_name: String,
    image_device_types: Vec<String>,
    image_signed: bool,
    image_artifact_info_format: &'static str,
    image_artifact_info_version: u32,
    image_provides: BTreeMap<String, String>,
    #[schema(value_type = Object)]
    image_depends: BTreeMap<String, Depend>,
    image_clears_provides: Vec<String>,
    image_size: u64,
}

impl Record {
    pub(crate) fn of(record: DeviceRecord) -> Self {
        let filter = match record.value(Field::DeploymentFilterId) {
            Some(Value::Text(id)) => Some(id),
            _ => None,
        };
        let all_devices = record.value(Field::DeploymentAllDevices) == Some(Value::Flag(true));
        let DeviceRecord { tenant, deployment, device } = record;
        let elapsed = device.elapsed().as_secs();
        let ShownDevice { row, artifact, attempts, phase } = device;
        let Deployment { id, name, artifact_name, payload, rollout, groups, .. } = &*deployment;
        let DeviceDeployment { device, record, status, created, finished, deleted, log, .. } = row;
        let mut shown = Self {
            id: record,
            tenant_id: tenant.to_string(),
            device_id: device.to_string(),
            deployment_id: id.to_string(),
            deployment_name: name.clone(),
            deployment_artifact_name: artifact_name.clone(),
            deployment_type: payload.kind(),
            deployment_created: deployment.created,
            deployment_filter_id: filter,
            deployment_all_devices: all_devices,
            deployment_force_installation: deployment.force_installation,
            deployment_groups: groups.clone(),
            deployment_phased: phase.is_some(),
            deployment_phase_id: phase.unwrap_or_default(),
            deployment_retries: rollout.retries,
            deployment_max_devices: deployment.max_devices,
            deployment_autogenerate_deta: rollout.delta,
            device_created: created,
            device_finished: finished,
            device_elapsed_seconds: elapsed,
            device_deleted: deleted,
            device_status: status.as_str(),
            device_is_log_available: log,
            device_retries: rollout.retries,
            device_attempts: attempts.unwrap_or(0),
            image_id: String::new(),
            image_description: None,
            image_artifact_name: String::new(),
            image_device_types: Vec::new(),
            image_signed: false,
            image_artifact_info_format: "",
            image_artifact_info_version: 0,
            image_provides: BTreeMap::new(),
            image_depends: BTreeMap::new(),
            image_clears_provides: Vec::new(),
            image_size: 0,
        };
        if let Some(artifact) = artifact {
            let Content { version, name, device_types, signed, provides, depends, clears, .. } =
                artifact.content;
            shown.image_id = artifact.id.to_string();
            shown.image_description = artifact.description.filter(|text| !text.is_empty());
            shown.image_artifact_name = name;
            shown.image_device_types = device_types;
            shown.image_signed = signed;
            shown.image_artifact_info_format = "mender";
            shown.image_artifact_info_version = version;
            shown.image_provides = provides;
            shown.image_depends = depends;
            shown.image_clears_provides = clears;
            shown.image_size = artifact.size;
        }
        shown
    }

    /// Writes the record; fields that are not selected as though nothing were there. No selection
    /// is all of them.
    pub(crate) fn selected(self, selected: &HashSet<String>) -> Json {
        let mut json = serde_json::to_value(self).unwrap_or_default();
        if let (Json::Object(fields), false) = (&mut json, selected.is_empty()) {
            clear(fields, selected);
        }
        json
    }
}

fn clear(fields: &mut Map<String, Json>, selected: &HashSet<String>) {
    const OMITTED: [&str; 4] =
        ["deployment_filter_id", "deployment_groups", "device_deleted", "image_description"];
    let is_kept = |name: &str| name == "id" || selected.contains(name);
    fields.retain(|name, _| is_kept(name) || !OMITTED.contains(&name.as_str()));
    for (name, value) in fields.iter_mut().filter(|(name, _)| !is_kept(name)) {
        *value = match value {
            _ if matches!(name.as_str(), "deployment_created" | "device_created") => NEVER.into(),
            _ if name == "device_finished" => Json::Null,
            Json::Null => Json::Null,
            Json::Bool(_) => false.into(),
            Json::Number(_) => 0.into(),
            Json::String(_) => "".into(),
            Json::Array(_) => Vec::<Json>::new().into(),
            Json::Object(_) => Map::new().into(),
        };
    }
}
