use std::collections::BTreeSet;

use mender::{
    Mender, artifacts,
    http::{
        Audience, app,
        testing::{Setup, TestApp},
    },
};

/// Documented under the best known value of a parameter; other routes answer there.
const DOCUMENTED_ONLY: [&str; 9] = [
    "GET /api/management/v1/deployments/limits/storage",
    "GET /api/internal/v1/deployments/tenants/{}/limits/storage",
    "PUT /api/internal/v1/deployments/tenants/{}/limits/storage",
    "GET /api/internal/v1/deployments/tenants/{}/limits/max_artifact_size_micro_device_tier",
    "PUT /api/internal/v1/deployments/tenants/{}/limits/max_artifact_size_micro_device_tier",
    "GET /api/management/v2/devauth/limits/max_devices",
    "GET /api/internal/v1/devauth/tenant/{}/limits/max_devices",
    "PUT /api/internal/v1/devauth/tenant/{}/limits/max_devices",
    "DELETE /api/internal/v1/devauth/tenant/{}/limits/max_devices",
];

/// Routes that the document leaves out: the second method of gateways' checks.
const ROUTED_ONLY: [&str; 2] =
    ["GET /api/internal/v1/devauth/tokens/verify", "GET /api/internal/v1/useradm/auth/verify"];

/// Without a token of their own, these are 401: they check tokens or passwords.
const CHECKS: [&str; 3] = [
    "/api/internal/v1/devauth/tokens/verify",
    "/api/internal/v1/useradm/auth/verify",
    "/api/management/v1/useradm/auth/login",
];

/// Replaces the names of parameters, which are no part of the interface.
fn nameless(path: &str) -> String {
    let parts = path.split('/').map(|part| match part.strip_prefix('{') {
        Some(_) => "{}",
        None => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// What gateways make of documented paths.
fn is_rewritten(operation: &str) -> bool {
    operation.contains(" /api/0.1.0/")
}

/// Health is answered alike for every service, and documented where an area is.
fn is_health(operation: &str) -> bool {
    ["/alive", "/health", "/status"].iter().any(|end| operation.ends_with(end))
        && !operation.contains('{')
}

async fn documented(app: &TestApp) -> Vec<(String, String)> {
    let document = app.get("/api/openapi.json").send().await.json();
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(|method| (method.to_uppercase(), path.clone()))
    });
    operations.collect()
}

#[tokio::test]
async fn what_is_routed_is_documented_and_what_is_documented_is_routed() {
    // Some routes are there only where they are asked for.
    let artifacts = artifacts::Config { direct_upload: true, ..artifacts::Config::default() };
    let setup = Setup { tenants: true, artifacts: Some(artifacts), ..Setup::default() };
    let app = TestApp::set_up(Mender::in_memory(), setup).await;
    let routed: BTreeSet<String> = app::routes(&app.mender)
        .endpoints()
        .map(|e| format!("{} {}", e.method, nameless(e.path)))
        .filter(|operation| !is_health(operation) && !is_rewritten(operation))
        .collect();
    let documented: BTreeSet<String> = documented(&app)
        .await
        .iter()
        .map(|(method, path)| format!("{method} {}", nameless(path)))
        .filter(|operation| !is_health(operation))
        .collect();
    let undocumented: Vec<_> = routed.difference(&documented).collect();
    let unrouted: Vec<_> = documented.difference(&routed).collect();
    assert_eq!(undocumented, BTreeSet::from(ROUTED_ONLY).iter().collect::<Vec<_>>());
    assert_eq!(unrouted, BTreeSet::from(DOCUMENTED_ONLY).iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn without_a_token_every_operation_says_401_or_what_else_is_wrong() {
    let app = TestApp::new().await;
    let routes = app::routes(&app.mender);
    let routed = routes.endpoints();
    let routed = routed.map(|e| (e.method.to_string(), e.path.to_owned()));
    let all: BTreeSet<_> = documented(&app).await.into_iter().chain(routed).collect();
    assert!(all.len() > 60);
    for (method, path) in all {
        let parsed = method.parse().unwrap();
        let audience = Audience::of(&parsed, &path);
        // The literal template, and no body.
        let answer = app.request(parsed, &path).send().await;
        let status = answer.status.as_u16();
        let protected = matches!(audience, Audience::Devices | Audience::Management);
        if protected || CHECKS.contains(&path.as_str()) {
            assert_eq!(status, 401, "{method} {path}");
        } else {
            let fine = (200..500).contains(&status) && ![401, 405].contains(&status);
            assert!(fine, "{method} {path}: {status}");
        }
    }
    app.drain().await;
}

#[tokio::test]
async fn a_missing_token_comes_before_everything_else_that_is_wrong() {
    let app = TestApp::new().await;
    let routes = app::routes(&app.mender);
    let protected = routes
        .endpoints()
        .filter(|e| matches!(e.audience, Audience::Devices | Audience::Management));
    for endpoint in protected {
        let path = format!("{}?page=0&status=%zz", endpoint.path);
        let request = app.request(endpoint.method.clone(), &path);
        let request = request.header("content-type", "no type at all");
        let answer = request.header("content-length", "99999999").send().await;
        assert_eq!(answer.status.as_u16(), 401, "{endpoint:?}");
        let error = &answer.json()["error"];
        assert_eq!(error, "Authorization not present in header", "{endpoint:?}");
        let realm = &answer.headers["www-authenticate"];
        assert_eq!(realm, "Bearer realm=\"ManagementJWT\"", "{endpoint:?}");
    }
}
