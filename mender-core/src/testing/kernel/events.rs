#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    auth::Device,
    commit::{Aggregate, Commit},
    event::{Event, NewEvent},
    id::Version,
    outbox::LEASE,
    testing::{
        contract::{Harness, claims},
        fixtures::{TASKS, auth_tenant, device, fact, other_tenant, tenant, touched},
    },
};

claims!["journal":
    events_are_written_with_their_commit_and_leased_to_it,
    payloads_are_kept_as_they_are,
    the_events_of_one_commit_are_all_kept,
    the_oldest_events_are_claimed_first,
    claimed_events_are_handed_over_when_the_lease_ends,
    settled_events_are_forgotten,
    settling_unknown_events_is_no_error,
    events_outlive_their_aggregate_and_its_successor,
    earlier_events_of_the_aggregate_are_told,
    no_event_goes_to_two_callers,
];

async fn insert(h: &Harness, name: &str, kinds: &[&str]) -> Vec<Event> {
    let mut commit = Commit::insert(device(name));
    for kind in kinds {
        commit = commit.event(fact(kind));
    }
    let stamped = h.stamp(&tenant(), commit);
    let events = stamped.events.clone();
    h.stores.commit_device(&tenant(), stamped).await.unwrap();
    events
}

async fn claim(h: &Harness, limit: usize) -> Vec<Event> {
    let now = h.time.env().now();
    let claimed = h.stores.claim_events(now, now + LEASE, limit).await;
    claimed.unwrap()
}

async fn unsettled(h: &Harness) -> u64 {
    h.stores.unsettled_events().await.unwrap()
}

async fn events_are_written_with_their_commit_and_leased_to_it(h: &Harness) {
    assert_eq!(unsettled(h).await, 0);
    let mut written = insert(h, "d", &["d.recorded"]).await;
    let kept = auth_tenant(&tenant());
    let stamped = h.stamp(&tenant(), Commit::insert(kept).event(fact("t.made")));
    written.extend(stamped.events.clone());
    h.stores.commit_auth_tenant(&tenant(), stamped).await.unwrap();
    assert_eq!(unsettled(h).await, 2);
    assert_eq!(claim(h, 10).await, []);
    h.time.advance(LEASE - Duration::from_millis(1));
    assert_eq!(claim(h, 10).await, []);
    h.time.advance(Duration::from_millis(1));
    let mut claimed = claim(h, 10).await;
    claimed.sort_by(|a, b| a.id.cmp(&b.id));
    written.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(claimed, written);
    assert_eq!(unsettled(h).await, 2);
}

async fn payloads_are_kept_as_they_are(h: &Harness) {
    let payloads = [
        json!(null),
        json!("text"),
        json!([]),
        json!({ "": "", "a.b": 1, "$set": { "$x": [] }, "ключ": "значение" }),
        json!([i64::MIN, u64::MAX, 0.1, -1.5e300, 9_007_199_254_740_993_i64]),
        json!("k".repeat(60_000)),
    ];
    let mut commit = Commit::insert(device("d"));
    for payload in payloads {
        commit = commit.event(NewEvent { payload, ..fact("d.recorded") });
    }
    let stamped = h.stamp(&tenant(), commit);
    h.stores.commit_device(&tenant(), stamped.clone()).await.unwrap();
    let mut events = h.events().await;
    events.sort_by_key(|e| stamped.events.iter().position(|s| s.id == e.id));
    assert_eq!(events, stamped.events);
}

async fn the_events_of_one_commit_are_all_kept(h: &Harness) {
    let kinds: Vec<String> = (0..20).map(|n| format!("d.k{n}")).collect();
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    insert(h, "d", &kinds).await;
    let found: BTreeSet<String> = h.events().await.into_iter().map(|e| e.kind).collect();
    assert_eq!(found.len(), 20);
}

async fn the_oldest_events_are_claimed_first(h: &Harness) {
    let mut written = Vec::new();
    for name in ["c", "a", "b", "d", "0"] {
        written.extend(insert(h, name, &["d.recorded"]).await);
        h.time.advance(Duration::from_millis(1));
    }
    h.time.advance(LEASE);
    assert_eq!(claim(h, 2).await, written[..2]);
    assert_eq!(claim(h, 2).await, written[2..4]);
    assert_eq!(claim(h, 2).await, written[4..]);
    assert_eq!(claim(h, 2).await, []);
}

