//! Users who may see some groups only.

use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use mender_core::{Actor, Ctx, Scope, TenantId};
use mender_http::{
    ApiError, Authenticate, Caller, Settings, app,
    authenticate::Credentials,
    router,
    testing::{TestAnswer, TestApp},
};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{V1, V2, ids, record};

/// Everybody is a user of the groups `a` and `b`.
struct Limited;

#[async_trait]
impl Authenticate for Limited {
    async fn authenticate(&self, _: Credentials<'_>) -> Result<Caller, ApiError> {
        let groups = Some(vec!["a".to_owned(), "b".to_owned()]);
        let user = Actor::User("u".parse().map_err(ApiError::internal)?);
        let scope = Scope::Only { groups, tags: None };
        Ok(Caller::User(Ctx::new(TenantId::default(), user, scope)))
    }
}

async fn send(app: &TestApp, method: &str, path: &str, body: &Value) -> TestAnswer {
    let settings = Settings::new(app.time.env());
    let routes = app::routes(&app.mender);
    let router = router::public(routes, app.mender.clone(), Arc::new(Limited), &settings);
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", "application/json");
    let request = match body {
        Value::Null => request.body(Body::empty()),
        body => request.body(body.to_string().into()),
    };
    let (parts, body) = router.oneshot(request.unwrap()).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    TestAnswer { status: parts.status, headers: parts.headers, body }
}

/// A server with a device in each of three groups and one in none.
async fn with_devices() -> TestApp {
    let app = TestApp::new().await;
    for (id, group) in [("d1", Some("a")), ("d2", Some("b")), ("d3", Some("c")), ("d4", None)] {
        record(&app, id, &[("n", json!(id))]).await;
        if let Some(group) = group {
            let put = app.put(&format!("{V1}/devices/{id}/group")).admin();
            let _ = put.json(&json!({"group": group})).send().await.assert_status(204);
        }
    }
    app
}

#[tokio::test]
async fn devices_out_of_scope_are_forbidden() {
    let app = with_devices().await;
    let list = json!([{"name": "t", "value": "x"}]);
    let group = json!({"group": "a"});
    for (method, path, body, fine) in [
        ("GET", "devices/{}", Value::Null, 200),
        ("DELETE", "devices/{}", Value::Null, 204),
        ("PUT", "devices/{}/tags", list.clone(), 200),
        ("PATCH", "devices/{}/tags", list, 200),
        ("GET", "devices/{}/group", Value::Null, 200),
        ("PUT", "devices/{}/group", group, 204),
        ("DELETE", "devices/{}/group/a", Value::Null, 204),
    ] {
        for id in ["d3", "d4"] {
            let path = format!("{V1}/{}", path.replace("{}", id));
            let answer = send(&app, method, &path, &body).await.assert_status(403);
            let text = "forbidden by role-based access control";
            assert_eq!(answer.json()["error"], text, "{method} {path}");
        }
        let path = format!("{V1}/{}", path.replace("{}", "d1"));
        let _ = send(&app, method, &path, &body).await.assert_status(fine);
    }
    let alpha = "/api/management/v2alpha1/inventory/devices";
    for (id, status) in [("d2", 200), ("d3", 403)] {
        let path = format!("{alpha}/{id}/components");
        let _ = send(&app, "GET", &path, &Value::Null).await.assert_status(status);
    }
    app.drain().await;
}

#[tokio::test]
async fn groups_out_of_scope_are_forbidden_or_hidden() {
    let app = with_devices().await;
    let groups = send(&app, "GET", &format!("{V1}/groups"), &Value::Null).await;
    assert_eq!(groups.json(), json!(["a", "b"]));
    let path = format!("{V1}/groups/c/devices");
    let _ = send(&app, "GET", &path, &Value::Null).await.assert_status(404);
    let _ = send(&app, "PATCH", &path, &json!(["d1"])).await.assert_status(200);
    let _ = send(&app, "PATCH", &path, &json!(["d4"])).await.assert_status(403);
    let _ = send(&app, "DELETE", &path, &json!(["d3"])).await.assert_status(403);
    let path = format!("{V1}/groups/c");
    let _ = send(&app, "DELETE", &path, &Value::Null).await.assert_status(403);
    let path = format!("{V1}/groups/b");
    assert_eq!(
        send(&app, "DELETE", &path, &Value::Null).await.json(),
        json!({"matched_count": 1, "updated_count": 1})
    );
    app.drain().await;
}

#[tokio::test]
async fn lists_and_counts_leave_out_what_is_out_of_scope() {
    let app = with_devices().await;
    let list = send(&app, "GET", &format!("{V1}/devices"), &Value::Null).await;
    assert_eq!((ids(&list), &list.headers["x-total-count"]), (both(), &"2".parse().unwrap()));
    let group = send(&app, "GET", &format!("{V1}/devices?group=c"), &Value::Null).await;
    assert_eq!(group.text(), "[]");
    let search = format!("{V2}/filters/search");
    assert_eq!(ids(&send(&app, "POST", &search, &json!({})).await), both());
    let by_id = json!({"device_ids": ["d2", "d3", "d4"]});
    assert_eq!(ids(&send(&app, "POST", &search, &by_id).await), ["d2"]);
    let pattern =
        json!([{"scope": "inventory", "attribute": "n", "type": "$regex", "value": ".*d"}]);
    let by_pattern = json!({"filters": pattern});
    assert_eq!(ids(&send(&app, "POST", &search, &by_pattern).await), both());
    let names = send(&app, "GET", &format!("{V2}/filters/attributes"), &Value::Null).await;
    assert_eq!(names.json()[0]["count"], 2);
    app.drain().await;
}

fn both() -> Vec<String> {
    vec!["d1".into(), "d2".into()]
}

#[tokio::test]
async fn saved_filters_are_for_those_who_see_everything() {
    let app = with_devices().await;
    let term = json!({"scope": "inventory", "attribute": "n", "type": "$eq", "value": "d1"});
    let body = json!({"name": "f", "terms": [term]});
    let made = app.post(&format!("{V2}/filters")).admin().json(&body).send().await;
    let made = made.assert_status(201).headers["location"].to_str().unwrap().to_owned();
    let filter = format!("{V2}/{made}");
    for (method, path, body) in [
        ("POST", format!("{V2}/filters"), body.clone()),
        ("GET", filter.clone(), Value::Null),
        ("PUT", filter.clone(), body),
        ("DELETE", filter.clone(), Value::Null),
        ("GET", format!("{filter}/search"), Value::Null),
    ] {
        let answer = send(&app, method, &path, &body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}");
    }
    let list = send(&app, "GET", &format!("{V2}/filters"), &Value::Null).await;
    assert_eq!((list.text(), &list.headers["x-total-count"]), ("[]", &"0".parse().unwrap()));
    app.drain().await;
}
