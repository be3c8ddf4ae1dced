#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use crate::{
    commit::Commit,
    deployments::{Deployment, DeploymentQuery, DeviceDeployment, Status},
    error::StoreError,
    testing::{
        contract::{Harness, claims},
        deployments::{
            commit,
            kept::fill,
            made::{deployment, record, waiting},
            rows::{commit_row, get_row, put_row},
        },
        fixtures::{TASKS, fact, id, is_taken, tenant},
    },
};

claims!["deployments":
    no_report_is_lost_under_contention,
    a_row_is_made_once_under_contention,
    a_fingerprint_is_taken_once_under_contention,
    rows_are_filled_once_under_contention,
];

const ROUNDS: usize = 5;

async fn no_report_is_lost_under_contention(h: &Harness) {
    put_row(h, &record("x", "d", Status::Pending)).await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            for round in 0..ROUNDS {
                loop {
                    let was = get_row(&h, &tenant(), "x", "d").await.unwrap();
                    h.waver().await;
                    let mut to = was.clone();
                    to.substate = format!("{}{task}", was.substate);
                    to.bytes += 1;
                    to.status = Status::ALL[(task + round) % Status::ALL.len()];
                    let change = Commit::update(was, to).event(fact("reported"));
                    match commit_row(&h, &tenant(), change).await {
                        Ok(()) => break,
                        Err(StoreError::Conflict) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                }
            }
        });
    }
    tasks.join_all().await;
    let stored = get_row(h, &tenant(), "x", "d").await.unwrap();
    let reports = TASKS * ROUNDS;
    assert_eq!((stored.substate.len(), stored.bytes), (reports, reports as u64));
    assert_eq!(stored.version.0, 1 + i64::try_from(reports).unwrap());
    let events = h.events().await;
    let versions: BTreeSet<i64> = events.iter().map(|event| event.version.0).collect();
    assert_eq!((events.len(), versions.len()), (reports, reports));
    let listed = h.stores.listed(&tenant(), &id("x"), &Status::ALL, 0, 9).await.unwrap();
    assert_eq!(listed, [stored]);
}

async fn a_row_is_made_once_under_contention(h: &Harness) {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            let made = DeviceDeployment {
                substate: task.to_string(),
                ..record("x", "d", Status::Pending)
            };
            h.waver().await;
            commit_row(&h, &tenant(), Commit::insert(made.clone())).await.map(|()| made)
        });
    }
    let answers = tasks.join_all().await;
    answers.iter().filter(|answer| answer.is_err()).for_each(is_taken);
    let winners: Vec<_> = answers.into_iter().filter_map(Result::ok).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(get_row(h, &tenant(), "x", "d").await.as_ref(), winners.first());
}

async fn a_fingerprint_is_taken_once_under_contention(h: &Harness) {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            let millis = i64::try_from(task).unwrap();
            let mut new = deployment(&format!("d{task}"), millis);
            new.fingerprint = Some("alike".into());
            h.waver().await;
            commit(&h, &tenant(), Commit::insert(new.clone())).await.map(|()| new)
        });
    }
    let answers = tasks.join_all().await;
    answers.iter().filter(|answer| answer.is_err()).for_each(is_taken);
    let winners: Vec<Deployment> = answers.into_iter().filter_map(Result::ok).collect();
    assert_eq!(winners.len(), 1);
    let all = DeploymentQuery::default();
    assert_eq!(h.stores.deployments(&tenant(), &all, 0, 99).await.unwrap(), winners);
}

async fn rows_are_filled_once_under_contention(h: &Harness) {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            // In the same order, as all walks go.
            let rows: Vec<_> = (0..20).map(|n| waiting("x", &format!("{:02}", task + n))).collect();
            h.waver().await;
            fill(&h, &rows).await;
            let was = rows.first().unwrap().clone();
            let to = DeviceDeployment { substate: "met".into(), ..was.clone() };
            commit_row(&h, &tenant(), Commit::update(was, to)).await.unwrap();
            fill(&h, &rows).await;
        });
    }
    tasks.join_all().await;
    let rows = h.stores.open_rows(&tenant(), &id("x"), None, usize::MAX).await.unwrap();
    assert_eq!(rows.len(), TASKS + 19);
    let met = rows.iter().filter(|row| row.substate == "met").count();
    assert_eq!(met, TASKS);
}
