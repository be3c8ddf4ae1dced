use std::collections::BTreeSet;

use mender_core::{
    Actor, Event, NodeId, Stamped, StoreError, StoreResult, TenantId, Time, Version,
    commit::{Change, Charge, Draw, Topic},
    feed::{Feed, Node},
    jobs::{Claim, Job, Jobs, NewJob, Verdict},
    outbox::Journal,
    quota::Quotas,
};
use serde_json::json;

use super::support::{Db, databases};
use crate::{
    SqlStore,
    sql::{Batch, Tail},
};

fn tenant() -> TenantId {
    "t1".parse().unwrap()
}

fn event(id: &str, key: &str, version: i64) -> Event {
    Event {
        id: id.parse().unwrap(),
        tenant: tenant(),
        aggregate: "auth.device".into(),
        key: key.into(),
        version: Version(version),
        kind: "device.accepted".into(),
        v: 1,
        at: Time(1000),
        actor: Actor::System,
        trace: "r1".into(),
        payload: json!({"a": "é\u{1F600}"}),
    }
}

fn stamped(id: &str, charges: Vec<Charge>, events: Vec<Event>) -> Stamped<()> {
    Stamped {
        id: id.into(),
        change: Change::Nothing,
        charges,
        events,
        lease_until: Time(2000),
        invalidates: vec![Topic { kind: "auth.device", key: id.into() }],
        at: Time(1000),
    }
}

async fn commit(store: &SqlStore, commit: &Stamped<()>) -> StoreResult<()> {
    let batch = Batch::new().tail(&tenant(), commit);
    store.sql.run(batch).await.map(drop)
}

fn charge(draw: Draw) -> Vec<Charge> {
    vec![Charge { quota: "max_devices".into(), draw }]
}

async fn quota(store: &SqlStore) -> (i64, i64) {
    let quota = store.quota(&tenant(), "max_devices").await.unwrap();
    (quota.free, quota.used)
}

