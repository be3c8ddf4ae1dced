//! What devices are found by: index texts of their attributes and words.
//!
//! The text of a value is [`PREFIX`] characters for the attribute, a letter for the type, and a
//! form of the value that sorts as the value does. The letters sort as types do in lists: numbers,
//! texts, truths, times.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest;

use super::{
    model::{Attribute, AttributeName, Coordinates, Device, Value},
    words::words,
};
use crate::{
    env::{Time, hex},
    index::Span,
    kit::{sortable, sortable_time},
};

/// How many characters of an index text name the attribute.
pub const PREFIX: usize = 11;

/// How many index texts of attributes a device has at most; what is beyond is not found.
pub const MAX_ENTRIES: usize = 700;

/// How many elements of a list are found.
pub const MAX_ELEMENTS: usize = 100;

/// How many words of a device are found.
pub const MAX_WORDS: usize = 300;

/// How many bytes of the sortable form of a text its place in orders depends on. Longer texts
/// are told apart by their hash.
const MAX_TEXT: usize = 400;

/// What index texts of words begin with: `~` stands in no other at this place.
const WORD: &str = "w~";

/// The end of all texts of values.
const END: &str = "v";

/// The beginning of texts that are elements: lists as a whole come before it.
const ELEMENTS: &str = "n";

/// An index text, and where it stands among those of its attribute.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Entry {
    /// The text.
    pub text: String,
    /// Whether it is the smallest element.
    pub is_first: bool,
    /// Whether it is the greatest element.
    pub is_last: bool,
}

/// The degrees to the north where a device is, which can be searched for like an attribute.
#[must_use]
pub fn latitude() -> AttributeName {
    AttributeName::new("", "latitude")
}

/// Returns what the index texts of an attribute begin with.
#[must_use]
pub fn prefix(name: &AttributeName) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(name.scope.as_bytes());
    context.update(&[0]);
    context.update(name.name.as_bytes());
    let mut text = URL_SAFE_NO_PAD.encode(&context.finish().as_ref()[..9]);
    text.truncate(PREFIX);
    text
}

fn number_key(number: f64) -> String {
    // Both zeros are one number.
    let bits = if number == 0.0 { 0 } else { number.to_bits() };
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    format!("n{ordered:016x}")
}

fn text_key(text: &str) -> String {
    let mut key = sortable(text);
    if key.len() > MAX_TEXT {
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        key.truncate(MAX_TEXT);
        key.push_str(&hex(&hash.as_ref()[..8]));
    }
    key.insert(0, 's');
    key
}

fn time_key(time: Time) -> String {
    format!("u{}", sortable_time(time))
}

/// Returns the form of a value by which it is found; of a list, as a whole.
#[must_use]
pub fn key(value: &Value) -> String {
    let list = |items: Vec<String>| {
        let mut context = digest::Context::new(&digest::SHA256);
        for item in items {
            context.update(item.len().to_string().as_bytes());
            context.update(item.as_bytes());
        }
        format!("a{}", hex(&context.finish().as_ref()[..16]))
    };
    match value {
        Value::Text(text) => text_key(text),
        Value::Number(number) => number_key(*number),
        Value::Flag(flag) => format!("t{}", u8::from(*flag)),
        Value::Time(time) => time_key(*time),
        Value::Texts(texts) => list(texts.iter().map(|text| text_key(text)).collect()),
        Value::Numbers(numbers) => list(numbers.iter().map(|n| number_key(*n)).collect()),
    }
}

/// Returns the text that a key of [`key`] was made of, where it was one; cut where it was long.
#[must_use]
pub fn text_of(key: &str) -> Option<String> {
    let key = key.strip_prefix('s')?;
    // What comes after is a hash.
    let key = if key.len() > MAX_TEXT { key.get(..MAX_TEXT)? } else { key };
    let mut text = String::with_capacity(key.len());
    let mut parts = key.split('\u{7f}');
    text.push_str(parts.next()?);
    for part in parts {
        // Where a long text was cut, half a character may be left.
        let Some((code, rest)) = part.split_at_checked(6) else { break };
        text.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
        text.push_str(rest);
    }
    Some(text)
}

/// The index text of a value.
#[must_use]
pub fn entry(prefix: &str, value: &Value) -> String {
    format!("{prefix}{}", key(value))
}

/// All index texts that an attribute may have.
#[must_use]
pub fn any_value(prefix: &str) -> Span {
    Span::Within { from: prefix.to_owned(), to: format!("{prefix}{END}") }
}

/// All index texts of single values of an attribute, and of elements.
#[must_use]
pub fn any_element(prefix: &str) -> Span {
    Span::Within { from: format!("{prefix}{ELEMENTS}"), to: format!("{prefix}{END}") }
}

/// All index texts of lists as a whole: one for each device whose value is a list.
#[must_use]
pub fn any_list(prefix: &str) -> Span {
    Span::Within { from: prefix.to_owned(), to: format!("{prefix}{ELEMENTS}") }
}

