//! What several cases need.

use std::time::Duration;

use mender_core::testing::TestDevice;
use mender_http::testing::{TestAnswer, TestApp};
use serde_json::{Value, json};

pub(crate) const UPLOAD: &str = "/api/devices/v1/inventory/device/attributes";
pub(crate) const V1: &str = "/api/management/v1/inventory";
pub(crate) const V2: &str = "/api/management/v2/inventory";
pub(crate) const INTERNAL: &str = "/api/internal/v1/inventory/tenants";
pub(crate) const INTERNAL_V2: &str = "/api/internal/v2/inventory/tenants";
const DEVICES: &str = "/api/management/v2/devauth/devices";

/// Returns the error text of an answer.
pub(crate) fn error(answer: &TestAnswer) -> String {
    answer.json()["error"].as_str().unwrap_or_default().to_owned()
}

/// Records a device of the default tenant with these attributes of scope `inventory`; it comes
/// after those that were recorded before.
pub(crate) async fn record(app: &TestApp, id: &str, attributes: &[(&str, Value)]) {
    app.time.advance(Duration::from_millis(1));
    let attributes: Vec<_> =
        attributes.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let body = json!({"id": id, "attributes": attributes});
    let _ = app.post(&format!("{INTERNAL}//devices")).json(&body).send().await.assert_status(201);
}

/// Has a device accepted by a user, and returns its id and token.
pub(crate) async fn accepted(app: &TestApp, device: &TestDevice, user: &str) -> (String, String) {
    let auth = &app.mender.auth();
    let _ = auth.request("", &device.request()).await.unwrap_err();
    let pending = app.get(&format!("{DEVICES}?status=pending")).bearer(user).send().await.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (id, set) = (text(&pending[0]["id"]), text(&pending[0]["auth_sets"][0]["id"]));
    let put = app.put(&format!("{DEVICES}/{id}/auth/{set}/status")).bearer(user);
    let _ = put.json(&json!({"status": "accepted"})).send().await.assert_status(204);
    let token = auth.request("", &device.request()).await.unwrap();
    app.drain().await;
    (id, token)
}

/// Searches as the user; returns the answer.
pub(crate) async fn search(app: &TestApp, body: &Value) -> TestAnswer {
    app.post(&format!("{V2}/filters/search")).admin().json(body).send().await
}

/// Returns the ids of the devices that an answer lists.
pub(crate) fn ids(answer: &TestAnswer) -> Vec<String> {
    let devices = answer.json();
    let devices = devices.as_array().unwrap().iter();
    devices.map(|device| device["id"].as_str().unwrap().to_owned()).collect()
}
