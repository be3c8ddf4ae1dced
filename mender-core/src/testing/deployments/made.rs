//! Deployments and rows of the cases.

use serde_json::{Map, json};

use crate::{
    deployments::{
        Approval, Audience, Batch, Budget, Cause, Conduct, Deployment, DeploymentSettings,
        DeviceDeployment, Ended, Hold, Late, Outcome, Payload, Phase, Reason, Remedy, Request,
        Rollout, Score, Side, Stage, State, Status, Tally, Threshold, Uniform, Window, Zone,
    },
    id::Version,
    inventory::{AttributeName, Op, Operand, Predicate, Value},
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
        conduct: Conduct::default(),
        ticket: format!("ticket of {name}"),
        created: at(millis),
        state: State::Open,
        finished: None,
        artifacts: Vec::new(),
        tally: None,
        version: Version::FIRST,
    }
}

/// The deployment after its end.
pub(in crate::testing) fn finished(deployment: Deployment, millis: i64) -> Deployment {
    let tally = Tally {
        counts: [(Status::Success, 1 << 50), (Status::NoArtifact, 1)].into(),
        devices: 1 << 50,
        bytes: 1 << 50,
        phases: [(0, 1), (7, 1 << 50)].into(),
        late: Late::new(),
    };
    let finished = Some(at(millis));
    Deployment { state: State::Closed, finished, tally: Some(tally), ..deployment }
}

/// The deployment in two phases, the first of which begins then.
pub(in crate::testing) fn scheduled(deployment: Deployment, millis: i64) -> Deployment {
    let threshold = Threshold {
        side: Side::Failure,
        limit: Batch::Percent(10),
        sample: 20,
        remedy: Remedy::Pause,
    };
    let phase = |id: &str, batch, starts, devices| Phase {
        id: id.into(),
        batch,
        starts: Some(at(starts)),
        devices,
        needs_approval: devices.is_none(),
        thresholds: vec![threshold],
    };
    let phases = vec![
        phase("one é", Batch::Percent(50), millis, Some(1)),
        phase("two", Batch::Devices(1 << 50), millis + 1, None),
    ];
    let uniform =
        Uniform { starts: Some(at(millis)), interval: "PT1S".into(), batch: Batch::Percent(50) };
    let map = Map::from_iter([("é\"😀".to_owned(), json!({ "n": 1 }))]);
    let window = Window {
        days: vec![0, 6],
        opens: 120,
        minutes: 60,
        zone: Zone::Named("Europe/Oslo".into()),
    };
    let rollout = Rollout {
        phases,
        uniform: Some(uniform),
        retries: 3,
        control_map: Some(map),
        delta: true,
        priority: -7,
        windows: vec![window],
        thresholds: vec![Threshold { side: Side::Success, limit: Batch::Devices(3), ..threshold }],
        budget: Some(Budget { parallel: Some(3), bytes_per_second: Some(1 << 50) }),
        silence_minutes: Some(90),
    };
    let score = Score { failed: 3, succeeded: 1 << 50 };
    let cause = Cause::Threshold { phase: Some(1), threshold, score };
    let conduct = Conduct {
        creator: Some(id("user é")),
        hold: Some(Hold { since: at(millis), cause }),
        approvals: vec![Approval { phase: "two".into(), by: id("other"), at: at(millis) }],
        round: 7,
        refilled: Some(at(millis)),
    };
    Deployment { rollout, conduct, ..deployment }
}

/// The deployment for whichever device fits a filter.
pub(in crate::testing) fn dynamic(deployment: Deployment) -> Deployment {
    let text = Operand::Value(Value::Text("x\"é".into()));
    let term = Predicate {
        name: AttributeName::inventory("é.$"),
        op: Op::In,
        value: Operand::List(vec![text, Operand::Value(Value::Number(0.5))]),
    };
    let audience = Audience::Filter {
        id: id("filter"),
        name: "fïlter".into(),
        terms: vec![term],
        initial: 1 << 50,
    };
    Deployment { audience, ..deployment }
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
        heard: Some(at(5)),
        fetching: true,
        shares: true,
        outcome: Some(Outcome {
            reason: Reason::PhaseFull { phase: 3, next: Some(at(9)) },
            since: at(6),
        }),
        artifact: Some(id("artifact é")),
        bytes: 1 << 50,
        log: true,
        ended: Some(Ended { status: Status::NoArtifact, at: at(4) }),
        late: Some(Status::PauseBeforeCommitting),
        round: 5,
        version: Version(1 << 50),
        ..record(deployment, device, Status::AlreadyInstalled)
    }
}

/// Settings with something in every field.
pub(in crate::testing) fn settings() -> DeploymentSettings {
    DeploymentSettings {
        micro_limit: Some(1 << 50),
        budget: Some(Budget { parallel: Some(3), bytes_per_second: Some(1 << 50) }),
        refilled: Some(at(7)),
        version: Version(7),
    }
}
