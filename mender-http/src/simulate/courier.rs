//! Does what devices want, by requests.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{
    Method, Request, Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_RANGE},
};
use http_body_util::BodyExt as _;
use mender_core::simulated::{Act, Answer};
use serde_json::json;

use super::{
    checks::{Checks, Hashing},
    keys::Keyring,
    transport::{Lost, Transport},
    wire::{Kind, bearer, json_request, kind, number, read, refusal, request, told},
};

/// How long a download may stand still.
const STANDSTILL: Duration = Duration::from_secs(30);

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
        let mut request = json_request(Method::POST, path, &body);
        if let Ok(signature) = key.sign(request.body()).parse() {
            request.headers_mut().insert("x-men-signature", signature);
        }
        request
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
        let mut request = match act {
            Act::Authenticate => self.authentication(identity),
            _ => request(&act, self.is_old(identity)),
        };
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
