//! Bytes that links of ours lead to.

use std::time::{Duration, UNIX_EPOCH};

use axum::{
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use futures_util::StreamExt as _;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{
        ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
        IF_MODIFIED_SINCE, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
    },
};
use mender_core::{
    Mender, Time,
    error::{Error, Kind},
};

use super::{error, pace::paced, wire};
use crate::{error::ApiError, path::Path, query::Query};

const TAG: &str = "storage";

/// A part of something with a size.
#[derive(Debug, Eq, PartialEq)]
enum Part {
    All,
    Bytes(u64, u64),
    Nowhere,
}

/// Reads which part is wanted. Several parts are answered with everything, as is what makes no
/// sense.
fn part(headers: &HeaderMap, size: u64) -> Part {
    let range = headers.get(RANGE).and_then(|value| value.to_str().ok());
    // Blobs never change, yet there is nothing to compare with: from the beginning, then.
    if headers.contains_key(IF_RANGE) {
        return Part::All;
    }
    let Some((from, to)) =
        range.and_then(|range| range.strip_prefix("bytes=")?.trim().split_once('-'))
    else {
        return Part::All;
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    match (number(from), number(to)) {
        (Some(from), _) if from >= size => Part::Nowhere,
        (Some(from), None) if to.trim().is_empty() => Part::Bytes(from, size),
        (Some(from), Some(to)) if from <= to => Part::Bytes(from, to.saturating_add(1).min(size)),
        (None, Some(0)) if from.trim().is_empty() => Part::Nowhere,
        (None, Some(last)) if from.trim().is_empty() => {
            Part::Bytes(size.saturating_sub(last), size)
        }
        _ => Part::All,
    }
}

/// Tells which answer the conditions on the time of the last change ask for, if not the bytes.
fn condition(headers: &HeaderMap, modified: Time) -> Option<StatusCode> {
    let time = |name| {
        let text = headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok())?;
        httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()
    };
    let modified = Duration::from_secs(u64::try_from(modified.seconds()).unwrap_or(0));
    if time(IF_UNMODIFIED_SINCE).is_some_and(|since| modified > since) {
        return Some(StatusCode::PRECONDITION_FAILED);
    }
    let known = time(IF_MODIFIED_SINCE).is_some_and(|since| modified <= since);
    known.then_some(StatusCode::NOT_MODIFIED)
}

fn http_date(time: Time) -> String {
    let seconds = u64::try_from(time.seconds()).unwrap_or(0);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Reads what a link leads to.
#[utoipa::path(get, path = "/api/storage/v1/{key}", tag = TAG,
    params(
        ("key" = String, Path, description = "as in the link"),
        ("token" = String, Query, description = "as in the link"),
        ("Range" = Option<String>, Header, description = "one part of it"),
    ),
    responses(
        (status = 200, description = "the bytes", content_type = "application/vnd.mender-artifact"),
        (status = 206, description = "a part of them",
         content_type = "application/vnd.mender-artifact"),
        (status = 403, description = "no such link, or not any more", body = wire::ErrorBody),
        (status = 404, description = "it leads nowhere", body = wire::ErrorBody),
        (status = 416, description = "there is no such part"),
    ))]
pub(super) async fn read(
    State(mender): State<Mender>,
    Path(key): Path<String>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let artifacts = mender.artifacts();
    let token = query.first("token").unwrap_or_default();
    let linked = artifacts.linked(&key, token).await.map_err(error::other)?;
    if let Some(status) = condition(&headers, linked.modified) {
        return Ok(status.into_response());
    }
    let size = linked.size;
    let (status, from, to) = match part(&headers, size) {
        Part::All => (StatusCode::OK, 0, size),
        Part::Bytes(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
        Part::Nowhere => {
            let answer = Response::builder()
                .status(StatusCode::RANGE_NOT_SATISFIABLE)
                .header(CONTENT_RANGE, format!("bytes */{size}"))
                .body(Body::empty());
            return answer.map_err(ApiError::internal);
        }
    };
    let bytes = artifacts.read_linked(&linked, from..to).await.map_err(error::other)?;
    let mut answer = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, linked.content_type)
        .header(CONTENT_LENGTH, to - from)
        .header(LAST_MODIFIED, http_date(linked.modified))
        .header(ACCEPT_RANGES, "bytes");
    if status == StatusCode::PARTIAL_CONTENT {
        answer = answer.header(CONTENT_RANGE, format!("bytes {from}-{}/{size}", to - 1));
    }
    if let Some(disposition) = linked.disposition {
        answer = answer.header(CONTENT_DISPOSITION, disposition);
    }
    answer.body(Body::from_stream(bytes)).map_err(ApiError::internal)
}

/// Puts what a link leads to.
#[utoipa::path(put, path = "/api/storage/v1/{key}", tag = TAG,
    params(
        ("key" = String, Path, description = "as in the link"),
        ("token" = String, Query, description = "as in the link"),
    ),
    request_body(content_type = "application/vnd.mender-artifact", content = String),
    responses(
        (status = 200, description = "stored"),
        (status = 403, description = "no such link, or not any more", body = wire::ErrorBody),
        (status = 413, description = "too large", body = wire::ErrorBody),
    ))]
pub(super) async fn write(
    State(mender): State<Mender>,
    Path(key): Path<String>,
    query: Query,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let token = query.first("token").unwrap_or_default();
    let broken = |why: axum::Error| {
        Error::new(Kind::Invalid { field: "body" }, "the body broke off").because(why)
    };
    let bytes = request.into_body().into_data_stream().map(move |piece| piece.map_err(broken));
    mender.artifacts().write_linked(&key, token, paced(bytes)).await.map_err(error::other)?;
    Ok(StatusCode::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_is_understood() {
        let of = |range: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, http::HeaderValue::from_static(range));
            part(&headers, 10)
        };
        assert_eq!(part(&HeaderMap::new(), 10), Part::All);
        assert_eq!(of("bytes=0-4"), Part::Bytes(0, 5));
        assert_eq!(of("bytes=4-"), Part::Bytes(4, 10));
        assert_eq!(of("bytes=-3"), Part::Bytes(7, 10));
        assert_eq!(of("bytes=-30"), Part::Bytes(0, 10));
        assert_eq!(of("bytes=9-99"), Part::Bytes(9, 10));
        for nowhere in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(of(nowhere), Part::Nowhere, "{nowhere}");
        }
        for all in ["bytes=5-4", "bytes=0-1,3-4", "bytes=x-", "lines=1-2", "bytes=-"] {
            assert_eq!(of(all), Part::All, "{all}");
        }
    }
}
