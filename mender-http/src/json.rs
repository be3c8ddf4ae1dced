//! JSON as the reference server writes it.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;

use crate::error::ApiError;

/// The content type of every JSON answer.
pub const CONTENT: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// Serialises a value for an answer: compact, with `<`, `>`, `&`, U+2028 and U+2029 escaped.
///
/// ```
/// assert_eq!(mender_http::json::bytes(&"a<b")?, r#""a\u003cb""#);
/// # Ok::<_, serde_json::Error>(())
/// ```
pub fn bytes(value: &impl Serialize) -> serde_json::Result<Bytes> {
    text(value).map(Bytes::from)
}

/// As [`bytes`], as text.
pub(crate) fn text(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value).map(escaped)
}

/// Tells whether a byte may begin a character that answers have escaped.
fn may_be_special(byte: &u8) -> bool {
    matches!(byte, b'<' | b'>' | b'&' | 0xe2)
}

/// Writes JSON as answers have it.
pub(crate) fn escaped(text: String) -> String {
    // Invariant: these characters stand only inside strings, where an escape means the same.
    // Some bytes at a time, without a way out in between: that is many times as fast.
    let mut some = text.as_bytes().chunks(256);
    if !some.any(|bytes| bytes.iter().fold(false, |found, byte| found | may_be_special(byte))) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 32);
    for c in text.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
    out
}

/// A JSON answer, 200 unless joined with another status in a tuple.
#[derive(Clone, Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match bytes(&self.0) {
            Ok(body) => (StatusCode::OK, [(CONTENT_TYPE, CONTENT)], body).into_response(),
            Err(error) => ApiError::internal(error).into_response(),
        }
    }
}
