//! Searches and saved filters as clients state them.

use mender_core::{
    DeviceId,
    inventory::{AttributeName, Filter, InvalidPredicate, Op, Operand, Predicate, Query},
    page::{MAX_PAGE, PageRequest},
};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value as Json;
use utoipa::ToSchema;

use super::{Shown, attributes::Attributes};
use crate::{
    body::{FromBody, Item, JsonError, or_default},
    error::{ApiError, Faults},
    inventory::error,
};

fn blank(text: &str) -> Option<&'static str> {
    text.is_empty().then_some("cannot be blank")
}

fn scope_fault(scope: &str) -> Option<&'static str> {
    if AttributeName::SCOPES.contains(&scope) {
        return None;
    }
    blank(scope).or(Some("must be one of system, identity, inventory, monitor, tags"))
}

fn page(page: i64, per_page: i64) -> PageRequest {
    let or = |number: i64, default: u32| match number {
        ..1 => default,
        number => u32::try_from(number).unwrap_or(u32::MAX),
    };
    PageRequest::new(or(page, 1), or(per_page, PageRequest::default().size))
}

fn page_faults(faults: &mut Faults, per_page: i64) {
    if per_page > i64::from(MAX_PAGE) {
        faults.add("per_page", format!("must be no greater than {MAX_PAGE}"));
    }
}

/// A condition on one attribute.
#[derive(Deserialize, ToSchema)]
pub(in crate::inventory) struct FilterPredicate {
    /// `system`, `identity`, `inventory`, `monitor` or `tags`.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    scope: String,
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    attribute: String,
    /// `$eq`, `$ne`, `$gt`, `$gte`, `$lt`, `$lte`, `$ltne`, `$in`, `$nin`, `$exists` or `$regex`.
    #[serde(default, deserialize_with = "or_default", rename = "type")]
    #[schema(required)]
    op: String,
    #[serde(default)]
    #[schema(required)]
    value: Json,
}

impl FilterPredicate {
    fn check(&self) -> Result<(), Faults> {
        let mut faults = Faults::default();
        faults.note("scope", scope_fault(&self.scope));
        faults.note("attribute", blank(&self.attribute));
        let unknown = self.op.parse::<Op>().is_err().then_some("must be a valid value");
        faults.note("type", blank(&self.op).or(unknown));
        faults.note("value", self.value.is_null().then_some("is required"));
        faults.check()
    }

    /// Invariant: it was checked, so the operator is known.
    fn read(self) -> Result<Predicate, InvalidPredicate> {
        let Self { scope, attribute, op, value } = self;
        let op = op.parse().unwrap_or(Op::Eq);
        let name = AttributeName::new(scope, attribute);
        let predicate = Predicate { name, op, value: Operand::from_json(&value)? };
        predicate.check()?;
        Ok(predicate)
    }
}

/// A key to sort by.
#[derive(Deserialize, ToSchema)]
pub(in crate::inventory) struct SortCriteria {
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    scope: String,
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    attribute: String,
    /// `asc` or `desc`.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    order: String,
}

impl SortCriteria {
    fn check(&self) -> Result<(), Faults> {
        let mut faults = Faults::default();
        faults.note("scope", scope_fault(&self.scope));
        faults.note("attribute", blank(&self.attribute));
        let unknown = !["asc", "desc"].contains(&self.order.as_str());
        let unknown = unknown.then_some("must be a valid value");
        faults.note("order", blank(&self.order).or(unknown));
        faults.check()
    }
}

/// An attribute to show.
#[derive(Deserialize, ToSchema)]
pub(in crate::inventory) struct SelectAttribute {
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    scope: String,
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    attribute: String,
}

impl SelectAttribute {
    fn check(&self) -> Result<(), Faults> {
        let mut faults = Faults::default();
        faults.note("scope", scope_fault(&self.scope));
        faults.note("attribute", blank(&self.attribute));
        faults.check()
    }

    fn names(all: Vec<Item<Self>>) -> Vec<AttributeName> {
        all.into_iter().map(|Item(one)| AttributeName::new(one.scope, one.attribute)).collect()
    }
}

/// Which devices to find, and what to show of them.
#[derive(Deserialize, ToSchema)]
pub(in crate::inventory) struct SearchParams {
    #[serde(default, deserialize_with = "or_default")]
    page: i64,
    #[serde(default, deserialize_with = "or_default")]
    per_page: i64,
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Vec<FilterPredicate>)]
    filters: Vec<Item<FilterPredicate>>,
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Vec<SortCriteria>)]
    sort: Vec<Item<SortCriteria>>,
    /// What to show; everything where it is empty.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Vec<SelectAttribute>)]
    attributes: Vec<Item<SelectAttribute>>,
    /// Only these devices; any where it is empty.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Vec<String>)]
    device_ids: Vec<Option<String>>,
    /// Words, one of which a device must have.
    #[serde(default, deserialize_with = "or_default")]
    text: String,
}

impl FromBody for SearchParams {
    fn refuse(error: &JsonError) -> ApiError {
        Attributes::refuse(error)
    }
}

/// A search that was read: what to find, which page of it, and what to show.
pub(in crate::inventory) struct Asked {
    pub(in crate::inventory) query: Query,
    pub(in crate::inventory) page: PageRequest,
    pub(in crate::inventory) shown: Vec<AttributeName>,
}

