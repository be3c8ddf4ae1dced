#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use tokio::task::JoinSet;

use crate::{
    commit::Commit,
    error::StoreError,
    id::Version,
    testing::{
        contract::{Harness, claims},
        fixtures::{TASKS, auth_tenant, device, fact, id, is_taken, tenant, touched},
    },
};

claims!["auth":
    versions_have_no_gaps_under_contention,
    every_change_under_contention_leaves_its_event,
    an_identity_is_recorded_once_under_contention,
    an_id_is_taken_once_under_contention,
    a_device_is_deleted_once_under_contention,
    what_is_kept_for_a_tenant_is_made_once_under_contention,
];

const ROUNDS: i64 = 10;

/// Has every task change the device some times, each time by one version; returns how many
/// changes there were.
async fn contend(h: &Harness) -> i64 {
    h.insert_device(&tenant(), &device("d")).await;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            let mut done = 0;
            while done < ROUNDS {
                let was = h.device(&tenant(), "d").await.unwrap();
                h.waver().await;
                let mut change = touched(&was, was.version.0).event(fact("d.changed"));
                change = change.event(fact("d.told"));
                match h.commit_device(&tenant(), change).await {
                    Ok(()) => done += 1,
                    Err(StoreError::Conflict) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
        });
    }
    tasks.join_all().await;
    ROUNDS * i64::try_from(TASKS).unwrap()
}

async fn versions_have_no_gaps_under_contention(h: &Harness) {
    let changes = contend(h).await;
    let device = h.device(&tenant(), "d").await.unwrap();
    assert_eq!(device.version, Version(Version::FIRST.0 + changes));
}

async fn every_change_under_contention_leaves_its_event(h: &Harness) {
    let changes = contend(h).await;
    let events = h.events().await;
    for kind in ["d.changed", "d.told"] {
        let of_kind = events.iter().filter(|event| event.kind == kind);
        let mut versions: Vec<i64> = of_kind.map(|event| event.version.0).collect();
        versions.sort_unstable();
        let expected: Vec<i64> = (2..changes + 2).collect();
        assert_eq!(versions, expected, "{kind}");
    }
}

async fn an_identity_is_recorded_once_under_contention(h: &Harness) {
    for round in 0..ROUNDS {
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let h = h.clone();
            tasks.spawn(async move {
                let mut device = device(&format!("{round}-{task}"));
                device.identity = crate::testing::fixtures::identity(round);
                h.waver().await;
                let commit = Commit::insert(device).event(fact("d.recorded"));
                h.commit_device(&tenant(), commit).await
            });
        }
        let answers = tasks.join_all().await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        answers.iter().filter(|a| a.is_err()).for_each(is_taken);
    }
    let recorded = usize::try_from(ROUNDS).unwrap();
    let devices = h.stores.walk_devices(&tenant(), None, 1000).await.unwrap();
    assert_eq!(devices.len(), recorded);
    let mut written: Vec<String> = h.events().await.into_iter().map(|e| e.key).collect();
    written.sort();
    let ids: Vec<String> = devices.iter().map(|device| device.id.to_string()).collect();
    assert_eq!(written, ids);
}

async fn an_id_is_taken_once_under_contention(h: &Harness) {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            let mut device = device("d");
            device.identity = crate::testing::fixtures::identity(task);
            device.sets[0].id = id(&format!("set-{task}"));
            h.waver().await;
            h.commit_device(&tenant(), Commit::insert(device)).await
        });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    answers.iter().filter(|a| a.is_err()).for_each(is_taken);
    let winner = h.device(&tenant(), "d").await.unwrap();
    let hash = winner.identity.hash();
    let found = h.stores.device_by_identity(&tenant(), &hash).await.unwrap();
    assert_eq!(found.as_ref(), Some(&winner));
    let found = h.stores.device_of_set(&tenant(), &winner.sets[0].id).await;
    assert_eq!(found.unwrap(), Some(winner));
}

async fn a_device_is_deleted_once_under_contention(h: &Harness) {
    h.insert_device(&tenant(), &device("d")).await;
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            h.waver().await;
            let commit = Commit::delete(device("d")).event(fact("d.removed"));
            h.commit_device(&tenant(), commit).await
        });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(h.events().await.len(), 1);
}

async fn what_is_kept_for_a_tenant_is_made_once_under_contention(h: &Harness) {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            let mut kept = auth_tenant(&tenant());
            kept.from = i64::try_from(task).unwrap();
            h.waver().await;
            let stamped = h.stamp(&tenant(), Commit::insert(kept));
            h.stores.commit_auth_tenant(&tenant(), stamped).await
        });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    answers.iter().filter(|a| a.is_err()).for_each(is_taken);
}
