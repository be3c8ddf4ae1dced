//! Deployments and rows of the cases.

use serde_json::{Map, json};

use crate::{
    deployments::{
        Audience, Batch, Deployment, DeviceDeployment, Ended, Payload, Phase, Request, Rollout,
        Stage, State, Status, Uniform,
    },
    id::Version,
    testing::fixtures::{at, id},
};

/// An open deployment of `release-1`, created `millis` after the start.
pub(in crate::testing) fn deployment(name: &str, millis: i64) -> Deployment {
    Deployment {
        id: id(name),
        name: format!("name of {name}"),
        artifact_name: "release-1".into(),
        force_installation: false,
        payload: Payload::Software,
        audience: Audience::Devices,
        groups: Vec::new(),
        fingerprint: Some(format!("fingerprint of {name}")),
        max_devices: 2,
        rollout: Rollout::default(),
        ticket: format!("ticket of {name}"),
        created: at(millis),
        state: State::Open,
        finished: None,
        artifacts: Vec::new(),
        version: Version::FIRST,
    }
}

/// The deployment after its end.
pub(in crate::testing) fn finished(deployment: Deployment, millis: i64) -> Deployment {
    Deployment { state: State::Closed, finished: Some(at(millis)), ..deployment }
}

/// The deployment in two phases, the first of which begins then.
pub(in crate::testing) fn scheduled(deployment: Deployment, millis: i64) -> Deployment {
    let phase = |id: &str, batch, starts, devices| Phase {
        id: id.into(),
        batch,
        starts: Some(at(starts)),
        devices,
    };
    let phases = vec![
        phase("one é", Batch::Percent(50), millis, Some(1)),
        phase("two", Batch::Devices(1 << 50), millis + 1, None),
    ];
    let uniform =
        Uniform { starts: Some(at(millis)), interval: "PT1S".into(), batch: Batch::Percent(50) };
    let map = Map::from_iter([("é\"😀".to_owned(), json!({ "n": 1 }))]);
    let rollout =
        Rollout { phases, uniform: Some(uniform), retries: 3, control_map: Some(map), delta: true };
    Deployment { rollout, ..deployment }
}

/// A row of a device that waits; the deployment was created at the start.
pub(in crate::testing) fn waiting(deployment: &str, device: &str) -> DeviceDeployment {
    DeviceDeployment::waiting(&id(deployment), id(device), at(0))
}

/// A record with this status.
pub(in crate::testing) fn record(
    deployment: &str,
    device: &str,
    status: Status,
) -> DeviceDeployment {
    let mut row = waiting(deployment, device);
    row.stage = Stage::Record;
    row.record = format!("record of {}", row.key);
    row.status = status;
    if status.is_final() {
        row.ended = Some(Ended { status, at: at(100) });
    }
    row
}

/// A row with something in every field.
pub(in crate::testing) fn full(deployment: &str, device: &str) -> DeviceDeployment {
    DeviceDeployment {
        substate: "é😀\u{7f}\"'; --".into(),
        created: at(-5),
        started: Some(at(1)),
        finished: Some(at(2)),
        deleted: Some(at(3)),
        replaced: true,
        request: Some(Request {
            artifact_name: "röle".into(),
            device_type: "board 😀".into(),
            provides: [("a.b $c".into(), "\"\\".into())].into(),
            control_map: true,
        }),
        phase: Some(7),
        tries: 3,
        failed: true,
        artifact: Some(id("artifact é")),
        bytes: 1 << 50,
        log: true,
        ended: Some(Ended { status: Status::NoArtifact, at: at(4) }),
        late: Some(Status::PauseBeforeCommitting),
        version: Version(1 << 50),
        ..record(deployment, device, Status::AlreadyInstalled)
    }
}
