//! Behind a gateway of somebody else's, which verifies tokens and rewrites paths.

use axum::{Router, body::Body};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{Request, header::ALLOW};
use http_body_util::BodyExt;
use mender_http::{
    Settings,
    app::{self, Gateway},
    testing::{TestAnswer, TestApp},
};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{V1, ids, record};

fn token(claims: &Value) -> String {
    format!("e30.{}.x", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()))
}

fn user() -> String {
    token(&json!({"sub": "u", "mender.user": true}))
}

fn device() -> String {
    token(&json!({"sub": "d1", "mender.device": true}))
}

async fn send(router: &Router, method: &str, path: &str, token: &str, body: &str) -> TestAnswer {
    let request = Request::builder().method(method).uri(path);
    let request = match token {
        "" => request,
        token => request.header("authorization", format!("Bearer {token}")),
    };
    let request = request.header("content-type", "application/json");
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    TestAnswer { status: parts.status, headers: parts.headers, body }
}

#[tokio::test]
async fn rewritten_paths_answer_and_link_to_the_public_ones() {
    let app = TestApp::new().await;
    let settings = Settings::new(app.time.env());
    let router = app::server(&app.mender, &settings, Gateway::Trusted).internal;
    let list = r#"[{"name":"a","value":"x"}]"#;
    let upload = "/api/0.1.0/attributes";
    for method in ["PUT", "PATCH"] {
        let _ = send(&router, method, upload, &device(), list).await.assert_status(200);
        let _ = send(&router, method, upload, &user(), list).await.assert_status(401);
        let _ = send(&router, method, upload, "", list).await.assert_status(401);
    }
    for id in ["d2", "d3"] {
        record(&app, id, &[("a", json!("x"))]).await;
    }
    let path = "/api/0.1.0/devices?a=x&per_page=2";
    let found = send(&router, "GET", path, &user(), "").await.assert_status(200);
    assert_eq!(ids(&found), ["d1", "d2"]);
    let links: Vec<_> =
        found.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    assert_eq!(
        links,
        [
            format!("<{V1}/devices?a=x&page=1&per_page=2>; rel=\"first\""),
            format!("<{V1}/devices?a=x&page=2&per_page=2>; rel=\"next\""),
            format!("<{V1}/devices?a=x&page=2&per_page=2>; rel=\"last\""),
        ]
    );
    let _ = send(&router, "GET", path, &device(), "").await.assert_status(401);
    let _ = send(&router, "GET", path, "", "").await.assert_status(401);
    for (method, path, body, status) in [
        ("PUT", "devices/d1/group", r#"{"group":"g"}"#, 204),
        ("GET", "devices/d1/group", "", 200),
        ("GET", "groups", "", 200),
        ("GET", "groups/g/devices", "", 200),
        ("PATCH", "groups/g/devices", r#"["d2"]"#, 200),
        ("DELETE", "groups/g/devices", r#"["d2"]"#, 200),
        ("DELETE", "devices/d1/group/g", "", 204),
        ("DELETE", "groups/g", "", 200),
        ("PUT", "devices/d1/tags", list, 200),
        ("PATCH", "devices/d1/tags", list, 200),
        ("GET", "devices/d1", "", 200),
        ("DELETE", "devices/d1", "", 204),
    ] {
        let path = format!("/api/0.1.0/{path}");
        let answer = send(&router, method, &path, &user(), body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {:?}", answer.body);
    }
    let options = send(&router, "OPTIONS", "/api/0.1.0/devices", "", "").await;
    assert_eq!(options.assert_status(200).headers[ALLOW], "GET");
    app.drain().await;
}

#[tokio::test]
async fn rewritten_paths_need_the_gateway() {
    let app = TestApp::new().await;
    let settings = Settings::new(app.time.env());
    for gateway in [Gateway::None, Gateway::Trusted] {
        let routers = app::server(&app.mender, &settings, gateway);
        for path in ["/api/0.1.0/devices", "/api/0.1.0/attributes"] {
            let answer = send(&routers.public, "GET", path, app.token(), "").await;
            let _ = answer.assert_status(404);
        }
    }
    let internal = app::server(&app.mender, &settings, Gateway::None).internal;
    for token in [user(), device(), app.token().to_owned()] {
        let list = send(&internal, "GET", "/api/0.1.0/devices", &token, "").await;
        let _ = list.assert_status(401);
        let upload = send(&internal, "PUT", "/api/0.1.0/attributes", &token, "[]").await;
        let _ = upload.assert_status(401);
    }
}
