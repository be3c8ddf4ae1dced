//! Rules that accept new devices without a user.

use crate::auth::model::{AcceptRule, Identity};

/// Tells whether a rule accepts this identity.
#[must_use]
pub fn is_accepted_by(rules: &[AcceptRule], identity: &Identity) -> bool {
    let attributes = identity.attributes();
    let text = |key: &String| match attributes.get(key) {
        Some(serde_json::Value::String(text)) => Some(text.clone()),
        Some(value) => Some(value.to_string()),
        None => None,
    };
    rules.iter().any(|rule| {
        !rule.identity.is_empty()
            && rule
                .identity
                .iter()
                .all(|(key, pattern)| text(key).is_some_and(|text| matches(pattern, &text)))
    })
}

/// Matches text against a pattern in which `*` stands for any text; linear for each `*`.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut left) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}
