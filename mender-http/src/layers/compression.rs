//! Compression of answers.

use http::{Extensions, HeaderMap, StatusCode, Version, header::CONTENT_TYPE};
use tower_http::compression::{
    CompressionLayer,
    predicate::{And, Predicate, SizeAbove},
};

use crate::dispatch::Matched;

type Compressible = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;

/// Compresses answers of 1024 bytes and more, but no downloads.
pub(crate) fn layer() -> CompressionLayer<And<SizeAbove, Compressible>> {
    let compressible: Compressible = |_, _, headers, extensions| {
        let streaming = extensions.get::<Matched>().is_some_and(|m| m.streaming);
        let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], |v| v.as_bytes());
        let text = kind.starts_with(b"application/json") || kind.starts_with(b"text/");
        text && !streaming
    };
    CompressionLayer::new().compress_when(SizeAbove::new(1024).and(compressible))
}
