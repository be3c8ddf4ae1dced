pub(super) mod records;

use std::collections::HashSet;

use mender_core::{
    Time,
    inventory::{self, AttributeName, Attributes, Op, Operand, Predicate, Query, Value, name},
    page::PageRequest,
    search::{self, Area, DeviceSearch, Distance},
};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use utoipa::ToSchema;

use super::{error, management::page_of};
pub(super) use crate::error::ErrorBody;
use crate::{
    body::{FromBody, Item, JsonError},
    error::ApiError,
};

/// The most terms in one list.
const MAX_TERMS: usize = 100;

/// The time of what never happened.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// A condition.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Filter {
    scope: Option<String>,
    attribute: Option<String>,
    r#type: Option<String>,
    #[serde(default)]
    #[schema(value_type = Object)]
    value: Json,
}

/// A key of the order.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct SortKey {
    scope: Option<String>,
    attribute: Option<String>,
    order: Option<String>,
}

/// An attribute.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Select {
    scope: Option<String>,
    attribute: Option<String>,
}

/// A place on earth.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
pub(super) struct Location {
    lat: f64,
    lon: f64,
}

/// A circle.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct GeoDistance {
    distance: String,
    location: Location,
}

/// A filter by distance.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct GeoDistanceFilter {
    geo_distance: GeoDistance,
}

/// Two corners.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Corners {
    top_left: Location,
    bottom_right: Location,
}

/// A box.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct GeoBox {
    location: Corners,
}

/// A filter by a box.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct GeoBoxFilter {
    geo_bounding_box: GeoBox,
}

/// A search.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ReportSearch)]
pub(super) struct Search {
    page: Option<i64>,
    per_page: Option<i64>,
    #[schema(value_type = Option<Vec<Filter>>)]
    filters: Option<Vec<Item<Filter>>>,
    #[schema(value_type = Option<Vec<SortKey>>)]
    sort: Option<Vec<Item<SortKey>>>,
    #[schema(value_type = Option<Vec<Select>>)]
    attributes: Option<Vec<Item<Select>>>,
    device_ids: Option<Vec<String>>,
    geo_distance_filter: Option<GeoDistanceFilter>,
    geo_bounding_box_filter: Option<GeoBoxFilter>,
}

/// What is counted.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Term {
    name: Option<String>,
    attribute: Option<String>,
    scope: Option<String>,
    limit: Option<i64>,
    #[schema(no_recursion, value_type = Option<Vec<Term>>)]
    aggregations: Option<Vec<Item<Term>>>,
}

/// A question for numbers.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct Aggregate {
    #[schema(value_type = Option<Vec<Term>>)]
    aggregations: Option<Vec<Item<Term>>>,
    #[schema(value_type = Option<Vec<Filter>>)]
    filters: Option<Vec<Item<Filter>>>,
    geo_distance_filter: Option<GeoDistanceFilter>,
    geo_bounding_box_filter: Option<GeoBoxFilter>,
}

/// Bodies that say themselves what is malformed.
macro_rules! bodies {
    ($($body:ty),+) => {$(
        impl FromBody for $body {
            const TYPED: bool = false;

            fn refuse(error: &JsonError) -> ApiError {
                error::malformed(error)
            }
        }
    )+};
}

bodies!(Search, Aggregate, records::Search, records::Aggregate);

fn required(field: &str, text: Option<String>) -> Result<String, String> {
    text.filter(|text| !text.is_empty()).ok_or_else(|| format!("{field}: cannot be blank."))
}

/// The attribute that is meant; one with the name `id` is the device's.
fn named(scope: Option<String>, attribute: Option<String>) -> Result<AttributeName, String> {
    let (attribute, scope) = (required("attribute", attribute)?, required("scope", scope)?);
    if attribute == "id" {
        return Ok(AttributeName::identity("id"));
    }
    Ok(AttributeName::new(scope, attribute))
}

/// Reads how an attribute is compared, and with what.
fn comparison(op: Option<String>, value: &Json) -> Result<(Op, Operand), String> {
    let op: Op = required("type", op)?.parse().map_err(|()| "type: must be a valid value.")?;
    if op == Op::Ltne {
        return Err("type: must be a valid value.".into());
    }
    if value.is_null() {
        return Err("value: is required.".into());
    }
    let is_list = value.is_array();
    if is_list != matches!(op, Op::In | Op::Nin) {
        // Compat: the text of the reference server, which answers 500 with it.
        return Err(match is_list {
            true => "filter doesn't support array values".into(),
            false => "filter supports only array values".into(),
        });
    }
    Ok((op, Operand::from_json(value).map_err(|e| e.to_string())?))
}

