//! What must hold whatever bytes come in: the targets of `fuzz/`, and of a test that replays its
//! corpora. Each panics where a claim does not hold.

use axum::body::Body;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{
    HeaderMap, HeaderValue, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use mender_core::{
    Env, auth,
    signature::PublicKey,
    token::{Keyring, Numbered, Parts},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    artifacts::form::Form,
    body::{self, JsonError},
    error::ApiError,
    identity::Identity,
    path,
    query::Query,
};

/// An identity that is taken has one canonical form, which reads back as itself.
///
/// # Panics
/// Where the claim does not hold.
pub fn identity(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(identity) = auth::Identity::parse(&text) else {
        return;
    };
    let again = auth::Identity::parse(identity.as_str());
    assert_eq!(again.as_ref(), Ok(&identity), "the canonical form is stable");
    let value = auth::Identity::from_value(&identity.value());
    assert_eq!(value.as_ref(), Ok(&identity), "text and value are the same");
    assert!(!identity.as_str().contains('\0') && identity.hash().len() == 64);
}

/// A key that is taken is in its normal form, and no made-up signature fits it. The bytes are the
/// key, then after a zero byte the signature.
///
/// # Panics
/// Where the claim does not hold.
pub fn public_key(bytes: &[u8]) {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let (pem, signature) = bytes.split_at(end);
    let Ok(key) = PublicKey::from_pem(&String::from_utf8_lossy(pem)) else {
        return;
    };
    let again = PublicKey::from_pem(key.as_pem());
    assert_eq!(again.as_ref(), Ok(&key), "the normal form is stable");
    let raw = signature.get(1..).unwrap_or_default();
    let message = b"a message that nobody signed";
    assert!(!key.verify(message, &String::from_utf8_lossy(raw)));
    assert!(!key.verify(message, &BASE64_STANDARD.encode(raw)));
}

/// Nobody makes a token that verifies with a key that was made just now.
///
/// # Panics
/// Where somebody does.
#[expect(clippy::expect_used, reason = "without a key there is nothing to claim")]
pub fn token(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let keys = Keyring::ephemeral(&Env::system()).expect("a key");
    let _ = Parts::of(&text).and_then(|parts| parts.unverified::<Value>());
    for numbered in [Numbered::Yes, Numbered::No] {
        assert!(keys.verify::<Value>(numbered, &text).is_none());
    }
    for header in [text.as_ref().to_owned(), format!("Bearer {text}")] {
        let Ok(value) = HeaderValue::from_str(&header) else {
            continue;
        };
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        match Identity::of(&headers) {
            Ok(identity) => assert!(!identity.claims.subject.is_empty()),
            Err(refused) => assert_eq!(refused.status().as_u16(), 401),
        }
    }
}

/// A body like most: some fields of each kind.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only decoding is of interest")]
struct Fields {
    #[serde(default)]
    text: String,
    #[serde(default)]
    number: i64,
    #[serde(default)]
    flag: Option<bool>,
    #[serde(default)]
    list: Vec<String>,
    #[serde(default)]
    any: Value,
}

/// A body is decoded, or refused in words that are short and whole.
///
/// # Panics
/// Where the claim does not hold.
pub fn body(bytes: &[u8]) {
    for whole in [false, true] {
        let texts = [
            body::decode::<Fields>(bytes, whole).err(),
            body::decode::<Vec<Value>>(bytes, whole).err(),
            body::decode::<Value>(bytes, whole).err(),
        ];
        for error in texts.into_iter().flatten() {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() < 300, "{text}");
            assert!(!matches!(error, JsonError::TooLarge | JsonError::Broken(_)));
        }
    }
    let text = String::from_utf8_lossy(bytes);
    if let Ok(media_type) = body::media_type(&text) {
        assert_eq!(media_type, media_type.to_lowercase());
    }
}

/// A query that is read is written so that it reads back, and segments of a path are decoded once.
///
/// # Panics
/// Where the claim does not hold.
pub fn query(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let query = Query::parse(&text);
    let written = query.encode();
    assert!(written.is_ascii() && !written.contains(['\r', '\n', ' ', '"', '<', '>']));
    let again = Query::parse(&written);
    assert!(again.checked().is_ok());
    assert_eq!(again.encode(), written);
    assert_eq!(again.pairs().len(), query.pairs().len());
    if let Ok(segments) = path::segments(&text) {
        let slashes = text.strip_prefix('/').unwrap_or(&text).matches('/').count();
        assert_eq!(segments.len(), slashes + 1);
    }
}

/// A form is taken or refused with 400; taken, it has the same parts however it is cut.
///
/// # Panics
/// Where the claim does not hold.
#[expect(clippy::expect_used, reason = "without a runtime there is nothing to claim")]
pub fn form(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(async {
        let whole = read_form(bytes, bytes.len().max(1)).await;
        for size in [13, 700] {
            // One may be refused: where the end is missing, or where a head is too long.
            if let (Some(parts), Some(whole)) = (read_form(bytes, size).await, &whole) {
                assert_eq!(&parts, whole, "in pieces of {size}");
            }
        }
    });
}

/// Reads a form that comes in pieces of this size: the names of its parts, and how long they are.
///
/// # Panics
/// Where it is refused with another status than 400.
async fn read_form(bytes: &[u8], size: usize) -> Option<Vec<(String, usize)>> {
    let pieces: Vec<_> = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
    let body = Body::from_stream(stream::iter(pieces).map(Ok::<_, std::io::Error>));
    let request = Request::post("/").header(CONTENT_TYPE, "multipart/form-data; boundary=b");
    let refused = |error: ApiError| assert_eq!(error.status(), StatusCode::BAD_REQUEST);
    let mut form = Form::of(request.body(body).ok()?, u64::MAX).map_err(refused).ok()?;
    let mut parts = Vec::new();
    while let Some(part) = form.next().await.map_err(refused).ok()? {
        let name = part.name.clone();
        let length = if parts.len().is_multiple_of(2) {
            part.text_within(1000).await.map_err(refused).ok()?.len()
        } else {
            let read = part.bytes().try_fold(0, async |sum, piece| Ok(sum + piece.len()));
            read.await.ok()?
        };
        parts.push((name, length));
    }
    assert!(parts.iter().map(|(_, length)| length).sum::<usize>() <= bytes.len());
    Some(parts)
}
