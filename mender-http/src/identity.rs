//! Who a token says its bearer is, before anything is verified.

use std::fmt;

use axum::extract::FromRequestParts;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, COOKIE, WWW_AUTHENTICATE},
    request::Parts,
};
use mender_core::secret::Secret;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use crate::error::ApiError;

/// Where a token was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// In the header `Authorization`.
    Header,
    /// In the cookie `JWT`, as browsers send it where they can't set headers.
    Cookie,
}

/// An add-on of a plan.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Addon {
    /// The name.
    pub name: String,
    /// Whether it may be used.
    pub enabled: bool,
}

/// The claims of a token that handlers and gateways look at.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Claims {
    /// The id of the user or device.
    pub subject: String,
    /// The tenant, empty for the default one.
    pub tenant: String,
    /// Whether the bearer is a user.
    pub user: bool,
    /// Whether the bearer is a device.
    pub device: bool,
    /// The plan of the tenant, if the token names one.
    pub plan: Option<String>,
    /// The add-ons of the tenant.
    pub addons: Vec<Addon>,
    /// Whether the tenant is on trial.
    pub trial: bool,
}

/// A token and what it claims. **Nothing in it is verified.**
///
/// As an extractor it answers 401 with the texts that clients know.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The token itself.
    pub token: Secret,
    /// Where it was found.
    pub source: Source,
    /// What it claims.
    pub claims: Claims,
}

impl Identity {
    /// Finds the token of a request and reads its claims. The header wins over the cookie.
    pub fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let (token, source) = token(headers)?;
        let claims = claims(&token)?;
        Ok(Self { token: Secret::new(token), source, claims })
    }
}

/// What a token claims, for the log only: read cheaply, and nothing in it is verified.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Glimpse {
    #[serde(default)]
    pub(crate) sub: Option<String>,
    #[serde(default, rename = "mender.plan")]
    pub(crate) plan: Option<String>,
}

impl Glimpse {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let payload = token(headers).ok().and_then(|(token, _)| {
            let payload = token.split('.').nth(1)?;
            BASE64_URL_SAFE_NO_PAD.decode(payload).ok()
        });
        let mut claims: Self =
            payload.and_then(|payload| serde_json::from_slice(&payload).ok()).unwrap_or_default();
        claims.sub = claims.sub.filter(|text| text.len() <= 256);
        claims.plan = claims.plan.filter(|text| text.len() <= 256);
        claims
    }
}

impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::of(&parts.headers)
    }
}

/// Returns the 401 that asks for a token.
pub fn refuse(text: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    // Compat: the realm is this one on device routes, too.
    let realm = HeaderValue::from_static("Bearer realm=\"ManagementJWT\"");
    ApiError::unauthorized(text).with_header(WWW_AUTHENTICATE, realm)
}

/// The text of the 401 for a request without a token.
pub const MISSING: &str = "Authorization not present in header";

fn token(headers: &HeaderMap) -> Result<(String, Source), ApiError> {
    let header = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let header = String::from_utf8_lossy(header.unwrap_or_default());
    if header.is_empty() {
        return cookie(headers).map(|token| (token, Source::Cookie)).ok_or_else(|| refuse(MISSING));
    }
    let mut parts = header.split(' ');
    let (Some(scheme), Some(token), None) = (parts.next(), parts.next(), parts.next()) else {
        return Err(refuse("malformed Authorization header"));
    };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refuse(format!("unknown Authorization method {scheme}")));
    }
    Ok((token.to_owned(), Source::Header))
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(COOKIE).into_iter();
    let texts = lines.filter_map(|line| line.to_str().ok());
    texts.flat_map(|line| line.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == "JWT").then(|| value.trim_matches('"').to_owned())
    })
}