fn is_descending(order: Option<String>) -> Result<bool, String> {
    match required("order", order)?.as_str() {
        "asc" => Ok(false),
        "desc" => Ok(true),
        _ => Err("order: must be a valid value.".into()),
    }
}

impl Filter {
    fn read(self) -> Result<Predicate, String> {
        let name = named(self.scope, self.attribute)?;
        let (op, value) = comparison(self.r#type, &self.value)?;
        let value = match (value, op) {
            // The whole value must match.
            (Operand::Value(Value::Text(pattern)), Op::Regex) => {
                Operand::Value(Value::Text(format!("(?:{pattern})$")))
            }
            (value, _) => value,
        };
        Ok(Predicate { name, op, value })
    }
}

impl SortKey {
    fn read(self) -> Result<(AttributeName, bool), String> {
        Ok((named(self.scope, self.attribute)?, is_descending(self.order)?))
    }
}

fn coordinates(Location { lat, lon }: Location) -> Result<inventory::Coordinates, String> {
    inventory::Coordinates::new(lat, lon).ok_or_else(|| "location: out of range.".into())
}

/// The area that is meant; of two, the circle.
fn area(
    circle: Option<GeoDistanceFilter>,
    corners: Option<GeoBoxFilter>,
) -> Result<Option<Area>, String> {
    let between = |GeoBoxFilter { geo_bounding_box: GeoBox { location } }| {
        let (top_left, bottom_right) =
            (coordinates(location.top_left)?, coordinates(location.bottom_right)?);
        Ok::<_, String>(Area::Between { top_left, bottom_right })
    };
    let around = |GeoDistanceFilter { geo_distance: GeoDistance { distance, location } }| {
        let most: Distance = distance.parse().map_err(|e| format!("distance: {e}."))?;
        Ok::<_, String>(Area::Around(coordinates(location)?, most))
    };
    let between = corners.map(between).transpose()?;
    Ok(circle.map(around).transpose()?.or(between))
}

fn filters(filters: Option<Vec<Item<Filter>>>) -> Result<Vec<Predicate>, String> {
    filters.unwrap_or_default().into_iter().map(|Item(filter)| filter.read()).collect()
}

type Selected = Option<HashSet<AttributeName>>;

impl Search {
    /// Reads what is searched for, which attributes are shown, and the page.
    pub(super) fn read(self) -> Result<(DeviceSearch, Selected, PageRequest), String> {
        let Self {
            page,
            per_page,
            filters: conditions,
            sort,
            attributes,
            device_ids,
            geo_distance_filter,
            geo_bounding_box_filter,
        } = self;
        let sort = sort.unwrap_or_default().into_iter().map(|Item(key)| key.read());
        let sort = sort.collect::<Result<_, _>>()?;
        let select = |Item(one): Item<Select>| named(one.scope, one.attribute);
        let selected = attributes.unwrap_or_default().into_iter().map(select);
        let selected: HashSet<AttributeName> = selected.collect::<Result<_, _>>()?;
        let asked = device_ids.unwrap_or_default();
        // A text that is no id is no device's.
        let ids: Vec<_> = asked.iter().filter_map(|id| id.parse().ok()).collect();
        let mut all = filters(conditions)?;
        if ids.is_empty() && !asked.is_empty() {
            let (name, value) = (AttributeName::identity("id"), Operand::List(Vec::new()));
            all.push(Predicate { name, op: Op::In, value });
        }
        let query = Query { filters: all, sort, ids, ..Query::default() };
        let area = area(geo_distance_filter, geo_bounding_box_filter)?;
        let selected = (!selected.is_empty()).then_some(selected);
        Ok((DeviceSearch { query, area }, selected, page_of(page, per_page)))
    }
}

/// What a term says, the terms inside it unread.
struct TermParts<T: ReadTerm> {
    name: String,
    attribute: T::Attribute,
    limit: Option<i64>,
    inner: Option<Vec<Item<T>>>,
}

/// A term of what is counted.
trait ReadTerm: Sized {
    /// What it is counted by.
    type Attribute;

    fn parts(self) -> Result<TermParts<Self>, String>;
}

impl ReadTerm for Term {
    type Attribute = AttributeName;

