//! What the text of a setting may be.

use std::{path::PathBuf, time::Duration};

use mender_core::{deployments, secret::Secret};
use mender_http::ratelimit::{Group, Match, list};
use tracing_subscriber::EnvFilter;

/// A value that is written as text.
pub(crate) trait Value: Sized {
    /// What is allowed, to follow "allowed is".
    const ALLOWED: &'static str;

    /// Whether the value must not be shown.
    const SECRET: bool = false;

    /// Whether the flag may stand without a value.
    const SWITCH: bool = false;

    /// Whether this text must not be shown.
    fn is_secret(_text: &str) -> bool {
        Self::SECRET
    }

    /// Returns the value; `None` where the text is none.
    fn parse(text: &str) -> Option<Self>;
}

impl Value for bool {
    const ALLOWED: &'static str = "true or false";
    const SWITCH: bool = true;

    fn parse(text: &str) -> Option<Self> {
        match text {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        }
    }
}

impl Value for String {
    const ALLOWED: &'static str = "any text";

    fn parse(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

impl Value for Secret {
    const ALLOWED: &'static str = "any text";
    const SECRET: bool = true;

    fn parse(text: &str) -> Option<Self> {
        Some(Self::new(text))
    }
}

impl Value for PathBuf {
    const ALLOWED: &'static str = "a path";

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.into())
    }
}

impl Value for Vec<PathBuf> {
    const ALLOWED: &'static str = "paths, separated by commas";

    fn parse(text: &str) -> Option<Self> {
        Some(items(text).map(Into::into).collect())
    }
}

/// Empty text is no value.
impl<T: Value> Value for Option<T> {
    const ALLOWED: &'static str = T::ALLOWED;
    const SECRET: bool = T::SECRET;

    fn is_secret(text: &str) -> bool {
        T::is_secret(text)
    }

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() { Some(None) } else { T::parse(text).map(Some) }
    }
}

macro_rules! numbers {
    ($($type:ty)+) => {$(
        impl Value for $type {
            const ALLOWED: &'static str = "a whole number above 0";

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok().filter(|n| *n > 0)
            }
        }
    )+};
}

numbers!(u32 u64 usize);

