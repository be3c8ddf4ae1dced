use mender::{
    auth::DeviceFilter,
    ctx::Ctx,
    http::testing::{TestAnswer, TestApp},
    testing::TestDevice,
};
use serde_json::{Value, json};

use crate::support::{AUTH, DEVICES, ask, device, error, token_of};

const MEBIBYTE: usize = 1 << 20;

async fn known(app: &TestApp) -> usize {
    let ctx = Ctx::system(Default::default());
    let page = mender::page::PageRequest::default();
    let found = app.mender.auth().devices(&ctx, DeviceFilter::default(), page);
    found.await.unwrap().items.len()
}

/// Sends bytes signed as they are.
async fn send(app: &TestApp, device: &TestDevice, body: impl Into<Vec<u8>>) -> TestAnswer {
    let body = body.into();
    let signature = device.sign(&body);
    let request = app.post(AUTH).header("content-type", "application/json");
    request.header("x-men-signature", &signature).body(body).send().await
}

#[tokio::test]
async fn malformed_requests_are_named_and_leave_nothing_behind() {
    let app = TestApp::new().await;
    let device = device("1");
    let pem = device.key().as_pem().to_owned();
    let with = |id: &str, key: &str| json!({"id_data": id, "pubkey": key}).to_string();
    let x25519 = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VuAyEAc8Lh3F8KvxQ+wU4YQf75+41t2o63AwfDhCZZGmBAKnA=\n-----END PUBLIC KEY-----\n";
    let decode = "failed to decode auth request: ";
    let invalid = "invalid auth request: ";
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    for (body, text) in [
        (String::new(), format!("{decode}unexpected end of JSON input")),
        (" \n".into(), format!("{decode}unexpected end of JSON input")),
        ("{".into(), format!("{decode}unexpected end of JSON input")),
        ("x".into(), format!("{decode}invalid character 'x' looking for beginning of value")),
        ("{} x".into(), format!("{decode}invalid character 'x' after top-level value")),
        (r#"{"id_data": 1}"#.into(), format!("{decode}json: invalid type: integer")),
        (format!(r#"{{"id_data": {deep}}}"#), format!("{decode}json: invalid type: sequence")),
        (deep.clone(), format!("{decode}json: invalid type: sequence")),
        ("{}".into(), format!("{invalid}id_data must be provided")),
        ("null".into(), format!("{invalid}id_data must be provided")),
        (with("", &pem), format!("{invalid}id_data must be provided")),
        (with("{}", ""), format!("{invalid}pubkey must be provided")),
        (with("{}", "garbage"), format!("{invalid}cannot decode public key")),
        (
            with("{}", &pem.replace("PUBLIC KEY", "RSA PUBLIC KEY")),
            format!("{invalid}cannot decode public key"),
        ),
        (with("{}", x25519), format!("{invalid}unrecognized public key type")),
        (with("[]", &pem), invalid.into()),
        (with("\"a\"", &pem), invalid.into()),
        (with("{\"a\":", &pem), invalid.into()),
        (with(r#"{"a":"\u0000"}"#, &pem), invalid.into()),
        (with(&format!(r#"{{"a":{deep}}}"#), &pem), invalid.into()),
        (with(r#"{"a":1e999}"#, &pem), invalid.into()),
    ] {
        let answer = send(&app, &device, body.clone()).await;
        let start: String = body.chars().take(60).collect();
        assert_eq!(answer.status.as_u16(), 400, "{start}");
        let said = error(&answer);
        assert!(said.starts_with(&text), "{start}: {said}");
        assert!(said.len() < 300, "{start}: {said}");
    }
    assert_eq!(known(&app).await, 0);
}

#[tokio::test]
async fn wrong_signatures_are_refused_before_anything_is_stored() {
    let app = TestApp::new().await;
    let (mine, other) = (device("1"), TestDevice::new(r#"{"mac":"1"}"#, 2));
    let body = mine.body();
    let right = mine.sign(&body);
    let missing = "missing request signature header";
    let wrong = "signature verification failed";
    let changed = [&body[..], b" "].concat();
    for (body, signature, status, text) in [
        (body.to_vec(), "", 400, missing),
        (body.to_vec(), "!!", 401, wrong),
        (body.to_vec(), "AAAA", 401, wrong),
        (body.to_vec(), &right[1..], 401, wrong),
        (body.to_vec(), &"A".repeat(60_000), 401, wrong),
        (body.to_vec(), &other.sign(&body), 401, wrong),
        (changed, &right, 401, wrong),
    ] {
        let request = app.post(AUTH).header("content-type", "application/json");
        let request = request.header("x-men-signature", signature);
        let answer = request.body(body).send().await;
        assert_eq!((answer.status.as_u16(), &*error(&answer)), (status, text));
    }
    let request = app.post(AUTH).header("content-type", "application/json");
    assert_eq!(error(&request.body(body).send().await), missing);
    assert_eq!(known(&app).await, 0);
}

#[tokio::test]
async fn bodies_of_the_wrong_kind_or_size_are_refused() {
    let app = TestApp::new().await;
    let device = device("1");
    let body = device.body();
    let signature = device.sign(&body);
    let begin = || app.post(AUTH).header("x-men-signature", &signature);
    let json = || begin().header("content-type", "application/json");
    let text = begin().header("content-type", "text/plain");
    let answer = text.body(body.clone()).send().await.assert_status(415);
    assert_eq!(error(&answer), "Bad Content-Type, expected 'application/json'");
    let answer = begin().body(body).send().await.assert_status(400);
    assert_eq!(error(&answer), "Invalid value for Content-Type header: mime: no media type");
    let large = vec![b' '; MEBIBYTE + 1];
    let answer = json().body(large.clone()).send().await.assert_status(413);
    assert_eq!(error(&answer), "http: request body too large");
    let answer = json().chunked(large).send().await.assert_status(400);
    assert_eq!(error(&answer), "failed to decode auth request: http: request body too large");
    assert_eq!(known(&app).await, 0);
}

#[tokio::test]
async fn a_replayed_request_is_idempotent() {
    let app = TestApp::new().await;
    let device = device("1");
    for _ in 0..3 {
        let answer = ask(&app, &device).await.assert_status(401);
        assert_eq!(error(&answer), "dev auth: unauthorized");
    }
    let list = app.get(DEVICES).admin().send().await.json();
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    assert_eq!(list[0]["auth_sets"].as_array().map(Vec::len), Some(1));
    app.drain().await;
}

#[tokio::test]
async fn bytes_that_are_no_text_are_replaced_not_stored() {
    let app = TestApp::new().await;
    let device = device("1");
    let pem = serde_json::to_string(device.key().as_pem()).unwrap();
    let mut body = br#"{"id_data":"{\"mac\":\"a"#.to_vec();
    body.push(0xff);
    body.extend(format!(r#"\"}}","pubkey":{pem}}}"#).into_bytes());
    let _ = send(&app, &device, body).await.assert_status(401);
    let list = app.get(DEVICES).admin().send().await.json();
    assert_eq!(list[0]["identity_data"]["mac"], "a\u{fffd}");
    app.drain().await;
}

#[tokio::test]
async fn odd_ids_in_paths_are_unknown_and_reach_no_header() {
    let app = TestApp::new().await;
    let _ = token_of(&app, &device("1")).await;
    let long = "a".repeat(10_000);
    for (id, text) in [
        ("a%2Fb", "device not found"),
        ("..%2f..%2f", "device not found"),
        ("%F0%9F%A6%80", "device not found"),
        ("'%20OR%201=1--", "device not found"),
        ("%00", "device not found"),
        ("a%0d%0aset-cookie:%20x=1", "device not found"),
        ("%zz", "not found"),
        (&*long, "device not found"),
    ] {
        let path = format!("{DEVICES}/{id}");
        let answer = app.get(&path).admin().send().await.assert_status(404);
        assert_eq!(error(&answer), text, "{id}");
        assert!(!answer.headers.contains_key("set-cookie"));
        let gone = app.delete(&path).admin().send().await.assert_status(404);
        assert!(!gone.headers.contains_key("set-cookie"));
        let status = format!("{DEVICES}/{id}/auth/{id}/status");
        let put = app.put(&status).admin().json(&json!({"status": "accepted"}));
        let _ = put.send().await.assert_status(404);
    }
    assert_eq!(known(&app).await, 1);
}

#[tokio::test]
async fn thousands_of_ids_and_deep_searches_are_answered() {
    let app = TestApp::new().await;
    let device_id = {
        let _ = token_of(&app, &device("1")).await;
        app.get(DEVICES).admin().send().await.json()[0]["id"].clone()
    };
    let query = "id=a&".repeat(10_000);
    let answer = app.get(&format!("{DEVICES}?{query}")).admin().send().await;
    assert_eq!(answer.assert_status(200).text(), "[]");
    let mut ids: Vec<Value> = (0..10_000).map(|n| json!(format!("{n:036}"))).collect();
    ids.push(device_id);
    let search = format!("{DEVICES}/search");
    let answer = app.post(&search).admin().json(&json!({"id": ids})).send().await;
    assert_eq!(answer.assert_status(200).json().as_array().map(Vec::len), Some(1));
    let deep = format!(r#"{{"id": {}}}"#, "[".repeat(100_000));
    let request = app.post(&search).admin();
    let request = request.header("content-type", "application/json");
    let answer = request.body(deep).send().await.assert_status(400);
    assert_eq!(error(&answer), "api: malformed request body: exceeded max depth");
    let request = app.post(&search).admin().json(&json!({"status": {"$ne": 1}}));
    let answer = request.send().await.assert_status(400);
    assert_eq!(
        error(&answer),
        "api: malformed request body: invalid JSON type for 'status': must be string or []string"
    );
}
