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
    // Invariant: these characters stand only inside strings, where an escape means the same.
    let text = serde_json::to_string(value)?;
    let special = |c: char| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
    if !text.contains(special) {
        return Ok(text.into());
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
    Ok(out.into())
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