#[tokio::test]
async fn events_are_claimed_after_their_lease_and_settled() {
    for Db { store, name, .. } in databases().await {
        let events = vec![event("e1", "d1", 1), event("e2", "d1", 2)];
        commit(&store, &stamped("c1", vec![], events.clone())).await.unwrap();
        let claim = async |now, until| store.claim_events(Time(now), Time(until), 9).await.unwrap();
        assert!(claim(1999, 3000).await.is_empty(), "{name}");
        assert_eq!(claim(2000, 3000).await, events, "{name}");
        assert!(claim(2500, 3500).await.is_empty(), "{name}");
        assert_eq!(store.unsettled_events().await.unwrap(), 2);
        let earlier = async |version| {
            let tenant = tenant();
            let answer = store.has_earlier(&tenant, "auth.device", "d1", Version(version));
            answer.await.unwrap()
        };
        assert!(earlier(2).await && !earlier(1).await, "{name}");
        store.settle_events(&events).await.unwrap();
        store.settle_events(&events).await.unwrap();
        assert_eq!(store.unsettled_events().await.unwrap(), 0);
        let feed = store.feed_since(Time(1000)).await.unwrap();
        assert_eq!((feed.len(), feed[0].key.as_str()), (1, "c1"), "{name}");
        store.sweep_feed(Time(1001), 10).await.unwrap();
        assert!(store.feed_since(Time(0)).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn no_event_goes_to_two_callers() {
    for Db { store, name, .. } in databases().await {
        let events = (0..200).map(|n| event(&format!("e{n:03}"), "d1", n)).collect();
        commit(&store, &stamped("c1", vec![], events)).await.unwrap();
        let claim = |_| async {
            let mut mine = Vec::new();
            loop {
                let some = store.claim_events(Time(5000), Time(9000), 7).await.unwrap();
                if some.is_empty() {
                    return mine;
                }
                mine.extend(some.into_iter().map(|e| e.id));
            }
        };
        let claimed = futures_util::future::join_all((0..8).map(claim)).await.concat();
        let unique: BTreeSet<_> = claimed.iter().collect();
        assert_eq!((claimed.len(), unique.len()), (200, 200), "{name}");
    }
}

#[tokio::test]
async fn quotas_are_never_exceeded() {
    for Db { store, name, .. } in databases().await {
        let move_by = Draw::Move(40 - mender_core::quota::UNLIMITED);
        commit(&store, &stamped("limit", charge(move_by), vec![])).await.unwrap();
        assert_eq!(quota(&store).await, (40, 0), "{name}");
        let store = &store;
        let take = |task: usize| async move {
            let mut taken = 0;
            for n in 0..5 {
                let id = format!("c{task}-{n}");
                let events = vec![event(&id, "d", 1)];
                match commit(store, &stamped(&id, charge(Draw::Take(1)), events)).await {
                    Ok(()) => taken += 1,
                    Err(StoreError::LimitReached { quota }) => assert_eq!(quota, "max_devices"),
                    Err(error) => panic!("{name}: {error}"),
                }
            }
            taken
        };
        let taken = futures_util::future::join_all((0..16).map(take)).await;
        assert_eq!(taken.iter().sum::<u64>(), 40, "{name}");
        assert_eq!(quota(store).await, (0, 40), "{name}");
        assert_eq!(store.unsettled_events().await.unwrap(), 40, "{name}");
        for draw in [Draw::Move(-10), Draw::Give(4)] {
            let id = format!("{draw:?}");
            commit(store, &stamped(&id, charge(draw), vec![])).await.unwrap();
        }
        assert_eq!(quota(store).await, (-6, 36), "{name}");
    }
}

#[tokio::test]
async fn an_untouched_quota_is_unlimited() {
    for Db { store, name, .. } in databases().await {
        let free = mender_core::quota::UNLIMITED;
        assert_eq!(quota(&store).await, (free, 0));
        commit(&store, &stamped("c", charge(Draw::Take(3)), vec![])).await.unwrap();
        assert_eq!(quota(&store).await, (free - 3, 3), "{name}");
    }
}

fn new_job(key: &str, lane: &str, due_at: i64) -> NewJob {
    NewJob {
        kind: "k".into(),
        key: key.into(),
        lane: lane.into(),
        due_at: Time(due_at),
        payload: json!({"n": 1}),
    }
}

async fn claim(store: &SqlStore, now: i64, limit: usize) -> Vec<Job> {
    let claim = Claim {
        kinds: vec!["k".into(), "other".into()],
        now: Time(now),
        lease_until: Time(now + 100),
        limit,
    };
    store.claim_jobs(&claim).await.unwrap()
}

fn keys(jobs: &[Job]) -> Vec<&str> {
    jobs.iter().map(|job| job.key.as_str()).collect()
}

async fn next(store: &SqlStore) -> Option<i64> {
    let kinds = ["k".to_owned()];
    store.next_due(&kinds).await.unwrap().map(|time| time.0)
}

#[tokio::test]
async fn jobs_are_due_leased_and_settled_by_attempt() {
    for Db { store, name, .. } in databases().await {
        let jobs = [new_job("b", "", 20), new_job("a", "", 10), new_job("a", "", 5)];
        store.put_jobs(&jobs).await.unwrap();
        assert_eq!(next(&store).await, Some(10), "{name}");
        assert!(claim(&store, 9, 9).await.is_empty());
        let first = claim(&store, 30, 9).await;
        assert_eq!(keys(&first), ["a", "b"], "{name}");
        assert_eq!(next(&store).await, Some(130), "{name}");
        assert!(claim(&store, 129, 9).await.is_empty(), "{name}");
        let second = claim(&store, 130, 1).await;
        assert_eq!((keys(&second), second[0].attempt), (vec!["a"], 2));
        let stale = (first[0].clone(), Verdict::Done);
        let again =
            Verdict::Again { due_at: Time(500), payload: json!({"n": 2}), error: "later".into() };
        store.settle_jobs(&[stale, (first[1].clone(), again)]).await.unwrap();
        assert_eq!(next(&store).await, Some(230), "{name}");
        let done = (second[0].clone(), Verdict::Done);
        store.settle_jobs(&[done]).await.unwrap();
        let last = claim(&store, 500, 9).await;
        assert_eq!((keys(&last), &last[0].payload), (vec!["b"], &json!({"n": 2})));
    }
}

#[tokio::test]
async fn a_lane_runs_by_key_and_passes_its_dead() {
    for Db { store, name, .. } in databases().await {
        let jobs = [new_job("2", "x", 10), new_job("1", "x", 20), new_job("3", "x", 10)];
        store.put_jobs(&jobs).await.unwrap();
        assert!(claim(&store, 15, 9).await.is_empty(), "{name}");
        let first = claim(&store, 20, 9).await;
        assert_eq!(keys(&first), ["1"], "{name}");
        assert!(claim(&store, 21, 9).await.is_empty(), "{name}");
        let dead = Verdict::Dead { at: Time(22), error: "no use".into() };
        store.settle_jobs(&[(first[0].clone(), dead)]).await.unwrap();
        let second = claim(&store, 30, 9).await;
        assert_eq!(keys(&second), ["2"], "{name}");
        store.settle_jobs(&[(second[0].clone(), Verdict::Done)]).await.unwrap();
        let dead = store.dead_jobs(9).await.unwrap();
        assert_eq!((dead.len(), dead[0].error.as_str()), (1, "no use"), "{name}");
        assert_eq!(store.redrive_jobs(Some("other"), Time(40)).await.unwrap(), 0);
        assert_eq!(store.redrive_jobs(None, Time(40)).await.unwrap(), 1);
        let redriven = claim(&store, 40, 9).await;
        assert_eq!((keys(&redriven), redriven[0].attempt), (vec!["1"], 1), "{name}");
    }
}

#[tokio::test]
async fn no_attempt_goes_to_two_callers() {
    for Db { store, name, .. } in databases().await {
        let jobs: Vec<_> = (0..120).map(|n| new_job(&format!("{n:03}"), "", n)).collect();
        store.put_jobs(&jobs).await.unwrap();
        let work = |_| async {
            let mut mine = Vec::new();
            loop {
                let some = claim(&store, 1000, 5).await;
                if some.is_empty() {
                    return mine;
                }
                mine.extend(some.into_iter().map(|job| job.key));
            }
        };
        let claimed = futures_util::future::join_all((0..8).map(work)).await.concat();
        let unique: BTreeSet<_> = claimed.iter().collect();
        assert_eq!((claimed.len(), unique.len()), (120, 120), "{name}");
    }
}

#[tokio::test]
async fn nodes_come_and_go() {
    for Db { store, name, .. } in databases().await {
        let id: NodeId = "n1".parse().unwrap();
        for (at, runs) in [(10, false), (20, true)] {
            let node = Node { id: id.clone(), at: Time(at), runs };
            store.beat(&node).await.unwrap();
            assert_eq!(store.nodes(Time(at)).await.unwrap(), [node], "{name}");
        }
        assert!(store.nodes(Time(21)).await.unwrap().is_empty(), "{name}");
        store.leave(&id).await.unwrap();
        assert!(store.nodes(Time(0)).await.unwrap().is_empty(), "{name}");
    }
}
