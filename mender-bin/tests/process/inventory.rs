use std::fs;

use serde_json::json;

use crate::support::{Server, run, send, text};

/// Has the server know a device with these attributes.
fn record(server: &Server, device: &str, attributes: &serde_json::Value) {
    let path = format!("/api/internal/v1/inventory/tenants//device/{device}/attributes");
    let header = "Content-Type: application/json";
    let request = format!("PATCH {path}");
    let (status, body) = send(&server.internal, &request, header, &attributes.to_string());
    assert_eq!(status, 200, "{body}");
}

fn attribute(scope: &str, name: &str, value: impl Into<serde_json::Value>) -> serde_json::Value {
    json!({ "scope": scope, "name": name, "value": value.into() })
}

/// A server that knows two devices by their identities alone.
fn server() -> Server {
    let server = Server::start(&[]);
    for (device, mac) in [("d1", "m1"), ("d2", "m2")] {
        record(&server, device, &json!([attribute("identity", "mac", mac)]));
    }
    server
}

/// What is known of tags and reports.
fn exported(server: &Server, format: &str) -> String {
    let scopes = ["--scope", "tags", "--scope", "inventory"];
    let output = run(
        server.data.path(),
        &[&["inventory", "export", "--format", format][..], &scopes].concat(),
    );
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn what_is_exported_is_imported_with_its_types() {
    let from = server();
    let attributes = json!([
        attribute("tags", "site", "north, \"gate\"\nfloor 1"),
        attribute("tags", "empty", ""),
        attribute("inventory", "text", "12"),
        attribute("inventory", "list", json!(["a", "b"])),
        attribute("inventory", "numbers", json!([1, 2.5])),
        attribute("inventory", "none", json!([])),
        attribute("inventory", "formula", "=1+1"),
        attribute("inventory", "number", 12),
        attribute("inventory", "é/x", "\u{feff}true"),
    ]);
    record(&from, "d1", &attributes);
    for format in ["csv", "jsonl"] {
        let to = server();
        let file = to.data.path().join("fleet");
        let all = exported(&from, format);
        fs::write(&file, &all).unwrap();
        let import = ["inventory", "import", "--format", format, file.to_str().unwrap()];
        let output = run(to.data.path(), &import);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stdout).starts_with("stored: 2, unknown: 0"));
        assert_eq!(exported(&to, format), all);
    }
}

#[test]
fn lines_may_name_devices_by_an_attribute_and_name_nobody() {
    let server = server();
    let file = server.data.path().join("sites.csv");
    let table = "\u{feff}identity/mac,tags/site,system/group,tags/n\nm2,roof,g,7\nm9,cellar,,\n";
    fs::write(&file, table).unwrap();
    let file = file.to_str().unwrap();
    let output =
        run(server.data.path(), &["inventory", "import", "--by", "identity/mac", "--text", file]);
    assert_eq!(output.status.code(), Some(1));
    let sums = text(&output.stdout);
    assert_eq!(sums, "stored: 1, unknown: 1, ambiguous: 0, refused: 0\n");
    assert!(text(&output.stderr).contains("no such device"));
    let table = exported(&server, "csv");
    assert_eq!(table, "id,tags/n,tags/site\nd1,,\nd2,\"\"\"7\"\"\",roof\n");
    let output = run(server.data.path(), &["inventory", "import", "--by", "serial", file]);
    assert!(text(&output.stderr).contains("no column serial"), "{}", text(&output.stderr));
}

#[test]
fn without_an_index_there_is_none_to_build_anew() {
    let server = Server::start(&[]);
    let output = run(server.data.path(), &["search", "reindex"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("there is no index"), "{}", text(&output.stderr));
}
