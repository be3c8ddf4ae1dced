#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use std::{collections::BTreeSet, time::Duration};

use crate::{
    commit::Commit,
    feed::{FeedEntry, Node},
    id::TenantId,
    testing::{
        contract::{Harness, claims},
        fixtures::{ODD_IDS, account, at, device, id, other_tenant, tenant, touched},
    },
};

claims!["feed":
    what_a_commit_invalidates_is_read_after_it,
    entries_of_their_own_are_added_once,
    entries_made_at_the_given_time_are_included,
    swept_entries_are_gone_and_younger_ones_stay,
    a_sweep_removes_at_most_its_limit,
    nodes_are_alive_from_their_last_beat,
    a_node_that_leaves_is_off_the_list,
    swept_nodes_are_gone_and_younger_ones_stay,
];

async fn entries(h: &Harness, since: i64) -> Vec<FeedEntry> {
    let mut entries = h.stores.feed_since(at(since)).await.unwrap();
    let ids: BTreeSet<String> = entries.iter().map(|entry| entry.id.clone()).collect();
    assert_eq!(ids.len(), entries.len(), "the ids of entries are unique");
    entries.sort_by(|a, b| {
        (a.at, &a.tenant, &a.kind, &a.key).cmp(&(b.at, &b.tenant, &b.kind, &b.key))
    });
    entries
}

fn about(entry: &FeedEntry) -> (&str, &str, &str) {
    (entry.tenant.as_str(), &entry.kind, &entry.key)
}

/// Commits a change that invalidates `key`, `millis` after the start.
async fn invalidate(h: &Harness, t: &TenantId, millis: i64, key: &str) {
    h.time.set(at(millis));
    let commit = Commit::insert(device(&format!("{millis}-{key}"))).invalidate("auth.device", key);
    h.commit_device(t, commit).await.unwrap();
}

async fn entries_of_their_own_are_added_once(h: &Harness) {
    let entry = FeedEntry {
        id: "own".into(),
        tenant: tenant(),
        kind: "auth.device".into(),
        key: "k".into(),
        at: at(5),
    };
    for _ in 0..2 {
        h.stores.announce(std::slice::from_ref(&entry)).await.unwrap();
    }
    assert_eq!(h.stores.feed_since(at(5)).await.unwrap(), [entry]);
    h.stores.announce(&[]).await.unwrap();
}

async fn what_a_commit_invalidates_is_read_after_it(h: &Harness) {
    assert_eq!(entries(h, 0).await, []);
    h.insert_device(&tenant(), &device("quiet")).await;
    assert_eq!(entries(h, 0).await, []);
    for (n, key) in ODD_IDS.into_iter().enumerate() {
        invalidate(h, &tenant(), i64::try_from(n).unwrap(), key).await;
    }
    let all = entries(h, 0).await;
    let keys: Vec<&str> = all.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ODD_IDS);
    h.time.set(at(100));
    let was = device("quiet");
    let change = touched(&was, 1).invalidate("a", "").invalidate("a", "x");
    let change = change.invalidate("b", "");
    let to = change.aggregate().cloned().unwrap();
    h.commit_device(&tenant(), change).await.unwrap();
    let found = entries(h, 100).await;
    let of: Vec<_> = found.iter().map(about).collect();
    assert_eq!(of, [("one", "a", ""), ("one", "a", "x"), ("one", "b", "")]);
    h.time.set(at(200));
    let gone = Commit::delete(to).invalidate("auth.device", "quiet");
    h.commit_device(&tenant(), gone).await.unwrap();
    let user = Commit::insert(account("u", &[tenant()])).invalidate("users.account", "u");
    h.commit_account(user).await.unwrap();
    let found = entries(h, 200).await;
    let of: Vec<_> = found.iter().map(about).collect();
    assert_eq!(of, [("", "users.account", "u"), ("one", "auth.device", "quiet")]);
    assert!(found.iter().all(|entry| entry.at == at(200)));
}

async fn entries_made_at_the_given_time_are_included(h: &Harness) {
    invalidate(h, &tenant(), 5, "x").await;
    invalidate(h, &other_tenant(), 5, "x").await;
    assert_eq!(entries(h, -1_000_000).await.len(), 2);
    assert_eq!(entries(h, 5).await.len(), 2);
    assert_eq!(entries(h, 6).await, []);
}

async fn swept_entries_are_gone_and_younger_ones_stay(h: &Harness) {
    for millis in [5, 6, 7] {
        invalidate(h, &tenant(), millis, "x").await;
    }
    h.stores.sweep_feed(at(6), 100).await.unwrap();
    let left: Vec<_> = entries(h, 0).await.iter().map(|entry| entry.at).collect();
    assert_eq!(left, [at(6), at(7)]);
}

async fn a_sweep_removes_at_most_its_limit(h: &Harness) {
    for millis in 0..5 {
        invalidate(h, &tenant(), millis, "x").await;
    }
    h.stores.sweep_feed(at(100), 2).await.unwrap();
    assert_eq!(entries(h, 0).await.len(), 3);
    h.stores.sweep_feed(at(100), 100).await.unwrap();
    assert_eq!(entries(h, 0).await, []);
}

fn node(name: &str, millis: i64, runs: bool) -> Node {
    Node { id: id(name), at: at(millis), runs }
}

async fn nodes(h: &Harness, since: i64) -> Vec<Node> {
    let mut nodes = h.stores.nodes(at(since)).await.unwrap();
    nodes.sort_by(|a, b| a.id.cmp(&b.id));
    nodes
}

async fn nodes_are_alive_from_their_last_beat(h: &Harness) {
    assert_eq!(nodes(h, 0).await, []);
    for name in ODD_IDS {
        h.stores.beat(&node(name, 1, false)).await.unwrap();
    }
    assert_eq!(nodes(h, 1).await, ODD_IDS.map(|name| node(name, 1, false)));
    assert_eq!(nodes(h, 2).await, []);
    h.stores.beat(&node("A", 9, true)).await.unwrap();
    assert_eq!(nodes(h, 9).await, [node("A", 9, true)]);
    assert_eq!(nodes(h, 1).await.len(), ODD_IDS.len());
    h.time.advance(Duration::from_secs(1));
    h.stores.beat(&node("A", 12, false)).await.unwrap();
    assert_eq!(nodes(h, 9).await, [node("A", 12, false)]);
}

async fn a_node_that_leaves_is_off_the_list(h: &Harness) {
    h.stores.leave(&id("ghost")).await.unwrap();
    for round in 0..2 {
        for name in ["a", "b"] {
            h.stores.beat(&node(name, round, true)).await.unwrap();
        }
        h.stores.leave(&id("a")).await.unwrap();
        assert_eq!(nodes(h, 0).await, [node("b", round, true)]);
    }
}

async fn swept_nodes_are_gone_and_younger_ones_stay(h: &Harness) {
    for (name, millis) in [("a", 5), ("b", 6), ("c", 7)] {
        h.stores.beat(&node(name, millis, true)).await.unwrap();
    }
    h.stores.sweep_feed(at(6), 100).await.unwrap();
    assert_eq!(nodes(h, 0).await, [node("b", 6, true), node("c", 7, true)]);
}
