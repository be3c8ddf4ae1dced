#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use std::{cmp::Reverse, collections::BTreeMap};

use crate::{
    commit::Commit,
    deployments::{Deployment, DeploymentId, DeviceDeployment, Ended, Stage, State, Status, Tally},
    id::DeviceId,
    testing::{
        contract::{Harness, claims},
        deployments::{
            commit,
            made::{deployment, dynamic, finished, record, waiting},
            put,
            rows::{commit_row, get_row, put_row},
        },
        fixtures::{ODD_IDS, at, id, other_tenant, tenant},
    },
};

claims!["deployments":
    every_kind_of_row_is_found_where_it_belongs,
    lists_come_by_status_and_device,
    the_history_of_a_device_begins_with_the_newest,
    the_last_end_of_each_device_is_found,
    walks_pass_each_open_row_once,
    silent_devices_are_found_by_when_they_were_heard_of,
    dynamic_deployments_are_those_that_have_not_ended,
];

/// Rows of all kinds, of three devices in three deployments.
fn kinds() -> Vec<DeviceDeployment> {
    let mut rows = Vec::new();
    let names = ["x", "y", "z"];
    for (n, status) in Status::ALL.into_iter().enumerate() {
        let device = format!("d{}", n % 3);
        // As many attempts as it takes to have all of them.
        let mut row = record(names[n % 2], &device, status);
        row.attempt = u32::try_from(n / 2 + 1).unwrap();
        row.key = format!("{}/{}/{}", row.deployment, row.device, row.attempt);
        row.record = format!("record {n}");
        row.created = at([10, 20][n % 2]);
        row.bytes = 1 << n;
        row.ended = row.ended.map(|ended| Ended { at: at(i64::try_from(n).unwrap()), ..ended });
        match n % 5 {
            1 => row.deleted = Some(at(1)),
            2 => (row.deleted, row.replaced) = (Some(at(1)), true),
            3 => row.late = Some(Status::Failure),
            _ => {}
        }
        rows.push(row);
    }
    // A report came after the end.
    let again = Some(Ended { status: Status::Failure, at: at(50) });
    rows.push(DeviceDeployment { ended: again, ..record("z", "d0", Status::Installing) });
    rows.push(waiting("z", "d1"));
    rows.push(DeviceDeployment { stage: Stage::Dropped, ..waiting("z", "d2") });
    rows
}

fn some(
    rows: &[DeviceDeployment],
    is: impl Fn(&DeviceDeployment) -> bool,
) -> Vec<DeviceDeployment> {
    let mut some: Vec<_> = rows.iter().filter(|row| is(row)).cloned().collect();
    some.sort_by(|a, b| a.key.cmp(&b.key));
    some
}

fn by_key(mut rows: Vec<DeviceDeployment>) -> Vec<DeviceDeployment> {
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    rows
}

async fn every_kind_of_row_is_found_where_it_belongs(h: &Harness) {
    let (t, rows) = (tenant(), kinds());
    for row in &rows {
        put_row(h, row).await;
    }
    let filters = Status::ALL.map(|status| vec![status]);
    let filters = filters.into_iter().chain([vec![], Status::PAUSES.into(), Status::ALL.repeat(2)]);
    let fits = |statuses: &[Status], row: &DeviceDeployment| {
        statuses.is_empty() || statuses.contains(&row.status)
    };
    let is_record = |row: &DeviceDeployment| row.stage == Stage::Record;
    for statuses in filters {
        for name in ["d0", "d1", "d2"] {
            let device: DeviceId = id(name);
            let found = h.stores.history(&t, &device, &statuses, 0, 99).await.unwrap();
            let meant =
                some(&rows, |row| row.device == device && is_record(row) && fits(&statuses, row));
            let count = h.stores.count_history(&t, &device, &statuses).await.unwrap();
            assert_eq!((by_key(found), count), (meant.clone(), meant.len() as u64), "{statuses:?}");
        }
        for name in ["x", "y", "z"] {
            let deployment: DeploymentId = id(name);
            let found = h.stores.listed(&t, &deployment, &statuses, 0, 99).await.unwrap();
            let meant = some(&rows, |row| {
                row.deployment == deployment && row.is_listed() && fits(&statuses, row)
            });
            let count = h.stores.count_listed(&t, &deployment, &statuses).await.unwrap();
            assert_eq!((by_key(found), count), (meant.clone(), meant.len() as u64), "{statuses:?}");
        }
    }
    for name in ["d0", "d1", "d2"] {
        let device: DeviceId = id(name);
        let found = h.stores.current(&t, &device).await.unwrap();
        assert_eq!(by_key(found), some(&rows, |row| row.device == device && row.is_current()));
        let ended = rows
            .iter()
            .filter(|row| row.device == device && row.is_listed() && row.status.is_final());
        let newest = h.stores.newest_ended(&t, &device).await.unwrap();
        assert_eq!(newest, ended.map(|row| row.created).max());
    }
    let ids: Vec<String> = rows.iter().map(|row| row.record.clone()).collect();
    let found = h.stores.records(&t, &ids).await.unwrap();
    assert_eq!(by_key(found), some(&rows, is_record));
    let ids: Vec<DeploymentId> = ["x", "ghost", "y", "z", "x"].map(id).into();
    let mut tallies: BTreeMap<DeploymentId, Tally> = BTreeMap::new();
    for row in rows.iter().filter(|row| is_record(row)) {
        tallies.entry(row.deployment.clone()).or_default().add(row);
    }
    assert_eq!(h.stores.tallies(&t, &ids).await.unwrap(), tallies);
    let all = h.stores.rows(&t, &id("x"), None, 99).await.unwrap();
    assert_eq!(by_key(all), some(&rows, |row| row.deployment == id("x")));
    for deployment in ids {
        let found = h.stores.open_rows(&t, &deployment, None, 99).await.unwrap();
        let meant = some(&rows, |row| row.deployment == deployment && row.is_open());
        assert_eq!(by_key(found), meant);
    }
}

