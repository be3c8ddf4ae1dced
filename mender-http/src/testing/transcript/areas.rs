//! Which area a path belongs to.

/// The areas that are not built yet: steps in them are skipped.
pub const NOT_BUILT: &[&str] = &[
    "artifacts",
    "audit",
    "config",
    "deployments",
    "integrations",
    "inventory",
    "messaging",
    "monitor",
    "search",
    "tenants",
    "workflows",
];

/// Returns the area that answers a path, if it belongs to one alone.
#[must_use]
pub fn area(path: &str) -> Option<&'static str> {
    let path = path.split('?').next().unwrap_or_default();
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    // Every service's health is answered in one place.
    if matches!(parts[..], [.., "alive" | "health"] | ["status"]) {
        return None;
    }
    let service = match parts[..] {
        ["api", "0.1.0", ..] => "inventory",
        ["api", "v1", ..] => "workflows",
        ["api", _, _, service, ..] => service,
        _ => return None,
    };
    Some(match service {
        "authentication" | "devauth" => "auth",
        "useradm" => "users",
        "inventory" => "inventory",
        "deployments" => "deployments",
        "deviceconfig" => "config",
        "deviceconnect" => "messaging",
        "devicemonitor" => "monitor",
        "iot-manager" => "integrations",
        "reporting" => "search",
        "auditlogs" => "audit",
        "tenantadm" => "tenants",
        "workflows" => "workflows",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_their_area() {
        let auth = "/api/devices/v1/authentication/auth_requests";
        assert_eq!(area(auth), Some("auth"));
        assert_eq!(
            area("/api/internal/v1/devauth/tenants//devices"),
            Some("auth")
        );
        assert_eq!(area("/api/management/v1/useradm/users?x"), Some("users"));
        assert_eq!(area("/api/internal/v1/inventory/alive"), None);
        assert_eq!(area("/api/v1/workflow/x"), Some("workflows"));
        assert_eq!(area("/api/management/v1/nope/x"), None);
    }
}
