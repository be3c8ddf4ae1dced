#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use crate::{
    commit::Commit,
    deployments::{DeviceDeployment, Ended, Request, Stage, Status},
    error::StoreResult,
    id::TenantId,
    testing::{
        contract::{Harness, claims},
        deployments::made::{full, record, waiting},
        fixtures::{ODD_IDS, at, fact, id, is_conflict, other_tenant, tenant},
    },
};

claims!["deployments":
    an_unknown_row_is_none,
    a_row_is_returned_as_it_was_stored,
    each_part_of_a_row_changes_alone,
    the_last_attempt_is_the_row_of_a_device,
    odd_ids_of_devices_and_deployments_are_kept,
    a_row_changes_in_its_version_only,
    a_taken_row_conflicts,
    rows_tell_by_their_events,
    rows_of_other_tenants_do_not_exist,
];

pub(super) async fn commit_row(
    h: &Harness,
    t: &TenantId,
    commit: Commit<DeviceDeployment>,
) -> StoreResult<()> {
    let stamped = h.stamp(t, commit);
    h.stores.commit_device_deployment(t, stamped).await
}

pub(super) async fn put_row(h: &Harness, row: &DeviceDeployment) {
    commit_row(h, &tenant(), Commit::insert(row.clone())).await.unwrap();
}

pub(super) async fn get_row(
    h: &Harness,
    t: &TenantId,
    deployment: &str,
    device: &str,
) -> Option<DeviceDeployment> {
    h.stores.device_deployment(t, &id(deployment), &id(device)).await.unwrap()
}

/// Stores the next state of a row, and returns it as it is read.
pub(super) async fn change_row(
    h: &Harness,
    was: &DeviceDeployment,
    to: DeviceDeployment,
) -> DeviceDeployment {
    let change = Commit::update(was.clone(), to);
    commit_row(h, &tenant(), change.clone()).await.unwrap();
    let stored = get_row(h, &tenant(), was.deployment.as_str(), was.device.as_str()).await.unwrap();
    assert_eq!(Some(&stored), change.aggregate());
    stored
}

/// Asserts that no read finds anything of this device in this deployment.
async fn nothing(h: &Harness, t: &TenantId, deployment: &str, device: &str) {
    assert_eq!(get_row(h, t, deployment, device).await, None);
    let (deployment, device) = (id(deployment), id(device));
    assert_eq!(h.stores.current(t, &device).await.unwrap(), []);
    assert_eq!(h.stores.newest_ended(t, &device).await.unwrap(), None);
    for statuses in [&[][..], &Status::ALL] {
        assert_eq!(h.stores.history(t, &device, statuses, 0, 9).await.unwrap(), []);
        assert_eq!(h.stores.count_history(t, &device, statuses).await.unwrap(), 0);
        assert_eq!(h.stores.listed(t, &deployment, statuses, 0, 9).await.unwrap(), []);
        assert_eq!(h.stores.count_listed(t, &deployment, statuses).await.unwrap(), 0);
    }
    assert_eq!(h.stores.last_ended(t, &[device]).await.unwrap(), []);
    assert_eq!(h.stores.open_rows(t, &deployment, None, 9).await.unwrap(), []);
    assert_eq!(h.stores.tallies(t, &[deployment]).await.unwrap(), [].into());
}

async fn an_unknown_row_is_none(h: &Harness) {
    let t = tenant();
    nothing(h, &t, "ghost", "ghost").await;
    assert_eq!(h.stores.records(&t, &["ghost".into(), "\0".into()]).await.unwrap(), []);
    assert_eq!(h.stores.records(&t, &[]).await.unwrap(), []);
    assert_eq!(h.stores.last_ended(&t, &[]).await.unwrap(), []);
    assert_eq!(h.stores.tallies(&t, &[]).await.unwrap(), [].into());
}

async fn a_row_is_returned_as_it_was_stored(h: &Harness) {
    let t = tenant();
    let first = full("x", "d");
    put_row(h, &first).await;
    assert_eq!(get_row(h, &t, "x", "d").await, Some(first.clone()));
    let records = h.stores.records(&t, std::slice::from_ref(&first.record)).await.unwrap();
    assert_eq!(records, std::slice::from_ref(&first));
    let bare = change_row(h, &first, waiting("x", "d")).await;
    assert_eq!(h.stores.current(&t, &id("d")).await.unwrap(), std::slice::from_ref(&bare));
    let back = change_row(h, &bare, full("x", "d")).await;
    commit_row(h, &t, Commit::delete(back)).await.unwrap();
    nothing(h, &t, "x", "d").await;
}

