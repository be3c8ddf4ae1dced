//! The server's own users and devices as authenticators of requests.

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, StatusCode, header::AUTHORIZATION};
use mender_core::{
    Ctx, Mender,
    auth::Verified,
    error::{Error, Kind},
};

use crate::{
    audience::Audience,
    authenticate::{Authenticate, Caller, Credentials},
    error::ApiError,
    identity::{Claims, Identity, MISSING, Source},
    path,
    ratelimit::{Asked, Limiter, RateLimits, Standing},
};

/// Authenticates by the tokens that the server itself issued, within the limits of requests.
#[derive(Clone, Debug)]
pub struct BuiltIn {
    mender: Mender,
    limits: RateLimits,
}

impl BuiltIn {
    /// Authenticates the users and devices of this server.
    #[must_use]
    pub fn new(mender: Mender) -> Self {
        let limits = RateLimits::default();
        Self { mender, limits }
    }

    /// Limits how many requests they may make.
    #[must_use]
    pub fn with_limits(self, limits: RateLimits) -> Self {
        Self { limits, ..self }
    }
}

#[async_trait]
impl Authenticate for BuiltIn {
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Caller, ApiError> {
        let Credentials { audience, method, path, headers, .. } = credentials;
        let method = method.as_str();
        let asked = Asked { method, path };
        if audience == Audience::Devices {
            let limits = self.limits.devices.as_deref();
            let ctx = device(&self.mender, limits, headers, asked).await?;
            Ok(Caller::Device(ctx))
        } else {
            let (ctx, claims) = user(&self.mender, headers).await?;
            let limits = self.limits.users.as_deref();
            limit(limits, &claims, asked, Standing::Verified)?;
            Ok(Caller::User(ctx))
        }
    }
}

/// Counts a request, where there are limits.
pub(crate) fn limit(
    limits: Option<&Limiter>,
    claims: &Claims,
    asked: Asked<'_>,
    standing: Standing,
) -> Result<(), ApiError> {
    limits.map_or(Ok(()), |limits| limits.check(claims, asked, standing))
}

/// Returns the device that a request comes from.
pub(crate) async fn device(
    mender: &Mender,
    limits: Option<&Limiter>,
    headers: &HeaderMap,
    asked: Asked<'_>,
) -> Result<Ctx, ApiError> {
    let identity = Identity::of(headers)?;
    if identity.source == Source::Cookie {
        return Err(ApiError::unauthorized(MISSING));
    }
    let claims = &identity.claims;
    match verified_device(mender, headers, &identity).await {
        Ok(verified) => {
            check_addon(mender, &verified, asked.path)?;
            limit(limits, claims, asked, Standing::Verified)?;
            Ok(verified.ctx)
        }
        Err(refused) => {
            // Compat: refused tokens count, too, but failures of the server do not.
            if refused.status() == StatusCode::UNAUTHORIZED {
                limit(limits, claims, asked, Standing::Refused)?;
            }
            Err(refused)
        }
    }
}

async fn verified_device(
    mender: &Mender,
    headers: &HeaderMap,
    identity: &Identity,
) -> Result<Verified, ApiError> {
    // Compat: devices write the scheme in one of two ways, and others are refused.
    let scheme = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    if !scheme.starts_with(b"Bearer ") && !scheme.starts_with(b"bearer ") {
        return Err(ApiError::empty(StatusCode::UNAUTHORIZED));
    }
    let verified = mender.auth().verify(identity.token.expose(), "").await;
    verified.map_err(|e| match e.kind {
        // Compat: devices learn nothing but that they must ask for a new token.
        Kind::Unauthenticated => ApiError::empty(StatusCode::UNAUTHORIZED),
        _ => e.into(),
    })
}

fn check_addon(mender: &Mender, verified: &Verified, path: &str) -> Result<(), ApiError> {
    let has = |needed: &str| {
        let mut addons = verified.addons.iter();
        addons.any(|addon| addon.enabled && addon.name == needed)
    };
    if !mender.auth().config().tenants || verified.trial {
        return Ok(());
    }
    match addon_of(path) {
        Some(needed) if !has(needed) => {
            Err(ApiError::new(StatusCode::FORBIDDEN, format!("operation requires addon: {needed}")))
        }
        _ => Ok(()),
    }
}

/// The add-on that a device needs for a path; decoded as routes are matched, so that no escape
/// leads around it.
fn addon_of(path: &str) -> Option<&'static str> {
    let segments = path::segments(path).ok()?;
    let segments: Vec<_> = segments.iter().map(|segment| &**segment).collect();
    match segments[..] {
        ["api", "devices", _, "deviceconfig", ..] => Some("configure"),
        ["api", "devices", _, "devicemonitor", ..] => Some("monitor"),
        ["api", "devices", _, "deviceconnect", ..] => Some("troubleshoot"),
        _ => None,
    }
}

/// Why a request is no user's.
pub(crate) enum NoUser {
    /// It has no token that could be read.
    Unreadable(ApiError),
    /// Its token does not do, for a reason of this kind.
    Refused(Kind, ApiError),
}

impl From<NoUser> for ApiError {
    fn from(why: NoUser) -> Self {
        match why {
            NoUser::Unreadable(error) | NoUser::Refused(_, error) => error,
        }
    }
}

/// Returns the user that a request comes from, and what the token says.
pub(crate) async fn user(mender: &Mender, headers: &HeaderMap) -> Result<(Ctx, Claims), NoUser> {
    let Identity { token, claims, .. } = Identity::of(headers).map_err(NoUser::Unreadable)?;
    let verified = mender.users().verify(token.expose(), "").await;
    let ctx = verified.map(|user| user.ctx);
    let ctx = ctx.map_err(|error| NoUser::Refused(error.kind, refuse_user(error)))?;
    Ok((ctx, claims))
}

fn refuse_user(error: Error) -> ApiError {
    match error.kind {
        Kind::Invalid { .. } => ApiError::unauthorized("invalid jwt"),
        Kind::Unauthenticated => ApiError::unauthorized("unauthorized"),
        Kind::Forbidden => ApiError::new(StatusCode::FORBIDDEN, "unauthorized"),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn add_ons_follow_from_the_service() {
        assert_eq!(addon_of("/api/devices/v1/deviceconfig/configuration"), Some("configure"));
        assert_eq!(addon_of("/api/devices/v2/%64eviceconnect/connect"), Some("troubleshoot"));
        assert_eq!(addon_of("/api/devices/v1/inventory/device/attributes"), None);
        assert_eq!(addon_of("/api/management/v1/deviceconfig"), None);
    }
}
