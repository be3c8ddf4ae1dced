//! What writes, and what users ask: each request once, or the same again and again.

use mender::deployments::DeploymentId;

use crate::{
    polls::{poll, pollers},
    server::{Server, request},
    support::{Fault, load::device_id, rounds::measure},
};

const TASKS: usize = 64;

/// How often users ask.
const CALLS: usize = 1000;

/// How often they ask for what takes long.
const SLOW_CALLS: usize = 200;

const DEPLOYMENTS: &str = "/api/management/v1/deployments/deployments";

/// Measures a path over the deployment that the devices are in.
async fn once(server: &Server, name: &str, status: &'static str, requests: Vec<Vec<u8>>) {
    measure(name, TASKS, requests, server.sender(status)).await;
}

/// An update of devices of which nothing has begun.
async fn devices(server: &Server, size: usize) -> Result<DeploymentId, Fault> {
    let devices = pollers(size);
    let id = server.create("measured", "release-3", devices.iter().copied()).await?;
    let tokens = server.tokens(&devices).await?;
    let polls = || tokens.iter().map(|token| poll(token, "release-2")).collect();
    once(server, "poll, first of an update", " 200 ", polls()).await;
    once(server, "poll, again", " 200 ", polls()).await;
    let path = format!("/api/devices/v1/deployments/device/deployments/{id}/status");
    for status in ["downloading", "downloading", "installing", "success"] {
        let body = format!(r#"{{"status":"{status}"}}"#);
        let reports = tokens.iter().map(|token| request("PUT", &path, token, &body));
        once(server, &format!("report, {status}"), " 204 ", reports.collect()).await;
    }
    Ok(id)
}

async fn users(server: &Server, size: usize, id: &DeploymentId) -> Result<(), Fault> {
    let get = |path: String| vec![request("GET", &path, &server.user, ""); CALLS];
    let statistics = get(format!("{DEPLOYMENTS}/{id}/statistics"));
    once(server, "statistics", " 200 ", statistics).await;
    let page = get(format!("{DEPLOYMENTS}/{id}/devices/list?per_page=20&page=3"));
    once(server, "page of 20 devices", " 200 ", page).await;
    let mut list = get(format!("{DEPLOYMENTS}?per_page=20"));
    list.truncate(SLOW_CALLS);
    once(server, "page of 20 deployments", " 200 ", list).await;
    let create = |n: usize| {
        let devices: Vec<String> = (0..100).map(|at| device_id((n * 100 + at) % size)).collect();
        let body = serde_json::json!({
            "name": format!("created {n}"), "artifact_name": "release-3", "devices": devices,
        });
        request("POST", DEPLOYMENTS, &server.user, &body.to_string())
    };
    let before = list_ids(server).await?;
    let created = (0..CALLS).map(create).collect();
    once(server, "create, for 100 devices", " 201 ", created).await;
    let mut aborts = Vec::new();
    for id in list_ids(server).await? {
        if !before.contains(&id) {
            let path = format!("{DEPLOYMENTS}/{id}/status");
            aborts.push(request("PUT", &path, &server.user, r#"{"status":"aborted"}"#));
        }
    }
    once(server, "abort, of 100 devices", " 204 ", aborts).await;
    Ok(())
}

/// Returns the ids of the deployments that have not ended, the newest ones.
async fn list_ids(server: &Server) -> Result<Vec<String>, Fault> {
    let mut ids = Vec::new();
    for page in 1.. {
        let path = format!("{DEPLOYMENTS}?status=pending&per_page=100&page={page}");
        let (_, body) = server.ask(&request("GET", &path, &server.user, "")).await?;
        let listed: Vec<serde_json::Value> = serde_json::from_str(&body)?;
        ids.extend(listed.iter().filter_map(|one| one["id"].as_str()).map(str::to_owned));
        if listed.len() < 100 {
            break;
        }
    }
    Ok(ids)
}

/// Measures what devices and users do beside many deployments.
pub(crate) async fn measure_all(server: &Server, size: usize) -> Result<(), Fault> {
    println!("  {size} devices, {TASKS} tasks");
    let id = devices(server, size).await?;
    users(server, size, &id).await?;
    println!("    {} requests failed", server.failed());
    Ok(())
}
