//! What limits are made of, as settings say it.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error};

/// Limits of requests. The defaults are those of [`Config::devices`] with nothing in them.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whether a request that no pattern or no group fits is refused.
    #[serde(default)]
    pub reject_unmatched: bool,
    /// The groups.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// Which requests belong to which group.
    #[serde(default, rename = "match")]
    pub matches: Vec<Match>,
}

impl Config {
    /// 30 requests a minute for each device.
    #[must_use]
    pub fn devices() -> Self {
        Self::each(30)
    }

    /// 300 requests a minute for each user.
    #[must_use]
    pub fn users() -> Self {
        Self::each(300)
    }

    fn each(quota: u64) -> Self {
        Self {
            reject_unmatched: false,
            groups: vec![Group {
                name: "default".into(),
                quota,
                interval: Duration::from_secs(60),
                event_expression: "{{with .Identity}}{{.Subject}}{{end}}".into(),
            }],
            matches: vec![Match { api_pattern: "/".into(), group_expression: "default".into() }],
        }
    }
}

/// Requests that are counted together.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What expressions call it.
    pub name: String,
    /// How many requests an interval may have.
    pub quota: u64,
    /// How long that is, for instance `1m30s`.
    #[serde(deserialize_with = "go_duration")]
    pub interval: Duration,
    /// Whose requests are counted apart: an expression over the caller. Empty: everyone's
    /// together.
    #[serde(default)]
    pub event_expression: String,
}

/// Puts requests into a group.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// `[METHOD ]/path/{wildcard}`; a slash at the end means everything below.
    pub api_pattern: String,
    /// The name of the group: an expression over the caller.
    pub group_expression: String,
}

/// Reads a list of groups or matches from a setting: a JSON list, or JSON objects one after
/// another.
///
/// ```
/// use mender_http::ratelimit::{Group, list};
///
/// let text = r#"{"name": "a", "quota": 1, "interval": "1s"} {"name": "b", "quota": 2, "interval": "1h"}"#;
/// assert_eq!(list::<Group>(text)?.len(), 2);
/// assert_eq!(list::<Group>(r#"[{"name": "a", "quota": 1, "interval": "1s"}]"#)?[0].name, "a");
/// # Ok::<_, serde_json::Error>(())
/// ```
pub fn list<T: for<'de> Deserialize<'de>>(text: &str) -> serde_json::Result<Vec<T>> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text);
    }
    serde_json::Deserializer::from_str(text).into_iter().collect()
}

fn go_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    parse(&text).ok_or_else(|| D::Error::custom(format!("invalid duration {text:?}")))
}

/// Reads a duration as Go writes it: numbers with units from `ms` to `h`.
fn parse(text: &str) -> Option<Duration> {
    let (mut total, mut left) = (0.0, text);
    while !left.is_empty() {
        let end = left.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, rest) = left.split_at(end);
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, rest) = rest.split_at(end.unwrap_or(rest.len()));
        let unit = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * unit;
        left = rest;
    }
    (!text.is_empty()).then(|| Duration::try_from_secs_f64(total).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!(parse("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(parse("0.5h"), Some(Duration::from_secs(1800)));
        assert_eq!(parse("250ms"), Some(Duration::from_millis(250)));
        for bad in ["", "1", "s", "-1s", "1d", "1..5s", "1s 2s"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