impl SearchParams {
    pub(in crate::inventory) fn read(self) -> Result<Asked, ApiError> {
        self.filters.iter().try_for_each(|Item(filter)| filter.check())?;
        self.sort.iter().try_for_each(|Item(key)| key.check())?;
        self.attributes.iter().try_for_each(|Item(one)| one.check())?;
        let mut faults = Faults::default();
        page_faults(&mut faults, self.per_page);
        faults.check()?;
        let filters = self.filters.into_iter().map(|Item(filter)| filter.read());
        let mut filters = filters.collect::<Result<Vec<_>, _>>().map_err(error::predicate)?;
        let ids: Vec<DeviceId> =
            self.device_ids.iter().flatten().filter_map(|id| id.parse().ok()).collect();
        if ids.is_empty() && !self.device_ids.is_empty() {
            // What can be no id is no device's.
            filters.push(nothing());
        }
        let key = |Item(key): Item<SortCriteria>| {
            (AttributeName::new(key.scope, key.attribute), key.order == "desc")
        };
        Ok(Asked {
            query: Query {
                filters,
                sort: self.sort.into_iter().map(key).collect(),
                ids,
                text: Some(self.text).filter(|text| !text.is_empty()),
                ..Query::default()
            },
            page: page(self.page, self.per_page),
            shown: SelectAttribute::names(self.attributes),
        })
    }
}

/// A predicate that no device fits.
pub(in crate::inventory) fn nothing() -> Predicate {
    let name = AttributeName::identity("id");
    Predicate { name, op: Op::In, value: Operand::List(Vec::new()) }
}

/// Which devices to find by the beginning of an identity.
#[derive(Deserialize, ToSchema)]
pub(in crate::inventory) struct IdentitySearch {
    /// `identity` or `tags`.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    scope: String,
    /// An attribute of the identity, `id`, or the tag `name`.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    value_prefix: String,
    #[serde(default, deserialize_with = "or_default")]
    #[schema(value_type = Vec<SelectAttribute>)]
    attributes: Vec<Item<SelectAttribute>>,
    #[serde(default, deserialize_with = "or_default")]
    page: i64,
    #[serde(default, deserialize_with = "or_default")]
    per_page: i64,
}

impl FromBody for IdentitySearch {
    fn refuse(error: &JsonError) -> ApiError {
        Attributes::refuse(error)
    }
}

/// A search by the beginning of an identity that was read.
pub(in crate::inventory) struct AskedPrefix {
    pub(in crate::inventory) attribute: AttributeName,
    pub(in crate::inventory) beginning: String,
    pub(in crate::inventory) page: PageRequest,
    pub(in crate::inventory) shown: Vec<AttributeName>,
}

impl IdentitySearch {
    pub(in crate::inventory) fn read(self) -> Result<AskedPrefix, ApiError> {
        self.attributes.iter().try_for_each(|Item(one)| one.check())?;
        let mut faults = Faults::default();
        let is_known = [AttributeName::IDENTITY, AttributeName::TAGS].contains(&&*self.scope);
        let unknown = (!is_known).then_some("must be one of identity, tags");
        faults.note("scope", blank(&self.scope).or(unknown));
        faults.note("name", blank(&self.name));
        faults.note("value_prefix", blank(&self.value_prefix));
        page_faults(&mut faults, self.per_page);
        faults.check()?;
        Ok(AskedPrefix {
            attribute: AttributeName::new(self.scope, self.name),
            beginning: self.value_prefix,
            page: page(self.page, self.per_page),
            shown: SelectAttribute::names(self.attributes),
        })
    }
}

/// A filter to save.
#[derive(Deserialize, ToSchema)]
pub(in crate::inventory) struct FilterDefinition {
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    pub(in crate::inventory) name: String,
    /// At least one.
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required, value_type = Vec<FilterPredicate>)]
    terms: Vec<Item<FilterPredicate>>,
}

impl FromBody for FilterDefinition {
    fn refuse(error: &JsonError) -> ApiError {
        Attributes::refuse(error)
    }
}

impl FilterDefinition {
    /// Returns the name and the terms.
    pub(in crate::inventory) fn read(self) -> Result<(String, Vec<Predicate>), ApiError> {
        let wrong = |why: &dyn std::fmt::Display| {
            ApiError::bad_request(format!("validation failed for term: {why}"))
        };
        let term = |Item(term): Item<FilterPredicate>| {
            term.check().map_err(|faults| wrong(&faults))?;
            term.read().map_err(|error| wrong(&error))
        };
        let terms: Result<_, _> = self.terms.into_iter().map(term).collect();
        Ok((self.name, terms?))
    }
}

struct ShownOperand(Operand);

impl Serialize for ShownOperand {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Operand::Null => to.serialize_unit(),
            Operand::Value(value) => Shown(value.clone()).serialize(to),
            Operand::List(items) => to.collect_seq(items.iter().map(|item| Self(item.clone()))),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct SavedTerm {
    scope: String,
    attribute: String,
    r#type: &'static str,
    #[schema(value_type = Json)]
    value: ShownOperand,
}

/// A saved filter.
#[derive(Serialize, ToSchema)]
pub(in crate::inventory) struct SavedFilter {
    id: String,
    name: String,
    terms: Vec<SavedTerm>,
}

impl From<Filter> for SavedFilter {
    fn from(filter: Filter) -> Self {
        let Filter { id, name, terms, version: _ } = filter;
        let term = |Predicate { name, op, value }| SavedTerm {
            scope: name.scope,
            attribute: name.name,
            r#type: op.as_str(),
            value: ShownOperand(value),
        };
        Self { id: id.to_string(), name, terms: terms.into_iter().map(term).collect() }
    }
}
