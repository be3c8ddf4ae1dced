//! The server's own users and devices as authenticators of requests.

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, StatusCode, header::AUTHORIZATION};
use mender_core::{
    Ctx, Mender,
    error::{Error, Kind},
};

use crate::{
    audience::Audience,
    authenticate::{Authenticate, Caller, Credentials},
    error::ApiError,
    identity::{Identity, MISSING, Source},
};

/// Authenticates by the tokens that the server itself issued.
#[derive(Clone, Debug)]
pub struct BuiltIn(pub Mender);

#[async_trait]
impl Authenticate for BuiltIn {
    async fn authenticate(&self, credentials: Credentials<'_>) -> Result<Caller, ApiError> {
        let Credentials {
            audience,
            uri,
            headers,
            ..
        } = credentials;
        if audience == Audience::Devices {
            device(&self.0, headers, uri.path())
                .await
                .map(Caller::Device)
        } else {
            user(&self.0, headers).await.map(Caller::User)
        }
    }
}

/// Returns the device that a request comes from.
pub(crate) async fn device(
    mender: &Mender,
    headers: &HeaderMap,
    uri: &str,
) -> Result<Ctx, ApiError> {
    let identity = Identity::of(headers)?;
    if identity.source == Source::Cookie {
        return Err(ApiError::unauthorized(MISSING));
    }
    // Compat: devices write the scheme in one of two ways, and others are refused.
    let scheme = headers
        .get(AUTHORIZATION)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    if !scheme.starts_with(b"Bearer ") && !scheme.starts_with(b"bearer ") {
        return Err(ApiError::empty(StatusCode::UNAUTHORIZED));
    }
    let verified = mender
        .auth()
        .verify(identity.token.expose(), "")
        .await
        .map_err(|e| {
            match e.kind {
                // Compat: devices learn nothing but that they must ask for a new token.
                Kind::Unauthenticated => ApiError::empty(StatusCode::UNAUTHORIZED),
                _ => e.into(),
            }
        })?;
    if mender.auth().config().tenants
        && !verified.trial
        && let Some(needed) = addon_of(uri)
        && !verified
            .addons
            .iter()
            .any(|addon| addon.enabled && addon.name == needed)
    {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            format!("operation requires addon: {needed}"),
        ));
    }
    Ok(verified.ctx)
}

/// The add-on that a device needs for a path.
fn addon_of(uri: &str) -> Option<&'static str> {
    let mut segments = uri.split('/').skip(1);
    let (Some("api"), Some("devices"), Some(_), Some(service)) = (
        segments.next(),
        segments.next(),
        segments.next(),
        segments.next(),
    ) else {
        return None;
    };
    match service.split('?').next() {
        Some("deviceconfig") => Some("configure"),
        Some("devicemonitor") => Some("monitor"),
        Some("deviceconnect") => Some("troubleshoot"),
        _ => None,
    }
}

/// Returns the user that a request comes from.
pub(crate) async fn user(mender: &Mender, headers: &HeaderMap) -> Result<Ctx, ApiError> {
    let identity = Identity::of(headers)?;
    let verified = mender.users().verify(identity.token.expose(), "").await;
    verified.map(|user| user.ctx).map_err(refuse_user)
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
        assert_eq!(
            addon_of("/api/devices/v1/deviceconfig/configuration"),
            Some("configure")
        );
        assert_eq!(
            addon_of("/api/devices/v2/deviceconnect?x=/"),
            Some("troubleshoot")
        );
        assert_eq!(
            addon_of("/api/devices/v1/inventory/device/attributes"),
            None
        );
        assert_eq!(addon_of("/api/management/v1/deviceconfig"), None);
    }
}
