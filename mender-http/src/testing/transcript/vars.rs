//! Variables: `${NAME}` in steps and expectations.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde_json::{Map, Value};

/// The variables of one play.
#[derive(Debug, Default)]
pub(super) struct Vars {
    values: BTreeMap<String, Value>,
    /// Those that are bytes: a use that is all of a text stays as it is when it is filled.
    bytes: BTreeMap<String, Bytes>,
    /// Names that only a skipped step would have given a value.
    skipped: BTreeSet<String>,
}

impl Vars {
    pub(super) fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        let name = name.into();
        self.skipped.remove(&name);
        self.values.insert(name, value.into());
    }

    pub(super) fn set_bytes(&mut self, name: impl Into<String>, bytes: Bytes) {
        self.bytes.insert(name.into(), bytes);
    }

    /// Returns the bytes that a filled node stands for: those of a variable, or its own.
    pub(super) fn bytes(&self, node: &Value) -> Bytes {
        let text = printed(node);
        let name = text.strip_prefix("${").and_then(|name| name.strip_suffix('}'));
        let bytes = name.and_then(|name| self.bytes.get(name)).cloned();
        bytes.unwrap_or_else(|| text.into())
    }

    pub(super) fn skip(&mut self, name: impl Into<String>) {
        let name = name.into();
        if !self.values.contains_key(&name) {
            self.skipped.insert(name);
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(Value::as_str)
    }

    /// Tells whether the node uses something that a skipped step would have given.
    pub(super) fn uses_skipped(&self, node: &Value) -> bool {
        match node {
            Value::String(text) => parts(text).any(|part| match part {
                Part::Name(name) => self.skipped.contains(name),
                Part::Text(_) => false,
            }),
            Value::Array(items) => items.iter().any(|item| self.uses_skipped(item)),
            Value::Object(map) => map.iter().any(|(key, value)| {
                self.uses_skipped(value) || self.uses_skipped(&Value::String(key.clone()))
            }),
            _ => false,
        }
    }

    /// Returns the node with values in place of names.
    pub(super) fn fill(&self, node: &Value) -> Result<Value, String> {
        Ok(match node {
            Value::String(text) => self.fill_text(text)?,
            Value::Array(items) => {
                let items = items.iter().map(|item| self.fill(item));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Value::Object(map) => {
                let mut filled = Map::new();
                for (key, value) in map {
                    filled.insert(printed(&self.fill_text(key)?), self.fill(value)?);
                }
                Value::Object(filled)
            }
            other => other.clone(),
        })
    }

    fn fill_text(&self, text: &str) -> Result<Value, String> {
        let value = |name: &str| {
            let value = self.values.get(name);
            value.ok_or_else(|| format!("variable {name} has no value"))
        };
        let all: Vec<_> = parts(text).collect();
        if let [Part::Name(name)] = all[..] {
            if self.bytes.contains_key(name) {
                return Ok(text.into());
            }
            return value(name).cloned();
        }
        let mut filled = String::new();
        for part in all {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Name(name) => filled.push_str(&printed(value(name)?)),
            }
        }
        Ok(filled.into())
    }
}

/// A value as it stands inside a text.
pub(super) fn printed(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Null => "None".into(),
        other => other.to_string(),
    }
}

enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

fn parts(mut text: &str) -> impl Iterator<Item = Part<'_>> {
    std::iter::from_fn(move || {
        if text.is_empty() {
            return None;
        }
        if let Some((name, rest)) = text.strip_prefix("${").and_then(|t| t.split_once('}'))
            && !name.is_empty()
        {
            text = rest;
            return Some(Part::Name(name));
        }
        let skip = text.chars().next().map_or(1, char::len_utf8);
        let end = text[skip..].find("${").map_or(text.len(), |at| at + skip);
        let (part, rest) = text.split_at(end);
        text = rest;
        Some(Part::Text(part))
    })
}

/// Reads YAML as JSON values: keys become texts, `1` stays apart from `1.0`.
pub(super) fn yaml(text: &str) -> Result<Value, String> {
    let value: serde_yaml_ng::Value =
        serde_yaml_ng::from_str(text).map_err(|error| error.to_string())?;
    convert(value)
}

fn convert(value: serde_yaml_ng::Value) -> Result<Value, String> {
    use serde_yaml_ng::Value as Yaml;
    Ok(match value {
        Yaml::Sequence(items) => {
            Value::Array(items.into_iter().map(convert).collect::<Result<_, _>>()?)
        }
        Yaml::Mapping(map) => {
            let mut object = Map::new();
            for (key, value) in map {
                object.insert(printed(&convert(key)?), convert(value)?);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => convert(tagged.value)?,
        other => serde_json::to_value(other).map_err(|error| error.to_string())?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_alone_keeps_its_type() {
        let mut vars = Vars::default();
        vars.set("n", 1);
        vars.set("s", "x");
        let node = json!({"a": "${n}", "b": "<${n}${s}>", "${s}": ["$", "${"]});
        let filled = vars.fill(&node).unwrap();
        assert_eq!(filled, json!({"a": 1, "b": "<1x>", "x": ["$", "${"]}));
        assert!(vars.fill(&json!("${no}")).is_err());
    }

    #[test]
    fn bytes_stand_for_themselves() {
        let mut vars = Vars::default();
        vars.set_bytes("b", Bytes::from_static(b"\xff"));
        let filled = vars.fill(&json!(["${b}", "x"])).unwrap();
        assert_eq!(vars.bytes(&filled[0]), &b"\xff"[..]);
        assert_eq!(vars.bytes(&filled[1]), "x");
        assert!(vars.fill(&json!("<${b}>")).is_err());
    }

    #[test]
    fn use_of_skipped_values_is_seen() {
        let mut vars = Vars::default();
        vars.skip("id");
        assert!(vars.uses_skipped(&json!({"path": ["/x/${id}"]})));
        vars.set("id", 1);
        assert!(!vars.uses_skipped(&json!({"path": ["/x/${id}"]})));
    }

    #[test]
    fn yaml_keeps_kinds_of_numbers() {
        assert_eq!(yaml("{a: 1, b: 1.0, 3: x}").unwrap(), json!({"a": 1, "b": 1.0, "3": "x"}));
    }
}
