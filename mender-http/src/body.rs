//! JSON request bodies.

use std::{error::Error, fmt};

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body_util::{BodyExt, LengthLimitError};
use serde::de::DeserializeOwned;

use self::object::Object;
pub(crate) use self::object::{Item, or_default};
use crate::error::ApiError;

mod object;

/// Why a body is no value of the wanted type. The texts are those that clients know.
#[derive(Debug)]
#[non_exhaustive]
pub enum JsonError {
    /// There is no body.
    Empty,
    /// The body ends within a value.
    Truncated,
    /// The body crossed the limit while it was read.
    TooLarge,
    /// The connection broke.
    Broken(String),
    /// A character that no JSON has in this place.
    Syntax(String),
    /// The value is of another type.
    Type(String),
}

impl JsonError {
    /// Returns the text for routes that read the whole body before they parse it: there, a body
    /// that is empty or ends early is `unexpected end of JSON input`.
    #[must_use]
    pub fn whole(&self) -> String {
        match self {
            Self::Empty | Self::Truncated => "unexpected end of JSON input".into(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("EOF"),
            Self::Truncated => f.write_str("unexpected EOF"),
            Self::TooLarge => f.write_str("http: request body too large"),
            Self::Broken(text) | Self::Syntax(text) => f.write_str(text),
            Self::Type(text) => write!(f, "json: {text}"),
        }
    }
}

impl Error for JsonError {}

/// A type that comes as the JSON body of a request.
pub trait FromBody: DeserializeOwned {
    /// Whether data after the first value is refused; otherwise it is ignored.
    const WHOLE: bool = false;

    /// Whether a body must be declared as `application/json`.
    const TYPED: bool = true;

    /// Returns the answer to a body that can't be decoded.
    fn refuse(error: &JsonError) -> ApiError {
        ApiError::bad_request(error.to_string())
    }
}

impl FromBody for serde_json::Value {}

/// Extracts the JSON body of a request, as [`FromBody`] of `T` says.
#[derive(Clone, Debug)]
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: FromBody> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        if T::TYPED {
            check_type(request.headers(), "application/json")?;
        }
        let value = match read(request).await {
            Ok(body) => decode(&body, T::WHOLE),
            Err(error) => Err(error),
        };
        value.map(Self).map_err(|error| T::refuse(&error))
    }
}

/// Checks the content type of a request that declares a body, by its length.
// Compat: a chunked body, or none, needs no content type.
pub fn check_type(headers: &HeaderMap, wanted: &'static str) -> Result<(), ApiError> {
    let length = headers.get(CONTENT_LENGTH).and_then(|n| n.to_str().ok());
    if length.and_then(|n| n.parse().ok()).is_none_or(|n: u64| n == 0) {
        return Ok(());
    }
    let value = headers.get(CONTENT_TYPE).map_or(&b""[..], |v| v.as_bytes());
    match media_type(&String::from_utf8_lossy(value)) {
        Ok(name) if name == wanted => Ok(()),
        Ok(_) => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("Bad Content-Type, expected '{wanted}'"),
        )),
        Err(error) => Err(ApiError::bad_request(format!(
            "Invalid value for Content-Type header: mime: {error}"
        ))),
    }
}

/// Returns the media type without parameters, in lower case.
pub fn media_type(value: &str) -> Result<String, &'static str> {
    let (name, parameters) = value.split_once(';').unwrap_or((value, ""));
    let name = name.trim().to_ascii_lowercase();
    let is_token = |text: &str| {
        let ok = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c);
        !text.is_empty() && text.chars().all(ok)
    };
    let (main, sub) = name.split_once('/').unwrap_or((&name, "-"));
    if main.is_empty() {
        return Err("no media type");
    }
    if !is_token(main) {
        return Err("expected slash after first token");
    }
    if !is_token(sub) {
        return Err(match sub {
            "" => "expected token after slash",
            _ => "unexpected content after media subtype",
        });
    }
    let named =
        |p: &str| p.trim().is_empty() || p.split_once('=').is_some_and(|(k, _)| is_token(k.trim()));
    if !parameters.split(';').all(named) {
        return Err("invalid media parameter");
    }
    Ok(name)
}

/// Reads the whole body, as far as the limit of the route allows.
pub async fn read(request: Request) -> Result<Bytes, JsonError> {
    match request.into_body().collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if is_too_large(&error) => Err(JsonError::TooLarge),
        Err(error) => Err(JsonError::Broken(error.to_string())),
    }
}

