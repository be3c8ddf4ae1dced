//! A user and devices, against a running server.

use std::{fs, path::Path};

use mender_core::testing::TestDevice;
use serde_json::{Value, json};

use crate::support::{Server, call, last_word, run, send, text};

const DEVICES: &str = "/api/management/v2/devauth/devices";

/// A user who has logged in.
pub(crate) struct User {
    header: String,
}

impl User {
    /// Makes a user and logs in.
    pub(crate) fn of(server: &Server) -> Self {
        let user = ["user", "create", "--username", "u@example.com", "--password", "correct horse"];
        last_word(server.data.path(), &user);
        let (status, token) = server.log_in("u@example.com", "correct horse");
        assert_eq!(status, 200, "{token}");
        Self { header: format!("Authorization: Bearer {token}") }
    }

    /// Sends JSON, or gets it where there is nothing to send.
    pub(crate) fn call(&self, server: &Server, request: &str, body: &Value) -> (u16, Value) {
        let header = format!("{}\r\nContent-Type: application/json", self.header);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, answer) = send(&server.public, request, &header, &body);
        (status, serde_json::from_str(&answer).unwrap_or_default())
    }

    /// Makes an artifact and uploads it; returns its bytes, which are text.
    pub(crate) fn upload(&self, server: &Server, folder: &Path, name: &str) -> String {
        let (image, made) = (folder.join("image"), folder.join("made.mender"));
        fs::write(&image, format!("firmware {name} ").repeat(100_000)).unwrap();
        let arguments = ["artifact", "create", "module", "--type", "raw", "--name", name];
        let more = ["--device-type", "pump", "--compression", "none", "--output"];
        let paths = [made.to_str().unwrap(), image.to_str().unwrap()];
        let output = run(folder, &[&arguments[..], &more, &paths].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let artifact = fs::read_to_string(&made).unwrap();
        let part = "Content-Disposition: form-data; name=\"artifact\"; filename=\"a\"";
        let body = format!("--b\r\n{part}\r\n\r\n{artifact}\r\n--b--\r\n");
        let header = format!("{}\r\nContent-Type: multipart/form-data; boundary=b", self.header);
        let request = "POST /api/management/v1/deployments/artifacts";
        let (status, answer) = send(&server.public, request, &header, &body);
        assert_eq!(status, 201, "{answer}");
        artifact
    }
}

/// A device that was accepted.
pub(crate) struct Device {
    pub(crate) id: String,
    header: String,
}

impl Device {
    /// Has a device ask, be accepted, and get its token.
    pub(crate) fn join(server: &Server, user: &User, number: u64) -> Self {
        let device = TestDevice::new(&json!({ "serial": number.to_string() }).to_string(), number);
        let body = text(&device.body());
        let signature = format!(
            "X-MEN-Signature: {}\r\nContent-Type: application/json",
            device.sign(body.as_bytes())
        );
        let ask = || {
            let request = "POST /api/devices/v1/authentication/auth_requests";
            send(&server.public, request, &signature, &body)
        };
        assert_eq!(ask().0, 401);
        let (_, pending) =
            user.call(server, &format!("GET {DEVICES}?status=pending"), &Value::Null);
        let [pending] = &pending.as_array().unwrap()[..] else { panic!("{pending}") };
        let id = pending["id"].as_str().unwrap().to_owned();
        let set = pending["auth_sets"][0]["id"].as_str().unwrap();
        let accept = format!("PUT {DEVICES}/{id}/auth/{set}/status");
        assert_eq!(user.call(server, &accept, &json!({ "status": "accepted" })).0, 204);
        let (status, token) = ask();
        assert_eq!(status, 200, "{token}");
        Self { id, header: format!("Authorization: Bearer {token}") }
    }

    /// Asks what to do; returns status and answer.
    pub(crate) fn poll(&self, address: &str) -> (u16, Value) {
        let path = "/api/devices/v1/deployments/device/deployments/next";
        let request = format!("GET {path}?artifact_name=old&device_type=pump");
        let (status, answer) = call(address, &request, &self.header);
        (status, serde_json::from_str(&answer).unwrap_or_default())
    }

    /// Downloads what the answer to a poll links to.
    pub(crate) fn download(address: &str, polled: &Value) -> String {
        let uri = polled["artifact"]["source"]["uri"].as_str().unwrap();
        let path = &uri[uri.find("/api/").unwrap()..];
        let (status, artifact) = call(address, &format!("GET {path}"), "");
        assert_eq!(status, 200, "{path}");
        artifact
    }
}
