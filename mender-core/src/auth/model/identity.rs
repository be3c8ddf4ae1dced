use std::{collections::BTreeMap, fmt};

use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::env::hex;

/// Why identity data is refused; the text says what is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidIdentity(String);

impl fmt::Display for InvalidIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidIdentity {}

/// What a device says it is: a JSON object in its canonical form, in which every spelling of the
/// same data is the same text.
///
/// ```
/// use mender_core::auth::Identity;
///
/// let one = Identity::parse(r#"{"mac": "00:01", "n": 1.0}"#)?;
/// let two = Identity::parse(r#"{"n":1,"mac":"00:01"}"#)?;
/// assert_eq!(one, two);
/// assert_eq!(one.as_str(), r#"{"mac":"00:01","n":1}"#);
/// # Ok::<_, mender_core::auth::InvalidIdentity>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(String);

impl Identity {
    /// Parses JSON text: an object, or the literal `null`.
    ///
    /// # Errors
    /// [`InvalidIdentity`] for anything else, and for text with U+0000.
    pub fn parse(text: &str) -> Result<Self, InvalidIdentity> {
        let value = serde_json::from_str(text).map_err(|e| InvalidIdentity(e.to_string()))?;
        Self::from_value(&value)
    }

    /// Takes a JSON value: an object, or null.
    ///
    /// # Errors
    /// [`InvalidIdentity`] for anything else, and for text with U+0000.
    pub fn from_value(value: &Value) -> Result<Self, InvalidIdentity> {
        if !matches!(value, Value::Object(_) | Value::Null) {
            return Err(InvalidIdentity("identity data is no JSON object".into()));
        }
        let mut text = String::new();
        write_canonical(value, &mut text);
        if text.contains("\\u0000") {
            return Err(InvalidIdentity("identity data contains U+0000".into()));
        }
        Ok(Self(text))
    }

    /// Returns the canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the SHA-256 of the canonical text in hex: what makes a device unique.
    #[must_use]
    pub fn hash(&self) -> String {
        hex(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref())
    }

    /// Returns the data as JSON.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// Returns the top-level attributes; none for `null`.
    #[must_use]
    pub fn attributes(&self) -> Map<String, Value> {
        match self.value() {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

/// Writes JSON as the reference does: keys sorted by bytes, numbers as doubles, `<`, `>`, `&`,
/// U+2028 and U+2029 escaped.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            out.push('{');
            for (i, (key, value)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_text(key, out);
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(list) => {
            out.push('[');
            for (i, value) in list.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_canonical(value, out);
            }
            out.push(']');
        }
        Value::String(text) => write_text(text, out),
        Value::Number(number) => write_double(number.as_f64().unwrap_or(0.0), out),
        Value::Bool(_) | Value::Null => out.push_str(&value.to_string()),
    }
}

fn write_text(text: &str, out: &mut String) {
    for c in Value::from(text).to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
}

/// Writes the shortest decimal that reads back, with an exponent below 1e-6 and from 1e21 on.
fn write_double(number: f64, out: &mut String) {
    let size = number.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        out.push_str(&number.to_string());
    } else {
        let text = format!("{number:e}");
        match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                out.push_str(&format!("{digits}e+{exponent}"));
            }
            _ => out.push_str(&text),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn identities_are_canonical() {
        for (text, canonical) in [
            (r#"{"b":1,"a":{"d":null,"c":[3,1]}}"#, r#"{"a":{"c":[3,1],"d":null},"b":1}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (
                r#"{"a":1e21,"b":1e20,"c":0.000001,"d":1e-7,"e":-0.5e-8}"#,
                r#"{"a":1e+21,"b":100000000000000000000,"c":0.000001,"d":1e-7,"e":-5e-9}"#,
            ),
            (r#"{"a":"<&>\u2028ä"}"#, "{\"a\":\"\\u003c\\u0026\\u003e\\u2028ä\"}"),
            (r#"{"a":9007199254740993}"#, r#"{"a":9007199254740992}"#),
            ("null", "null"),
        ] {
            assert_eq!(Identity::parse(text).unwrap().as_str(), canonical);
        }
        for bad in ["", "[]", "1", "\"a\"", "{", r#"{"a":"\u0000"}"#, r#"{"a":1e999}"#] {
            assert!(Identity::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn canonical_text_is_its_own_canonical_form(
            map in prop::collection::btree_map(".*", any::<f64>().prop_filter("finite", |n| n.is_finite()), 0..5)
        ) {
            prop_assume!(map.keys().all(|key| !key.contains('\0')));
            let once = Identity::from_value(&serde_json::json!(map)).unwrap();
            prop_assert_eq!(Identity::parse(once.as_str()).unwrap(), once);
        }
    }
}
