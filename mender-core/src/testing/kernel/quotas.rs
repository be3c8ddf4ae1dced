#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use tokio::task::JoinSet;

use crate::{
    auth::{Device, Status},
    commit::{Commit, Draw},
    error::StoreError,
    id::TenantId,
    quota::{Quota, UNLIMITED},
    testing::{
        contract::{Harness, claims},
        fixtures::{
            TASKS, auth_tenant, device, drawn, fact, is_conflict, is_duplicate, is_over_limit,
            other_tenant, tenant, touched,
        },
    },
};

claims!["quotas":
    an_untouched_quota_is_unlimited_and_unused,
    a_charge_takes_and_a_refund_gives_back,
    a_move_changes_what_is_free_and_never_fails,
    a_commit_over_the_limit_does_nothing,
    a_commit_with_one_charge_over_the_limit_takes_none,
    a_refused_commit_draws_nothing,
    quotas_are_kept_for_each_tenant_and_name,
    many_quotas_are_read_at_once,
    a_quota_is_never_exceeded_and_exact_under_contention,
    a_quota_that_is_raised_only_rises,
    a_quota_is_raised_step_by_step_under_contention,
    a_quota_stays_exact_when_devices_come_and_go_under_contention,
];

/// Sets the limit of the quota `q`: what is free and not used.
async fn limit(h: &Harness, t: &TenantId, limit: i64) {
    let commit = drawn(Commit::insert(auth_tenant(t)), Draw::Move(limit - UNLIMITED));
    let stamped = h.stamp(t, commit);
    h.stores.commit_auth_tenant(t, stamped).await.unwrap();
}

fn taking(name: &str, units: i64) -> Commit<Device> {
    drawn(Commit::insert(device(name)), Draw::Take(units)).event(fact("d.recorded"))
}

async fn an_untouched_quota_is_unlimited_and_unused(h: &Harness) {
    let quota = h.stores.quota(&tenant(), "ghost").await.unwrap();
    assert_eq!(quota, Quota::default());
    h.commit_device(&tenant(), taking("a", 1)).await.unwrap();
    assert_eq!(h.settled_quota(&tenant(), "q").await, (UNLIMITED - 1, 1));
}

async fn a_charge_takes_and_a_refund_gives_back(h: &Harness) {
    let t = tenant();
    limit(h, &t, 10).await;
    h.commit_device(&t, taking("a", 3)).await.unwrap();
    assert_eq!(h.settled_quota(&t, "q").await, (7, 3));
    let change = drawn(touched(&device("a"), 1), Draw::Take(7));
    let to = change.aggregate().cloned().unwrap();
    h.commit_device(&t, change).await.unwrap();
    assert_eq!(h.settled_quota(&t, "q").await, (0, 10));
    let change = drawn(touched(&to, 2), Draw::Give(4));
    let to = change.aggregate().cloned().unwrap();
    h.commit_device(&t, change).await.unwrap();
    assert_eq!(h.settled_quota(&t, "q").await, (4, 6));
    let gone = drawn(Commit::delete(to), Draw::Give(6));
    h.commit_device(&t, gone).await.unwrap();
    assert_eq!(h.settled_quota(&t, "q").await, (10, 0));
}

async fn a_move_changes_what_is_free_and_never_fails(h: &Harness) {
    let t = tenant();
    limit(h, &t, 2).await;
    for name in ["a", "b"] {
        h.commit_device(&t, taking(name, 1)).await.unwrap();
    }
    let mut kept = auth_tenant(&t);
    let mut expected = 0;
    for by in [-2, 5, -4, 1] {
        let change = drawn(Commit::update(kept.clone(), kept.clone()), Draw::Move(by));
        kept = change.aggregate().cloned().unwrap();
        let stamped = h.stamp(&t, change);
        h.stores.commit_auth_tenant(&t, stamped).await.unwrap();
        expected += by;
        assert_eq!(h.settled_quota(&t, "q").await, (expected, 2));
        let answer = h.commit_device(&t, taking(&format!("x{expected}"), 1)).await;
        if expected >= 1 {
            answer.unwrap();
            let back = drawn(Commit::delete(device(&format!("x{expected}"))), Draw::Give(1));
            h.commit_device(&t, back).await.unwrap();
        } else {
            is_over_limit(answer, "q");
        }
    }
    // Below zero, a refund is given all the same.
    let change = drawn(Commit::update(kept.clone(), kept), Draw::Move(-9));
    let stamped = h.stamp(&t, change);
    h.stores.commit_auth_tenant(&t, stamped).await.unwrap();
    let gone = drawn(Commit::delete(device("a")), Draw::Give(1));
    h.commit_device(&t, gone).await.unwrap();
    assert_eq!(h.settled_quota(&t, "q").await, (-8, 1));
}