async fn lists_come_by_status_and_device(h: &Harness) {
    let (t, x) = (tenant(), id("x"));
    let mut rows: Vec<DeviceDeployment> = Vec::new();
    for (n, device) in ODD_IDS.into_iter().enumerate() {
        let status = [Status::Pending, Status::Failure, Status::Decommissioned][n % 3];
        rows.push(record("x", device, status));
    }
    for row in rows.iter().rev() {
        put_row(h, row).await;
    }
    put_row(h, &record("y", "z", Status::Failure)).await;
    rows.sort_by(|a, b| (a.status, &a.device).cmp(&(b.status, &b.device)));
    let ended = [Status::Decommissioned, Status::Failure];
    for statuses in [&[][..], &Status::ALL, &ended, &[Status::Pending], &[Status::Success]] {
        let meant: Vec<_> = rows
            .iter()
            .filter(|row| statuses.is_empty() || statuses.contains(&row.status))
            .cloned()
            .collect();
        let list =
            async |skip, limit| h.stores.listed(&t, &x, statuses, skip, limit).await.unwrap();
        assert_eq!(list(0, usize::MAX).await, meant);
        assert_eq!(list(0, 0).await, []);
        assert_eq!(list(u64::MAX, usize::MAX).await, []);
        for skip in 0..=meant.len() {
            let end = meant.len().min(skip + 2);
            assert_eq!(list(skip as u64, 2).await, meant[skip..end]);
        }
    }
}

async fn the_history_of_a_device_begins_with_the_newest(h: &Harness) {
    let (t, d) = (tenant(), id("d"));
    let mut rows = Vec::new();
    for (millis, name) in [(5, "x"), (-9, "y"), (7, "z")] {
        for (n, status) in [Status::Success, Status::Failure, Status::Success].iter().enumerate() {
            let mut row = record(name, "d", *status);
            row.attempt = u32::try_from(n + 1).unwrap();
            row.key = format!("{name}/d/{}", row.attempt);
            row.created = at(millis);
            row.deleted = (n < 2).then(|| at(8));
            rows.push(row);
        }
    }
    for row in &rows {
        put_row(h, row).await;
    }
    rows.sort_by_key(|row| Reverse((row.created, row.status, row.attempt)));
    for statuses in [&[][..], &[Status::Failure, Status::Success], &[Status::Success]] {
        let meant: Vec<_> = rows
            .iter()
            .filter(|row| statuses.is_empty() || statuses.contains(&row.status))
            .cloned()
            .collect();
        let list =
            async |skip, limit| h.stores.history(&t, &d, statuses, skip, limit).await.unwrap();
        assert_eq!(list(0, usize::MAX).await, meant);
        assert_eq!(list(0, 0).await, []);
        assert_eq!(list(u64::MAX, usize::MAX).await, []);
        for skip in 0..=meant.len() {
            let end = meant.len().min(skip + 2);
            assert_eq!(list(skip as u64, 2).await, meant[skip..end]);
        }
    }
}