macro_rules! small_numbers {
    ($($type:ty: $allowed:literal;)+) => {$(
        impl Value for $type {
            const ALLOWED: &'static str = $allowed;

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )+};
}

small_numbers! {
    u8: "a whole number from 0 to 255";
    u16: "a whole number from 0 to 65535";
}

impl Value for Vec<Group> {
    const ALLOWED: &'static str = "a JSON list of objects such as {\"name\": \"default\", \
        \"quota\": 30, \"interval\": \"1m\", \"event_expression\": \
        \"{{with .Identity}}{{.Subject}}{{end}}\"}";

    fn parse(text: &str) -> Option<Self> {
        list(text).or_else(|_| list(&bracketed(text))).ok()
    }
}

impl Value for Vec<Match> {
    const ALLOWED: &'static str = "a JSON list of objects such as {\"api_pattern\": \"/\", \
        \"group_expression\": \"default\"}";

    fn parse(text: &str) -> Option<Self> {
        list(text).or_else(|_| list(&bracketed(text))).ok()
    }
}

/// A list of the file has its objects with commas in between.
fn bracketed(text: &str) -> String {
    format!("[{text}]")
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Splits `30s` into 30 and `s`.
fn measure(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(digits.unwrap_or(text.len()));
    Some((number.parse().ok()?, unit))
}

impl Value for Duration {
    const ALLOWED: &'static str = "a duration such as 500ms, 30s, 5m, 12h or 7d";

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = measure(text)?;
        let seconds = match unit {
            "ms" => return Some(Self::from_millis(number)),
            // Compat: the reference server's times are in seconds, without a unit.
            "" | "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return None,
        };
        number.checked_mul(seconds).map(Self::from_secs)
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Size(pub(crate) u64);

impl Value for Size {
    const ALLOWED: &'static str = "a size such as 1048576, 512KiB or 10MiB";

    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = measure(text)?;
        let bytes = match unit {
            "" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        number.checked_mul(bytes).map(Self)
    }
}

/// Where to listen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Address(pub(crate) String);

impl Value for Address {
    const ALLOWED: &'static str = "HOST:PORT, such as 127.0.0.1:8080, [::]:443 or :8080";

    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        port.parse::<u16>().ok()?;
        let bare = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
        // Compat: Go's way to say "every address of this machine".
        let every = host.is_empty().then(|| format!("0.0.0.0:{port}"));
        (!bare).then(|| Self(every.unwrap_or_else(|| text.into())))
    }
}

/// Origins of web pages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Origins(pub(crate) Vec<String>);

impl Value for Origins {
    const ALLOWED: &'static str = "origins such as https://example.com, separated by commas, or *";

    fn parse(text: &str) -> Option<Self> {
        let sound = |origin: &str| {
            let host = web(origin).unwrap_or_default();
            origin == "*" || !(host.is_empty() || host.contains('/'))
        };
        let all: Vec<String> = items(text).map(Into::into).collect();
        all.iter().all(|o| sound(o)).then_some(Self(all))
    }
}

fn web(url: &str) -> Option<&str> {
    url.strip_prefix("https://").or(url.strip_prefix("http://"))
}

/// A URL of the web.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct WebUrl(pub(crate) String);

impl Value for WebUrl {
    const ALLOWED: &'static str = "a URL that begins with http:// or https://";

    fn parse(text: &str) -> Option<Self> {
        web(text).filter(|rest| !rest.is_empty())?;
        Some(Self(text.trim_end_matches('/').into()))
    }
}

/// Where a search engine is. May contain a password.
#[derive(Clone)]
pub(crate) struct SearchUrl(pub(crate) String);

impl Value for SearchUrl {
    const ALLOWED: &'static str = "http:// or https://USER:PASSWORD@HOST:PORT";
    const SECRET: bool = true;

    fn is_secret(text: &str) -> bool {
        text.contains('@')
    }

    fn parse(text: &str) -> Option<Self> {
        web(text).filter(|rest| !rest.is_empty()).map(|_| Self(text.into()))
    }
}

/// Where a message broker is. May contain a password or a token.
#[derive(Clone)]
pub(crate) struct BusUrl(pub(crate) String);

impl Value for BusUrl {
    const ALLOWED: &'static str =
        "nats://TOKEN@HOST:PORT, nats://USER:PASSWORD@HOST:PORT, or the same with tls://";
    const SECRET: bool = true;

    fn is_secret(text: &str) -> bool {
        text.contains('@')
    }

    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("nats://").or(text.strip_prefix("tls://"));
        rest.filter(|rest| !rest.is_empty()).map(|_| Self(text.into()))
    }
}

/// Where the database is. May contain a password.
#[derive(Clone)]
pub(crate) struct DatabaseUrl(pub(crate) String);

impl Value for DatabaseUrl {
    const ALLOWED: &'static str =
        "sqlite://PATH, postgres://USER:PASSWORD@HOST/NAME, mongodb://HOST/NAME or memory:";
    const SECRET: bool = true;

    /// A password stands before `@`, or in the query.
    fn is_secret(text: &str) -> bool {
        text.contains(['@', '?'])
    }

    fn parse(text: &str) -> Option<Self> {
        const SCHEMES: [&str; 5] = ["sqlite", "postgres", "postgresql", "mongodb", "mongodb+srv"];
        let named = text.split_once("://");
        let known =
            named.is_some_and(|(scheme, rest)| SCHEMES.contains(&scheme) && !rest.is_empty());
        (known || text == "memory:").then(|| Self(text.into()))
    }
}

impl DatabaseUrl {
    /// Returns the part before the colon.
    pub(crate) fn scheme(&self) -> &str {
        self.0.split_once(':').map_or("", |(scheme, _)| scheme)
    }

    /// Returns the kind of database, as people call it.
    pub(crate) fn kind(&self) -> &'static str {
        match self.scheme() {
            "sqlite" => "SQLite",
            "mongodb" | "mongodb+srv" => "MongoDB",
            "memory" => "in memory",
            _ => "PostgreSQL",
        }
    }
}

