use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::Value as Json;

use crate::env::Time;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number; never NaN.
    Number(f64),
    /// A truth; only the server makes them.
    Flag(bool),
    /// A time; only the server makes them.
    Time(Time),
    /// Texts. An empty list is one of texts.
    Texts(Vec<String>),
    /// Numbers, at least one.
    Numbers(Vec<f64>),
}

/// Why JSON is no value of an attribute.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InvalidValue {
    /// Neither text nor number nor a list.
    Kind,
    /// A list with an element of this kind.
    Element(&'static str),
    /// A list of texts and numbers.
    Mixed,
    /// A text with U+0000.
    Nul,
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind => f.write_str("supported types are string, float64, and arrays thereof"),
            Self::Element(kind) => {
                write!(f, "array values must be either string or float64, not: {kind}")
            }
            Self::Mixed => {
                f.write_str("array values must be of consistent type: string or float64")
            }
            Self::Nul => f.write_str("must not contain the character U+0000"),
        }
    }
}

impl std::error::Error for InvalidValue {}

fn text(text: &str) -> Result<String, InvalidValue> {
    if text.contains('\0') { Err(InvalidValue::Nul) } else { Ok(text.to_owned()) }
}

fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "invalid",
        Json::Bool(_) => "bool",
        Json::Number(_) => "float64",
        Json::String(_) => "string",
        Json::Array(_) => "slice",
        Json::Object(_) => "map",
    }
}

impl Value {
    /// Reads a value as clients may give it: a text, a number, or a list of either.
    ///
    /// # Errors
    /// [`InvalidValue`] for everything else.
    pub fn from_json(json: &Json) -> Result<Self, InvalidValue> {
        let items = match json {
            Json::String(s) => return text(s).map(Self::Text),
            Json::Number(n) => {
                return n.as_f64().map(Self::Number).ok_or(InvalidValue::Kind);
            }
            Json::Array(items) => items,
            _ => return Err(InvalidValue::Kind),
        };
        let (mut texts, mut numbers) = (Vec::new(), Vec::new());
        for item in items {
            match item {
                Json::String(s) => texts.push(text(s)?),
                Json::Number(n) => numbers.extend(n.as_f64()),
                // Compat: only the first element tells what the others must be.
                _ if !texts.is_empty() || !numbers.is_empty() => return Err(InvalidValue::Mixed),
                other => return Err(InvalidValue::Element(kind(other))),
            }
            if !texts.is_empty() && !numbers.is_empty() {
                return Err(InvalidValue::Mixed);
            }
        }
        Ok(if numbers.is_empty() { Self::Texts(texts) } else { Self::Numbers(numbers) })
    }

    /// Reads any JSON: what is no value as clients may give it becomes its text.
    #[must_use]
    pub fn of_any(json: &Json) -> Self {
        Self::from_json(json).unwrap_or_else(|_| Self::Text(json.to_string().replace('\0', "")))
    }

    /// Writes the value as clients see it: whole numbers without a fraction, times as RFC 3339.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let number = |number: &f64| {
            // All whole numbers up to here are exact.
            let is_whole = number.fract() == 0.0 && number.abs() < 9e15;
            #[expect(clippy::cast_possible_truncation, reason = "whole, and small enough")]
            let whole = *number as i64;
            if is_whole { whole.into() } else { Json::from(*number) }
        };
        match self {
            Self::Text(text) => text.clone().into(),
            Self::Number(n) => number(n),
            Self::Flag(flag) => (*flag).into(),
            Self::Time(time) => time.to_string().into(),
            Self::Texts(texts) => texts.clone().into(),
            Self::Numbers(numbers) => numbers.iter().map(number).collect(),
        }
    }

    /// Returns the text, where it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Returns the time, where it is one.
    #[must_use]
    pub fn as_time(&self) -> Option<Time> {
        if let Self::Time(time) = self { Some(*time) } else { None }
    }

    /// Returns the texts: the one, or those of the list.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        match self {
            Self::Text(text) => std::slice::from_ref(text),
            Self::Texts(texts) => texts,
            _ => &[],
        }
    }
}

/// The stored form: as JSON has it, but a time is `{"t": milliseconds}`.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => to.serialize_str(text),
            Self::Number(number) => to.serialize_f64(*number),
            Self::Flag(flag) => to.serialize_bool(*flag),
            Self::Texts(texts) => texts.serialize(to),
            Self::Numbers(numbers) => numbers.serialize(to),
            Self::Time(time) => {
                let mut map = to.serialize_map(Some(1))?;
                map.serialize_entry("t", &time.0)?;
                map.end()
            }
        }
    }
}