async fn a_commit_over_the_limit_does_nothing(h: &Harness) {
    let t = tenant();
    limit(h, &t, 1).await;
    h.insert_device(&t, &device("b")).await;
    is_over_limit(h.commit_device(&t, taking("a", 2)).await, "q");
    assert_eq!(h.device(&t, "a").await, None);
    let change = drawn(touched(&device("b"), 1), Draw::Take(2)).event(fact("d.changed"));
    is_over_limit(h.commit_device(&t, change).await, "q");
    assert_eq!(h.device(&t, "b").await, Some(device("b")));
    assert_eq!(h.events().await, []);
    assert_eq!(h.settled_quota(&t, "q").await, (1, 0));
    h.commit_device(&t, taking("a", 1)).await.unwrap();
}

async fn a_commit_with_one_charge_over_the_limit_takes_none(h: &Harness) {
    let t = tenant();
    limit(h, &t, 1).await;
    let commit = Commit::insert(device("a"))
        .charge("p", Draw::Take(1))
        .charge("g", Draw::Give(5))
        .charge("q", Draw::Take(2))
        .charge("r", Draw::Take(1));
    is_over_limit(h.commit_device(&t, commit).await, "q");
    assert_eq!(h.device(&t, "a").await, None);
    assert_eq!(h.settled_quota(&t, "q").await, (1, 0));
    for name in ["p", "g", "r"] {
        assert_eq!(h.settled_quota(&t, name).await, (UNLIMITED, 0), "{name}");
    }
    let commit = Commit::insert(device("a")).charge("p", Draw::Take(1)).charge("q", Draw::Take(1));
    h.commit_device(&t, commit).await.unwrap();
    assert_eq!(h.settled_quota(&t, "q").await, (0, 1));
    assert_eq!(h.settled_quota(&t, "p").await, (UNLIMITED - 1, 1));
}

async fn a_refused_commit_draws_nothing(h: &Harness) {
    let t = tenant();
    limit(h, &t, 10).await;
    h.insert_device(&t, &device("a")).await;
    let mut twin = device("twin");
    twin.identity = device("a").identity;
    let duplicate = drawn(Commit::insert(twin), Draw::Take(1));
    is_duplicate(h.commit_device(&t, duplicate).await, "identity");
    let moved = touched(&device("a"), 1);
    h.commit_device(&t, moved).await.unwrap();
    for draw in [Draw::Take(1), Draw::Give(1), Draw::Move(1)] {
        is_conflict(h.commit_device(&t, drawn(touched(&device("a"), 2), draw)).await);
        is_conflict(h.commit_device(&t, drawn(Commit::delete(device("a")), draw)).await);
        is_conflict(h.commit_device(&t, drawn(touched(&device("ghost"), 2), draw)).await);
    }
    assert_eq!(h.settled_quota(&t, "q").await, (10, 0));
}

async fn a_quota_that_is_raised_only_rises(h: &Harness) {
    let t = tenant();
    let raising = |name: &str, to| drawn(Commit::insert(device(name)), Draw::Raise(to));
    for (name, to) in [("a", 1), ("b", 5), ("c", 1 << 50)] {
        h.commit_device(&t, raising(name, to)).await.unwrap();
        assert_eq!(h.settled_quota(&t, "q").await, (UNLIMITED, to));
        for low in [1, to] {
            is_over_limit(h.commit_device(&t, raising("low", low)).await, "q");
        }
    }
    assert_eq!(h.device(&t, "low").await, None);
    let mut twin = device("twin");
    twin.identity = device("a").identity;
    let duplicate = drawn(Commit::insert(twin), Draw::Raise(1 << 51));
    is_duplicate(h.commit_device(&t, duplicate).await, "identity");
    is_conflict(h.commit_device(&t, drawn(touched(&device("low"), 2), Draw::Raise(1 << 52))).await);
    assert_eq!(h.settled_quota(&t, "q").await, (UNLIMITED, 1 << 50));
    h.commit_device(&other_tenant(), raising("a", 1)).await.unwrap();
    assert_eq!(h.settled_quota(&other_tenant(), "q").await, (UNLIMITED, 1));
}

async fn a_quota_is_raised_step_by_step_under_contention(h: &Harness) {
    const ROUNDS: usize = 5;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            for n in 0..ROUNDS {
                loop {
                    let next = h.stores.quota(&tenant(), "q").await.unwrap().used + 1;
                    h.waver().await;
                    let new = Commit::insert(device(&format!("{task}-{n}")));
                    match h.commit_device(&tenant(), drawn(new, Draw::Raise(next))).await {
                        Ok(()) => break,
                        Err(StoreError::LimitReached { .. }) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                }
            }
        });
    }
    tasks.join_all().await;
    let steps = i64::try_from(TASKS * ROUNDS).unwrap();
    assert_eq!(h.settled_quota(&tenant(), "q").await, (UNLIMITED, steps));
}

