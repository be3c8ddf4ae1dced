//! Attributes as clients give them, and what is wrong with them.

use mender_core::{
    DeviceId, Time,
    id::InvalidId,
    inventory::{AttributeName, InvalidValue, NewAttribute, Value, name},
};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use utoipa::ToSchema;

use crate::{
    body::{FromBody, Item, JsonError, or_default},
    error::{ApiError, Faults},
};

/// What is wrong with a name or scope.
fn name_fault(text: &str) -> Option<String> {
    match text.len() {
        0 => Some("cannot be blank".into()),
        1..=AttributeName::MAX if text.contains('\0') => Some(InvalidValue::Nul.to_string()),
        1..=AttributeName::MAX => None,
        _ => Some(format!("the length must be between 1 and {}", AttributeName::MAX)),
    }
}

/// An attribute to set.
#[derive(Deserialize, ToSchema)]
pub(in crate::inventory) struct Attribute {
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    name: String,
    /// Text, number, or a list of either.
    #[serde(default)]
    #[schema(required)]
    value: Json,
    #[serde(default)]
    description: Option<String>,
    /// `inventory` where it is absent; ignored where the path tells it.
    #[serde(default, deserialize_with = "or_default")]
    scope: String,
    /// Must be a time, and is ignored.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    #[expect(dead_code, reason = "only its form matters")]
    timestamp: Option<Time>,
}

impl Attribute {
    /// Returns the attribute in its scope, that of the path before that of the body.
    fn read(self, scope: Option<&str>) -> Result<NewAttribute, Faults> {
        let Self { name, value, description, scope: own, timestamp: _ } = self;
        let own = if own.is_empty() { AttributeName::INVENTORY } else { &own };
        let scope = scope.unwrap_or(own);
        let mut faults = Faults::default();
        faults.note("name", name_fault(&name));
        faults.note("scope", name_fault(scope));
        let nul = |text: &String| text.contains('\0').then(|| InvalidValue::Nul.to_string());
        faults.note("description", description.as_ref().and_then(nul));
        let value = Value::from_json(&value);
        faults.note("value", value.as_ref().err().map(ToString::to_string));
        faults.check()?;
        let name = AttributeName::new(scope, name);
        // Invariant: a value with a fault does not come here.
        Ok(NewAttribute { name, value: value.unwrap_or(Value::Texts(Vec::new())), description })
    }
}

/// Attributes to set.
#[derive(Default, ToSchema)]
#[schema(value_type = Vec<Attribute>)]
pub(in crate::inventory) struct Attributes(Vec<Item<Attribute>>);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        or_default(from).map(Self)
    }
}

impl FromBody for Attributes {
    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(format!("failed to decode request body: {error}"))
    }
}

impl Attributes {
    /// Returns the attributes in this scope, or else each in its own.
    pub(in crate::inventory) fn read(
        self,
        scope: Option<&str>,
    ) -> Result<Vec<NewAttribute>, Faults> {
        self.0.into_iter().map(|Item(attribute)| attribute.read(scope)).collect()
    }
}

/// The time of the last contact, in a list of attributes, is a time, not a text.
pub(in crate::inventory) fn with_times(
    mut attributes: Vec<NewAttribute>,
) -> Result<Vec<NewAttribute>, ApiError> {
    let seen = AttributeName::system(name::SEEN);
    for attribute in attributes.iter_mut().filter(|attribute| attribute.name == seen) {
        let time = attribute.value.as_text().and_then(|text| text.parse().ok());
        let wrong = || ApiError::bad_request("value: not an RFC 3339 time.");
        attribute.value = Value::Time(time.ok_or_else(wrong)?);
    }
    Ok(attributes)
}

/// A body that need not be declared as JSON.
#[derive(Deserialize)]
#[serde(transparent)]
pub(in crate::inventory) struct Undeclared<T>(pub(in crate::inventory) T);

impl<T: FromBody> FromBody for Undeclared<T> {
    const TYPED: bool = false;

    fn refuse(error: &JsonError) -> ApiError {
        T::refuse(error)
    }
}

/// A device to record.
#[derive(Deserialize, ToSchema)]
pub(in crate::inventory) struct NewDevice {
    #[serde(default, deserialize_with = "or_default")]
    #[schema(required)]
    id: String,
    #[serde(default)]
    #[schema(value_type = Vec<Attribute>)]
    attributes: Attributes,
    /// Must be a time, and is ignored.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    #[expect(dead_code, reason = "only its form matters")]
    updated_ts: Option<Time>,
}

impl FromBody for NewDevice {
    const TYPED: bool = false;

    fn refuse(error: &JsonError) -> ApiError {
        Attributes::refuse(error)
    }
}

impl NewDevice {
    pub(in crate::inventory) fn read(self) -> Result<(DeviceId, Vec<NewAttribute>), Faults> {
        let mut faults = Faults::default();
        faults.note("id", name_fault(&self.id));
        let attributes = self.attributes.read(None);
        faults.note("attributes", attributes.as_ref().err().map(|inner| format!("({inner})")));
        faults.check()?;
        let invalid = |error: InvalidId| {
            let mut faults = Faults::default();
            faults.add("id", error.to_string());
            faults
        };
        Ok((self.id.parse().map_err(invalid)?, attributes?))
    }
}