    fn parts(self) -> Result<TermParts<Self>, String> {
        let Self { name, attribute, scope, limit, aggregations } = self;
        let name = required("name", name)?;
        let (attribute, scope) = (required("attribute", attribute)?, required("scope", scope)?);
        let attribute = AttributeName::new(scope, attribute);
        Ok(TermParts { name, attribute, limit, inner: aggregations })
    }
}

fn term<T: ReadTerm>(asked: T) -> Result<search::Term<T::Attribute>, String> {
    let TermParts { name, attribute, limit, inner } = asked.parts()?;
    let limit = match limit.unwrap_or(0) {
        limit if limit < 0 => return Err("limit: must be no less than 0.".into()),
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    Ok(search::Term { name, attribute, limit, terms: terms(inner.unwrap_or_default())? })
}

fn terms<T: ReadTerm>(asked: Vec<Item<T>>) -> Result<Vec<search::Term<T::Attribute>>, String> {
    if asked.len() > MAX_TERMS {
        return Err(format!("aggregations: the length must be between 1 and {MAX_TERMS}."));
    }
    let mut terms = asked.into_iter().map(|Item(one)| term(one)).collect::<Result<Vec<_>, _>>()?;
    // Compat: of two with one name there is one.
    let mut names = HashSet::new();
    terms.retain(|term| names.insert(term.name.clone()));
    Ok(terms)
}

impl Aggregate {
    /// Reads what is counted, and of which devices.
    pub(super) fn read(self) -> Result<(Vec<search::Term>, DeviceSearch), String> {
        let asked = self.aggregations.unwrap_or_default();
        if asked.is_empty() {
            return Err("aggregations: cannot be blank.".into());
        }
        // Compat: areas are checked, and do not count.
        area(self.geo_distance_filter, self.geo_bounding_box_filter)?;
        let query = Query { filters: filters(self.filters)?, ..Query::default() };
        Ok((terms(asked)?, DeviceSearch { query, area: None }))
    }
}

/// An attribute of a device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReportAttribute)]
pub(super) struct Attribute {
    name: String,
    #[schema(value_type = Object)]
    value: Json,
    scope: String,
}

/// A device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReportDevice)]
pub(super) struct Device {
    id: String,
    attributes: Vec<Attribute>,
    created_ts: String,
    updated_ts: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    check_in_time: Option<String>,
}

impl Device {
    /// Writes a device with the selected attributes, or with all.
    pub(super) fn of(
        device: &inventory::Device,
        selected: Option<&HashSet<AttributeName>>,
    ) -> Self {
        let inventory::Device { id, attributes, .. } = device;
        let is_shown = |name: &AttributeName| selected.is_none_or(|all| all.contains(name));
        let time = |name: &str| {
            let name = AttributeName::system(name);
            let shown = time_of(attributes, &name).filter(|_| is_shown(&name));
            shown.map_or_else(|| NEVER.into(), |time| time.to_string())
        };
        let seen = time_of(attributes, &AttributeName::system(name::SEEN));
        let day = |at: Time| Time::from_seconds(at.day() * 86_400).to_string();
        let shown = attributes.iter().filter_map(|(scope, name, attribute)| {
            let known = AttributeName::new(scope, name);
            is_shown(&known).then(|| Attribute {
                name: known.name,
                value: scalar(attribute.value.to_json()),
                scope: known.scope,
            })
        });
        Self {
            id: id.to_string(),
            attributes: shown.collect(),
            created_ts: time(name::CREATED),
            updated_ts: time(name::UPDATED),
            check_in_time: seen.map(day),
        }
    }
}

fn time_of(attributes: &Attributes, name: &AttributeName) -> Option<Time> {
    attributes.value(name)?.as_time()
}

/// A list of one element is the element.
fn scalar(value: Json) -> Json {
    match value {
        Json::Array(mut items) if items.len() == 1 => items.remove(0),
        value => value,
    }
}

/// Devices with one value.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Bucket {
    key: String,
    count: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    aggregations: Vec<Aggregation>,
}

/// Numbers of devices.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Aggregation {
    name: String,
    items: Vec<Bucket>,
    other_count: u64,
}

impl From<search::Aggregation> for Aggregation {
    fn from(search::Aggregation { name, items, other_count }: search::Aggregation) -> Self {
        let item = |search::Bucket { key, count, aggregations }| Bucket {
            key,
            count,
            aggregations: aggregations.into_iter().map(Self::from).collect(),
        };
        Self { name, items: items.into_iter().map(item).collect(), other_count }
    }
}

/// The name of an attribute.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Name {
    name: String,
    scope: String,
}

impl From<AttributeName> for Name {
    fn from(AttributeName { scope, name }: AttributeName) -> Self {
        Self { name, scope }
    }
}

/// How many attributes can be filtered by, and which.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Filterable {
    pub(super) limit: usize,
    pub(super) count: usize,
    pub(super) attributes: Vec<Name>,
}

/// An attribute that can be searched for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Searchable {
    scope: String,
    name: String,
    count: u64,
}

impl From<AttributeName> for Searchable {
    fn from(AttributeName { scope, name }: AttributeName) -> Self {
        Self { scope, name, count: 1 }
    }
}
