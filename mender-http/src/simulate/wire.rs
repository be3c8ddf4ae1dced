//! What devices want, as requests; and what comes of it, from answers.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE, RETRY_AFTER},
};
use http_body_util::{BodyExt as _, Limited};
use mender_core::simulated::{Act, Answer, Update};
use serde::Deserialize;
use serde_json::json;

use super::{
    checks::{Checks, Hashing},
    keys::Keyring,
    transport::{Lost, Transport},
};

/// More than any answer has that is no artifact.
const ANSWER: usize = 1 << 20;

/// How long a download may stand still.
const STANDSTILL: Duration = Duration::from_secs(30);

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

/// What a device has besides itself.
#[derive(Debug, Default)]
pub(crate) struct Papers {
    /// Its token; empty where it has none.
    pub(crate) token: Box<str>,
    /// What it fetched so far.
    pub(crate) hashing: Option<Box<Hashing>>,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) answer: Answer,
    pub(crate) kind: Kind,
    /// What was wrong with it: a status, or why there was none.
    pub(crate) error: Option<String>,
    pub(crate) bytes: u64,
    pub(crate) is_corrupt: bool,
}

/// Speaks the protocol of devices over a transport.
#[derive(Clone, Debug)]
pub struct Courier<T> {
    transport: T,
    keys: Keyring,
    tenant_token: Option<String>,
    /// How many devices of a thousand poll as old clients do.
    old: u16,
    checks: Option<Checks>,
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
fn kind(act: &Act) -> Option<Kind> {
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

fn json_request(method: Method, path: String, body: &serde_json::Value) -> Request<Bytes> {
    let mut request = Request::new(body.to_string().into());
    *request.method_mut() = method;
    // Invariant: paths are made here, of ids that the server gave and could be parsed.
    *request.uri_mut() = path.parse().unwrap_or_default();
    request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    request
}

fn bearer(request: &mut Request<Bytes>, token: &str) {
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
fn refusal(status: StatusCode, headers: &HeaderMap) -> Answer {
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

fn number(headers: &HeaderMap, name: http::HeaderName) -> Option<u64> {
    let text = headers.get(name)?.to_str().ok()?;
    // That of a range is behind its slash.
    text.rsplit('/').next()?.parse().ok()
}

impl<T: Transport> Courier<T> {
    /// Brings requests to a server; devices have these keys.
    #[must_use]
    pub fn new(transport: T, keys: Keyring) -> Self {
        Self { transport, keys, tenant_token: None, old: 0, checks: None }
    }

    /// Has devices name their tenant.
    #[must_use]
    pub fn of_tenant(self, tenant_token: Option<String>) -> Self {
        Self { tenant_token, ..self }
    }

    /// Has so many devices of a thousand poll as old clients do.
    #[must_use]
    pub fn old(self, old: u16) -> Self {
        Self { old, ..self }
    }

    /// Has devices compare the SHA-256 of what they fetch with that of the first one, which is
    /// looked into as well.
    #[must_use]
    pub fn checking(self) -> Self {
        Self { checks: Some(Checks::default()), ..self }
    }

    pub(crate) fn keys(&self) -> &Keyring {
        &self.keys
    }

    /// Returns a request for a token.
    fn authentication(&self, identity: &str) -> Request<Bytes> {
        let key = self.keys.key(identity);
        let mut body = json!({ "id_data": identity, "pubkey": key.public_pem() });
        if let Some(token) = &self.tenant_token {
            body["tenant_token"] = token.as_str().into();
        }
        let path = "/api/devices/v1/authentication/auth_requests";
        let mut request = json_request(Method::POST, path.into(), &body);
        if let Ok(signature) = key.sign(request.body()).parse() {
            request.headers_mut().insert("x-men-signature", signature);
        }
        request
    }

    fn request(&self, identity: &str, act: &Act) -> Request<Bytes> {
        let path = |deployment: &str, what: &str| {
            format!("/api/devices/v1/deployments/device/deployments/{deployment}{what}")
        };
        match act {
            Act::Wait(_) => Request::default(),
            Act::Authenticate => self.authentication(identity),
            Act::Inventory(new) => {
                let attribute = |a: &mender_core::inventory::NewAttribute| json!({ "name": a.name.name, "value": a.value });
                let all: Vec<_> = new.iter().map(attribute).collect();
                let path = "/api/devices/v1/inventory/device/attributes";
                json_request(Method::PUT, path.into(), &all.into())
            }
            Act::Poll(asked) if self.is_old(identity) => {
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
                json_request(Method::POST, path.into(), &body)
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
                json_request(Method::PUT, path(deployment.as_str(), "/status"), &body)
            }
            Act::Log { deployment, messages } => {
                let body = json!({ "messages": messages });
                json_request(Method::PUT, path(deployment.as_str(), "/log"), &body)
            }
        }
    }

    fn is_old(&self, identity: &str) -> bool {
        let sum = identity.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte));
        sum % 1000 < u32::from(self.old)
    }

    /// Does what a device wants. Waiting is done at once.
    pub(crate) async fn perform(&self, identity: &str, papers: &mut Papers, act: Act) -> Outcome {
        let kind = kind(&act).unwrap_or(Kind::Poll);
        let mut outcome =
            Outcome { answer: Answer::Done, kind, error: None, bytes: 0, is_corrupt: false };
        let mut request = self.request(identity, &act);
        if !matches!(act, Act::Authenticate | Act::Download { .. }) {
            bearer(&mut request, &papers.token);
        }
        let done = match self.transport.send(request).await {
            Ok(answer) => self.take(&mut outcome, papers, &act, answer).await,
            Err(lost) => Err(lost),
        };
        if let Err(lost) = done {
            outcome.error = Some(lost.as_str().into());
            outcome.answer = Answer::Unavailable { after: None };
        }
        outcome
    }

    async fn take(
        &self,
        outcome: &mut Outcome,
        papers: &mut Papers,
        act: &Act,
        answer: Response<Body>,
    ) -> Result<(), Lost> {
        let status = answer.status();
        if let Act::Download { uri, from, breaks, .. } = act
            && status.is_success()
        {
            return self.fetch(outcome, papers, (uri, *from, *breaks), answer).await;
        }
        let (status, headers, body) = read(answer).await?;
        if !status.is_success() {
            outcome.error = Some(status.as_u16().to_string());
            outcome.answer = refusal(status, &headers);
        } else if *act == Act::Authenticate {
            papers.token = String::from_utf8_lossy(&body).trim().into();
        } else if let (Act::Poll(_), false) = (act, body.is_empty()) {
            outcome.answer = told(&body).unwrap_or_else(|| {
                outcome.error = Some("unreadable".into());
                Answer::Refused
            });
        }
        Ok(())
    }

    /// Reads an artifact, as far as the connection holds.
    async fn fetch(
        &self,
        outcome: &mut Outcome,
        papers: &mut Papers,
        (uri, from, breaks): (&str, u64, bool),
        answer: Response<Body>,
    ) -> Result<(), Lost> {
        let is_part = answer.status() == StatusCode::PARTIAL_CONTENT;
        let mut got = if is_part { from } else { 0 };
        let size = match is_part {
            true => number(answer.headers(), CONTENT_RANGE),
            false => number(answer.headers(), CONTENT_LENGTH),
        };
        let end = size.filter(|_| breaks).map(|size| u64::midpoint(got, size));
        let mut hashing = papers.hashing.take().filter(|_| got > 0);
        if let (Some(checks), 0) = (&self.checks, got) {
            hashing = Some(Box::new(checks.begin(uri)));
        }
        let mut body = answer.into_body();
        let mut broken = None;
        while end.is_none_or(|end| got < end) {
            let frame = match tokio::time::timeout(STANDSTILL, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => break,
                Ok(Some(Err(error))) => {
                    broken = Some(Lost::Broken(error.to_string()));
                    break;
                }
                Err(_) => {
                    broken = Some(Lost::Late);
                    break;
                }
            };
            let Ok(mut data) = frame.into_data() else { continue };
            if let Some(end) = end {
                data.truncate(usize::try_from(end - got).unwrap_or(usize::MAX));
            }
            got += data.len() as u64;
            outcome.bytes += data.len() as u64;
            if let Some(hashing) = &mut hashing {
                hashing.push(&data);
            }
        }
        let size = size.unwrap_or(if broken.is_none() { got } else { u64::MAX });
        outcome.answer = Answer::Downloaded { got, size };
        outcome.error = broken.map(|lost| lost.as_str().into());
        if got < size {
            papers.hashing = hashing;
        } else if let (Some(checks), Some(hashing)) = (&self.checks, hashing)
            && !checks.is_right(uri, *hashing)
        {
            outcome.is_corrupt = true;
            outcome.error = Some("wrong checksum".into());
            outcome.answer = Answer::Refused;
        }
        Ok(())
    }
}

fn told(body: &[u8]) -> Option<Answer> {
    let Told { id, artifact } = serde_json::from_slice(body).ok()?;
    Some(Answer::Update(Update {
        deployment: id.parse().ok()?,
        artifact_name: artifact.artifact_name.into(),
        uri: artifact.source.uri,
        size: None,
    }))
}

#[cfg(feature = "testing")]
impl<T: Transport> mender_core::testing::Carry for Courier<T> {
    #[expect(clippy::expect_used, reason = "a device without identity is a mistake in the test")]
    fn announcement(&self, identity: &str) -> mender_core::auth::Preauthorization {
        let key = self.keys.key(identity);
        mender_core::auth::Preauthorization {
            identity: mender_core::auth::Identity::parse(identity).expect("a JSON object"),
            key: mender_core::signature::PublicKey::from_pem(key.public_pem()).expect("a key"),
            tier: mender_core::auth::Tier::Standard,
            force: false,
        }
    }

    async fn carry<D: mender_core::simulated::Logic + Send>(
        &self,
        member: &mut mender_core::testing::Member<D>,
        act: Act,
    ) -> Answer {
        let identity = member.device.identity();
        let mut papers = Papers { token: std::mem::take(&mut member.token), hashing: None };
        let outcome = self.perform(&identity, &mut papers, act).await;
        member.token = papers.token;
        outcome.answer
    }
}
