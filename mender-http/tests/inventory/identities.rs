//! Searches by the beginning of an identity, and components.

use std::time::Duration;

use mender_http::testing::{TestAnswer, TestApp};
use serde_json::{Value, json};

use crate::support::{INTERNAL, V1, error, ids};

const SEARCH: &str = "/api/management/v2alpha1/inventory/identities/search";

async fn search(app: &TestApp, body: &Value) -> TestAnswer {
    app.post(SEARCH).admin().json(body).send().await
}

async fn with_devices() -> TestApp {
    let app = TestApp::new().await;
    for (id, mac, name) in [("d-1", "00:11:22", "Pump 1"), ("d-2", "00:11:33", "pump 2")] {
        app.time.advance(Duration::from_millis(1));
        let attributes = json!([
            {"name": "mac", "value": mac, "scope": "identity"},
            {"name": "n", "value": 1, "scope": "identity"},
        ]);
        let body = json!({"id": id, "attributes": attributes});
        let create = app.post(&format!("{INTERNAL}//devices")).json(&body);
        let _ = create.send().await.assert_status(201);
        let tags = app.put(&format!("{V1}/devices/{id}/tags")).admin();
        let tags = tags.json(&json!([{"name": "name", "value": name}]));
        let _ = tags.send().await.assert_status(200);
    }
    app.drain().await;
    app
}

#[tokio::test]
async fn identities_are_found_by_how_they_begin() {
    let app = with_devices().await;
    for (scope, name, beginning, found) in [
        ("identity", "mac", "00:11", vec!["d-1", "d-2"]),
        ("identity", "mac", "00:11:2", vec!["d-1"]),
        ("identity", "mac", "0:11", vec![]),
        ("identity", "id", "d-", vec!["d-1", "d-2"]),
        ("identity", "id", "d-2", vec!["d-2"]),
        ("identity", "n", "1", vec![]),
        ("tags", "name", "pump", vec!["d-2"]),
        ("tags", "other", "pump", vec![]),
        ("identity", "mac", "\0", vec![]),
    ] {
        let body = json!({"scope": scope, "name": name, "value_prefix": beginning});
        let answer = search(&app, &body).await.assert_status(200);
        assert_eq!(ids(&answer), found, "{scope}/{name} {beginning}");
        assert_eq!(answer.headers["x-total-count"], *found.len().to_string());
    }
    let body = json!({
        "scope": "identity", "name": "id", "value_prefix": "d", "page": 2, "per_page": 1,
        "attributes": [{"scope": "identity", "attribute": "mac"}],
    });
    let answer = search(&app, &body).await;
    let mac = json!({"name": "mac", "value": "00:11:33", "scope": "identity"});
    assert_eq!(answer.json(), json!([{"id": "d-2", "attributes": [mac]}]));
    let first = answer.headers["link"].to_str().unwrap();
    assert_eq!(first, format!("<{SEARCH}?page=1&per_page=1>; rel=\"first\""));
}

#[tokio::test]
async fn a_malformed_search_is_named() {
    let app = with_devices().await;
    for (body, text) in [
        (
            json!({}),
            "name: cannot be blank; scope: cannot be blank; value_prefix: cannot be blank.",
        ),
        (
            json!({"scope": "system", "name": "group", "value_prefix": "g"}),
            "scope: must be one of identity, tags.",
        ),
        (
            json!({"scope": "tags", "name": "n", "value_prefix": "g", "per_page": 501}),
            "per_page: must be no greater than 500.",
        ),
        (
            json!({"scope": "tags", "name": "n", "value_prefix": "g", "attributes": [{}]}),
            "attribute: cannot be blank; scope: cannot be blank.",
        ),
    ] {
        assert_eq!(error(&search(&app, &body).await.assert_status(400)), text);
    }
    for body in [json!([]), json!({"name": 1})] {
        let text = error(&search(&app, &body).await.assert_status(400));
        assert!(text.starts_with("failed to decode request body: "), "{text}");
    }
}

#[tokio::test]
async fn a_device_has_no_components() {
    let app = with_devices().await;
    let path = |id: &str| format!("/api/management/v2alpha1/inventory/devices/{id}/components");
    let known = app.get(&path("d-1")).admin().send().await;
    assert_eq!(known.assert_status(200).text(), "{}");
    for id in ["none", &"x".repeat(257)] {
        let unknown = app.get(&path(id)).admin().send().await.assert_status(404);
        assert_eq!(error(&unknown), "Device not found");
    }
}
