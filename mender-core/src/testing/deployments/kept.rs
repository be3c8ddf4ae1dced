#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use crate::{
    commit::Commit,
    deployments::{CHUNK, DeploymentSettings, DeviceDeployment, Log, Message, Status, Targets},
    error::StoreResult,
    id::{DeviceId, TenantId, Version},
    testing::{
        contract::{Harness, claims},
        deployments::{
            made::{full, record, settings, waiting},
            rows::{get_row, put_row},
        },
        fixtures::{ODD_IDS, fact, id, is_conflict, is_taken, other_tenant, tenant},
    },
};

claims!["deployments":
    filling_writes_rows_where_there_are_none,
    a_large_fill_is_complete,
    targets_come_in_the_order_given,
    targets_of_other_tickets_and_tenants_are_not_found,
    a_log_is_returned_as_it_was_stored,
    the_largest_log_is_kept,
    what_is_kept_changes_in_its_version_only,
    erasing_removes_so_many_rows_with_their_logs,
    settings_are_returned_as_they_were_stored,
];

pub(super) async fn fill(h: &Harness, rows: &[DeviceDeployment]) {
    h.stores.fill(&tenant(), rows).await.unwrap();
}

async fn filling_writes_rows_where_there_are_none(h: &Harness) {
    let t = tenant();
    let met = record("x", "b", Status::Installing);
    put_row(h, &met).await;
    let rows = ["a", "b", "c"].map(|device| waiting("x", device));
    for _ in 0..2 {
        fill(h, &rows).await;
        assert_eq!(get_row(h, &t, "x", "a").await.as_ref(), Some(&rows[0]));
        assert_eq!(get_row(h, &t, "x", "b").await.as_ref(), Some(&met));
        assert_eq!(get_row(h, &t, "x", "c").await.as_ref(), Some(&rows[2]));
        assert_eq!(h.stores.open_rows(&t, &id("x"), None, 9).await.unwrap().len(), 3);
    }
    fill(h, &[]).await;
    // What is the same row twice is one, and what comes beside is all there.
    let twice = [waiting("y", "a"), full("y", "b"), waiting("y", "a")];
    fill(h, &twice).await;
    assert_eq!(get_row(h, &t, "y", "b").await.as_ref(), Some(&twice[1]));
    assert_eq!(h.stores.erase_rows(&t, &id("y"), 9).await.unwrap(), 2);
    assert_eq!(get_row(h, &other_tenant(), "x", "a").await, None);
    h.stores.fill(&other_tenant(), &rows).await.unwrap();
    assert_eq!(get_row(h, &other_tenant(), "x", "b").await.as_ref(), Some(&rows[1]));
}

async fn a_large_fill_is_complete(h: &Harness) {
    let rows: Vec<_> =
        (0..2 * CHUNK + 1).map(|n| waiting("x", &format!("device {n:05}"))).collect();
    fill(h, &rows).await;
    let found = h.stores.open_rows(&tenant(), &id("x"), None, usize::MAX).await.unwrap();
    assert_eq!(found, rows);
    let mut walked = Vec::new();
    loop {
        let after = walked.last().map(|row: &DeviceDeployment| row.key.clone());
        let found = h.stores.rows(&tenant(), &id("x"), after.as_deref(), CHUNK).await.unwrap();
        if found.is_empty() {
            break;
        }
        walked.extend(found);
    }
    assert_eq!(walked, rows);
}

async fn commit_targets(h: &Harness, t: &TenantId, commit: Commit<Targets>) -> StoreResult<()> {
    let stamped = h.stamp(t, commit);
    h.stores.commit_targets(t, stamped).await
}

async fn targets(h: &Harness, t: &TenantId, keys: &[&str]) -> Vec<Targets> {
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    h.stores.targets(t, &keys).await.unwrap()
}

async fn targets_of(h: &Harness, t: &TenantId, ticket: &str) -> Vec<Targets> {
    h.stores.targets_of(t, ticket, None, usize::MAX).await.unwrap()
}

