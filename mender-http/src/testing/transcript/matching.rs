//! Compares what came with what was expected.

use fancy_regex::Regex;
use serde_json::{Map, Value};

const KINDS: [(&str, &str); 4] = [
    ("$uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"),
    ("$time", r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"),
    ("$oid", "^[0-9a-f]{24}$"),
    ("$jwt", r"^[\w-]+\.[\w-]+\.[\w-]+$"),
];

/// Returns how `got` differs from `want`; `None` is an absent value.
#[must_use]
pub fn differences(want: &Value, got: Option<&Value>, at: &str) -> Vec<String> {
    if let Value::String(text) = want
        && let Some(found) = by_kind(text, got, at)
    {
        return found;
    }
    let got = got.unwrap_or(&Value::Null);
    match want {
        Value::Object(want) => objects(want, got, at),
        Value::Array(want) => lists(want, got, at),
        // Numbers compare with their kind: 1 is not 1.0.
        _ if want == got => Vec::new(),
        _ => vec![format!("{at}: {}, not {}", short(got), short(want))],
    }
}

fn by_kind(want: &str, got: Option<&Value>, at: &str) -> Option<Vec<String>> {
    let null = Value::Null;
    let value = got.unwrap_or(&null);
    let unlike = |ok: bool| match ok {
        true => Vec::new(),
        false => vec![format!("{at}: {} is no {want}", short(value))],
    };
    if let Some((_, pattern)) = KINDS.iter().find(|(name, _)| *name == want) {
        return Some(unlike(value.as_str().is_some_and(|text| fits(pattern, text))));
    }
    let ok = match want {
        "$any" => true,
        "$str" => value.is_string(),
        "$int" => value.is_i64() || value.is_u64(),
        "$absent" => value.is_null(),
        "$list" => value.is_array(),
        "$object" => value.is_object(),
        _ => {
            let pattern = want.strip_prefix("$re ")?;
            return Some(match fits(pattern, &printed(value)) {
                true => Vec::new(),
                false => vec![format!("{at}: {} does not match {pattern}", short(value))],
            });
        }
    };
    Some(unlike(ok))
}

fn fits(pattern: &str, text: &str) -> bool {
    let Ok(regex) = Regex::new(&format!("(?s){pattern}")) else { return false };
    let is_match = |text: &str| regex.is_match(text).unwrap_or(false);
    // In Python, `$` also fits before a last line break.
    let before = text.strip_suffix('\n').filter(|_| pattern.ends_with('$'));
    is_match(text) || before.is_some_and(is_match)
}

/// The text that a pattern is tried on.
fn printed(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        other => other.to_string(),
    }
}

fn objects(want: &Map<String, Value>, got: &Value, at: &str) -> Vec<String> {
    if let Some(wanted) = want.get("$contains").and_then(Value::as_array) {
        return some(wanted, got, at, false);
    }
    if let Some(wanted) = want.get("$unordered").and_then(Value::as_array) {
        return some(wanted, got, at, true);
    }
    let Value::Object(got) = got else {
        return vec![format!("{at}: {}, not an object", short(got))];
    };
    let mut found = Vec::new();
    for (key, want) in want.iter().filter(|(key, _)| *key != "$more") {
        let at = format!("{at}.{key}");
        match got.get(key) {
            Some(_) if want == "$absent" => found.push(format!("{at}: should be absent")),
            Some(got) => found.extend(differences(want, Some(got), &at)),
            None if want == "$absent" => {}
            None => found.push(format!("{at}: missing")),
        }
    }
    if want.get("$more") != Some(&Value::Bool(true)) {
        let more = got.iter().filter(|(key, _)| !want.contains_key(*key));
        found.extend(more.map(|(key, got)| format!("{at}.{key}: unexpected ({})", short(got))));
    }
    found
}

fn some(wanted: &[Value], got: &Value, at: &str, all: bool) -> Vec<String> {
    let Value::Array(got) = got else {
        return vec![format!("{at}: {} is no list", short(got))];
    };
    if all && got.len() != wanted.len() {
        return vec![format!("{at}: {} items, not {}", got.len(), wanted.len())];
    }
    let is_there = |want: &Value| got.iter().any(|g| differences(want, Some(g), "").is_empty());
    let missing = wanted.iter().filter(|want| !is_there(want));
    missing.map(|want| format!("{at}: none is like {}", short(want))).collect()
}

fn lists(want: &[Value], got: &Value, at: &str) -> Vec<String> {
    match got {
        Value::Array(got) if got.len() == want.len() => {
            let pairs = want.iter().zip(got).enumerate();
            pairs
                .flat_map(|(i, (want, got))| differences(want, Some(got), &format!("{at}[{i}]")))
                .collect()
        }
        got => {
            let want = Value::Array(want.to_vec());
            vec![format!("{at}: {}, not {}", short(got), short(&want))]
        }
    }
}

/// A value as text, cut where it grows long.
pub(super) fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn same(want: &Value, got: &Value) -> bool {
        differences(want, Some(got), "").is_empty()
    }

    #[test]
    fn kinds_of_numbers_and_booleans_differ() {
        assert!(same(&json!(1), &json!(1)));
        assert!(!same(&json!(1), &json!(1.0)));
        assert!(!same(&json!("$int"), &json!(1.0)));
        assert!(!same(&json!("$int"), &json!(true)));
        assert!(!same(&json!(1), &json!(true)));
    }

    #[test]
    fn patterns_look_ahead_and_cross_lines() {
        assert!(same(&json!(r"$re ^(?=.*\bGET\b)(?=.*\bPOST\b)"), &json!("POST, GET")));
        assert!(same(&json!("$re a.b"), &json!("a\nb")));
        assert!(same(&json!("$re ^(404|401)$"), &json!(404)));
        assert!(!same(&json!("$re ^b"), &json!("ab")));
    }

    #[test]
    fn objects_are_closed_unless_they_say_more() {
        assert!(!same(&json!({"a": 1}), &json!({"a": 1, "b": 2})));
        assert!(same(&json!({"a": 1, "$more": true}), &json!({"a": 1, "b": 2})));
        assert!(same(&json!({"a": "$absent"}), &json!({})));
        assert!(!same(&json!({"a": "$absent"}), &json!({"a": null})));
        assert!(!same(&json!({"a": "$any"}), &json!({})));
    }

    #[test]
    fn lists_match_in_order_in_part_or_in_any_order() {
        assert!(!same(&json!([1, 2]), &json!([2, 1])));
        assert!(same(&json!({"$unordered": [1, 2]}), &json!([2, 1])));
        assert!(!same(&json!({"$unordered": [1]}), &json!([2, 1])));
        assert!(same(&json!({"$contains": [{"a": "$str"}]}), &json!([1, {"a": "x"}])));
    }

    #[test]
    fn texts_of_known_form_have_names() {
        assert!(same(&json!("$uuid"), &json!("0192e4c7-1111-7222-8333-444455556666")));
        assert!(same(&json!("$time"), &json!("2026-08-01T10:00:00.12Z")));
        assert!(same(&json!("$jwt"), &json!("a-_.b.c")));
        assert!(!same(&json!("$oid"), &json!("xyz")));
    }

    #[test]
    fn differences_name_the_place() {
        let found = differences(&json!({"a": [1]}), Some(&json!({"a": [2]})), "json");
        assert_eq!(found, ["json.a[0]: 2, not 1"]);
    }
}
