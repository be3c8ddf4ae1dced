use mender_core::{
    StoreResult, Time, Version,
    commit::Change,
    deployments::{
        Audience, Conduct, Deployment, DeploymentSettings, DeviceDeployment, Ended, Log, Payload,
        Rollout, Stage, State, Status, Store as _, Targets,
    },
};

use super::{life, orders, stamped, tenant};
use crate::SqlStore;

pub(super) async fn area(store: &SqlStore) -> StoreResult<()> {
    let (tenant, version) = (tenant(), Version(1));
    let first = Deployment {
        id: "x".parse().unwrap(),
        name: "one".into(),
        artifact_name: "r".into(),
        force_installation: false,
        payload: Payload::Software,
        audience: Audience::Devices,
        groups: vec!["g1".into()],
        fingerprint: Some("f".into()),
        max_devices: 1,
        rollout: Rollout::default(),
        conduct: Conduct::default(),
        ticket: "t".into(),
        created: Time(1),
        state: State::Open,
        finished: None,
        artifacts: vec![],
        tally: None,
        version,
    };
    let mut second = first.clone();
    (second.state, second.finished, second.version) = (State::Closed, Some(Time(2)), Version(2));
    (second.name, second.groups) = ("two".into(), vec!["g2".into()]);
    let names = ["r".to_owned()];
    for commit in life(&first, second) {
        store.deployment(&tenant, &first.id).await?;
        store.deployments_by_id(&tenant, std::slice::from_ref(&first.id)).await?;
        store.newest_deployment(&tenant).await?;
        store.dynamic_deployments(&tenant).await?;
        store.open_deployments(&tenant, &names).await?;
        store.last_end(&tenant, "r").await?;
        for query in orders::queries() {
            store.deployments(&tenant, &query, 1, 10).await?;
            store.count_deployments(&tenant, &query).await?;
        }
        store.commit_deployment(&tenant, commit).await?;
    }
    let first = Targets::new("t", 0, &["d1".parse().unwrap()]);
    let second = Targets { version: Version(2), ..first.clone() };
    for commit in life(&first, second) {
        store.targets(&tenant, std::slice::from_ref(&first.key)).await?;
        store.targets_of(&tenant, "t", None, 10).await?;
        store.commit_targets(&tenant, commit).await?;
    }
    device_rows(store).await
}

async fn device_rows(store: &SqlStore) -> StoreResult<()> {
    let tenant = tenant();
    let (id, device) = ("x".parse().unwrap(), "d1".parse().unwrap());
    let first = DeviceDeployment::waiting(&id, device, Time(1));
    let changed = |was: &DeviceDeployment, change: fn(&mut DeviceDeployment)| {
        let mut to = was.clone();
        change(&mut to);
        to.version = was.version.next();
        to
    };
    let met = changed(&first, |row| (row.stage, row.record) = (Stage::Record, "r1".into()));
    let said = changed(&met, |row| row.substate = "said".into());
    let moved = changed(&said, |row| row.status = Status::Rebooting);
    let heard = changed(&moved, |row| row.heard = Some(Time(2)));
    let ended = changed(&heard, |row| {
        row.status = Status::Success;
        row.ended = Some(Ended { status: row.status, at: Time(3) });
    });
    let changes = [
        Change::Insert(first.clone()),
        Change::Update { was: first.clone(), to: met.clone() },
        Change::Update { was: met, to: said.clone() },
        Change::Update { was: said, to: moved.clone() },
        Change::Update { was: moved, to: heard.clone() },
        Change::Update { was: heard, to: ended.clone() },
        Change::Delete(ended),
    ];
    let device = &first.device;
    for (n, change) in (1..).zip(changes) {
        store.device_deployment(&tenant, &id, device).await?;
        store.current(&tenant, device).await?;
        store.newest_ended(&tenant, device).await?;
        for statuses in [&[][..], &Status::PAUSES] {
            store.history(&tenant, device, statuses, 1, 10).await?;
            store.count_history(&tenant, device, statuses).await?;
            store.listed(&tenant, &id, statuses, 1, 10).await?;
            store.count_listed(&tenant, &id, statuses).await?;
        }
        store.records(&tenant, &["r1".to_owned()]).await?;
        store.last_ended(&tenant, std::slice::from_ref(device)).await?;
        store.tallies(&tenant, std::slice::from_ref(&id)).await?;
        store.late(&tenant, std::slice::from_ref(&id)).await?;
        store.begun(&tenant, std::slice::from_ref(&id)).await?;
        store.rows(&tenant, &id, Some(&first.key), 10).await?;
        store.open_rows(&tenant, &id, Some(&first.key), 10).await?;
        store.silent_rows(&tenant, &id, Time(0)..Time(9), 10).await?;
        store.commit_device_deployment(&tenant, stamped(n, change)).await?;
    }
    let log = Log::new(&id, device, vec![]);
    let second = Log { version: Version(2), ..log.clone() };
    for commit in life(&log, second) {
        store.log(&tenant, &id, device).await?;
        store.commit_log(&tenant, commit).await?;
    }
    let settings = DeploymentSettings { version: Version(1), ..DeploymentSettings::default() };
    let second = DeploymentSettings { version: Version(2), ..settings.clone() };
    for commit in life(&settings, second) {
        store.deployment_settings(&tenant).await?;
        store.commit_deployment_settings(&tenant, commit).await?;
    }
    store.fill(&tenant, &[first]).await?;
    assert_eq!(store.close_rows(&tenant, &id, 10).await?, 1);
    assert_eq!(store.erase_rows(&tenant, &id, 10).await?, 1);
    Ok(())
}
