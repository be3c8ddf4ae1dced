//! Devices ask, and there is nothing to do: against a route that does nothing.

use std::sync::Arc;

use mender::deployments::DeploymentId;

use crate::{
    TARGETS, finished,
    server::{Server, request},
    support::{Fault, load::scattered, rounds::compare},
};

/// The most devices that ask; those of a large fleet are everywhere in the tables.
pub(crate) const POLLERS: usize = 10_000;

const TASKS: usize = 64;

/// A poll of a device that runs this.
pub(crate) fn poll(token: &str, runs: &str) -> Vec<u8> {
    let path = "/api/devices/v2/deployments/device/deployments/next";
    let body =
        format!(r#"{{"device_provides":{{"artifact_name":"{runs}","device_type":"pump"}}}}"#);
    request("POST", path, token, &body)
}

/// The devices that ask.
pub(crate) fn pollers(size: usize) -> Vec<usize> {
    scattered(size, POLLERS, |_| true)
}

/// Compares polls with the empty route beside ever more deployments.
pub(crate) async fn measure_all(
    server: &Server,
    size: usize,
    template: &DeploymentId,
) -> Result<(), Fault> {
    let tokens = server.tokens(&pollers(size)).await?;
    let requests: Vec<_> = tokens.iter().map(|token| poll(token, "release-2")).collect();
    let requests = Arc::new(requests);
    let compare = async |beside: &str| {
        let calls = [true, false].map(|is_empty| server.call(is_empty, requests.clone()));
        let name = format!("{size} devices, nothing to do, {beside}: empty route, poll");
        compare(&name, TASKS, &calls[0], &calls[1]).await;
    };
    compare("no active deployment").await;
    for active in 0..50 {
        // For others, which never ask.
        let from = size + active * TARGETS / 10;
        server.create(&format!("active {active}"), "release-3", from..from + TARGETS).await?;
        if active == 0 {
            compare("1 active of 10,000").await;
        }
    }
    compare("50 active of 10,000").await;
    finished::store(server, size, template).await?;
    compare("50 active and 10,000 finished of 100").await;
    println!("    {} MB stored; {} requests failed", server.megabytes().await?, server.failed());
    Ok(())
}