async fn the_last_end_of_each_device_is_found(h: &Harness) {
    let t = tenant();
    let ended = |deployment: &str, device: &str, created, millis| DeviceDeployment {
        created: at(created),
        ended: Some(Ended { status: Status::Failure, at: at(millis) }),
        ..record(deployment, device, Status::Failure)
    };
    let rows = [
        ended("x", "a", 1, 9),
        ended("y", "a", 2, 8),
        ended("x", "b", 1, 5),
        // At the same moment: the newer deployment, then the greater id.
        ended("y", "b", 3, 5),
        ended("z", "b", 2, 5),
        ended("x", "c", 1, 5),
        ended("y", "c", 1, 5),
        record("x", "none", Status::Pending),
        waiting("x", "waits"),
        // A report came after the end.
        DeviceDeployment { status: Status::Installing, ..ended("x", "back", 1, 5) },
    ];
    for row in &rows {
        put_row(h, row).await;
    }
    let devices: Vec<DeviceId> =
        ["c", "a", "ghost", "none", "waits", "b", "a", "back"].map(id).into();
    let found = by_key(h.stores.last_ended(&t, &devices).await.unwrap());
    let keys: Vec<&str> = found.iter().map(|row| row.key.as_str()).collect();
    assert_eq!(keys, ["x/a/1", "x/back/1", "y/b/1", "y/c/1"]);
    assert_eq!(found[0], rows[0]);
}

async fn walks_pass_each_open_row_once(h: &Harness) {
    let (t, x) = (tenant(), id("x"));
    for (n, device) in ODD_IDS.into_iter().enumerate() {
        match n % 3 {
            0 => put_row(h, &waiting("x", device)).await,
            1 => put_row(h, &record("x", device, Status::Installing)).await,
            _ => {
                let mut reset = record("x", device, Status::Success);
                reset.deleted = Some(at(1));
                put_row(h, &reset).await;
                put_row(h, &reset.again()).await;
            }
        }
    }
    put_row(h, &record("x", "ended", Status::Success)).await;
    put_row(h, &waiting("y", "other")).await;
    let mut met = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let rows = h.stores.open_rows(&t, &x, after.as_deref(), 5).await.unwrap();
        let Some(last) = rows.last() else { break };
        after = Some(last.key.clone());
        met.extend(rows);
    }
    assert_eq!(met, h.stores.open_rows(&t, &x, None, usize::MAX).await.unwrap());
    let mut devices: Vec<&str> = met.iter().map(|row| row.device.as_str()).collect();
    devices.sort_unstable();
    assert_eq!(devices, ODD_IDS);
    for row in met {
        let last = get_row(h, &t, "x", row.device.as_str()).await;
        assert_eq!(last, Some(row));
    }
}

async fn silent_devices_are_found_by_when_they_were_heard_of(h: &Harness) {
    let t = tenant();
    let heard = |device: &str, millis| DeviceDeployment {
        heard: Some(at(millis)),
        ..record("x", device, Status::Installing)
    };
    let watched = [heard("d", 5), heard("a", 7), heard("b", 7), heard("c", 9)];
    for row in &watched {
        put_row(h, row).await;
    }
    // Those that ended, or were never heard of, and those of another deployment.
    put_row(h, &DeviceDeployment { status: Status::Success, ..heard("e", 6) }).await;
    put_row(h, &record("x", "f", Status::Installing)).await;
    put_row(h, &DeviceDeployment { stage: Stage::Waiting, ..heard("g", 6) }).await;
    put_row(h, &DeviceDeployment { heard: Some(at(6)), ..record("y", "a", Status::Pending) }).await;
    let silent = async |from, to, limit| {
        let found = h.stores.silent_rows(&t, &id("x"), at(from)..at(to), limit).await.unwrap();
        found.iter().map(|row| row.device.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(silent(0, 100, 9).await, "d a b c");
    assert_eq!(silent(0, 100, 2).await, "d a");
    assert_eq!(silent(7, 9, 9).await, "a b");
    assert_eq!(silent(9, 9, 9).await, "");
    // One that is heard of again moves.
    let was = get_row(h, &t, "x", "d").await.unwrap();
    let to = DeviceDeployment { heard: Some(at(8)), fetching: true, ..was.clone() };
    commit_row(h, &t, Commit::update(was, to)).await.unwrap();
    assert_eq!(silent(0, 100, 9).await, "a b d c");
}

async fn dynamic_deployments_are_those_that_have_not_ended(h: &Harness) {
    let t = tenant();
    assert_eq!(h.stores.dynamic_deployments(&t).await.unwrap(), []);
    let open = dynamic(deployment("open", 1));
    let filling = Deployment { state: State::Filling, ..dynamic(deployment("filling", 2)) };
    for known in [&open, &filling, &finished(dynamic(deployment("ended", 3)), 9)] {
        put(h, known).await;
    }
    put(h, &deployment("plain", 4)).await;
    let mut found = h.stores.dynamic_deployments(&t).await.unwrap();
    found.sort_by_key(|known| known.created);
    assert_eq!(found, [open.clone(), filling]);
    assert_eq!(h.stores.dynamic_deployments(&other_tenant()).await.unwrap(), []);
    commit(h, &t, Commit::update(open.clone(), finished(open, 9))).await.unwrap();
    assert_eq!(h.stores.dynamic_deployments(&t).await.unwrap().len(), 1);
}