async fn claimed_events_are_handed_over_when_the_lease_ends(h: &Harness) {
    let written = insert(h, "d", &["d.recorded"]).await;
    h.time.advance(LEASE);
    for _ in 0..3 {
        assert_eq!(claim(h, 10).await, written);
        assert_eq!(claim(h, 10).await, []);
        h.time.advance(LEASE - Duration::from_millis(1));
        assert_eq!(claim(h, 10).await, []);
        h.time.advance(Duration::from_millis(1));
    }
}

async fn settled_events_are_forgotten(h: &Harness) {
    let written = insert(h, "d", &["a", "b", "c"]).await;
    h.stores.settle_events(&written[..2]).await.unwrap();
    assert_eq!(unsettled(h).await, 1);
    assert_eq!(h.events().await, written[2..]);
    h.stores.settle_events(&written).await.unwrap();
    assert_eq!(unsettled(h).await, 0);
    assert_eq!(h.events().await, []);
}

async fn settling_unknown_events_is_no_error(h: &Harness) {
    let written = insert(h, "d", &["a"]).await;
    let ghosts = h.stamp(&tenant(), Commit::insert(device("ghost")).event(fact("b")));
    h.stores.settle_events(&ghosts.events).await.unwrap();
    h.stores.settle_events(&[]).await.unwrap();
    assert_eq!(h.events().await, written);
}

async fn events_outlive_their_aggregate_and_its_successor(h: &Harness) {
    let first = device("d");
    let mut expected = 0;
    for round in 1..4 {
        let mut again = first.clone();
        again.version = Version(round * 1000);
        let made = Commit::insert(again.clone()).event(fact("d.recorded"));
        h.commit_device(&tenant(), made).await.unwrap();
        let gone = Commit::delete(again).event(fact("d.removed"));
        h.commit_device(&tenant(), gone).await.unwrap();
        expected += 2;
        assert_eq!(unsettled(h).await, expected);
    }
    // A sweep takes nothing that is not delivered.
    h.settled_quota(&tenant(), "q").await;
    let events = h.events().await;
    assert_eq!(events.len(), 6);
    h.stores.settle_events(&events).await.unwrap();
    assert_eq!(unsettled(h).await, 0);
}

async fn earlier_events_of_the_aggregate_are_told(h: &Harness) {
    let mut events = insert(h, "d", &["d.recorded"]).await;
    let change = touched(&device("d"), 1).event(fact("d.changed"));
    let stamped = h.stamp(&tenant(), change);
    events.extend(stamped.events.clone());
    h.stores.commit_device(&tenant(), stamped).await.unwrap();
    let ask = async |t, kind, key, version| {
        let told = h.stores.has_earlier(t, kind, key, Version(version)).await;
        told.unwrap()
    };
    let (t, other) = (&tenant(), &other_tenant());
    assert!(!ask(t, Device::KIND, "d", 1).await);
    assert!(ask(t, Device::KIND, "d", 2).await);
    assert!(ask(t, Device::KIND, "d", 3).await);
    assert!(!ask(other, Device::KIND, "d", 3).await);
    assert!(!ask(t, Device::KIND, "e", 3).await);
    assert!(!ask(t, "auth.tenant", "d", 3).await);
    h.stores.settle_events(&events[..1]).await.unwrap();
    assert!(!ask(t, Device::KIND, "d", 2).await);
    assert!(ask(t, Device::KIND, "d", 3).await);
    h.stores.settle_events(&events[1..]).await.unwrap();
    assert!(!ask(t, Device::KIND, "d", 3).await);
}

async fn no_event_goes_to_two_callers(h: &Harness) {
    const EVENTS: usize = 150;
    for n in 0..EVENTS {
        insert(h, &format!("d{n}"), &["d.recorded"]).await;
    }
    h.time.advance(LEASE);
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            let mut mine = Vec::new();
            let mut idle = 0;
            // An empty answer may mean that others were faster: it takes several to be sure.
            while idle < 5 {
                h.waver().await;
                let claimed = claim(&h, 5 + task).await;
                idle = if claimed.is_empty() { idle + 1 } else { 0 };
                mine.extend(claimed);
            }
            mine
        });
    }
    let all = tasks.join_all().await.concat();
    let distinct: BTreeSet<_> = all.iter().map(|event| event.id.clone()).collect();
    assert_eq!((all.len(), distinct.len()), (EVENTS, EVENTS));
}
