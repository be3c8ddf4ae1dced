//! Values as cells of a table.

use mender_core::inventory::{InvalidValue, Value};
use serde_json::Value as Json;

/// Writes a value: a text as it is, unless it looks like something else.
pub(super) fn write(value: &Value) -> String {
    match value {
        Value::Text(text) if !is_json(text) && !is_formula(text) => text.clone(),
        value => value.to_json().to_string(),
    }
}

fn is_json(text: &str) -> bool {
    // An empty cell says nothing: an empty text is written as one.
    text.is_empty() || serde_json::from_str::<Json>(text).is_ok()
}

/// Tells whether a spreadsheet would compute it: devices may report anything.
fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

/// Reads a value; `None`: the cell says nothing.
pub(super) fn read(cell: &str, as_text: bool) -> Option<Result<Value, InvalidValue>> {
    if cell.is_empty() {
        return None;
    }
    let text = || Json::String(cell.to_owned());
    let json = match serde_json::from_str(cell) {
        Ok(json) if !as_text => match json {
            Json::Number(_) | Json::String(_) | Json::Array(_) => json,
            // Words that happen to be JSON.
            _ => text(),
        },
        _ => text(),
    };
    Some(Value::from_json(&json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for value in [
            Value::Text("plain, with \"quotes\"".into()),
            Value::Text(String::new()),
            Value::Text("12".into()),
            Value::Text("=1+1".into()),
            Value::Text("[1]".into()),
            Value::Number(12.5),
            Value::Number(-3.0),
            Value::Texts(vec!["a".into(), "b".into()]),
            Value::Numbers(vec![1.0, 2.0]),
            Value::Texts(vec![]),
        ] {
            let cell = write(&value);
            assert_eq!(read(&cell, false), Some(Ok(value)), "{cell}");
        }
    }

    #[test]
    fn words_are_texts_and_numbers_are_too_where_one_says_so() {
        assert_eq!(read("true", false), Some(Ok(Value::Text("true".into()))));
        assert_eq!(read("007", false), Some(Ok(Value::Text("007".into()))));
        assert_eq!(read("12", true), Some(Ok(Value::Text("12".into()))));
        assert_eq!(read("", false), None);
        assert!(matches!(read("[true]", false), Some(Err(_))));
    }
}
