//! `header-info`: what the whole artifact is, and for whom.

use serde_json::{Map, Value};

use super::{
    Depend, Depends, Provides,
    error::FormatError,
    json::{Json, mismatch, text, texts, unknown},
    limits::Limits,
    text::Complaints,
};

/// What a `header-info` says.
#[derive(Debug)]
pub(super) struct HeaderInfo {
    pub(super) name: String,
    /// The types of the payloads; `None`: an empty one.
    pub(super) kinds: Vec<Option<String>>,
    pub(super) device_types: Vec<String>,
    pub(super) provides: Provides,
    pub(super) depends: Depends,
}

impl HeaderInfo {
    pub(super) fn parse(
        version: u32,
        bytes: &[u8],
        json: &mut Json,
        limits: &Limits,
    ) -> Result<Self, FormatError> {
        let fields = object(json.parse(bytes)?)?;
        let info = if version == 2 { second(fields)? } else { third(fields)? };
        if info.kinds.len() > limits.payloads {
            let most = limits.payloads;
            return Err(FormatError::TooLarge(format!("artifact has over {most} payloads")));
        }
        let mut complaints = Complaints::default();
        for kind in info.kinds.iter().flatten() {
            complaints.name("payload type", kind);
        }
        complaints.result("")?;
        Ok(info)
    }
}

/// The types that an augmented `header-info` gives; `None`: that payload is not augmented.
pub(super) fn augmented_kinds(
    bytes: &[u8],
    json: &mut Json,
) -> Result<Vec<Option<String>>, FormatError> {
    let mut fields = object(json.parse(bytes)?)?;
    let payloads = payloads(fields.remove("payloads"), Unknown::Refused)?;
    let augmented = |kind: Option<String>| match kind {
        None => Err(FormatError::invalid("Empty payload can not have augmented header")),
        Some(kind) => Ok(Some(kind).filter(|kind| !kind.is_empty())),
    };
    let kinds = payloads.into_iter().map(augmented).collect::<Result<Vec<_>, _>>()?;
    let mut complaints = Complaints::default();
    for kind in kinds.iter().flatten() {
        complaints.name("payload type", kind);
    }
    complaints.result("").map(|()| kinds)
}

fn object(value: Option<Value>) -> Result<Map<String, Value>, FormatError> {
    match value {
        // Compat: an empty file lacks everything, but is no error by itself.
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(fields)) => Ok(fields),
        Some(other) => Err(mismatch(&other, "header-info", "object")),
    }
}

fn optional(value: Option<Value>, field: &str) -> Result<Option<Map<String, Value>>, FormatError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(fields)) => Ok(Some(fields)),
        Some(other) => Err(mismatch(&other, field, "object")),
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Unknown {
    Refused,
    Ignored,
}

fn payloads(value: Option<Value>, keys: Unknown) -> Result<Vec<Option<String>>, FormatError> {
    let items = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(mismatch(&other, "payloads", "array")),
    };
    let kind = |item| match item {
        Value::Null => Ok(None),
        Value::Object(mut fields) => {
            let kind = text(fields.remove("type"), "payloads.type")?;
            match fields.keys().next() {
                Some(key) if keys == Unknown::Refused => Err(unknown(key)),
                _ => Ok(kind),
            }
        }
        other => Err(mismatch(&other, "payloads", "object")),
    };
    items.into_iter().map(kind).collect()
}

fn refuse_missing(missing: &[&str]) -> Result<(), FormatError> {
    let s = match missing {
        [] => return Ok(()),
        [_] => "",
        _ => "s",
    };
    let items = missing.join(", ");
    Err(FormatError::Invalid(format!(
        "Artifact validation failed with missing argument{s}: {items}"
    )))
}

fn no_device_types() -> FormatError {
    FormatError::invalid("ArtifactDepends: Required field 'CompatibleDevices' not found")
}

fn second(mut fields: Map<String, Value>) -> Result<HeaderInfo, FormatError> {
    let name = text(fields.remove("artifact_name"), "artifact_name")?.unwrap_or_default();
    let device_types = texts(fields.remove("device_types_compatible"), "device_types_compatible")?;
    let device_types = device_types.unwrap_or_default();
    let kinds = payloads(fields.remove("updates"), Unknown::Ignored)?;
    if device_types.is_empty() {
        return Err(no_device_types());
    }
    let mut missing = Vec::new();
    if kinds.is_empty() {
        missing.push("No Payloads added");
    }
    if name.is_empty() {
        missing.push("No artifact name");
    }
    if kinds.iter().any(|kind| kind.as_deref().is_none_or(str::is_empty)) {
        missing.push("Empty Payload");
    }
    refuse_missing(&missing)?;
    let mut complaints = Complaints::default();
    complaints.name("artifact name", &name);
    complaints.names("compatible devices", &device_types);
    complaints.result("")?;
    let depends = [("device_type".to_owned(), Depend::Any(device_types.clone()))].into();
    Ok(HeaderInfo { name, kinds, device_types, provides: Provides::new(), depends })
}

fn third(mut fields: Map<String, Value>) -> Result<HeaderInfo, FormatError> {
    let kinds = payloads(fields.remove("payloads"), Unknown::Refused)?;
    let given = optional(fields.remove("artifact_provides"), "artifact_provides")?;
    let needed = optional(fields.remove("artifact_depends"), "artifact_depends")?;
    if let Some(key) = fields.keys().next() {
        return Err(unknown(key));
    }
    let has_provides = given.is_some();
    let mut given = given.unwrap_or_default();
    let name = text(given.remove("artifact_name"), "artifact_name")?.unwrap_or_default();
    let group = text(given.remove("artifact_group"), "artifact_group")?;
    let group = group.filter(|group| !group.is_empty());
    if let Some(key) = given.keys().next() {
        return Err(unknown(key));
    }
    let mut depends = Depends::new();
    let mut list = |key: &str, value| -> Result<Vec<String>, FormatError> {
        let values = texts(value, key)?.unwrap_or_default();
        if !values.is_empty() {
            depends.insert(key.to_owned(), Depend::Any(values.clone()));
        }
        Ok(values)
    };
    let has_depends = needed.is_some();
    let mut needed = needed.unwrap_or_default();
    let device_types = list("device_type", needed.remove("device_type"))?;
    let names = list("artifact_name", needed.remove("artifact_name"))?;
    let groups = list("artifact_group", needed.remove("artifact_group"))?;

    let mut missing = Vec::new();
    if kinds.is_empty() {
        missing.push("No Payloads added");
    }
    if !has_provides {
        missing.push("Empty Artifact provides");
    } else if name.is_empty() {
        missing.push("Artifact name");
    }
    refuse_missing(&missing)?;
    if kinds.iter().flatten().any(String::is_empty) {
        return Err(FormatError::invalid("Unexpected empty Payload type"));
    }
    if has_depends && device_types.is_empty() {
        return Err(no_device_types());
    }
    let mut complaints = Complaints::default();
    complaints.name("artifact name", &name);
    complaints.name("artifact group", group.as_deref().unwrap_or_default());
    complaints.result("invalid artifact provides: ")?;
    let mut complaints = Complaints::default();
    complaints.names("compatible devices", &device_types);
    complaints.names("artifact name", &names);
    complaints.names("artifact group", &groups);
    complaints.result("invalid artifact depends: ")?;

    let mut provides = Provides::from([("artifact_name".to_owned(), name.clone())]);
    provides.extend(group.map(|group| ("artifact_group".to_owned(), group)));
    Ok(HeaderInfo { name, kinds, device_types, provides, depends })
}

#[cfg(test)]
mod tests;
