//! What devices want, as requests; and what answers mean.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, RANGE, RETRY_AFTER},
};
use http_body_util::{BodyExt as _, Limited};
use mender_core::{
    inventory::NewAttribute,
    simulated::{Act, Answer, Update},
};
use serde::Deserialize;
use serde_json::json;

use super::transport::Lost;

/// More than any answer has that is no artifact.
const ANSWER: usize = 1 << 20;

/// A kind of request.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// A device asks for a token.
    Authenticate,
    /// A device tells its inventory.
    Inventory,
    /// A device asks for an update.
    Poll,
    /// A device fetches an artifact.
    Download,
    /// A device says how far it is.
    Report,
    /// A device sends a log.
    Log,
    /// A user accepts devices.
    Manage,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Authenticate,
        Self::Inventory,
        Self::Poll,
        Self::Download,
        Self::Report,
        Self::Log,
        Self::Manage,
    ];

    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::Inventory => "inventory",
            Self::Poll => "poll",
            Self::Download => "download",
            Self::Report => "report",
            Self::Log => "log",
            Self::Manage => "manage",
        }
    }
}

#[derive(Deserialize)]
struct Told {
    id: String,
    artifact: ToldArtifact,
}

#[derive(Deserialize)]
struct ToldArtifact {
    artifact_name: String,
    source: Source,
}

#[derive(Deserialize)]
struct Source {
    uri: String,
}

/// Returns the kind of request that an act is; none of waiting.
pub(super) fn kind(act: &Act) -> Option<Kind> {
    Some(match act {
        Act::Wait(_) => return None,
        Act::Authenticate => Kind::Authenticate,
        Act::Inventory(_) => Kind::Inventory,
        Act::Poll(_) => Kind::Poll,
        Act::Download { .. } => Kind::Download,
        Act::Report { .. } => Kind::Report,
        Act::Log { .. } => Kind::Log,
    })
}

/// Returns a text as it may stand in a query.
fn quoted(text: &str) -> String {
    let quote = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(quote).collect()
}

pub(super) fn json_request(method: Method, path: &str, body: &serde_json::Value) -> Request<Bytes> {
    let mut request = Request::new(body.to_string().into());
    *request.method_mut() = method;
    // Invariant: paths are made here, of ids that the server gave and could be parsed.
    *request.uri_mut() = path.parse().unwrap_or_default();
    request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    request
}

pub(super) fn bearer(request: &mut Request<Bytes>, token: &str) {
    if let Ok(value) = format!("Bearer {token}").parse() {
        request.headers_mut().insert(AUTHORIZATION, value);
    }
}

/// Returns how long a server wants to be left alone.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Returns what an answer that is no success means to a device.
pub(super) fn refusal(status: StatusCode, headers: &HeaderMap) -> Answer {
    match status {
        StatusCode::UNAUTHORIZED => Answer::Unauthenticated,
        StatusCode::CONFLICT => Answer::Aborted,
        StatusCode::TOO_MANY_REQUESTS => Answer::Unavailable { after: wait(headers) },
        status if status.is_server_error() => Answer::Unavailable { after: wait(headers) },
        _ => Answer::Refused,
    }
}

/// Reads a whole answer that is no artifact.
pub(crate) async fn read(answer: Response<Body>) -> Result<(StatusCode, HeaderMap, Bytes), Lost> {
    let (parts, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER).collect().await;
    let body = body.map_err(|error| Lost::Broken(error.to_string()))?;
    Ok((parts.status, parts.headers, body.to_bytes()))
}

pub(super) fn number(headers: &HeaderMap, name: http::HeaderName) -> Option<u64> {
    let text = headers.get(name)?.to_str().ok()?;
    // That of a range is behind its slash.
    text.rsplit('/').next()?.parse().ok()
}

pub(super) fn told(body: &[u8]) -> Option<Answer> {
    let Told { id, artifact } = serde_json::from_slice(body).ok()?;
    Some(Answer::Update(Update {
        deployment: id.parse().ok()?,
        artifact_name: artifact.artifact_name.into(),
        uri: artifact.source.uri,
        size: None,
    }))
}

