//! Query strings: repeated parameters, in order.

use std::{convert::Infallible, fmt};

use axum::extract::FromRequestParts;
use http::{Uri, request::Parts};

/// A query string can't be decoded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InvalidQuery(String);

impl fmt::Display for InvalidQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidQuery {}

/// The query parameters of a request. Parameters that can't be decoded are left out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Query {
    pairs: Vec<(String, String)>,
    error: Option<InvalidQuery>,
}

impl Query {
    /// Parses a raw query string.
    #[must_use]
    pub fn parse(raw: &str) -> Self {
        let mut query = Self::default();
        for part in raw.split('&').filter(|part| !part.is_empty()) {
            match pair(part) {
                Ok(pair) => query.pairs.push(pair),
                Err(error) => query.error = query.error.or(Some(error)),
            }
        }
        query
    }

    /// Returns the query of a URI.
    #[must_use]
    pub fn of(uri: &Uri) -> Self {
        Self::parse(uri.query().unwrap_or_default())
    }

    /// Returns the query, unless a parameter could not be decoded.
    pub fn checked(&self) -> Result<&Self, InvalidQuery> {
        self.error.clone().map_or(Ok(self), Err)
    }

    /// Returns the first value of a parameter.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&str> {
        let found = self.pairs.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the first value of a parameter, unless it is empty.
    #[must_use]
    pub fn given(&self, name: &str) -> Option<&str> {
        self.first(name).filter(|value| !value.is_empty())
    }

    /// Returns all values of a parameter, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.pairs.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Returns all parameters, in order.
    #[must_use]
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// Replaces a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.pairs.retain(|(key, _)| key != name);
        self.pairs.push((name.into(), value.to_string()));
        self
    }

    /// Writes the query with its keys sorted.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut pairs: Vec<_> = self.pairs.iter().collect();
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let encoded = pairs.iter().map(|(k, v)| format!("{}={}", escape(k), escape(v)));
        encoded.collect::<Vec<_>>().join("&")
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.uri))
    }
}

fn pair(part: &str) -> Result<(String, String), InvalidQuery> {
    if part.contains(';') {
        return Err(InvalidQuery("invalid semicolon separator in query".into()));
    }
    let (key, value) = part.split_once('=').unwrap_or((part, ""));
    let plain = |text: &str| {
        unescape(&text.replace('+', " "))
            .map_err(|bad| InvalidQuery(format!("invalid URL escape {bad:?}")))
    };
    Ok((plain(key)?, plain(value)?))
}

/// Decodes percent escapes; the error is the escape that is none.
pub(crate) fn unescape(text: &str) -> Result<String, String> {
    if !text.contains('%') {
        return Ok(text.into());
    }
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    let digit = |i: usize| bytes.get(i).and_then(|b| char::from(*b).to_digit(16));
    while let Some(&byte) = bytes.get(at) {
        if byte != b'%' {
            out.push(byte);
            at += 1;
            continue;
        }
        match (digit(at + 1), digit(at + 2)) {
            // Two hex digits are at most 255.
            (Some(a), Some(b)) => out.push(u8::try_from(a * 16 + b).unwrap_or_default()),
            _ => {
                let end = (at + 3).min(bytes.len());
                return Err(String::from_utf8_lossy(&bytes[at..end]).into_owned());
            }
        }
        at += 3;
    }
    Ok(String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into()))
}

/// Encodes a key or value of a query: unreserved characters stay, a space becomes `+`.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(byte.into());
            }
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_parameters_keep_their_order() {
        let query = Query::parse("status=b&id=1&status=a&empty");
        assert_eq!(query.all("status").collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(query.first("empty"), Some(""));
        assert_eq!(query.encode(), "empty=&id=1&status=b&status=a");
    }

    #[test]
    fn malformed_parameters_are_left_out_and_reported() {
        let query = Query::parse("a=%zz&b=1&c=%4");
        assert_eq!(query.pairs(), [("b".to_owned(), "1".to_owned())]);
        let error = query.checked().unwrap_err();
        assert_eq!(error.to_string(), "invalid URL escape \"%zz\"");
    }

    #[test]
    fn values_are_encoded_again_as_they_came() {
        assert_eq!(Query::parse("foo=a+b%26c%C3%A9").encode(), "foo=a+b%26c%C3%A9");
    }
}