async fn each_part_of_a_row_changes_alone(h: &Harness) {
    let t = tenant();
    let mut now = waiting("x", "d");
    put_row(h, &now).await;
    type Part = fn(&mut DeviceDeployment);
    let parts: &[Part] = &[
        |r| (r.stage, r.record) = (Stage::Record, "first".into()),
        |r| r.record = "second".into(),
        |r| r.status = Status::Downloading,
        |r| r.substate = "halfway".into(),
        |r| r.started = Some(at(1)),
        |r| r.request = Some(Request::default()),
        |r| r.artifact = Some(id("a")),
        |r| r.bytes = 7,
        |r| r.log = true,
        |r| r.status = Status::Rebooting,
        |r| (r.status, r.ended) = (Status::Success, Some(Ended { status: r.status, at: at(5) })),
        |r| r.ended = Some(Ended { status: Status::Success, at: at(6) }),
        |r| r.finished = Some(at(2)),
        |r| r.round = 1,
        |r| r.late = Some(Status::Failure),
        |r| r.status = Status::Installing,
        |r| r.ended = None,
        |r| r.deleted = Some(at(3)),
        |r| r.replaced = true,
        |r| r.created = at(-9),
        |r| (r.deleted, r.replaced) = (None, false),
        |r| (r.request, r.artifact, r.late) = (None, None, None),
        |r| r.stage = Stage::Dropped,
        |r| r.stage = Stage::Waiting,
        |_| {},
    ];
    for part in parts {
        let mut to = now.clone();
        part(&mut to);
        now = change_row(h, &now, to).await;
        // What it is found by changed with it.
        let device = id("d");
        let found = |is: bool| if is { vec![now.clone()] } else { vec![] };
        let is_record = now.stage == Stage::Record;
        let records = h.stores.records(&t, &["second".into()]).await.unwrap();
        assert_eq!(records, found(is_record && now.record == "second"));
        assert_eq!(h.stores.current(&t, &device).await.unwrap(), found(now.is_current()));
        let open = h.stores.open_rows(&t, &id("x"), None, 9).await.unwrap();
        assert_eq!(open, found(now.is_open()));
        let history = h.stores.history(&t, &device, &[], 0, 9).await.unwrap();
        assert_eq!(history, found(is_record));
        let listed = h.stores.listed(&t, &id("x"), &[now.status], 0, 9).await.unwrap();
        assert_eq!(listed, found(now.is_listed()));
        let last = h.stores.last_ended(&t, std::slice::from_ref(&device)).await.unwrap();
        assert_eq!(last, found(now.ended.is_some()));
        let ended = (now.is_listed() && now.status.is_final()).then_some(now.created);
        assert_eq!(h.stores.newest_ended(&t, &device).await.unwrap(), ended);
    }
}

async fn the_last_attempt_is_the_row_of_a_device(h: &Harness) {
    let mut attempts = vec![record("x", "d", Status::Success)];
    for _ in 0..11 {
        attempts.extend(attempts.last().map(DeviceDeployment::again));
    }
    for n in [1, 0, 9, 8] {
        put_row(h, &attempts[n]).await;
    }
    assert_eq!(get_row(h, &tenant(), "x", "d").await.as_ref(), Some(&attempts[9]));
    put_row(h, &attempts[11]).await;
    put_row(h, &attempts[10]).await;
    assert_eq!(get_row(h, &tenant(), "x", "d").await.as_ref(), Some(&attempts[11]));
    commit_row(h, &tenant(), Commit::delete(attempts[11].clone())).await.unwrap();
    assert_eq!(get_row(h, &tenant(), "x", "d").await.as_ref(), Some(&attempts[10]));
}

