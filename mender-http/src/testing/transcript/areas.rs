//! Which area a path belongs to.

/// Returns the area that answers a request, if it belongs to one alone.
///
/// Settings, plans and changes of users count as an area of their own, `users-more`; of what the
/// reference calls deployments, artifacts and releases are the area `artifacts`.
#[must_use]
pub fn area(method: &str, path: &str) -> Option<&'static str> {
    let path = path.split('?').next().unwrap_or_default();
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    // Every service's health is answered in one place.
    if matches!(parts[..], [.., "alive" | "health"] | ["status"]) {
        return None;
    }
    let service = match parts[..] {
        ["api", "0.1.0", ..] => "inventory",
        ["api", "v1", ..] => "workflows",
        ["api", _, _, "useradm", "settings" | "plans" | "permission_sets", ..] => "users-more",
        ["api", _, _, "useradm", "users", _, ..] if method == "PUT" => "users-more",
        ["api", _, _, "deployments", ref rest @ ..] => match rest {
            ["artifacts" | "releases" | "software", ..]
            | ["deployments", "releases", ..]
            | ["limits", "storage", ..]
            | ["tenants", _, "artifacts" | "limits" | "storage", ..] => "artifacts",
            _ => "deployments",
        },
        ["api", _, _, service, ..] => service,
        _ => return None,
    };
    Some(match service {
        "authentication" | "devauth" => "auth",
        "useradm" => "users",
        "users-more" => "users-more",
        "artifacts" => "artifacts",
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
        assert_eq!(area("POST", auth), Some("auth"));
        assert_eq!(area("GET", "/api/internal/v1/devauth/tenants//devices"), Some("auth"));
        assert_eq!(area("GET", "/api/management/v1/useradm/users?x"), Some("users"));
        assert_eq!(area("GET", "/api/internal/v1/inventory/alive"), None);
        assert_eq!(area("GET", "/api/v1/workflow/x"), Some("workflows"));
        assert_eq!(area("GET", "/api/management/v1/nope/x"), None);
        let deployments = |rest: &str| area("GET", &format!("/api/x/v2/deployments/{rest}"));
        assert_eq!(deployments("deployments/releases/x"), Some("artifacts"));
        assert_eq!(deployments("tenants/x/storage"), Some("artifacts"));
        assert_eq!(deployments("tenants"), Some("deployments"));
        assert_eq!(deployments("deployments"), Some("deployments"));
    }
}
