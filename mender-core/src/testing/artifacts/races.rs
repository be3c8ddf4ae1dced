#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use tokio::task::JoinSet;

use crate::{
    artifacts::{
        ArtifactId, Upload, UploadState,
        logic::{self, STORAGE},
    },
    commit::Commit,
    error::StoreError,
    quota::UNLIMITED,
    testing::{
        artifacts::{
            commit, get,
            kept::{commit_upload, get_upload},
            made::{artifact, for_types, release, upload},
        },
        contract::{Harness, claims},
        fixtures::{TASKS, at, id, is_conflict, is_taken, tenant},
    },
};

claims!["artifacts":
    no_artifact_is_lost_under_contention,
    artifacts_never_fit_the_same_device_under_contention,
    a_name_is_taken_once_under_contention,
    an_upload_is_taken_once_under_contention,
];

const ROUNDS: usize = 5;

/// Adds an artifact as a service does: loads and decides again where others came first.
/// Tells whether no other one was in its way.
async fn add(h: &Harness, name: &str, board: &str) -> bool {
    loop {
        let was = get(h, &tenant(), "r").await;
        h.waver().await;
        let new = for_types(artifact(name, "r"), &[board]);
        let Ok(adding) = logic::add(was, new, at(0)) else {
            return false;
        };
        match commit(h, &tenant(), adding).await {
            Ok(()) => return true,
            Err(StoreError::Conflict | StoreError::Duplicate { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
}

async fn no_artifact_is_lost_under_contention(h: &Harness) {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            for round in 0..ROUNDS {
                let name = format!("{task}-{round}");
                assert!(add(&h, &name, &name).await);
            }
        });
    }
    tasks.join_all().await;
    let stored = get(h, &tenant(), "r").await.unwrap();
    let count = TASKS * ROUNDS;
    let ids: std::collections::BTreeSet<&ArtifactId> =
        stored.artifacts.iter().map(|artifact| &artifact.id).collect();
    assert_eq!((stored.artifacts.len(), ids.len()), (count, count));
    let changes = i64::try_from(count).unwrap();
    assert_eq!(stored.version.0, at(0).0 + changes - 1);
    assert_eq!(h.events().await.len(), count);
    let used = changes * 1000;
    assert_eq!(h.settled_quota(&tenant(), STORAGE).await, (UNLIMITED - used, used));
}

async fn artifacts_never_fit_the_same_device_under_contention(h: &Harness) {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            let mut added = 0_usize;
            for round in 0..ROUNDS {
                let name = format!("{task}-{round}");
                added += usize::from(add(&h, &name, &format!("board {round}")).await);
            }
            added
        });
    }
    let added: usize = tasks.join_all().await.into_iter().sum();
    let stored = get(h, &tenant(), "r").await.unwrap();
    assert_eq!((stored.artifacts.len(), added), (ROUNDS, ROUNDS));
    for (n, one) in stored.artifacts.iter().enumerate() {
        for other in &stored.artifacts[n + 1..] {
            assert_eq!(one.common(other), None);
        }
    }
    let used = i64::try_from(ROUNDS).unwrap() * 1000;
    assert_eq!(h.settled_quota(&tenant(), STORAGE).await, (UNLIMITED - used, used));
}

async fn a_name_is_taken_once_under_contention(h: &Harness) {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            let new = release("r", vec![artifact(&format!("a{task}"), "r")]);
            h.waver().await;
            commit(&h, &tenant(), Commit::insert(new.clone())).await.map(|()| new)
        });
    }
    let answers = tasks.join_all().await;
    answers.iter().filter(|answer| answer.is_err()).for_each(is_taken);
    let winners: Vec<_> = answers.into_iter().filter_map(Result::ok).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(get(h, &tenant(), "r").await.as_ref(), winners.first());
    for task in 0..TASKS {
        let name = format!("a{task}");
        let found = h.stores.release_of(&tenant(), &id(&name)).await.unwrap();
        assert_eq!(found.is_some(), winners[0].artifact(&id(&name)).is_some());
    }
}

async fn an_upload_is_taken_once_under_contention(h: &Harness) {
    let t = tenant();
    commit_upload(h, &t, Commit::insert(upload("a"))).await.unwrap();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            let until = at(i64::try_from(task).unwrap());
            let to = Upload { state: UploadState::Running, until, ..upload("a") };
            h.waver().await;
            let change = Commit::update(upload("a"), to);
            let taken = change.aggregate().cloned().unwrap();
            commit_upload(&h, &tenant(), change).await.map(|()| taken)
        });
    }
    let (taken, late): (Vec<_>, Vec<_>) =
        tasks.join_all().await.into_iter().partition(Result::is_ok);
    late.into_iter().for_each(is_conflict);
    assert_eq!(taken.len(), 1);
    let taken = taken.into_iter().next().unwrap().unwrap();
    assert_eq!(get_upload(h, &t, "a").await, Some(taken));
}
