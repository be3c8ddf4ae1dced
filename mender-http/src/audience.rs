//! Whom a path is for.

use std::borrow::Cow;

use http::Method;

use crate::path::segments;

/// Whom a route is for, and so what credentials it needs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Audience {
    /// Devices, with a device's token.
    Devices,
    /// Users, with a session or a personal token.
    Management,
    /// Other services; on the internal listener only, without a token.
    Internal,
    /// Anyone: log-in, authentication requests, signed links, the reference page.
    Anyone,
}

impl Audience {
    /// Returns whom a request is for.
    ///
    /// The decision is made on decoded segments, as routes are matched, so that no escape leads
    /// around authentication.
    #[must_use]
    pub fn of(method: &Method, path: &str) -> Self {
        // No route matches a path that can't be decoded; it asks for a token all the same.
        let raw = |_| path.split('/').skip(1).map(Cow::Borrowed).collect();
        let segments = segments(path).unwrap_or_else(raw);
        let segments: Vec<_> = segments.iter().map(|segment| &**segment).collect();
        match segments[..] {
            ["api", "devices", _, "authentication", ..]
            | ["api", "devices", _, "deployments", "download", ..]
            // Links to blobs, signed by us.
            | ["api", "storage", ..] => Self::Anyone,
            ["api", "devices", ..] => Self::Devices,
            ["api", "management", _, "useradm", "auth", "logout", ..] => Self::Management,
            ["api", "management", _, "useradm", "auth" | "oauth2" | "oidc", ..]
            | ["api", "management", _, "useradm", "users", "me", "email-change", "complete"] => {
                Self::Anyone
            }
            ["api", "management", _, "tenantadm", "tenants", "signup" | "trial"]
                if matches!(*method, Method::OPTIONS | Method::POST) =>
            {
                Self::Anyone
            }
            ["api", "management", ..] => Self::Management,
            // Only the internal listener has these: the workflow engine, and what gateways make of
            // the inventory's paths.
            ["api", "internal" | "0.1.0" | "v1", ..] | ["status"] => Self::Internal,
            _ => Self::Anyone,
        }
    }

    /// Returns whom a request is for that a gateway in front hands on: it verified a token for
    /// the paths of the inventory, too, before it made others of them.
    #[must_use]
    pub fn behind_gateway(method: &Method, path: &str) -> Self {
        let segments = segments(path).unwrap_or_default();
        let segments: Vec<_> = segments.iter().map(|segment| &**segment).collect();
        match segments[..] {
            ["api", "0.1.0", "attributes", ..] => Self::Devices,
            ["api", "0.1.0", ..] => Self::Management,
            _ => Self::of(method, path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Audience {
        Audience::of(&Method::GET, path)
    }

    #[test]
    fn only_what_must_be_is_open() {
        use Audience::{Anyone, Devices, Internal, Management};
        for (path, audience) in [
            ("/api/devices/v1/authentication/auth_requests/", Anyone),
            ("/api/devices/v1/deployments/download/x", Anyone),
            ("/api/devices/v1/deployments/device", Devices),
            ("/api/management/v1/useradm/auth/login", Anyone),
            ("/api/management/v1/useradm/auth/logout", Management),
            ("/api/management/v1/useradm/auth/logout/", Management),
            ("/api/management/v1/useradm/authx", Management),
            ("/api/management/v1/tenantadm/tenants/trial", Management),
            ("/api/management", Management),
            ("/api/management/%zz", Management),
            ("/api/%6danagement/v1/x", Management),
            ("/api/internal/v1/devauth/alive", Internal),
            ("/api/openapi.json", Anyone),
        ] {
            assert_eq!(of(path), audience, "{path}");
        }
    }

    #[test]
    fn what_gateways_rewrite_needs_the_token_that_it_needed_before() {
        let behind = |path| Audience::behind_gateway(&Method::GET, path);
        assert_eq!(behind("/api/0.1.0/attributes"), Audience::Devices);
        assert_eq!(behind("/api/0.1.0/devices"), Audience::Management);
        assert_eq!(behind("/api/internal/v1/x"), Audience::Internal);
        assert_eq!(of("/api/0.1.0/devices"), Audience::Internal);
    }
}
