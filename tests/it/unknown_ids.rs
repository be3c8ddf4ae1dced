use mender::http::testing::TestApp;
use serde_json::json;

use crate::support::DEVICES;

/// What each route says, in place of a body where it says nothing.
const ROUTES: [(&str, &str, &str); 11] = [
    ("GET", "devices/{}", "device not found"),
    ("DELETE", "devices/{}", ""),
    ("DELETE", "devices/d/auth/{}", ""),
    ("DELETE", "devices/{}/auth/a", ""),
    ("GET", "devices/d/auth/{}/status", "authorization set not found"),
    ("PUT", "devices/d/auth/{}/status", "authorization set not found"),
    ("PUT", "devices/{}/auth/a/status", "authorization set not found"),
    ("DELETE", "tokens/{}", ""),
    ("DELETE", "/api/internal/v1/devauth/tenants/t/devices/{}", ""),
    ("PATCH", "/api/internal/v1/devauth/tenants/t/devices/{}", ""),
    ("GET", "/api/internal/v1/devauth/tenants/t/devices/{}/status", "device not found"),
];

#[tokio::test]
async fn what_can_be_no_id_is_answered_like_an_unknown_one() {
    let app = TestApp::new().await;
    let base = DEVICES.strip_suffix("devices").unwrap();
    for id in ["unknown", &"x".repeat(257)] {
        for (method, path, text) in ROUTES {
            let path = if path.starts_with('/') { path.into() } else { format!("{base}{path}") };
            let request = app.request(method.parse().unwrap(), &path.replace("{}", id)).admin();
            let request = match method {
                "PUT" => request.json(&json!({"status": "accepted"})),
                "PATCH" => request.json(&json!({"provisioned": true})),
                _ => request,
            };
            let answer = request.send().await.assert_status(404);
            let said = if answer.body.is_empty() { json!({"error": ""}) } else { answer.json() };
            assert_eq!(said["error"], text, "{method} {path} {}", id.len());
        }
    }
}

#[tokio::test]
async fn users_that_can_not_be_are_not_found() {
    let app = TestApp::new().await;
    for id in ["unknown", &"x".repeat(257)] {
        let path = format!("/api/management/v1/useradm/users/{id}");
        let answer = app.get(&path).admin().send().await.assert_status(404);
        assert_eq!(answer.json()["error"], "user not found", "{}", id.len());
    }
}