async fn targets_come_in_the_order_given(h: &Harness) {
    let t = tenant();
    let odd = || ODD_IDS.into_iter().rev().map(id).collect::<Vec<DeviceId>>();
    let parts: Vec<Targets> = (0..12).map(|n| Targets::new("t", n, &odd())).collect();
    for n in [3, 11, 0, 7, 1, 10, 2, 9, 8, 4, 6, 5] {
        commit_targets(h, &t, Commit::insert(parts[n].clone())).await.unwrap();
    }
    assert_eq!(targets_of(h, &t, "t").await, parts);
    assert_eq!(parts[0].devices.to_vec().unwrap(), odd());
    let step = async |after: Option<&str>, limit| {
        h.stores.targets_of(&t, "t", after, limit).await.unwrap()
    };
    assert_eq!(step(None, 5).await, parts[..5]);
    assert_eq!(step(Some(&parts[4].key), 5).await, parts[5..10]);
    assert_eq!(step(Some(&parts[9].key), 5).await, parts[10..]);
    assert_eq!(step(Some(&parts[11].key), 5).await, []);
    assert_eq!(step(None, 0).await, []);
    let large: Vec<DeviceId> = (0..CHUNK).map(|n| id(&format!("{n:0256}"))).collect();
    let large = Targets::new("u", 0, &large);
    let commit = Commit::insert(large.clone()).event(fact("made"));
    commit_targets(h, &t, commit).await.unwrap();
    let (first, last) = (parts[3].key.as_str(), large.key.as_str());
    let found = targets(h, &t, &[last, "ghost", first, last, "u/00000001"]).await;
    assert_eq!(found, [parts[3].clone(), large.clone()]);
    assert_eq!(targets_of(h, &t, "u").await, [large]);
    assert_eq!(h.events().await.len(), 1);
}

async fn targets_of_other_tickets_and_tenants_are_not_found(h: &Harness) {
    let (t, other) = (tenant(), other_tenant());
    let make = |ticket: &str| Targets::new(ticket, 0, &[id("d")]);
    for ticket in ["t", "t2", "T"] {
        commit_targets(h, &t, Commit::insert(make(ticket))).await.unwrap();
    }
    let key = make("t").key;
    assert_eq!(targets_of(h, &t, "t").await, [make("t")]);
    assert_eq!(targets(h, &t, &[&key]).await, [make("t")]);
    assert_eq!(targets(h, &t, &[]).await, []);
    assert_eq!(targets(h, &t, &["", "\0", "t", "é\u{301}/0000000"]).await, []);
    assert_eq!(targets(h, &other, &[&key]).await, []);
    assert_eq!(targets_of(h, &other, "t").await, []);
    is_conflict(commit_targets(h, &other, Commit::delete(make("t"))).await);
    commit_targets(h, &t, Commit::delete(make("t"))).await.unwrap();
    assert_eq!(targets(h, &t, &[&key]).await, []);
    assert_eq!(targets_of(h, &t, "t").await, []);
}

async fn commit_log(h: &Harness, t: &TenantId, commit: Commit<Log>) -> StoreResult<()> {
    let stamped = h.stamp(t, commit);
    h.stores.commit_log(t, stamped).await
}

async fn get_log(h: &Harness, t: &TenantId, deployment: &str, device: &str) -> Option<Log> {
    h.stores.log(t, &id(deployment), &id(device)).await.unwrap()
}

fn log(deployment: &str, device: &str, text: &str) -> Log {
    let message =
        Message { timestamp: "now é".into(), level: "ërror".into(), message: text.into() };
    Log::new(&id(deployment), &id(device), vec![message.clone(), message])
}

async fn a_log_is_returned_as_it_was_stored(h: &Harness) {
    let t = tenant();
    assert_eq!(get_log(h, &t, "x", "d").await, None);
    for odd in ODD_IDS {
        let first = log("x", odd, "é😀\u{0}\u{7f}\"\\\n'; --");
        let change = Commit::insert(first.clone()).event(fact("made"));
        commit_log(h, &t, change).await.unwrap();
        assert_eq!(get_log(h, &t, "x", odd).await, Some(first.clone()));
        assert_eq!(get_log(h, &t, "y", odd).await, None);
        assert_eq!(get_log(h, &other_tenant(), "x", odd).await, None);
        let change = Commit::update(first, log("x", odd, "")).event(fact("changed"));
        let second = change.aggregate().cloned();
        commit_log(h, &t, change).await.unwrap();
        assert_eq!(get_log(h, &t, "x", odd).await, second);
    }
    assert_eq!(h.events().await.len(), 2 * ODD_IDS.len());
}

async fn the_largest_log_is_kept(h: &Harness) {
    let line =
        Message { timestamp: String::new(), level: "info".into(), message: "é".repeat(400) };
    let large = Log::new(&id("x"), &id("d"), vec![line; 2400]);
    assert!(serde_json::to_string(&large).unwrap().len() > 2_000_000);
    commit_log(h, &tenant(), Commit::insert(large.clone())).await.unwrap();
    assert_eq!(get_log(h, &tenant(), "x", "d").await, Some(large));
}