async fn odd_ids_of_devices_and_deployments_are_kept(h: &Harness) {
    let t = tenant();
    let wide = "😀".repeat(256);
    let odd: Vec<&str> = ODD_IDS.into_iter().chain([wide.as_str()]).collect();
    for odd in &odd {
        for row in [record("plain", odd, Status::Success), record(odd, "plain", Status::Failure)] {
            put_row(h, &row).await;
            let (deployment, device) = (row.deployment.as_str(), row.device.as_str());
            assert_eq!(get_row(h, &t, deployment, device).await.as_ref(), Some(&row));
            let found = h.stores.records(&t, std::slice::from_ref(&row.record)).await.unwrap();
            assert_eq!(found, [row]);
        }
    }
    let history = h.stores.history(&t, &id("plain"), &[], 0, 99).await.unwrap();
    assert_eq!(history.len(), odd.len());
    let listed = h.stores.listed(&t, &id("plain"), &[Status::Success], 0, 99).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.device.as_str()).collect::<Vec<_>>(), odd);
}

async fn a_row_changes_in_its_version_only(h: &Harness) {
    let t = tenant();
    let first = waiting("x", "d");
    put_row(h, &first).await;
    let second = change_row(h, &first, record("x", "d", Status::Pending)).await;
    let parts: [DeviceDeployment; 4] = [
        DeviceDeployment { substate: "late".into(), ..first.clone() },
        DeviceDeployment { status: Status::Installing, ..first.clone() },
        DeviceDeployment { stage: Stage::Dropped, ..first.clone() },
        record("x", "d", Status::Success),
    ];
    for to in parts {
        is_conflict(commit_row(h, &t, Commit::update(first.clone(), to)).await);
    }
    is_conflict(commit_row(h, &t, Commit::delete(first)).await);
    let ghost = waiting("x", "ghost");
    is_conflict(commit_row(h, &t, Commit::update(ghost.clone(), ghost.clone())).await);
    is_conflict(commit_row(h, &t, Commit::delete(ghost)).await);
    assert_eq!(get_row(h, &t, "x", "d").await, Some(second));
    commit_row(h, &t, Commit::nothing()).await.unwrap();
}

async fn a_taken_row_conflicts(h: &Harness) {
    let first = waiting("x", "d");
    put_row(h, &first).await;
    let again = commit_row(h, &tenant(), Commit::insert(full("x", "d"))).await;
    crate::testing::fixtures::is_taken(&again);
    assert_eq!(get_row(h, &tenant(), "x", "d").await.as_ref(), Some(&first));
    commit_row(h, &tenant(), Commit::delete(first)).await.unwrap();
    put_row(h, &full("x", "d")).await;
}

async fn rows_tell_by_their_events(h: &Harness) {
    let t = tenant();
    let first = waiting("x", "d");
    commit_row(h, &t, Commit::insert(first.clone()).event(fact("one"))).await.unwrap();
    let to = record("x", "d", Status::Success);
    let change = Commit::update(first.clone(), to).event(fact("two")).event(fact("three"));
    commit_row(h, &t, change.clone()).await.unwrap();
    is_conflict(commit_row(h, &t, change.clone()).await);
    let second = change.aggregate().cloned().unwrap();
    commit_row(h, &t, Commit::delete(second).event(fact("four"))).await.unwrap();
    let events = h.events().await;
    let mut kinds: Vec<(i64, &str)> =
        events.iter().map(|event| (event.version.0, event.kind.as_str())).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [(1, "one"), (2, "four"), (2, "three"), (2, "two")]);
    assert!(events.iter().all(|event| (&event.key, &event.tenant) == (&first.key, &t)));
}

async fn rows_of_other_tenants_do_not_exist(h: &Harness) {
    let (t, other) = (tenant(), other_tenant());
    let ours = record("x", "d", Status::Success);
    put_row(h, &ours).await;
    put_row(h, &waiting("x", "e")).await;
    nothing(h, &other, "x", "d").await;
    nothing(h, &other, "x", "e").await;
    assert_eq!(h.stores.records(&other, std::slice::from_ref(&ours.record)).await.unwrap(), []);
    is_conflict(commit_row(h, &other, Commit::update(ours.clone(), ours.clone())).await);
    is_conflict(commit_row(h, &other, Commit::delete(ours.clone())).await);
    let theirs = record("x", "d", Status::Failure);
    commit_row(h, &other, Commit::insert(theirs.clone())).await.unwrap();
    assert_eq!(h.stores.erase_rows(&other, &id("x"), 9).await.unwrap(), 1);
    nothing(h, &other, "x", "d").await;
    assert_eq!(get_row(h, &t, "x", "d").await, Some(ours));
}
