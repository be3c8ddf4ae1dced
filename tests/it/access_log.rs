use mender::{
    Mender,
    http::testing::{Setup, TestApp},
};
use serde_json::json;

use crate::support::{AUTH, DEVICES, Logs, NOWHERE, ask, device, token_of};

const LOGIN: &str = "/api/management/v1/useradm/auth/login";

#[tokio::test]
async fn a_line_tells_who_asked_for_what_and_how_it_ended() {
    let setup = Setup { settings: Some(|settings| settings.proxies = Some(1)), ..Setup::default() };
    let app = TestApp::set_up(Mender::in_memory(), setup).await;
    let token = token_of(&app, &device("1")).await;
    let (logs, _guard) = Logs::listen();
    let put = app.put(&format!("{DEVICES}/nobody/auth/none/status?a=b%20c"));
    let put = put.admin().header("user-agent", "te\"st").header("x-men-requestid", "r1");
    let put = put.header("x-forwarded-for", "198.51.100.7, 192.0.2.1");
    let _ = put.json(&json!({"status": "accepted"})).send().await.assert_status(404);
    let _ = app.get(NOWHERE).bearer(&token).send().await;
    let _ = app.get(NOWHERE).bearer(&format!("{token}AA")).send().await;
    let _ = app.get("/api/internal/v1/devauth/tenants//devices?page=2").send().await;
    let lines = logs.requests();
    let [user, device, refused, service] = &lines[..] else {
        panic!("{lines:#?}");
    };
    for (name, value) in [
        ("level", json!("WARN")),
        ("method", json!("PUT")),
        ("path", json!(format!("{DEVICES}/{{id}}/auth/{{aid}}/status"))),
        ("path_params", json!("id=nobody aid=none")),
        ("qs", json!("a=b%20c")),
        ("type", json!("HTTP/1.1")),
        ("useragent", json!("te\"st")),
        ("status", json!(404)),
        ("bytesprocessed", json!(21)),
        ("request_id", json!("r1")),
        ("clientip", json!("192.0.2.1")),
        ("error", json!("authorization set not found")),
        ("caller", json!("user")),
        ("tenant_id", json!("")),
    ] {
        assert_eq!(user[name], value, "{name}");
    }
    assert!(user["ts"].as_str().unwrap().starts_with("2026-01-01T12:"));
    assert!(user["user_id"].is_string() && user["responsetime"].is_string());
    assert!(user["byteswritten"].as_u64().unwrap() > 20);
    assert_eq!((&device["caller"], &device["plan"]), (&json!("device"), &json!("enterprise")));
    assert!(device["device_id"].is_string() && device.get("sub").is_none());
    assert!(device.get("clientip").is_none());
    assert_eq!((&refused["status"], refused.get("caller")), (&json!(401), None));
    assert_eq!(refused["sub"], device["device_id"]);
    assert_eq!((&service["caller"], &service["qs"]), (&json!("service"), &json!("page=2")));
}

#[tokio::test]
async fn no_secret_reaches_the_log() {
    let app = TestApp::new().await;
    let (logs, _guard) = Logs::listen();
    let known = device("1").of_tenant("tenant-token-secret");
    let token = token_of(&app, &known).await;
    let signature = known.sign(&known.body());
    let _ = app.get(NOWHERE).bearer(&token).send().await;
    let _ = app.get(DEVICES).bearer(&format!("{token}AA")).send().await;
    let cookie = format!("JWT={token}");
    let _ = app.get(DEVICES).header("cookie", &cookie).send().await;
    let _ = ask(&app, &known).await;
    let bad = app.post(AUTH).header("content-type", "application/json");
    let bad = bad.header("x-men-signature", "c2lnbmF0dXJlLXNlY3JldA==");
    let _ = bad.body(known.body()).send().await.assert_status(401);
    // The right password, a wrong one, and one in a body of the wrong form.
    let basic = "Basic YWRtaW5AZXhhbXBsZS5jb206Y29ycmVjdCBob3JzZSBiYXR0ZXJ5";
    let session = app.post(LOGIN).header("authorization", basic).send().await;
    let session = session.assert_status(200);
    let _ = app.post(LOGIN).header("authorization", "Basic YUBiLmM6aHVudGVyMg==").send().await;
    let link =
        "/api/devices/v1/deployments/download/configuration/a/b/c?x-men-signature=link-secret";
    let _ = app.get(link).send().await;
    let users = app.post("/api/management/v1/useradm/users").admin();
    let weird = json!({"email": "a@b.c", "password": {"p": "hunter2-secret"}});
    let _ = users.json(&weird).send().await.assert_status(400);
    let users = app.post("/api/management/v1/useradm/users").admin();
    let number = json!({"email": "a@b.c", "password": 987_654_321});
    let refused = users.json(&number).send().await.assert_status(400);
    assert!(!refused.text().contains("987654321"));
    app.drain().await;
    let text = logs.text();
    assert!(logs.requests().len() > 10);
    for secret in [
        &token,
        app.token(),
        session.text(),
        token.rsplit('.').next().unwrap(),
        &signature,
        basic.rsplit(' ').next().unwrap(),
        "correct horse battery",
        "hunter2",
        "aHVudGVyMg",
        "987654321",
        "tenant-token-secret",
        "c2lnbmF0dXJlLXNlY3JldA",
        "link-secret",
    ] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}
