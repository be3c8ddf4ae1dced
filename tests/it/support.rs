//! What several cases need.

use std::{
    cell::RefCell,
    io,
    sync::{Arc, Mutex, Once},
};

use mender::{
    http::testing::{TestAnswer, TestApp},
    testing::TestDevice,
};
use serde_json::{Value, json};
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

pub(crate) const AUTH: &str = "/api/devices/v1/authentication/auth_requests";
pub(crate) const DEVICES: &str = "/api/management/v2/devauth/devices";
/// Nobody answers here; a device with a valid token learns so.
pub(crate) const NOWHERE: &str = "/api/devices/v1/nowhere";

thread_local! {
    static LISTENING: RefCell<Option<Logs>> = const { RefCell::new(None) };
}

/// Everything that this thread logs.
#[derive(Clone, Default)]
pub(crate) struct Logs(Arc<Mutex<Vec<u8>>>);

/// Ends listening when it is dropped.
pub(crate) struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        LISTENING.set(None);
    }
}

/// Hands lines to the thread that listens. One for all threads: what is enabled is cached for
/// the whole process, and subscribers of single threads race for that.
struct ThisThread;

impl MakeWriter<'_> for ThisThread {
    type Writer = Logs;

    fn make_writer(&self) -> Logs {
        LISTENING.with_borrow(|logs| logs.clone().unwrap_or_default())
    }
}

impl Logs {
    /// Listens at every level until the guard is dropped.
    pub(crate) fn listen() -> (Self, Guard) {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            let subscriber = tracing_subscriber::fmt()
                .json()
                .flatten_event(true)
                .with_max_level(LevelFilter::TRACE)
                .with_writer(ThisThread)
                .finish();
            tracing::subscriber::set_global_default(subscriber).unwrap();
        });
        let logs = Self::default();
        LISTENING.set(Some(logs.clone()));
        (logs, Guard)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Returns the lines of the access log.
    pub(crate) fn requests(&self) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        lines.filter(|line: &Value| line["message"] == "request").collect()
    }
}

impl io::Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(crate) fn device(name: &str) -> TestDevice {
    TestDevice::new(&json!({ "mac": name }).to_string(), 1)
}

/// Sends the device's request for a token.
pub(crate) async fn ask(app: &TestApp, device: &TestDevice) -> TestAnswer {
    let body = device.body();
    let signature = device.sign(&body);
    let request = app.post(AUTH).header("content-type", "application/json");
    let request = request.header("x-men-signature", &signature);
    request.body(body).send().await
}

/// Accepts what is pending for this user.
pub(crate) async fn accept_all(app: &TestApp, user: &str) {
    let list = app.get(&format!("{DEVICES}?status=pending")).bearer(user);
    for device in list.send().await.assert_status(200).json().as_array().unwrap() {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let (id, set) = (text(&device["id"]), text(&device["auth_sets"][0]["id"]));
        let put = app.put(&format!("{DEVICES}/{id}/auth/{set}/status"));
        let put = put.bearer(user).json(&json!({"status": "accepted"}));
        let _ = put.send().await.assert_status(204);
    }
}

/// Has a device accepted, and returns its token.
pub(crate) async fn token_of(app: &TestApp, device: &TestDevice) -> String {
    let _ = ask(app, device).await.assert_status(401);
    accept_all(app, app.token()).await;
    let answer = ask(app, device).await.assert_status(200);
    app.drain().await;
    answer.text().to_owned()
}

/// Returns the error text of an answer; empty where it has no body.
pub(crate) fn error(answer: &TestAnswer) -> String {
    if answer.body.is_empty() {
        return String::new();
    }
    answer.json()["error"].as_str().unwrap_or_default().to_owned()
}
