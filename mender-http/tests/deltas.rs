//! Deltas over HTTP, on memory.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic where tests would")]

use std::time::Duration;

use mender_core::{
    Ctx, Mender, TenantId,
    artifacts::{
        Config, DeltaConfig, NewArtifact,
        format::{FileRecipe, Recipe, Software},
    },
};
use mender_http::testing::{Setup, TestAnswer, TestApp};
use serde_json::{Value, json};

const CONFIG: &str = "/api/management/v1/deployments/config";
const ARGS: &str = "/api/management/v1/deployments/config/binary_delta";
const JOBS: &str = "/api/management/v2/deployments/deployments/releases/delta/jobs";
/// The only tenant has no name.
const TENANT: &str = "/api/internal/v1/deployments/tenants/";

/// Stores an image of the root file system, for pumps.
async fn store(app: &TestApp, name: &str, byte: u8) {
    let mut image = vec![7; 100_000];
    image[5000..5100].fill(byte);
    let file = FileRecipe::new("image.ext4", image.len() as u64);
    let recipe = Recipe::rootfs(name, ["pump"], file, Some(&Software::default()));
    let bytes = recipe.build(&[&image], None).unwrap();
    let bytes = futures_util::stream::iter([Ok(bytes.into())]);
    let ctx = Ctx::system(Default::default());
    let artifacts = app.mender.artifacts();
    artifacts.upload(&ctx, NewArtifact::default(), bytes).await.unwrap();
}

fn header<'a>(answer: &'a TestAnswer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

async fn make(app: &TestApp, from: &str, to: &str) -> TestAnswer {
    let body = json!({"from_version": from, "to_version": to});
    app.post(JOBS).admin().json(&body).send().await
}

async fn list(app: &TestApp, query: &str) -> Vec<Value> {
    let listed = app.get(&format!("{JOBS}{query}")).admin().send().await.assert_status(200);
    listed.json().as_array().unwrap().clone()
}