/// Where large objects are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct BlobsUrl(pub(crate) String);

impl Value for BlobsUrl {
    const ALLOWED: &'static str =
        "file://DIRECTORY, s3://BUCKET, azure://CONTAINER, gs://BUCKET or memory:";

    fn parse(text: &str) -> Option<Self> {
        const SCHEMES: [&str; 4] = ["file", "s3", "azure", "gs"];
        let named = text.split_once("://");
        let known =
            named.is_some_and(|(scheme, rest)| SCHEMES.contains(&scheme) && !rest.is_empty());
        (known || text == "memory:").then(|| Self(text.into()))
    }
}

/// What is logged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct LogLevel(pub(crate) String);

impl Value for LogLevel {
    const ALLOWED: &'static str =
        "off, error, warn, info, debug or trace, or levels by module: info,mender_http=debug";

    fn parse(text: &str) -> Option<Self> {
        let directives = || {
            text.split(',').all(|one| {
                let level = one.rsplit('=').next().unwrap_or_default();
                level.parse::<tracing_subscriber::filter::LevelFilter>().is_ok()
            })
        };
        let sound = directives() && EnvFilter::try_new(text).is_ok();
        sound.then(|| Self(text.into()))
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What must fit for a device to get an artifact.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Selection(pub(crate) deployments::Selection);

impl Value for Selection {
    const ALLOWED: &'static str = "depends or device-type";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "depends" => Some(Self(deployments::Selection::Depends)),
            "device-type" => Some(Self(deployments::Selection::DeviceType)),
            _ => None,
        }
    }
}

impl Value for LogFormat {
    const ALLOWED: &'static str = "text or json";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok<T: Value>(text: &str) -> bool {
        T::parse(text).is_some()
    }

    #[test]
    fn values_are_read_as_written() {
        assert_eq!(Duration::parse("7d"), Some(Duration::from_secs(604_800)));
        assert_eq!(Duration::parse("604800"), Some(Duration::from_secs(604_800)));
        assert_eq!(Duration::parse("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(Size::parse("10MiB"), Some(Size(10 << 20)));
        assert_eq!(Address::parse(":80"), Some(Address("0.0.0.0:80".into())));
        assert_eq!(Option::<PathBuf>::parse(""), Some(None));
        assert_eq!(WebUrl::parse("https://a.b/ota/"), Some(WebUrl("https://a.b/ota".into())));
        let origins = Origins(vec!["https://a".into(), "http://b:8".into()]);
        assert_eq!(Origins::parse("https://a, http://b:8"), Some(origins));
    }

    #[test]
    fn other_text_is_refused() {
        assert!(!ok::<Duration>("soon") && !ok::<Duration>("s") && !ok::<Duration>("-1s"));
        assert!(!ok::<Duration>("99999999999999999999d") && !ok::<Duration>("300000000000000000d"));
        assert!(!ok::<Size>("1MB") && !ok::<Size>(""));
        assert!(!ok::<Address>("8080") && !ok::<Address>("a:b") && !ok::<Address>("::1:80"));
        assert!(!ok::<bool>("maybe") && !ok::<u32>("0") && !ok::<u32>("-1"));
        assert!(!ok::<WebUrl>("ftp://x") && !ok::<WebUrl>("https://"));
        assert!(!ok::<Origins>("example.com") && !ok::<Origins>("https://a/b"));
        for url in ["sqlite:a.db", "sqlite://", "postgres:a", "mongodb:h/d", "memory:x", "a.db"] {
            assert!(!ok::<DatabaseUrl>(url), "{url}");
        }
        assert!(!ok::<DatabaseUrl>("mysql://x") && ok::<BlobsUrl>("s3://x?region=y"));
        assert!(!ok::<BlobsUrl>("ftp://x") && !ok::<BlobsUrl>("gs://") && !ok::<BlobsUrl>("x"));
        assert!(ok::<BusUrl>("tls://t@h,i") && !ok::<BusUrl>("nats://") && !ok::<BusUrl>("h:4222"));
        assert!(!ok::<LogLevel>("loud") && ok::<LogLevel>("info,mender_http=debug"));
    }
}
