//! A user who accepts the devices of a fleet.

use std::{sync::Mutex, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Method, Request, StatusCode, header::AUTHORIZATION};
use mender_core::secret::Secret;
use serde::Deserialize;
use tokio::time::Instant;

use super::{
    fault::Fault,
    keys::Keyring,
    report::Tally,
    shard::lock,
    transport::{Lost, Transport},
    wire::{self, Kind},
};

/// How many devices a page has.
const PAGE: usize = 500;

/// How many devices are accepted at a time.
const AT_A_TIME: usize = 8;

/// Who accepts the devices of a fleet.
#[derive(Clone, Debug)]
pub struct User {
    /// The e-mail address.
    pub name: String,
    /// The password.
    pub password: Secret,
}

#[derive(Deserialize)]
struct Device {
    id: String,
    identity_data: serde_json::Value,
    auth_sets: Vec<AuthSet>,
}

#[derive(Deserialize)]
struct AuthSet {
    id: String,
    pubkey: String,
    status: String,
}

/// Which devices are looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Among {
    /// Those that nobody accepted or rejected.
    Pending,
    /// All: of a device that had another key before, only the new one is pending.
    All,
}

/// Which devices are a fleet's.
pub(super) trait Known: Sync {
    /// Returns the number of the device with these identity data.
    fn number(&self, identity: &serde_json::Value) -> Option<(u32, String)>;
}

/// A session of a user.
#[derive(Debug)]
pub(super) struct Session<T> {
    transport: T,
    user: User,
    token: String,
}

/// Returns what of a PEM text counts.
fn essence(pem: &str) -> impl Iterator<Item = char> + '_ {
    pem.chars().filter(|c| !c.is_ascii_whitespace())
}

pub(super) fn unreachable(server: &str, lost: &Lost) -> Fault {
    let (server, why) = (server.to_owned(), lost.to_string());
    match lost {
        Lost::Untrusted(_) => Fault::Certificate { server, why },
        _ => Fault::Unreachable { server, why },
    }
}

impl<T: Transport> Session<T> {
    /// Logs in.
    pub(super) async fn log_in(transport: T, user: User, server: &str) -> Result<Self, Fault> {
        let mut session = Self { transport, user, token: String::new() };
        session.renew(server).await?;
        Ok(session)
    }

    async fn renew(&mut self, server: &str) -> Result<(), Fault> {
        let User { name, password } = &self.user;
        let basic = BASE64_STANDARD.encode(format!("{name}:{}", password.expose()));
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = http::Uri::from_static("/api/management/v1/useradm/auth/login");
        if let Ok(value) = format!("Basic {basic}").parse() {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let answer = self.transport.send(request).await;
        let read = match answer {
            Ok(answer) => wire::read(answer).await,
            Err(lost) => Err(lost),
        };
        let (status, _, body) = read.map_err(|lost| unreachable(server, &lost))?;
        match status {
            StatusCode::OK => {
                self.token = String::from_utf8_lossy(&body).trim().to_owned();
                Ok(())
            }
            StatusCode::UNAUTHORIZED => Err(Fault::Password { user: name.clone() }),
            status => Err(Fault::Refused { what: "to log in", status: status.as_u16() }),
        }
    }

    async fn ask(
        &self,
        tally: &Mutex<Tally>,
        method: Method,
        path: String,
        body: &'static str,
    ) -> Option<(StatusCode, Bytes)> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(Bytes::from_static(body.as_bytes()))
            .ok()?;
        let begun = Instant::now();
        let read = match self.transport.send(request).await {
            Ok(answer) => wire::read(answer).await,
            Err(lost) => Err(lost),
        };
        let error = match &read {
            Ok((status, ..)) if status.is_success() => None,
            Ok((status, ..)) => Some(status.as_u16().to_string()),
            Err(lost) => Some(lost.as_str().to_owned()),
        };
        lock(tally).request(Kind::Manage, begun.elapsed(), error);
        read.ok().map(|(status, _, body)| (status, body))
    }

    /// Accepts the devices of the fleet that ask for it among those of a status, or among all,
    /// and returns their numbers.
    pub(super) async fn accept(
        &mut self,
        server: &str,
        among: Among,
        fleet: &impl Known,
        keys: &Keyring,
        tally: &Mutex<Tally>,
    ) -> Vec<u32> {
        let mut accepted = Vec::new();
        for page in 1.. {
            let status = match among {
                Among::Pending => "&status=pending",
                Among::All => "",
            };
            let path =
                format!("/api/management/v2/devauth/devices?per_page={PAGE}&page={page}{status}");
            let Some((status, body)) = self.ask(tally, Method::GET, path, "").await else { break };
            if status == StatusCode::UNAUTHORIZED {
                // A session ends after some days. Who can't log in any more tries again later.
                let _ = self.renew(server).await;
                break;
            }
            let devices: Vec<Device> = serde_json::from_slice(&body).unwrap_or_default();
            let ours: Vec<_> = devices.iter().filter_map(|d| own(d, fleet, keys)).collect();
            let is_last = devices.len() < PAGE;
            let accept = |(number, device, set)| {
                let path = format!("/api/management/v2/devauth/devices/{device}/auth/{set}/status");
                let this = &*self;
                async move {
                    let body = r#"{"status":"accepted"}"#;
                    let answer = this.ask(tally, Method::PUT, path, body).await;
                    answer.is_some_and(|(status, _)| status.is_success()).then_some(number)
                }
            };
            let found = !ours.is_empty();
            let done: Vec<_> =
                stream::iter(ours).map(accept).buffer_unordered(AT_A_TIME).collect().await;
            accepted.extend(done.into_iter().flatten());
            // What is accepted leaves the list, so that other pages begin elsewhere then.
            if is_last || (found && among == Among::Pending) {
                break;
            }
        }
        accepted
    }
}

/// Returns the number of a device that is the fleet's, its id and that of the key to accept.
fn own(device: &Device, fleet: &impl Known, keys: &Keyring) -> Option<(u32, String, String)> {
    let (number, identity) = fleet.number(&device.identity_data)?;
    let key = keys.key(&identity);
    let is_ours = |set: &&AuthSet| {
        set.status == "pending" && essence(&set.pubkey).eq(essence(key.public_pem()))
    };
    let set = device.auth_sets.iter().find(is_ours)?;
    Some((number, device.id.clone(), set.id.clone()))
}

/// How long a user waits before looking again, and before looking at all devices.
pub(super) const LOOKS: Duration = Duration::from_millis(500);
pub(super) const LOOKS_FAR: Duration = Duration::from_secs(10);