fn claims(token: &str) -> Result<Claims, ApiError> {
    let parts: Vec<_> = token.split('.').collect();
    let [_, payload, _] = parts[..] else {
        return Err(refuse("identity: incorrect token format"));
    };
    // Compat: gateways hand on tokens of either base64 alphabet; who verifies sees the original.
    let payload = payload.trim_end_matches('=').replace('+', "-").replace('/', "_");
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).map_err(|error| {
        refuse(format!("identity: failed to decode base64 JWT claims: {error}"))
    })?;
    let stated = serde_json::from_slice::<Stated>(&payload).or_else(|error| {
        // Compat: what is JSON but no object states nothing.
        if !error.is_data() {
            return Err(error);
        }
        serde_json::from_slice::<IgnoredAny>(&payload).map(|_| Stated::default())
    });
    let claims = stated
        .map_err(|error| refuse(format!("identity: failed to decode JSON JWT claims: {error}")))?;
    claims.read().ok_or_else(|| refuse("identity: claim \"sub\" is required"))
}

/// Claims as they are stated, of whatever type. Of those named twice the last counts.
#[derive(Default)]
struct Stated {
    sub: Value,
    tenant: Value,
    user: Value,
    device: Value,
    plan: Value,
    addons: Value,
    trial: Value,
}

impl<'de> Deserialize<'de> for Stated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// The name of a claim.
#[derive(Deserialize)]
#[serde(field_identifier)]
enum Name {
    #[serde(rename = "sub")]
    Subject,
    #[serde(rename = "mender.tenant")]
    Tenant,
    #[serde(rename = "mender.user")]
    User,
    #[serde(rename = "mender.device")]
    Device,
    #[serde(rename = "mender.plan")]
    Plan,
    #[serde(rename = "mender.addons")]
    Addons,
    #[serde(rename = "mender.trial")]
    Trial,
    #[serde(other)]
    Other,
}

/// Reads the claims that are looked at, and passes over all others: a token is read for every
/// request.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Stated;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Stated, A::Error> {
        let mut stated = Stated::default();
        while let Some(name) = map.next_key()? {
            let claim = match name {
                Name::Subject => &mut stated.sub,
                Name::Tenant => &mut stated.tenant,
                Name::User => &mut stated.user,
                Name::Device => &mut stated.device,
                Name::Plan => &mut stated.plan,
                Name::Addons => &mut stated.addons,
                Name::Trial => &mut stated.trial,
                Name::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *claim = map.next_value()?;
        }
        Ok(stated)
    }
}

fn flag(claim: &Value) -> bool {
    claim.as_bool().unwrap_or(false)
}

impl Stated {
    /// Reads the claims; `None` without a subject. What is of another type is as if it were absent.
    fn read(self) -> Option<Claims> {
        let text = |claim| match claim {
            Value::String(text) => Some(text),
            _ => None,
        };
        Some(Claims {
            subject: text(self.sub).filter(|subject| !subject.is_empty())?,
            tenant: text(self.tenant).unwrap_or_default(),
            user: flag(&self.user),
            device: flag(&self.device),
            plan: text(self.plan),
            addons: serde_json::from_value(self.addons).unwrap_or_default(),
            trial: flag(&self.trial),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &'static str, value: &str) -> Result<Identity, String> {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        Identity::of(&headers).map_err(|e| e.text().unwrap().to_owned())
    }

    fn token(claims: &str) -> String {
        format!("e30.{}.x", BASE64_URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn refusals_have_their_texts() {
        let text = |value: &str| of("authorization", value).unwrap_err();
        assert_eq!(text(""), MISSING);
        assert_eq!(text("Bearer"), "malformed Authorization header");
        assert_eq!(text("Basic abc"), "unknown Authorization method Basic");
        assert_eq!(text("Bearer abc"), "identity: incorrect token format");
        let base64 = "identity: failed to decode base64 JWT claims: ";
        assert!(text("Bearer a.b.c").starts_with(base64));
        let sub = format!("Bearer {}", token("{}"));
        assert_eq!(text(&sub), "identity: claim \"sub\" is required");
    }

    #[test]
    fn tokens_come_in_header_or_cookie() {
        let token = token(r#"{"sub":"u1","mender.user":true,"exp":"never"}"#);
        let header = of("authorization", &format!("bEARER {token}")).unwrap();
        assert_eq!((header.source, header.claims.user), (Source::Header, true));
        let cookie = of("cookie", &format!("a=b; JWT={token}")).unwrap();
        assert_eq!(cookie.source, Source::Cookie);
        assert_eq!(cookie.claims.subject, "u1");
    }
}