/// Tells whether reading a body failed because it is larger than the route allows.
#[must_use]
pub fn is_too_large(error: &axum::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<LengthLimitError>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// Decodes the first JSON value of a body; `whole` refuses anything after it.
///
/// Where an object is expected, `null` is an empty one, and its names are found in any case.
pub fn decode<T: DeserializeOwned>(body: &[u8], whole: bool) -> Result<T, JsonError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(JsonError::Empty);
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = T::deserialize(Object(&mut reader)).map_err(|error| explain(body, &error))?;
    if whole && let Err(error) = reader.end() {
        let c = locate(body, &error);
        return Err(JsonError::Syntax(format!("invalid character {c} after top-level value")));
    }
    Ok(value)
}

fn explain(body: &[u8], error: &serde_json::Error) -> JsonError {
    use serde_json::error::Category;
    match error.classify() {
        Category::Eof => JsonError::Truncated,
        Category::Data => JsonError::Type(without_value(strip_position(&error.to_string()))),
        _ => {
            let c = locate(body, error);
            let place = match strip_position(&error.to_string()) {
                "expected `:`" => "after object key",
                "expected `,` or `}`" => "after object key:value pair",
                "expected `,` or `]`" => "after array element",
                "key must be a string" => "looking for beginning of object key string",
                "control character (\\u0000-\\u001F) found while parsing a string" => {
                    "in string literal"
                }
                "recursion limit exceeded" => {
                    return JsonError::Syntax("exceeded max depth".into());
                }
                _ => "looking for beginning of value",
            };
            JsonError::Syntax(format!("invalid character {c} {place}"))
        }
    }
}

/// Takes the offending value out: it may be a password, and the text goes to the log.
fn without_value(text: &str) -> String {
    let Some((found, expected)) = text.rsplit_once(", expected ") else {
        return text.into();
    };
    let found = found.split(['`', '"']).next().unwrap_or_default();
    format!("{}, expected {expected}", found.trim_end())
}

fn strip_position(text: &str) -> &str {
    text.rsplit_once(" at line ").map_or(text, |(text, _)| text)
}

/// Returns the character at which parsing failed, in quotes.
fn locate(body: &[u8], error: &serde_json::Error) -> String {
    let before: usize = body
        .split_inclusive(|b| *b == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    let at = (before + error.column().saturating_sub(1)).min(body.len().saturating_sub(1));
    let rest = String::from_utf8_lossy(&body[at..]);
    let c = rest.chars().next().unwrap_or(' ');
    format!("'{}'", c.escape_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body: &str) -> String {
        decode::<Vec<u32>>(body.as_bytes(), false).unwrap_err().to_string()
    }

    #[test]
    fn errors_read_as_clients_know_them() {
        assert_eq!(text(""), "EOF");
        assert_eq!(text("["), "unexpected EOF");
        assert_eq!(text("x"), "invalid character 'x' looking for beginning of value");
        assert_eq!(text("[1 2]"), "invalid character '2' after array element");
        assert!(text("{}").starts_with("json: invalid type: map"));
        assert_eq!(JsonError::Empty.whole(), "unexpected end of JSON input");
    }

    #[test]
    fn errors_do_not_repeat_values() {
        for body in [r#"["secret, expected"]"#, "[-77]", "[7.7]"] {
            let text = text(body);
            assert!(!text.contains("secret") && !text.contains('7'), "{text}");
            assert!(text.ends_with("expected u32"), "{text}");
        }
    }

    #[test]
    fn only_the_first_value_counts_unless_asked() {
        assert_eq!(decode::<Vec<u32>>(b"[1] x", false).unwrap(), [1]);
        assert_eq!(
            decode::<Vec<u32>>(b"[1] x", true).unwrap_err().to_string(),
            "invalid character 'x' after top-level value"
        );
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = "[".repeat(100_000);
        assert!(decode::<serde_json::Value>(deep.as_bytes(), false).is_err());
    }

    #[test]
    fn media_types_ignore_case_and_parameters() {
        assert_eq!(media_type("Application/JSON; charset=utf-8").unwrap(), "application/json");
        assert_eq!(media_type(""), Err("no media type"));
        assert_eq!(media_type("a b/c"), Err("expected slash after first token"));
        assert_eq!(media_type("a/"), Err("expected token after slash"));
    }
}
