//! The query string of version 1: filters by name, groups, and a key to sort by.

use std::collections::BTreeSet;

use mender_core::{
    Time,
    inventory::{AttributeName, Op, Operand, Predicate, Query as Search, Value, name},
};

use super::wire;
use crate::{
    error::ApiError,
    query::{Query, unescape},
};

const PAGE: [&str; 2] = ["page", "per_page"];
const SORT: &str = "sort";
const GROUP: &str = "group";
const HAS_GROUP: &str = "has_group";

/// Reads what devices to list.
pub(super) fn search(query: &Query) -> Result<Search, ApiError> {
    let mut search = Search { plain_names: true, ..Search::default() };
    let given = |name| query.first(name).filter(|text| !text.is_empty());
    if let Some(text) = given(HAS_GROUP) {
        let has_group = truth(text).ok_or_else(|| invalid(HAS_GROUP, text))?;
        search.filters.push(in_group(Op::Exists, Value::Flag(has_group)));
    }
    if let Some(text) = given(GROUP) {
        let group = again(GROUP, text)?;
        search.filters.push(text_or_nothing(&group, |group| in_group(Op::Eq, group)));
    }
    if let Some(text) = given(SORT) {
        search.sort.push(sort(&again(SORT, text)?)?);
    }
    let reserved = [PAGE[0], PAGE[1], SORT, GROUP, HAS_GROUP];
    let mut seen = BTreeSet::from(reserved);
    for (key, value) in query.pairs() {
        // Only the first of several values counts.
        if seen.insert(key) {
            search.filters.push(filter(key, &again(key, value)?));
        }
    }
    Ok(search)
}

fn invalid(name: &str, value: &str) -> ApiError {
    ApiError::bad_request(format!("invalid {name} query: \"{value}\""))
}

/// Compat: these values are decoded once more than others.
fn again(name: &str, value: &str) -> Result<String, ApiError> {
    unescape(&value.replace('+', " ")).map_err(|_| invalid(name, ""))
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

fn in_group(op: Op, value: Value) -> Predicate {
    let name = AttributeName::system(name::GROUP);
    Predicate { name, op, value: Operand::Value(value) }
}

/// A predicate on a text; one with U+0000 is no device's.
fn text_or_nothing(text: &str, predicate: impl FnOnce(Value) -> Predicate) -> Predicate {
    if text.contains('\0') {
        return wire::nothing();
    }
    predicate(Value::Text(text.to_owned()))
}

/// Reads `[scope/]name`.
fn attribute(text: &str) -> AttributeName {
    match text.split_once('/') {
        Some((scope, name)) => AttributeName::new(scope, name),
        None => AttributeName::inventory(text),
    }
}

/// Reads `[scope/]name[:asc|:desc]`; tells whether the greatest come first.
fn sort(text: &str) -> Result<(AttributeName, bool), ApiError> {
    let parts: Vec<&str> = text.split(':').collect();
    let descending = match parts[..] {
        [_, "asc"] => false,
        // Compat: of more parts than two, none tells the order.
        [_] | [_, "desc"] | [_, _, _, ..] => true,
        _ => return Err(ApiError::bad_request("invalid sort order")),
    };
    Ok((attribute(parts.first().copied().unwrap_or_default()), descending))
}

fn filter(key: &str, value: &str) -> Predicate {
    let text = match value.split_once(':') {
        Some(("eq", rest)) if !rest.is_empty() => rest,
        _ => value,
    };
    let name = attribute(key);
    text_or_nothing(text, |value| {
        let other = number(text).map(Value::Number).or_else(|| time(text).map(Value::Time));
        let any = [Some(value), other].into_iter().flatten().map(Operand::Value);
        Predicate { name, op: Op::In, value: Operand::List(any.collect()) }
    })
}

/// Compat: what looks like a number stands for that, too.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Compat: and so does what looks like a time, in this one form.
fn time(text: &str) -> Option<Time> {
    let has_form = text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T');
    has_form.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(raw: &str) -> Result<Vec<String>, String> {
        let search = search(&Query::parse(raw)).map_err(|e| e.text().unwrap().to_owned())?;
        let text = |p: &Predicate| {
            let value = serde_json::to_string(&p.value).unwrap();
            format!("{}/{} {} {value}", p.name.scope, p.name.name, p.op.as_str())
        };
        let sorts = search.sort.iter().map(|(name, down)| {
            format!("{}/{} {}", name.scope, name.name, if *down { "down" } else { "up" })
        });
        Ok(search.filters.iter().map(text).chain(sorts).collect())
    }

    #[test]
    fn every_other_parameter_is_a_filter() {
        let raw = "page=2&per_page=3&a=1&a=2&tags/b/c=eq:x:y&eq=eq:&mac=de:ad&%61=3";
        let expected = [
            r#"inventory/a $in ["1",1.0]"#,
            r#"tags/b/c $in ["x:y"]"#,
            r#"inventory/eq $in ["eq:"]"#,
            r#"inventory/mac $in ["de:ad"]"#,
        ];
        assert_eq!(texts(raw).unwrap(), expected);
    }

    #[test]
    fn values_that_look_like_numbers_or_times_stand_for_those_too() {
        for (text, count) in [
            ("1e2", 2),
            ("NaN", 1),
            ("inf", 1),
            ("1e999", 1),
            ("2026-01-02T03:04:05Z", 2),
            ("2026-01-02T03:04:05.5Z", 2),
            ("2026-01-02T03:04:05%2B01:00", 1),
            ("2026-01-02 03:04:05Z", 1),
            ("2026-99-02T03:04:05Z", 1),
        ] {
            let search = search(&Query::parse(&format!("a={text}"))).unwrap();
            let Operand::List(values) = &search.filters[0].value else { panic!("{search:?}") };
            assert_eq!(values.len(), count, "{text}");
        }
    }

    #[test]
    fn values_are_decoded_twice() {
        assert_eq!(texts("a=50%2525").unwrap(), [r#"inventory/a $in ["50%"]"#]);
        assert_eq!(texts("a=x%2By").unwrap(), [r#"inventory/a $in ["x y"]"#]);
        for name in ["a", "group", "sort"] {
            let error = texts(&format!("{name}=%25zz")).unwrap_err();
            assert_eq!(error, format!("invalid {name} query: \"\""));
        }
    }

    #[test]
    fn texts_that_no_device_has_find_nothing() {
        for raw in ["a=%00", "group=%2500"] {
            assert_eq!(texts(raw).unwrap(), ["identity/id $in []"]);
        }
    }

    #[test]
    fn groups_and_sort_have_their_own_forms() {
        let raw = "has_group=T&group=g&sort=tags/k:asc";
        let expected = ["system/group $exists true", r#"system/group $eq "g""#, "tags/k up"];
        assert_eq!(texts(raw).unwrap(), expected);
        assert_eq!(texts("has_group=&group=&sort=").unwrap(), [""; 0]);
        assert_eq!(texts("sort=a").unwrap(), ["inventory/a down"]);
        assert_eq!(texts("sort=a:asc,b:desc").unwrap(), ["inventory/a down"]);
        assert_eq!(texts("sort=a:ASC").unwrap_err(), "invalid sort order");
        assert_eq!(texts("has_group=yes").unwrap_err(), "invalid has_group query: \"yes\"");
    }
}
