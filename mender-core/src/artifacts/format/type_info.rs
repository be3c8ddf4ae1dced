//! `type-info` and `meta-data`: what one payload is.

use serde_json::{Map, Value};

use super::{
    Depend, Depends, Provides,
    error::FormatError,
    json::{Json, go_type, mismatch, text, texts},
    text::value as check,
};

/// What a `type-info` says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct TypeInfo {
    pub(super) kind: Option<String>,
    pub(super) provides: Provides,
    pub(super) depends: Depends,
    pub(super) clears: Option<Vec<String>>,
}

impl TypeInfo {
    pub(super) fn parse(bytes: &[u8], json: &mut Json) -> Result<Self, FormatError> {
        let mut fields = match json.parse(bytes)? {
            Some(Value::Object(fields)) => fields,
            Some(other) => return Err(mismatch(&other, "type-info", "object")),
            None => return Err(FormatError::invalid("type-info is empty")),
        };
        let kind = text(fields.remove("type"), "type")?;
        let provides = pairs(fields.remove("artifact_provides"), "provides", &provided)?;
        let depends = pairs(fields.remove("artifact_depends"), "depends", &depended)?;
        let clears = texts(fields.remove("clears_artifact_provides"), "clears_artifact_provides")?;
        for pattern in clears.iter().flatten() {
            check(pattern, "clears_artifact_provides")?;
        }
        Ok(Self {
            kind,
            provides: provides.into_iter().collect(),
            depends: depends.into_iter().collect(),
            clears,
        })
    }
}

/// Reads an object of values of one type.
fn pairs<T>(
    value: Option<Value>,
    what: &str,
    convert: &dyn Fn(Value) -> Result<T, Value>,
) -> Result<Vec<(String, T)>, FormatError> {
    let fields = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(fields)) => fields,
        Some(other) => return Err(mismatch(&other, &format!("artifact_{what}"), "object")),
    };
    let pair = |(key, value): (String, Value)| {
        check(&key, what)?;
        let texts = value.as_array().map_or(std::slice::from_ref(&value), Vec::as_slice);
        for text in texts.iter().filter_map(Value::as_str) {
            check(text, what)?;
        }
        let converted = convert(value).map_err(|value| {
            let mut shown = value.to_string();
            shown.truncate(shown.floor_char_boundary(200));
            let go = go_type(&value);
            FormatError::Invalid(format!("Invalid TypeInfo {what} type: {go}, with value {shown}"))
        });
        Ok((key, converted?))
    };
    fields.into_iter().map(pair).collect()
}

fn provided(value: Value) -> Result<String, Value> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(other),
    }
}

fn depended(value: Value) -> Result<Depend, Value> {
    match value {
        Value::String(text) => Ok(Depend::One(text)),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let texts = items.into_iter().filter_map(|item| item.as_str().map(str::to_owned));
            Ok(Depend::Any(texts.collect()))
        }
        other => Err(other),
    }
}

/// Reads `meta-data`: an object, or nothing at all.
pub(super) fn meta_data(bytes: &[u8], json: &mut Json) -> Result<Map<String, Value>, FormatError> {
    match json.parse(bytes)? {
        None => Ok(Map::new()),
        Some(Value::Object(fields)) => Ok(fields),
        Some(_) => Err(FormatError::invalid("Top level object in meta-data must be a JSON object")),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::limits::Limits, *};

    fn parse(text: &str) -> Result<TypeInfo, String> {
        let mut json = Json::new(&Limits::default());
        TypeInfo::parse(text.as_bytes(), &mut json).map_err(|e| e.to_string())
    }

    #[test]
    fn unknown_keys_are_ignored_and_all_may_be_missing() {
        assert_eq!(parse("{\"x\":1,\"artifact_provides\":null}"), Ok(TypeInfo::default()));
    }

    #[test]
    fn values_have_the_types_that_devices_read() {
        let texts = [
            ("", "type-info is empty"),
            ("[]", "json: cannot unmarshal array into type-info of type object"),
            ("{\"type\":1}", "json: cannot unmarshal number into type of type string"),
            (
                "{\"artifact_provides\":{\"a\":1}}",
                "Invalid TypeInfo provides type: float64, with value 1",
            ),
            (
                "{\"artifact_provides\":[]}",
                "json: cannot unmarshal array into artifact_provides of type object",
            ),
            (
                "{\"artifact_depends\":{\"a\":{}}}",
                "Invalid TypeInfo depends type: map[string]interface {}, with value {}",
            ),
            (
                "{\"artifact_depends\":{\"a\":[true]}}",
                "Invalid TypeInfo depends type: []interface {}, with value [true]",
            ),
            (
                "{\"clears_artifact_provides\":\"a\"}",
                "json: cannot unmarshal string into clears_artifact_provides of type []string",
            ),
            (
                "{\"artifact_depends\":{\"a\":[\"\\n\"]}}",
                "invalid depends: string contains invalid characters",
            ),
        ];
        for (text, error) in texts {
            assert_eq!(parse(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn meta_data_is_an_object_or_nothing() {
        let read = |text: &str| meta_data(text.as_bytes(), &mut Json::new(&Limits::default()));
        assert!(read("").unwrap().is_empty());
        assert_eq!(read("{\"a\":[1]}").unwrap().len(), 1);
        for bad in ["null", "[]", "1", "\"x\"", "x"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
