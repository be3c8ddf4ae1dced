//! What other services ask, beyond the transcripts.

use mender_http::testing::TestApp;
use serde_json::json;

use crate::support::{INTERNAL, V1, error, record};

#[tokio::test]
async fn devices_are_checked_for_their_groups() {
    let app = TestApp::new().await;
    for (id, group) in [("d1", "a"), ("d2", "b"), ("d3", "")] {
        record(&app, id, &[]).await;
        if !group.is_empty() {
            let put = app.put(&format!("{V1}/devices/{id}/group")).admin();
            let _ = put.json(&json!({"group": group})).send().await.assert_status(204);
        }
    }
    let long = "x".repeat(257);
    for (devices, groups, status) in [
        (vec!["d1"], vec!["a"], 200),
        (vec!["d1", "d2", "d1"], vec!["b", "a"], 200),
        (vec!["d1", "d2"], vec!["a"], 404),
        (vec!["d3"], vec!["a", "b"], 404),
        (vec!["none"], vec!["a"], 404),
        (vec!["d1", &long], vec!["a"], 404),
        (vec!["d1"], vec!["\0"], 404),
        (vec![], vec!["a"], 400),
        (vec!["d1"], vec![], 400),
    ] {
        let body = json!({"devices": devices, "groups": groups});
        // Any content type will do.
        let check = app.post(&format!("{INTERNAL}//test/devices/groups")).body(body.to_string());
        let answer = check.send().await;
        assert_eq!(answer.status.as_u16(), status, "{body}");
    }
    let empty = app.post(&format!("{INTERNAL}//test/devices/groups")).body("{}").send().await;
    assert_eq!(error(&empty), "devices: cannot be blank; groups: cannot be blank.");
    app.drain().await;
}

#[tokio::test]
async fn ids_that_can_be_none_are_refused_where_a_device_would_be_made() {
    let app = TestApp::new().await;
    let id = "x".repeat(257);
    let why = "an id has 1 to 256 characters, none of them a control character";
    let create = app.post(&format!("{INTERNAL}//devices")).json(&json!({"id": id}));
    assert_eq!(error(&create.send().await.assert_status(400)), format!("id: {why}."));
    let status = app.post(&format!("{INTERNAL}//devices/status/accepted"));
    let status = status.json(&json!([{"id": id, "revision": 1}]));
    assert_eq!(
        error(&status.send().await.assert_status(400)),
        format!("cant parse devices: {why}")
    );
    let write = app.patch(&format!("{INTERNAL}//device/{id}/attributes")).json(&json!([]));
    let _ = write.send().await.assert_status(400);
    let reindex = app.post(&format!("{INTERNAL}//devices/{id}/reindex?service=devicemonitor"));
    let _ = reindex.send().await.assert_status(400);
    let groups = app.get(&format!("{INTERNAL}//devices/{id}/groups")).send().await;
    assert_eq!(error(&groups.assert_status(404)), "Device not found");
    let delete = app.delete(&format!("{INTERNAL}//devices/{id}")).send().await;
    let _ = delete.assert_status(204);
}

#[tokio::test]
async fn ids_that_can_be_none_are_unknown_to_users() {
    let app = TestApp::new().await;
    let id = "x".repeat(257);
    let path = |rest: &str| format!("{V1}/devices/{id}{rest}");
    for rest in ["", "/group"] {
        let answer = app.get(&path(rest)).admin().send().await.assert_status(404);
        assert_eq!(error(&answer), "Device not found");
    }
    let _ = app.delete(&path("")).admin().send().await.assert_status(204);
    let _ = app.delete(&path("/group/g")).admin().send().await.assert_status(404);
    let put = app.put(&path("/group")).admin().json(&json!({"group": "g"}));
    let _ = put.send().await.assert_status(404);
    let tags = || app.put(&path("/tags")).admin().json(&json!([]));
    let _ = tags().send().await.assert_status(200);
    let _ = tags().header("if-match", "x").send().await.assert_status(412);
    let none = app.put(&format!("{V1}/devices//tags")).admin().json(&json!([]));
    assert_eq!(error(&none.send().await.assert_status(400)), "device id cannot be empty");
    let members = app.request("PATCH".parse().unwrap(), &format!("{V1}/groups/g/devices"));
    let members = members.admin().json(&json!([id, "", null]));
    assert_eq!(members.send().await.assert_status(200).text(), "{}");
}

#[tokio::test]
async fn a_revision_may_be_the_greatest_there_is() {
    let app = TestApp::new().await;
    let path = format!("{INTERNAL}//devices/status/accepted");
    let tell = |revision: u64| app.post(&path).json(&json!([{"id": "d", "revision": revision}]));
    let _ = tell(u64::MAX).send().await.assert_status(200);
    let again = tell(u64::MAX).send().await.assert_status(409);
    assert_eq!(error(&again), "write conflict");
    app.drain().await;
}
