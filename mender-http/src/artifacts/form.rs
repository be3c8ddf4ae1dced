//! Forms that come part by part, as streams.

mod meter;

use axum::extract::Request;
use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt as _;
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use mender_core::error::{Error, Kind};
use multer::{Field, Multipart};

use self::meter::Meter;
use super::pace::paced;
use crate::{body::media_type, error::ApiError};

/// How many bytes the text of a part may have.
const MAX_TEXT: usize = 1 << 20;

/// How many bytes the text of a number may have.
pub(super) const MAX_NUMBER: usize = 20;

/// How many bytes may come before a part: its head, and what was before the first one.
const MAX_HEAD: usize = 16 << 10;

/// A form, of which the parts come one after the other.
pub(crate) struct Form {
    parts: Multipart<'static>,
    meter: Meter,
}

/// A part of a form.
pub(crate) struct Part {
    /// Its name in lower case.
    pub(crate) name: String,
    field: Field<'static>,
}

fn header(headers: &HeaderMap, name: http::HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn length(headers: &HeaderMap) -> u64 {
    header(headers, CONTENT_LENGTH).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn boundary(value: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_it = name.trim().eq_ignore_ascii_case("boundary");
        let value = value.trim().trim_matches('"');
        (is_it && !value.is_empty()).then(|| value.to_owned())
    })
}

/// Checks the content type of a form with a body, as public routes do.
pub(super) fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    if length(headers) == 0 {
        return Ok(());
    }
    match media_type(&header(headers, CONTENT_TYPE).unwrap_or_default()).as_deref() {
        Ok("multipart/form-data" | "multipart/mixed") => Ok(()),
        Ok(_) => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Bad Content-Type, expected 'multipart/form-data', 'multipart/mixed'",
        )),
        Err(why) => Err(ApiError::bad_request(format!(
            "Invalid value for Content-Type header: mime: {why}"
        ))),
    }
}

impl Form {
    /// Begins to read a form of at most so many bytes.
    pub(crate) fn of(request: Request, max: u64) -> Result<Self, ApiError> {
        let headers = request.headers();
        let value = header(headers, CONTENT_TYPE).unwrap_or_default();
        if !media_type(&value).is_ok_and(|name| name.starts_with("multipart/")) {
            return Err(ApiError::bad_request("request Content-Type isn't multipart/form-data"));
        }
        let boundary = boundary(&value)
            .ok_or_else(|| ApiError::bad_request("no multipart boundary param in Content-Type"))?;
        if length(headers) > max {
            return Err(ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "http: request body too large",
            ));
        }
        let body = request.into_body().into_data_stream();
        let meter = Meter::default();
        Ok(Self { parts: Multipart::new(meter.measure(body), boundary), meter })
    }

    /// Returns the next part, once the last one was read.
    pub(crate) async fn next(&mut self) -> Result<Option<Part>, ApiError> {
        self.meter.allow(MAX_HEAD);
        let field = self.parts.next_field().await;
        let field = field.map_err(|why| ApiError::bad_request(format!("multipart: {why}")))?;
        self.meter.allow(usize::MAX);
        Ok(field.map(|field| {
            let name = field.name().unwrap_or_default().to_lowercase();
            Part { name, field }
        }))
    }
}

impl Part {
    /// Reads a text.
    pub(super) async fn text(self) -> Result<String, ApiError> {
        self.text_within(MAX_TEXT).await
    }

    /// Passes over what nobody wants to know.
    pub(super) async fn skip(mut self) {
        // What is wrong with it, the next part tells.
        while let Ok(Some(_)) = self.field.chunk().await {}
    }

    /// Reads a text of at most so many bytes.
    pub(crate) async fn text_within(mut self, max: usize) -> Result<String, ApiError> {
        let refused = |name: &str, why: &str| {
            ApiError::bad_request(format!("failed to read form value '{name}': {why}"))
        };
        let mut text = Vec::new();
        loop {
            match self.field.chunk().await {
                Ok(None) => break,
                Ok(Some(chunk)) => text.extend_from_slice(&chunk),
                Err(_) => return Err(refused(&self.name, "unexpected EOF")),
            }
            if text.len() > max {
                return Err(refused(&self.name, "read too many bytes"));
            }
        }
        String::from_utf8(text).map_err(|_| refused(&self.name, "invalid UTF-8"))
    }

    /// Reads the size that something will have; `None` where none is told.
    pub(super) async fn size(self) -> Result<Option<u64>, ApiError> {
        let text = self.text_within(MAX_NUMBER).await?;
        let size: i64 = text.parse().map_err(|_| {
            ApiError::bad_request(format!("size: parsing {text:?}: invalid syntax"))
        })?;
        // Compat: what is not above zero is no size.
        Ok(u64::try_from(size).ok().filter(|size| *size > 0))
    }

    /// Returns the bytes as they come.
    pub(crate) fn bytes(self) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
        paced(self.field.map(|piece| {
            piece.map_err(|why| {
                Error::new(Kind::Invalid { field: "artifact" }, "unexpected EOF").because(why)
            })
        }))
    }
}
