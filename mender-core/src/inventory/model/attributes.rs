use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, SeqAccess, Visitor},
    ser::SerializeMap as _,
};

use super::value::{InvalidValue, Value};
use crate::env::Time;

/// Names one attribute: where it comes from, and its name there.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct AttributeName {
    /// Who owns it; see the constants of [`AttributeName`].
    pub scope: String,
    /// Its name in the scope.
    pub name: String,
}

impl AttributeName {
    /// The scope of what devices report.
    pub const INVENTORY: &str = "inventory";
    /// The scope of what a device is recognised by, and its status.
    pub const IDENTITY: &str = "identity";
    /// The scope of what the server knows.
    pub const SYSTEM: &str = "system";
    /// The scope of what users set.
    pub const TAGS: &str = "tags";
    /// The scope of what monitoring finds.
    pub const MONITOR: &str = "monitor";

    /// The scopes that can be searched for.
    pub const SCOPES: [&str; 5] =
        [Self::SYSTEM, Self::IDENTITY, Self::INVENTORY, Self::MONITOR, Self::TAGS];

    /// The longest scope or name, in bytes.
    pub const MAX: usize = 1024;

    /// The attribute with this name in this scope.
    pub fn new(scope: impl Into<String>, name: impl Into<String>) -> Self {
        Self { scope: scope.into(), name: name.into() }
    }

    /// The id of the device, which can be searched for like an attribute, and is none.
    #[must_use]
    pub fn device_id() -> Self {
        Self::new("", "id")
    }

    /// The attribute with this name that the device reports.
    pub fn inventory(name: impl Into<String>) -> Self {
        Self::new(Self::INVENTORY, name)
    }

    /// The attribute with this name that the server keeps.
    pub fn system(name: impl Into<String>) -> Self {
        Self::new(Self::SYSTEM, name)
    }

    /// The attribute with this name of the identity.
    pub fn identity(name: impl Into<String>) -> Self {
        Self::new(Self::IDENTITY, name)
    }

    /// The tag with this name.
    pub fn tag(name: impl Into<String>) -> Self {
        Self::new(Self::TAGS, name)
    }
}

/// An attribute that someone wants to set.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAttribute {
    /// Its name.
    pub name: AttributeName,
    /// Its value.
    pub value: Value,
    /// What it means; `None` leaves the description as it is.
    pub description: Option<String>,
}

impl NewAttribute {
    /// An attribute without a description.
    pub fn new(name: AttributeName, value: Value) -> Self {
        Self { name, value, description: None }
    }

    /// Checks what every stored attribute keeps to.
    ///
    /// # Errors
    /// The field, and what is wrong with it.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        for (field, text) in [("name", &self.name.name), ("scope", &self.name.scope)] {
            let wrong = match text.len() {
                0 => "cannot be blank".into(),
                1..=AttributeName::MAX if text.contains('\0') => InvalidValue::Nul.to_string(),
                1..=AttributeName::MAX => continue,
                _ => format!("the length must be between 1 and {}", AttributeName::MAX),
            };
            return Err((field, wrong));
        }
        if self.description.as_ref().is_some_and(|text| text.contains('\0')) {
            return Err(("description", InvalidValue::Nul.to_string()));
        }
        Ok(())
    }
}

/// An attribute of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Its value.
    pub value: Value,
    /// What it means.
    pub description: Option<String>,
    /// When it was set; of tags only.
    pub timestamp: Option<Time>,
}

impl From<Value> for Attribute {
    fn from(value: Value) -> Self {
        Self { value, description: None, timestamp: None }
    }
}

/// The attributes of a device, by scope and name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(BTreeMap<String, BTreeMap<String, Attribute>>);

impl Attributes {
    /// Returns an attribute.
    #[must_use]
    pub fn get(&self, name: &AttributeName) -> Option<&Attribute> {
        self.0.get(&name.scope)?.get(&name.name)
    }

    /// Returns the value of an attribute.
    #[must_use]
    pub fn value(&self, name: &AttributeName) -> Option<&Value> {
        self.get(name).map(|attribute| &attribute.value)
    }