/// Returns the request that an act is, without a token; that for one is made elsewhere.
pub(super) fn request(act: &Act, is_old: bool) -> Request<Bytes> {
    let path = |deployment: &str, what: &str| {
        format!("/api/devices/v1/deployments/device/deployments/{deployment}{what}")
    };
    match act {
        Act::Wait(_) | Act::Authenticate => Request::default(),
        Act::Inventory(new) => {
            let attribute = |a: &NewAttribute| json!({ "name": a.name.name, "value": a.value });
            let all: Vec<_> = new.iter().map(attribute).collect();
            let path = "/api/devices/v1/inventory/device/attributes";
            json_request(Method::PUT, path, &all.into())
        }
        Act::Poll(asked) if is_old => {
            let (name, kind) = (quoted(&asked.artifact_name), quoted(&asked.device_type));
            let query = format!("?artifact_name={name}&device_type={kind}");
            let mut request = Request::new(Bytes::new());
            *request.uri_mut() = path("next", &query).parse().unwrap_or_default();
            request
        }
        Act::Poll(asked) => {
            let mut provides = json!(asked.provides);
            provides["artifact_name"] = asked.artifact_name.as_str().into();
            provides["device_type"] = asked.device_type.as_str().into();
            let body = json!({
                "device_provides": provides,
                "update_control_map": asked.control_map,
            });
            let path = "/api/devices/v2/deployments/device/deployments/next";
            json_request(Method::POST, path, &body)
        }
        Act::Download { uri, from, .. } => {
            let mut request = Request::new(Bytes::new());
            *request.uri_mut() = uri.parse().unwrap_or_default();
            if *from > 0
                && let Ok(range) = format!("bytes={from}-").parse()
            {
                request.headers_mut().insert(RANGE, range);
            }
            request
        }
        Act::Report { deployment, status, substate } => {
            let body = json!({ "status": status.as_str(), "substate": substate });
            json_request(Method::PUT, &path(deployment.as_str(), "/status"), &body)
        }
        Act::Log { deployment, messages } => {
            let body = json!({ "messages": messages });
            json_request(Method::PUT, &path(deployment.as_str(), "/log"), &body)
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn refusals_mean_to_devices_what_they_mean_to_real_ones() {
        let mut headers = HeaderMap::new();
        let means = |status: u16, headers: &HeaderMap| {
            refusal(StatusCode::from_u16(status).unwrap(), headers)
        };
        assert_eq!(means(401, &headers), Answer::Unauthenticated);
        assert_eq!(means(409, &headers), Answer::Aborted);
        assert_eq!(means(404, &headers), Answer::Refused);
        assert_eq!(means(503, &headers), Answer::Unavailable { after: None });
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        let after = Some(Duration::from_secs(7));
        assert_eq!(means(429, &headers), Answer::Unavailable { after });
    }

    #[test]
    fn sizes_are_read_of_wholes_and_of_parts() {
        let mut headers = HeaderMap::new();
        headers.insert("content-length", HeaderValue::from_static("12"));
        headers.insert("content-range", HeaderValue::from_static("bytes 8-19/20"));
        assert_eq!(number(&headers, http::header::CONTENT_LENGTH), Some(12));
        assert_eq!(number(&headers, http::header::CONTENT_RANGE), Some(20));
    }

    #[test]
    fn a_name_of_any_characters_stays_one_in_a_query() {
        let (artifact_name, device_type) = ("a&b c/ü".to_owned(), "x-1_2.3~".to_owned());
        let asked =
            mender_core::deployments::Request { artifact_name, device_type, ..Default::default() };
        let query = request(&Act::Poll(asked), true).uri().query().unwrap().to_owned();
        assert_eq!(query, "artifact_name=a%26b%20c%2F%C3%BC&device_type=x-1_2.3~");
    }
}
