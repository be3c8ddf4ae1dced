//! JSON as the tool reads it, within limits.

use serde_json::Value;

use super::{error::FormatError, limits::Limits};

/// Parses JSON documents, and counts what they hold.
pub(super) struct Json {
    depth: usize,
    values: usize,
}

impl Json {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { depth: limits.json_depth, values: limits.json_values }
    }

    /// The first value; `None` where there is but white space.
    // Compat: what follows the first value is ignored.
    pub(super) fn parse(&mut self, text: &[u8]) -> Result<Option<Value>, FormatError> {
        self.count(text)?;
        let mut values = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
        values.next().transpose().map_err(|e| FormatError::invalid(format!("invalid JSON: {e}")))
    }

    /// Refuses what would take much memory, before it does.
    fn count(&mut self, text: &[u8]) -> Result<(), FormatError> {
        let (mut depth, mut deepest, mut values) = (0_usize, 0, 1);
        let (mut in_string, mut escaped) = (false, false);
        for byte in text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b'[' | b'{' => {
                    depth += 1;
                    deepest = deepest.max(depth);
                    values += 1;
                }
                b']' | b'}' => depth = depth.saturating_sub(1),
                b',' => values += 1,
                _ => {}
            }
        }
        if deepest > self.depth {
            return Err(FormatError::TooLarge(format!("JSON is nested over {} deep", self.depth)));
        }
        self.values = self
            .values
            .checked_sub(values)
            .ok_or_else(|| FormatError::too_large("JSON holds too many values"))?;
        Ok(())
    }
}

/// What a value is called in error texts.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What the reference implementation's language calls its type.
pub(super) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Says that a value is of another type than its field.
pub(super) fn mismatch(value: &Value, field: &str, want: &str) -> FormatError {
    FormatError::invalid(format!(
        "json: cannot unmarshal {} into {field} of type {want}",
        kind(value)
    ))
}

pub(super) fn unknown(key: &str) -> FormatError {
    FormatError::invalid(format!("json: unknown field \"{key}\""))
}

/// A text, if there is one.
pub(super) fn text(value: Option<Value>, field: &str) -> Result<Option<String>, FormatError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(mismatch(&other, field, "string")),
    }
}

/// A list of texts, if there is one.
pub(super) fn texts(value: Option<Value>, field: &str) -> Result<Option<Vec<String>>, FormatError> {
    let items = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(mismatch(&other, field, "[]string")),
    };
    let text = |item| match item {
        Value::String(text) => Ok(text),
        other => Err(mismatch(&other, field, "string")),
    };
    items.into_iter().map(text).collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(depth: usize, values: usize) -> Json {
        Json { depth, values }
    }

    #[test]
    fn large_integers_are_kept() {
        let value = json(9, 9).parse(b"{\"a\":9007199254740993}").unwrap().unwrap();
        assert_eq!(value.to_string(), "{\"a\":9007199254740993}");
    }

    #[test]
    fn nothing_and_junk_after_the_first_value_are_no_errors() {
        assert_eq!(json(9, 9).parse(b" \n").unwrap(), None);
        assert_eq!(json(9, 9).parse(b"{} junk").unwrap(), Some(serde_json::json!({})));
        assert!(json(9, 9).parse(b"junk").is_err());
    }

    #[test]
    fn depth_and_number_of_values_are_limited() {
        assert!(json(2, 9).parse(b"[[\"[[[\\\"[[\"]]").is_ok());
        assert!(matches!(json(2, 9).parse(b"[[[]]]"), Err(FormatError::TooLarge(_))));
        let mut json = json(9, 7);
        assert!(json.parse(b"[1,2,3]").is_ok());
        assert!(matches!(json.parse(b"[1,2,3]"), Err(FormatError::TooLarge(_))));
    }
}