async fn many_quotas_are_read_at_once(h: &Harness) {
    let (t, n) = (tenant(), 1000);
    let change = Commit::insert(device("a")).charge("q10", Draw::Take(3));
    h.commit_device(&t, change.charge("q7", Draw::Take(2))).await.unwrap();
    let change = Commit::insert(device("a")).charge("q8", Draw::Take(1));
    h.commit_device(&other_tenant(), change).await.unwrap();
    let names: Vec<String> = (0..n).rev().map(|n| format!("q{n}")).collect();
    let read = h.stores.quotas_of(&t, &names).await.unwrap();
    let used = |(n, quota): (usize, &Quota)| (quota.used > 0).then_some((n, quota.used));
    let used: Vec<_> = read.iter().enumerate().filter_map(used).collect();
    assert_eq!((read.len(), used), (n, vec![(n - 11, 3), (n - 8, 2)]));
    let twice = ["q7".to_owned(), "q7".to_owned()];
    assert_eq!(h.stores.quotas_of(&t, &twice).await.unwrap(), [read[n - 8]; 2]);
    assert_eq!(h.stores.quotas_of(&t, &[]).await.unwrap(), []);
}

async fn quotas_are_kept_for_each_tenant_and_name(h: &Harness) {
    limit(h, &tenant(), 1).await;
    let names = [tenant(), other_tenant(), TenantId::default()];
    for t in &names {
        h.commit_device(t, taking("a", 1)).await.unwrap();
    }
    is_over_limit(h.commit_device(&tenant(), taking("b", 1)).await, "q");
    let other = Commit::insert(device("b")).charge("Q", Draw::Take(1));
    h.commit_device(&tenant(), other).await.unwrap();
    assert_eq!(h.settled_quota(&tenant(), "q").await, (0, 1));
    assert_eq!(h.settled_quota(&tenant(), "Q").await, (UNLIMITED - 1, 1));
    for t in &names[1..] {
        assert_eq!(h.settled_quota(t, "q").await, (UNLIMITED - 1, 1));
        assert_eq!(h.settled_quota(t, "Q").await, (UNLIMITED, 0));
    }
}

async fn a_quota_is_never_exceeded_and_exact_under_contention(h: &Harness) {
    const LIMIT: i64 = 20;
    limit(h, &tenant(), LIMIT).await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            let mut taken = 0;
            for n in 0..5 {
                h.waver().await;
                match h.commit_device(&tenant(), taking(&format!("{task}-{n}"), 1)).await {
                    Ok(()) => taken += 1,
                    Err(StoreError::LimitReached { .. }) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
            taken
        });
    }
    let taken: i64 = tasks.join_all().await.into_iter().sum();
    assert_eq!(taken, LIMIT);
    assert_eq!(h.settled_quota(&tenant(), "q").await, (0, LIMIT));
    let devices = h.stores.walk_devices(&tenant(), None, 100).await.unwrap();
    assert_eq!(i64::try_from(devices.len()).unwrap(), LIMIT);
    assert_eq!(i64::try_from(h.events().await.len()).unwrap(), LIMIT);
}

async fn a_quota_stays_exact_when_devices_come_and_go_under_contention(h: &Harness) {
    const LIMIT: i64 = 3;
    const DEVICES: u64 = 5;
    limit(h, &tenant(), LIMIT).await;
    for n in 0..DEVICES {
        h.insert_device(&tenant(), &device(&format!("d{n}"))).await;
    }
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            for _ in 0..20 {
                let name = format!("d{}", h.time.env().below(DEVICES));
                let was = h.device(&tenant(), &name).await.unwrap();
                h.waver().await;
                let mut to = was.clone();
                let (status, draw) = match was.status {
                    Status::Accepted => (Status::Rejected, Draw::Give(1)),
                    _ => (Status::Accepted, Draw::Take(1)),
                };
                to.status = status;
                match h.commit_device(&tenant(), drawn(Commit::update(was, to), draw)).await {
                    Ok(()) | Err(StoreError::Conflict | StoreError::LimitReached { .. }) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
        });
    }
    tasks.join_all().await;
    let devices = h.stores.walk_devices(&tenant(), None, 100).await.unwrap();
    let accepted = devices.iter().filter(|d| d.status == Status::Accepted);
    let used = i64::try_from(accepted.count()).unwrap();
    assert!(used <= LIMIT);
    assert_eq!(h.settled_quota(&tenant(), "q").await, (LIMIT - used, used));
}