#[tokio::test]
async fn a_delta_is_made_and_shown() {
    let app = TestApp::new().await;
    for (name, byte) in [("v1", 1), ("v2", 2)] {
        store(&app, name, byte).await;
    }
    assert_eq!(list(&app, "").await, [] as [Value; 0]);
    let created = make(&app, "v1", "v2").await.assert_status(202);
    let path = header(&created, "location").to_owned();
    let queued = app.get(&path).admin().send().await.assert_status(200).json();
    assert_eq!(queued["status"], "queued");
    let started = queued["started"].as_str().unwrap();
    assert_eq!(queued["details"], format!("{started} generation job scheduled"));
    for absent in ["finished", "total_time", "exit_code", "delta_artifact_size"] {
        assert_eq!(queued.get(absent), None);
    }
    app.drain().await;
    let done = app.get(&path).admin().send().await.assert_status(200).json();
    assert!(done["delta_artifact_size"].as_u64().unwrap() < 20_000);
    let expected = json!({
        "status": "success", "from_version": "v1", "to_version": "v2", "from_release": "v1",
        "to_release": "v2", "devices_types_compatible": ["pump"], "total_time": "0s",
        "device_types_compatible": ["pump"], "exit_code": 0, "target_size": 100_000,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(done[key], *value, "{key}");
    }
    assert_eq!(done["delta_job_id"].as_str().unwrap().len(), 24);
    assert!(done["details"].as_str().unwrap().ends_with(" finished successfully"));
    let release = "/api/management/v2/deployments/deployments/releases/v2";
    let release = app.get(release).admin().send().await.assert_status(200).json();
    let kinds: Vec<_> = release["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|artifact| &artifact["updates"][0]["type_info"]["type"])
        .collect();
    assert_eq!(kinds, ["rootfs-image", "mender-binary-delta"]);
    let _ = make(&app, "v1", "v2").await.assert_status(409);
}

#[tokio::test]
async fn jobs_are_listed_page_by_page() {
    let app = TestApp::new().await;
    for (name, byte) in [("v1", 1), ("v2", 2), ("v3", 3)] {
        store(&app, name, byte).await;
    }
    for (from, to) in [("v1", "v3"), ("v2", "v3"), ("v1", "v2")] {
        let _ = make(&app, from, to).await.assert_status(202);
        app.advance(Duration::from_secs(1)).await;
    }
    app.advance(Duration::from_secs(60)).await;
    let names = async |query: &str| {
        let jobs = list(&app, query).await;
        let name = |job: &Value| format!("{}{}", job["from_version"], job["to_version"]);
        jobs.iter().map(name).collect::<String>().replace('"', "")
    };
    assert_eq!(names("?sort=started:desc").await, "v1v2v2v3v1v3");
    assert_eq!(names("?sort=to_version:asc").await, "v1v2v1v3v2v3");
    assert_eq!(names("?sort=to_release:asc").await, "v1v2v1v3v2v3");
    assert_eq!(names("?sort=from_version:desc").await, "v2v3v1v2v1v3");
    assert_eq!(names("?sort=started:asc&per_page=1&page=2").await, "v2v3");
    let first = app.get(&format!("{JOBS}?per_page=2")).admin().send().await.assert_status(200);
    assert_eq!(header(&first, "x-total-count"), "3");
    assert_eq!(first.json().as_array().unwrap().len(), 2);
    for wrong in ["sort=name:asc", "sort=status", "sort=status:up", "page=0", "per_page=501"] {
        let _ = app.get(&format!("{JOBS}?{wrong}")).admin().send().await.assert_status(400);
    }
    let _ = app.get(JOBS).send().await.assert_status(401);
    let _ = app.get(&format!("{JOBS}/x")).admin().send().await.assert_status(400);
    let unknown = format!("{JOBS}/0198c0de-0000-7000-8000-000000000000");
    let _ = app.get(&unknown).admin().send().await.assert_status(404);
}

#[tokio::test]
async fn what_can_be_no_delta_is_refused() {
    let app = TestApp::new().await;
    store(&app, "v1", 1).await;
    for (from, to, status) in [("v1", "", 400), ("v1", "v2", 404), ("v1", "v1", 409)] {
        let _ = make(&app, from, to).await.assert_status(status);
    }
    let limits = json!({"delta": {"enabled": true, "binary_delta_limits": {
        "jobs_in_parallel": {"max": 0}, "queue_length": {"max": 0},
    }}});
    let _ = app.put(&format!("{TENANT}/config")).json(&limits).send().await.assert_status(204);
    store(&app, "v2", 2).await;
    let _ = make(&app, "v1", "v2").await.assert_status(429);
}

#[tokio::test]
async fn deltas_are_configured() {
    let setup = Setup { tenants: true, ..Setup::default() };
    let app = TestApp::set_up(Mender::in_memory(), setup).await;
    let [a, b] = [&app.tenants[0], &app.tenants[1]];
    let tenant = |id: &TenantId| format!("/api/internal/v1/deployments/tenants/{id}/config");
    let whole = json!({"delta": {
        "enabled": true,
        "binary_delta": {
            "xdelta_args": {"disable_checksum": true, "compression_level": 3},
            "timeout": 600,
        },
        "binary_delta_limits": {
            "xdelta_args_limits": {"compression_level": {"min": 1, "max": 5, "default": 2}},
            "timeout": {"min": 60, "max": 3600, "default": 60},
            "jobs_in_parallel": {"max": 2},
            "queue_length": {"max": 4},
        },
    }});
    let usual = app.get(CONFIG).bearer(&a.user).send().await.assert_status(200);
    assert_eq!(usual.json(), json!({"delta": {"enabled": true}}));
    let _ = app.put(&tenant(&a.id)).json(&whole).send().await.assert_status(204);
    let shown = app.get(&tenant(&a.id)).send().await.assert_status(200);
    assert_eq!(shown.json(), whole);
    let etag = header(&shown, "etag").to_owned();
    assert_ne!(etag, header(&usual, "etag"));
    let choose = async |body: Value, etag: &str| {
        let request = app.put(ARGS).bearer(&a.user).json(&body);
        let request = if etag.is_empty() { request } else { request.header("if-match", etag) };
        request.send().await.status
    };
    let level = |level: u64| json!({"xdelta_args": {"compression_level": level}});
    assert_eq!(choose(level(5), "\"other\"").await, 412);
    assert_eq!(choose(level(5), &etag).await, 204);
    assert_eq!(choose(level(4), &etag).await, 412);
    for wrong in [
        level(6),
        json!({"xdelta_args": {"level": 1}}),
        json!({"timeout": 60}),
        json!({"xdelta_args": {"source_window_size": 1}}),
        json!({"xdelta_args": {"source_window_size": "1"}}),
        json!([]),
    ] {
        assert_eq!(choose(wrong.clone(), "").await, 400, "{wrong}");
    }
    let shown = app.get(CONFIG).bearer(&a.user).send().await.assert_status(200).json();
    let args = &shown["delta"]["binary_delta"]["xdelta_args"];
    assert_eq!(*args, json!({"compression_level": 5}));
    assert_eq!(shown["delta"]["binary_delta"]["timeout"], 600);

    let off = json!({"delta": {"enabled": false}});
    let _ = app.put(&tenant(&a.id)).json(&off).send().await.assert_status(204);
    assert_eq!(choose(level(4), "").await, 409);
    let unknown = json!({"delta": {"enable": true}});
    let _ = app.put(&tenant(&a.id)).json(&unknown).send().await.assert_status(400);
    let all = "/api/internal/v1/deployments/tenants/config/binary_delta";
    let list = app.get(all).send().await.assert_status(200).json();
    let of = |id: &TenantId, enabled: bool| json!({"tenant_id": id, "enabled": enabled});
    let mut expected = vec![of(&a.id, false), of(&b.id, true)];
    expected.sort_by_key(|tenant| tenant["tenant_id"].to_string());
    assert_eq!(list, json!(expected));
    let some = app.get(&format!("{all}?tenant_id={}", b.id)).send().await.assert_status(200);
    assert_eq!(some.json(), json!([of(&b.id, true)]));
}

#[tokio::test]
async fn where_nothing_is_configured_nothing_is_shown() {
    let delta = DeltaConfig { enabled: false, ..DeltaConfig::default() };
    let artifacts = Config { delta, ..Config::default() };
    let setup = Setup { artifacts: Some(artifacts), ..Setup::default() };
    let app = TestApp::set_up(Mender::in_memory(), setup).await;
    let shown = app.get(CONFIG).admin().send().await.assert_status(200);
    assert_eq!(shown.json(), json!({}));
    let _ = app.get(&format!("{TENANT}/config")).send().await.assert_status(404);
    let body = json!({"xdelta_args": {}});
    let _ = app.put(ARGS).admin().json(&body).send().await.assert_status(404);
    let _ = make(&app, "v1", "v2").await.assert_status(403);
}

#[tokio::test]
async fn workers_of_others_end_jobs() {
    let app = TestApp::new().await;
    for (name, byte) in [("v1", 1), ("v2", 2)] {
        store(&app, name, byte).await;
    }
    let created = make(&app, "v1", "v2").await.assert_status(202);
    let path = header(&created, "location").to_owned();
    let job = list(&app, "").await.remove(0);
    let end = async |id: &str, body: Value| {
        let path = format!("{TENANT}/delta/{id}/status");
        app.put(&path).json(&body).send().await.status
    };
    assert_eq!(end("x", json!({})).await, 400);
    assert_eq!(end("x", json!({"status": "success"})).await, 204);
    let worker = job["delta_job_id"].as_str().unwrap();
    assert_eq!(end(worker, json!({"status": "failed"})).await, 204);
    let shown = app.get(&path).admin().send().await.assert_status(200).json();
    assert_eq!((&shown["status"], &shown["exit_code"]), (&json!("failed"), &json!(1)));
    assert_eq!(end(worker, json!({"status": "success"})).await, 204);
    let shown = app.get(&path).admin().send().await.assert_status(200).json();
    assert_eq!(shown["status"], "failed");
    let status = "/api/management/v1/deployments/d1/devices/d2/delta/status";
    let _ = app.get(status).admin().send().await.assert_status(404);
    app.drain().await;
}