async fn what_is_kept_changes_in_its_version_only(h: &Harness) {
    let t = tenant();
    let first = log("x", "d", "one");
    is_conflict(commit_log(h, &t, Commit::update(first.clone(), first.clone())).await);
    commit_log(h, &t, Commit::insert(first.clone())).await.unwrap();
    is_taken(&commit_log(h, &t, Commit::insert(log("x", "d", "two"))).await);
    let change = Commit::update(first.clone(), log("x", "d", "two"));
    commit_log(h, &t, change.clone()).await.unwrap();
    is_conflict(commit_log(h, &t, change).await);
    is_conflict(commit_log(h, &t, Commit::delete(first)).await);
    commit_log(h, &t, Commit::nothing()).await.unwrap();

    let first = Targets::new("t", 0, &[id("d")]);
    let second = Targets::new("t", 0, &[id("e"), id("d")]);
    is_conflict(commit_targets(h, &t, Commit::update(first.clone(), first.clone())).await);
    commit_targets(h, &t, Commit::insert(first.clone())).await.unwrap();
    is_taken(&commit_targets(h, &t, Commit::insert(second.clone())).await);
    let change = Commit::update(first.clone(), second);
    commit_targets(h, &t, change.clone()).await.unwrap();
    is_conflict(commit_targets(h, &t, change.clone()).await);
    is_conflict(commit_targets(h, &t, Commit::delete(first)).await);
    assert_eq!(targets_of(h, &t, "t").await.as_slice(), change.aggregate().cloned().as_slice());
    commit_targets(h, &t, Commit::nothing()).await.unwrap();
}

async fn erasing_removes_so_many_rows_with_their_logs(h: &Harness) {
    let t = tenant();
    for device in ["a", "b", "c"] {
        for deployment in ["x", "y"] {
            put_row(h, &record(deployment, device, Status::Success)).await;
            commit_log(h, &t, Commit::insert(log(deployment, device, ""))).await.unwrap();
        }
    }
    let again = record("x", "c", Status::Success).again();
    put_row(h, &again).await;
    let erase = async |limit| h.stores.erase_rows(&t, &id("x"), limit).await.unwrap();
    let left = async || {
        let mut left = (0, 0);
        for device in ["a", "b", "c"] {
            left.0 += usize::from(get_row(h, &t, "x", device).await.is_some());
            left.1 += usize::from(get_log(h, &t, "x", device).await.is_some());
        }
        left
    };
    assert_eq!(erase(0).await, 0);
    assert_eq!(left().await, (3, 3));
    assert_eq!(erase(2).await, 2);
    assert_eq!(left().await, (1, 1));
    assert_eq!(erase(usize::MAX).await, 2);
    assert_eq!(left().await, (0, 0));
    assert_eq!(erase(9).await, 0);
    assert_eq!(h.stores.records(&t, &[again.record]).await.unwrap(), []);
    assert!(get_row(h, &t, "y", "a").await.is_some());
    assert!(get_log(h, &t, "y", "a").await.is_some());
}

async fn commit_settings(
    h: &Harness,
    t: &TenantId,
    commit: Commit<DeploymentSettings>,
) -> StoreResult<()> {
    let stamped = h.stamp(t, commit);
    h.stores.commit_deployment_settings(t, stamped).await
}

async fn settings_are_returned_as_they_were_stored(h: &Harness) {
    let t = tenant();
    let get = async |t: &TenantId| h.stores.deployment_settings(t).await.unwrap();
    assert_eq!(get(&t).await, None);
    let first = settings();
    is_conflict(commit_settings(h, &t, Commit::update(first.clone(), first.clone())).await);
    let insert = Commit::insert(first.clone()).event(fact("made"));
    commit_settings(h, &t, insert).await.unwrap();
    assert_eq!(get(&t).await, Some(first.clone()));
    assert_eq!(get(&other_tenant()).await, None);
    is_conflict(commit_settings(h, &t, Commit::insert(first.clone())).await);
    let bare = DeploymentSettings { version: first.version, ..DeploymentSettings::default() };
    let change = Commit::update(first.clone(), bare);
    commit_settings(h, &t, change.clone()).await.unwrap();
    assert_eq!(get(&t).await.as_ref(), change.aggregate());
    is_conflict(commit_settings(h, &t, change).await);
    is_conflict(commit_settings(h, &t, Commit::delete(first.clone())).await);
    commit_settings(h, &t, Commit::nothing()).await.unwrap();
    let last = get(&t).await.unwrap();
    assert_eq!(last.version, first.version.next());
    commit_settings(h, &t, Commit::delete(last)).await.unwrap();
    assert_eq!(get(&t).await, None);
    let newer = DeploymentSettings { version: Version(1 << 50), ..first };
    commit_settings(h, &t, Commit::insert(newer.clone())).await.unwrap();
    assert_eq!(get(&t).await, Some(newer));
    assert_eq!(h.events().await.len(), 1);
}