/// The index text of a word.
#[must_use]
pub fn word(word: &str) -> String {
    format!("{WORD}{}", sortable(word))
}

fn of_attribute(name: &AttributeName, value: &Value, found: &mut BTreeMap<String, (bool, bool)>) {
    let prefix = prefix(name);
    let mut elements: Vec<String> = match value {
        Value::Texts(texts) => texts.iter().take(MAX_ELEMENTS).map(|t| text_key(t)).collect(),
        Value::Numbers(all) => all.iter().take(MAX_ELEMENTS).map(|n| number_key(*n)).collect(),
        scalar => vec![key(scalar)],
    };
    elements.sort();
    elements.dedup();
    if matches!(value, Value::Texts(_) | Value::Numbers(_)) {
        found.insert(entry(&prefix, value), (false, false));
    }
    let last = elements.len().saturating_sub(1);
    for (at, element) in elements.into_iter().enumerate() {
        found.insert(prefix.clone() + &element, (at == 0, at == last));
    }
}

/// Returns the index texts of a device's attributes, in order.
#[must_use]
pub fn entries(device: &Device) -> Vec<Entry> {
    let mut found = BTreeMap::new();
    of_attribute(&AttributeName::device_id(), &Value::Text(device.id.to_string()), &mut found);
    if let Some(place) = Coordinates::of(&device.attributes) {
        of_attribute(&latitude(), &Value::Number(place.latitude), &mut found);
    }
    // What the server and users know comes before what a device reports without end.
    for reported in [false, true] {
        for (scope, name, Attribute { value, .. }) in device.attributes.iter() {
            if (scope == AttributeName::INVENTORY) == reported && found.len() < MAX_ENTRIES {
                of_attribute(&AttributeName::new(scope, name), value, &mut found);
            }
        }
    }
    let entry = |(text, (is_first, is_last))| Entry { text, is_first, is_last };
    found.into_iter().map(entry).take(MAX_ENTRIES + MAX_ELEMENTS).collect()
}

/// Returns the index texts of a device's words, in order.
#[must_use]
pub fn words_of(device: &Device) -> Vec<String> {
    let searched = [AttributeName::IDENTITY, AttributeName::INVENTORY, AttributeName::TAGS];
    let values = searched.iter().flat_map(|scope| device.attributes.of(scope));
    let texts = values.filter_map(|(_, attribute)| attribute.value.as_text());
    let mut found = words(device.id.as_str());
    found.extend(words(device.group().unwrap_or_default()));
    for text in texts {
        if found.len() >= MAX_WORDS {
            break;
        }
        found.extend(words(text));
    }
    found.into_iter().take(MAX_WORDS).map(|text| word(&text)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<f64>().prop_filter("a number", |n| !n.is_nan()).prop_map(Value::Number),
            "[ -~é\u{ffff}\u{1f600}]{0,4}".prop_map(Value::Text),
            any::<bool>().prop_map(Value::Flag),
            any::<i64>().prop_map(|ms| Value::Time(Time(ms))),
        ]
    }

    proptest! {
        #[test]
        fn keys_sort_as_values_do(a in value(), b in value()) {
            let order = match (&a, &b) {
                (Value::Number(a), Value::Number(b)) => a.partial_cmp(b),
                (Value::Text(a), Value::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
                (Value::Flag(a), Value::Flag(b)) => Some(a.cmp(b)),
                (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
                _ => None,
            };
            if let Some(order) = order {
                prop_assert_eq!(key(&a).cmp(&key(&b)), order);
            } else {
                prop_assert_ne!(key(&a), key(&b));
            }
        }

        #[test]
        fn texts_come_back_from_their_keys(text in "[ -~é\u{7f}\u{ffff}\u{1f600}]{0,20}") {
            prop_assert_eq!(text_of(&key(&Value::Text(text.clone()))), Some(text));
        }
    }

    #[test]
    fn long_texts_are_told_apart() {
        let long = |end: &str| key(&Value::Text("x".repeat(5000) + end));
        assert_ne!(long("a"), long("b"));
        assert!(long("a").len() < 500);
    }

    #[test]
    fn lists_are_found_whole_and_by_each_element() {
        let mut device = Device::new("d".parse().unwrap(), super::super::model::Place(1), Time(0));
        let name = AttributeName::inventory("n");
        device.attributes.set(&name, Value::Numbers(vec![5.0, 1.0, 5.0]).into());
        let prefix = prefix(&name);
        let of = |device: &Device| -> Vec<(bool, bool)> {
            let all = entries(device).into_iter();
            let mine = all.filter(|entry| entry.text.starts_with(&prefix));
            mine.map(|entry| (entry.is_first, entry.is_last)).collect()
        };
        assert_eq!(of(&device), [(false, false), (true, false), (false, true)]);
        device.attributes.set(&name, Value::Texts(vec![]).into());
        assert_eq!(of(&device), [(false, false)]);
    }
}
