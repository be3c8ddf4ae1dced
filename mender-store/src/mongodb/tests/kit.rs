use std::collections::BTreeSet;

use futures_util::future::{join_all, try_join_all};
use mender_core::{
    Time,
    feed::{Feed, Node},
    jobs::{Claim, Jobs, NewJob, Verdict},
};
use serde_json::json;

use super::support::{open_unprobed, url};
use crate::MongoStores;

fn job(key: &str, lane: &str) -> NewJob {
    NewJob {
        kind: "test".into(),
        key: key.into(),
        lane: lane.into(),
        due_at: Time(5),
        payload: json!({ "key": key }),
    }
}

async fn work(stores: &MongoStores) -> Vec<String> {
    let claim =
        Claim { kinds: vec!["test".into()], now: Time(5), lease_until: Time(100), limit: 3 };
    let mut done = Vec::new();
    let mut idle = 0;
    while idle < 5 {
        let claimed = stores.claim_jobs(&claim).await.unwrap();
        idle = if claimed.is_empty() { idle + 1 } else { 0 };
        done.extend(claimed.iter().map(|job| job.key.clone()));
        let settled: Vec<_> = claimed.into_iter().map(|job| (job, Verdict::Done)).collect();
        stores.settle_jobs(&settled).await.unwrap();
    }
    done
}

#[tokio::test]
async fn the_kit_runs_each_job_once() {
    let Some(url) = url() else {
        return;
    };
    let stores = MongoStores::new(open_unprobed(&url).await);
    let jobs: Vec<NewJob> = (0..24).map(|n| job(&format!("{n:02}"), "")).collect();
    let lane: Vec<NewJob> = (0..4).map(|n| job(&format!("lane/{n}"), "l")).collect();
    try_join_all([stores.put_jobs(&jobs), stores.put_jobs(&lane)]).await.unwrap();
    let done: Vec<String> = join_all((0..4).map(|_| work(&stores))).await.concat();
    let distinct: BTreeSet<&String> = done.iter().collect();
    assert_eq!((done.len(), distinct.len()), (28, 28));
    assert_eq!(stores.next_due(&["test".into()]).await.unwrap(), None);

    let node = Node { id: "n".parse().unwrap(), at: Time(7), runs: true };
    stores.beat(&node).await.unwrap();
    stores.beat(&Node { at: Time(9), ..node.clone() }).await.unwrap();
    let nodes = stores.nodes(Time(8)).await.unwrap();
    assert_eq!(nodes.len(), 1);
    stores.leave(&node.id).await.unwrap();
    assert!(stores.nodes(Time(0)).await.unwrap().is_empty());
    stores.docs().link.database().drop().await.unwrap();
}
