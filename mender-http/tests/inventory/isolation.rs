use mender_core::{Mender, testing::TestDevice};
use mender_http::testing::{Setup, TestApp};
use serde_json::json;

use crate::support::{INTERNAL, INTERNAL_V2, UPLOAD, V1, V2, accepted, ids};

fn device(name: &str) -> TestDevice {
    TestDevice::new(&json!({ "mac": name }).to_string(), 1)
}

#[tokio::test]
async fn users_do_not_report_and_devices_do_not_manage() {
    let app = TestApp::new().await;
    let (id, token) = accepted(&app, &device("1"), app.token()).await;
    for path in [UPLOAD, "/api/devices/v1/inventory/x"] {
        for method in ["PUT", "PATCH"] {
            let request = || app.request(method.parse().unwrap(), path).json(&json!([]));
            let _ = request().admin().send().await.assert_status(401);
            let _ = request().send().await.assert_status(401);
            let _ = request().bearer(&token).send().await.assert_status(200);
        }
    }
    for (method, path) in [
        ("GET", format!("{V1}/devices")),
        ("GET", format!("{V1}/devices/{id}")),
        ("DELETE", format!("{V1}/devices/{id}")),
        ("PUT", format!("{V1}/devices/{id}/tags")),
        ("PUT", format!("{V1}/devices/{id}/group")),
        ("DELETE", format!("{V1}/groups/g")),
        ("POST", format!("{V2}/filters/search")),
        ("POST", format!("{V2}/filters")),
        ("GET", format!("{V2}/statistics")),
        ("GET", format!("/api/management/v2alpha1/inventory/devices/{id}/components")),
    ] {
        let request = app.request(method.parse().unwrap(), &path).bearer(&token);
        let answer = request.send().await;
        assert_eq!(answer.status.as_u16(), 401, "{method} {path}");
    }
    app.drain().await;
}

#[tokio::test]
async fn a_device_reports_for_itself_alone() {
    let app = TestApp::new().await;
    let (one, token) = accepted(&app, &device("1"), app.token()).await;
    let (other, _) = accepted(&app, &device("2"), app.token()).await;
    // Neither a path nor a body names another one.
    let path = format!("/api/devices/v1/inventory/{other}");
    let body = json!([{"name": "a", "value": "x", "id": other, "scope": "identity"}]);
    let _ = app.patch(&path).bearer(&token).json(&body).send().await.assert_status(200);
    app.drain().await;
    for (id, count) in [(one, 1), (other, 0)] {
        let shown = app.get(&format!("{V1}/devices/{id}")).admin().send().await.json();
        let all = shown["attributes"].as_array().unwrap().iter();
        assert_eq!(all.filter(|attribute| attribute["name"] == "a").count(), count);
    }
}

#[tokio::test]
async fn tenants_see_nothing_of_each_other() {
    let setup = Setup { tenants: true, ..Setup::default() };
    let app = TestApp::set_up(Mender::in_memory(), setup).await;
    let [a, b] = &app.tenants[..] else { panic!("two tenants") };
    let device = device("1").of_tenant(&a.token);
    let (id, token) = accepted(&app, &device, &a.user).await;
    let body = json!([{"name": "secret", "value": "x"}]);
    let _ = app.put(UPLOAD).bearer(&token).json(&body).send().await.assert_status(200);
    let group = format!("{V1}/devices/{id}/group");
    let of_a = app.put(&group).bearer(&a.user).json(&json!({"group": "g"}));
    let _ = of_a.send().await.assert_status(204);
    let term = json!({"scope": "inventory", "attribute": "secret", "type": "$eq", "value": "x"});
    let filter = app.post(&format!("{V2}/filters")).bearer(&a.user);
    let filter = filter.json(&json!({"name": "f", "terms": [term]}));
    let filter = filter.send().await.assert_status(201).headers["location"].clone();
    let filter = filter.to_str().unwrap();
    app.drain().await;

    let as_b =
        |method: &str, path: String| app.request(method.parse().unwrap(), &path).bearer(&b.user);
    for path in ["", "/group"] {
        let path = format!("{V1}/devices/{id}{path}");
        let _ = as_b("GET", path).send().await.assert_status(404);
    }
    let moved = as_b("PUT", group.clone()).json(&json!({"group": "h"}));
    let _ = moved.send().await.assert_status(404);
    let _ = as_b("DELETE", format!("{group}/g")).send().await.assert_status(404);
    let _ = as_b("DELETE", format!("{V1}/devices/{id}")).send().await.assert_status(204);
    let tags = as_b("PUT", format!("{V1}/devices/{id}/tags")).json(&body);
    let _ = tags.send().await.assert_status(200);
    for (method, path) in [("PATCH", "g"), ("DELETE", "g")] {
        let change = as_b(method, format!("{V1}/groups/{path}/devices")).json(&json!([id]));
        assert_eq!(change.send().await.assert_status(200).text(), "{}");
    }
    assert_eq!(as_b("DELETE", format!("{V1}/groups/g")).send().await.text(), "{}");
    for path in [format!("{V1}/devices"), format!("{V1}/groups"), format!("{V2}/filters")] {
        assert_eq!(as_b("GET", path).send().await.text(), "[]");
    }
    assert_eq!(as_b("GET", format!("{V2}/filters/attributes")).send().await.text(), "[]");
    for (method, path) in [("GET", ""), ("DELETE", ""), ("GET", "/search")] {
        let _ = as_b(method, format!("{V2}/{filter}{path}")).send().await.assert_status(404);
    }
    let search = as_b("POST", format!("{V2}/filters/search")).json(&json!({"device_ids": [id]}));
    assert_eq!(search.send().await.text(), "[]");
    let counts = as_b("GET", format!("{V2}/statistics")).send().await.json();
    assert_eq!(counts["devices_by_status"]["accepted"]["standard"], 0);

    // All of it is still there.
    let found = app.get(&format!("{V2}/{filter}/search")).bearer(&a.user).send().await;
    assert_eq!(ids(&found), [id.as_str()]);
    let shown = app.get(&group).bearer(&a.user).send().await.json();
    assert_eq!(shown["group"], "g");
    app.drain().await;
}

#[tokio::test]
async fn what_is_forgotten_of_a_tenant_is_its_own() {
    let app = TestApp::new().await;
    for tenant in ["", "t", "u"] {
        let create = app.post(&format!("{INTERNAL}/{tenant}/devices")).json(&json!({"id": "d"}));
        let _ = create.send().await.assert_status(201);
    }
    let _ = app.delete(&format!("{INTERNAL}/t")).send().await.assert_status(204);
    let _ = app.delete(&format!("{INTERNAL}/t")).send().await.assert_status(204);
    for (tenant, count) in [("", 1), ("t", 0), ("u", 1)] {
        let path = format!("{INTERNAL_V2}/{tenant}/filters/search");
        let found = app.post(&path).json(&json!({})).send().await;
        assert_eq!(ids(&found).len(), count, "{tenant}");
    }
    app.drain().await;
}