    /// Returns the attributes of a scope with their names.
    pub fn of(&self, scope: &str) -> impl Iterator<Item = (&str, &Attribute)> {
        let all = self.0.get(scope).into_iter().flatten();
        all.map(|(name, attribute)| (name.as_str(), attribute))
    }

    /// Returns all attributes with scope and name, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Attribute)> {
        self.0.iter().flat_map(|(scope, all)| {
            all.iter().map(move |(name, attribute)| (scope.as_str(), name.as_str(), attribute))
        })
    }

    /// Counts the attributes of a scope.
    #[must_use]
    pub fn count(&self, scope: &str) -> usize {
        self.0.get(scope).map_or(0, BTreeMap::len)
    }

    /// Sets an attribute; a description that is not given stays.
    pub fn set(&mut self, name: &AttributeName, attribute: Attribute) {
        let scope = self.0.entry(name.scope.clone()).or_default();
        let was = scope.remove(&name.name);
        let description = attribute.description.or_else(|| was.and_then(|was| was.description));
        scope.insert(name.name.clone(), Attribute { description, ..attribute });
    }

    /// Removes an attribute.
    pub fn remove(&mut self, name: &AttributeName) {
        if let Some(scope) = self.0.get_mut(&name.scope) {
            scope.remove(&name.name);
            if scope.is_empty() {
                self.0.remove(&name.scope);
            }
        }
    }

    /// Removes the attributes of a scope that are not to be kept.
    pub fn retain(&mut self, scope: &str, keep: impl Fn(&str) -> bool) {
        if let Some(all) = self.0.get_mut(scope) {
            all.retain(|name, _| keep(name));
            if all.is_empty() {
                self.0.remove(scope);
            }
        }
    }
}

/// The stored form: the value alone, or `{"v": value, "d": description, "at": milliseconds}`.
impl Serialize for Attribute {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.description.is_none() && self.timestamp.is_none() {
            return self.value.serialize(to);
        }
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("v", &self.value)?;
        if let Some(description) = &self.description {
            map.serialize_entry("d", description)?;
        }
        if let Some(at) = self.timestamp {
            map.serialize_entry("at", &at.0)?;
        }
        map.end()
    }
}

/// Reads stored forms in one pass: values are most of what the server reads.
struct Stored;

impl<'de> Visitor<'de> for Stored {
    type Value = Attribute;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a stored attribute")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Attribute, E> {
        Ok(Value::Text(text.to_owned()).into())
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Attribute, E> {
        Ok(Value::Text(text).into())
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Attribute, E> {
        Ok(Value::Flag(flag).into())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Attribute, E> {
        Ok(Value::Number(number).into())
    }

    #[expect(clippy::cast_precision_loss, reason = "was written as a 64-bit float")]
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Attribute, E> {
        self.visit_f64(number as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "was written as a 64-bit float")]
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Attribute, E> {
        self.visit_f64(number as f64)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Attribute, S::Error> {
        let (mut texts, mut numbers) = (Vec::new(), Vec::new());
        while let Some(item) = items.next_element::<Attribute>()? {
            match item.value {
                Value::Text(text) => texts.push(text),
                Value::Number(number) => numbers.push(number),
                _ => return Err(de::Error::custom("not an element of a list")),
            }
        }
        let value = if numbers.is_empty() { Value::Texts(texts) } else { Value::Numbers(numbers) };
        Ok(value.into())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut fields: M) -> Result<Attribute, M::Error> {
        let (mut value, mut description, mut timestamp) = (None, None, None);
        while let Some(field) = fields.next_key::<String>()? {
            match field.as_str() {
                "t" => value = Some(Value::Time(Time(fields.next_value()?))),
                "v" => value = Some(fields.next_value::<Attribute>()?.value),
                "d" => description = Some(fields.next_value()?),
                "at" => timestamp = Some(Time(fields.next_value()?)),
                other => return Err(de::Error::unknown_field(other, &["t", "v", "d", "at"])),
            }
        }
        let value = value.ok_or_else(|| de::Error::missing_field("v"))?;
        Ok(Attribute { value, description, timestamp })
    }
}

impl<'de> Deserialize<'de> for Attribute {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Stored)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Attribute::deserialize(from).map(|attribute| attribute.value)
    }
}
