#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

pub(super) mod contacts;
pub(super) mod lists;
pub(super) mod races;

use crate::{
    auth::{AcceptRule, ExternalId, Identity, Limit, MAX_SETS, Status, Tier},
    commit::Commit,
    env::Time,
    id::Version,
    testing::{
        contract::{Harness, claims},
        fixtures::{
            ODD_IDS, at, auth_tenant, device, fact, id, is_conflict, is_duplicate, is_taken,
            other_tenant, set, tenant, touched,
        },
    },
};

claims!["auth":
    an_unknown_device_is_none,
    a_device_is_returned_as_it_was_stored,
    odd_ids_and_identities_are_kept,
    a_device_is_found_by_its_identity_and_its_sets,
    a_device_with_64_long_keys_is_kept,
    a_change_applies_to_its_version_only,
    a_deletion_applies_to_its_version_only,
    another_device_of_the_identity_is_a_duplicate,
    a_taken_id_conflicts,
    a_deleted_identity_and_id_are_free_again,
    an_identity_may_be_in_two_tenants,
    devices_of_other_tenants_do_not_exist,
    what_is_kept_for_a_tenant_is_returned_as_it_was_stored,
    what_is_kept_for_a_tenant_applies_to_its_version_only,
    what_is_kept_for_a_tenant_is_kept_for_each,
];

async fn an_unknown_device_is_none(h: &Harness) {
    let t = tenant();
    assert_eq!(h.device(&t, "ghost").await, None);
    let by_hash = h.stores.device_by_identity(&t, "no hash").await;
    assert_eq!(by_hash.unwrap(), None);
    assert_eq!(h.stores.device_of_set(&t, &id("ghost")).await.unwrap(), None);
}

async fn a_device_is_returned_as_it_was_stored(h: &Harness) {
    let t = tenant();
    let mut full = device("full");
    full.identity =
        Identity::parse(r#"{"mac":"00:01","n":1.5,"list":[1,{"é":null}],"big":1e300}"#).unwrap();
    full.tier = Tier::Micro;
    full.group = Some("gröup/a b".into());
    (full.leaving, full.provisioned, full.test) = (true, true, true);
    full.external = Some(ExternalId {
        id: "hub-1/module".into(),
        name: "Hüb".into(),
        provider: "iot-hub".into(),
    });
    full.from = 1 << 40;
    (full.created, full.updated) = (Time(-1), Time(253_402_300_799_999));
    full.version = Version(1 << 50);
    full.sets.push(set("second", Status::Rejected));
    full.sets[1].created = Time(1);
    full.sets[1].tier = Tier::System;
    (full.sets[1].live, full.sets[1].from) = (true, i64::MAX);
    h.insert_device(&t, &full).await;
    assert_eq!(h.device(&t, "full").await, Some(full.clone()));

    let mut bare = full.clone();
    (bare.group, bare.external) = (None, None);
    bare.sets.clear();
    bare.status = Status::Noauth;
    (bare.leaving, bare.provisioned, bare.test) = (false, false, false);
    let change = Commit::update(full.clone(), bare);
    let stored = change.aggregate().cloned();
    h.commit_device(&t, change).await.unwrap();
    assert_eq!(h.device(&t, "full").await, stored);
    assert_eq!(stored.unwrap().version, full.version.next());
}

async fn odd_ids_and_identities_are_kept(h: &Harness) {
    let t = tenant();
    let long = ["x".repeat(256), "😀".repeat(256)];
    let mut all = Vec::new();
    for name in ODD_IDS.into_iter().chain(long.iter().map(String::as_str)) {
        let device = device_of_odd_set(name);
        h.insert_device(&t, &device).await;
        all.push(device);
    }
    for device in all {
        let (hash, set) = (device.identity.hash(), device.sets[0].id.clone());
        let by_hash = h.stores.device_by_identity(&t, &hash).await.unwrap();
        assert_eq!(by_hash.as_ref(), Some(&device));
        let by_set = h.stores.device_of_set(&t, &set).await.unwrap();
        assert_eq!(by_set.as_ref(), Some(&device));
        assert_eq!(h.device(&t, device.id.as_str()).await, Some(device));
    }
}

fn device_of_odd_set(name: &str) -> crate::auth::Device {
    let mut odd = device("odd");
    odd.id = id(name);
    odd.identity = crate::testing::fixtures::identity(name);
    odd.sets[0].id = id(name);
    odd
}

async fn a_device_is_found_by_its_identity_and_its_sets(h: &Harness) {
    let t = tenant();
    let mut first = device("first");
    first.sets.push(set("extra", Status::Rejected));
    h.insert_device(&t, &first).await;
    h.insert_device(&t, &device("second")).await;
    for name in ["set-first", "extra"] {
        let found = h.stores.device_of_set(&t, &id(name)).await.unwrap();
        assert_eq!(found.as_ref(), Some(&first));
    }
    let mut to = first.clone();
    to.sets.remove(0);
    to.sets.push(set("new", Status::Pending));
    let change = Commit::update(first.clone(), to);
    h.commit_device(&t, change.clone()).await.unwrap();
    let gone = h.stores.device_of_set(&t, &id("set-first")).await.unwrap();
    assert_eq!(gone, None);
    let found = h.stores.device_of_set(&t, &id("new")).await.unwrap();
    assert_eq!(found.as_ref(), change.aggregate());
    let hash = first.identity.hash();
    let found = h.stores.device_by_identity(&t, &hash).await.unwrap();
    assert_eq!(found.as_ref(), change.aggregate());
}

async fn a_device_with_64_long_keys_is_kept(h: &Harness) {
    let t = tenant();
    let mut big = device("big");
    big.sets = (0..MAX_SETS)
        .map(|n| {
            let mut set = set(&format!("big-{n:02}"), Status::Pending);
            set.key = format!("{n:02}{}", "k".repeat(1_000));
            set.created = at(i64::try_from(n).unwrap());
            set
        })
        .collect();
    h.insert_device(&t, &big).await;
    assert_eq!(h.device(&t, "big").await.as_ref(), Some(&big));
    for set in &big.sets {
        let found = h.stores.device_of_set(&t, &set.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(&big));
    }
    // The order of the sets is theirs: oldest first, not by id.
    let mut to = big.clone();
    to.sets.remove(0);
    to.sets.push(set("a-latest", Status::Accepted));
    let change = Commit::update(big, to);
    h.commit_device(&t, change.clone()).await.unwrap();
    assert_eq!(h.device(&t, "big").await.as_ref(), change.aggregate());
}

async fn a_change_applies_to_its_version_only(h: &Harness) {
    let t = tenant();
    let first = device("d");
    let ghost = touched(&first, 1).event(fact("d.changed"));
    is_conflict(h.commit_device(&t, ghost).await);
    assert_eq!(h.device(&t, "d").await, None);
    h.insert_device(&t, &first).await;
    let change = touched(&first, 1);
    let second = change.aggregate().cloned();
    h.commit_device(&t, change).await.unwrap();
    let stale = touched(&first, 2).event(fact("d.changed")).invalidate("x", "");
    is_conflict(h.commit_device(&t, stale).await);
    let mut future = first.clone();
    future.version = Version(99);
    let future = touched(&future, 3).event(fact("d.changed"));
    is_conflict(h.commit_device(&t, future).await);
    assert_eq!(h.device(&t, "d").await, second);
    assert_eq!(h.events().await, []);
}

async fn a_deletion_applies_to_its_version_only(h: &Harness) {
    let t = tenant();
    let first = device("d");
    is_conflict(h.commit_device(&t, Commit::delete(first.clone())).await);
    h.insert_device(&t, &first).await;
    let change = touched(&first, 1);
    let second = change.aggregate().cloned().unwrap();
    h.commit_device(&t, change).await.unwrap();
    let stale = Commit::delete(first).event(fact("d.removed"));
    is_conflict(h.commit_device(&t, stale).await);
    assert_eq!(h.device(&t, "d").await.as_ref(), Some(&second));
    h.commit_device(&t, Commit::delete(second.clone())).await.unwrap();
    assert_eq!(h.device(&t, "d").await, None);
    let of_set = h.stores.device_of_set(&t, &second.sets[0].id).await;
    assert_eq!(of_set.unwrap(), None);
    is_conflict(h.commit_device(&t, Commit::delete(second)).await);
    assert_eq!(h.events().await, []);
}

async fn another_device_of_the_identity_is_a_duplicate(h: &Harness) {
    let t = tenant();
    h.insert_device(&t, &device("first")).await;
    let mut second = device("second");
    second.identity = device("first").identity;
    let commit = Commit::insert(second).event(fact("d.recorded"));
    is_duplicate(h.commit_device(&t, commit).await, "identity");
    assert_eq!(h.device(&t, "second").await, None);
    let of_set = h.stores.device_of_set(&t, &id("set-second")).await;
    assert_eq!(of_set.unwrap(), None);
    assert_eq!(h.events().await, []);
}

async fn a_taken_id_conflicts(h: &Harness) {
    let t = tenant();
    let first = device("d");
    h.insert_device(&t, &first).await;
    let mut second = device("d");
    second.identity = crate::testing::fixtures::identity("another");
    second.sets[0].id = id("another");
    let commit = Commit::insert(second).event(fact("d.recorded"));
    is_conflict(h.commit_device(&t, commit).await);
    is_taken(&h.commit_device(&t, Commit::insert(first.clone())).await);
    assert_eq!(h.device(&t, "d").await, Some(first));
    assert_eq!(h.events().await, []);
}

async fn a_deleted_identity_and_id_are_free_again(h: &Harness) {
    let t = tenant();
    let first = device("first");
    for round in 1..4 {
        let mut again = first.clone();
        again.version = Version(round * 1000);
        again.updated = at(round);
        h.insert_device(&t, &again).await;
        assert_eq!(h.device(&t, "first").await.as_ref(), Some(&again));
        let hash = again.identity.hash();
        let found = h.stores.device_by_identity(&t, &hash).await.unwrap();
        assert_eq!(found.as_ref(), Some(&again));
        h.commit_device(&t, Commit::delete(again)).await.unwrap();
        let found = h.stores.device_by_identity(&t, &hash).await.unwrap();
        assert_eq!(found, None);
    }
    let mut other = device("other");
    other.identity = first.identity;
    other.sets[0].id = first.sets[0].id.clone();
    h.insert_device(&t, &other).await;
    let found = h.stores.device_of_set(&t, &other.sets[0].id).await;
    assert_eq!(found.unwrap(), Some(other));
}

async fn an_identity_may_be_in_two_tenants(h: &Harness) {
    for t in [tenant(), other_tenant(), Default::default()] {
        h.insert_device(&t, &device("d")).await;
    }
}

async fn devices_of_other_tenants_do_not_exist(h: &Harness) {
    let (one, two) = (tenant(), other_tenant());
    let mine = device("d");
    h.insert_device(&one, &mine).await;
    let mut theirs = mine.clone();
    theirs.group = Some("theirs".into());
    let change = touched(&mine, 1);
    is_conflict(h.commit_device(&two, change.clone()).await);
    is_conflict(h.commit_device(&two, Commit::delete(mine.clone())).await);
    for t in [&two, &Default::default()] {
        let (hash, set) = (mine.identity.hash(), &mine.sets[0].id);
        assert_eq!(h.device(t, "d").await, None);
        assert_eq!(h.stores.device_by_identity(t, &hash).await.unwrap(), None);
        assert_eq!(h.stores.device_of_set(t, set).await.unwrap(), None);
    }
    h.insert_device(&two, &theirs).await;
    h.commit_device(&one, change.clone()).await.unwrap();
    assert_eq!(h.device(&one, "d").await.as_ref(), change.aggregate());
    assert_eq!(h.device(&two, "d").await.as_ref(), Some(&theirs));
    let gone = change.aggregate().cloned().unwrap();
    h.commit_device(&one, Commit::delete(gone)).await.unwrap();
    assert_eq!(h.device(&one, "d").await, None);
    let (hash, set) = (mine.identity.hash(), &mine.sets[0].id);
    for found in [
        h.stores.device_by_identity(&two, &hash).await.unwrap(),
        h.stores.device_of_set(&two, set).await.unwrap(),
        h.device(&two, "d").await,
    ] {
        assert_eq!(found.as_ref(), Some(&theirs));
    }
}

async fn what_is_kept_for_a_tenant_is_returned_as_it_was_stored(h: &Harness) {
    let t = tenant();
    assert_eq!(h.stores.auth_tenant(&t).await.unwrap(), None);
    let mut kept = auth_tenant(&t);
    let stamped = h.stamp(&t, Commit::insert(kept.clone()));
    h.stores.commit_auth_tenant(&t, stamped).await.unwrap();
    assert_eq!(h.stores.auth_tenant(&t).await.unwrap(), Some(kept.clone()));
    let was = kept.clone();
    kept.limits = [(Limit::Devices, -1), (Limit::MicroDevices, i64::MAX)].into();
    let rule = |n: i32| AcceptRule {
        name: format!("rüle {n}"),
        identity: [("mac".into(), "00:*".into()), ("é".into(), "%_'".into())].into(),
    };
    kept.accept = (0..50).map(rule).collect();
    (kept.flag_changes, kept.from) = ((-3, 20), 1 << 40);
    let change = Commit::update(was, kept);
    let stored = change.aggregate().cloned();
    let stamped = h.stamp(&t, change);
    h.stores.commit_auth_tenant(&t, stamped).await.unwrap();
    assert_eq!(h.stores.auth_tenant(&t).await.unwrap(), stored);
}

async fn what_is_kept_for_a_tenant_applies_to_its_version_only(h: &Harness) {
    let t = tenant();
    let first = auth_tenant(&t);
    let put = async |commit| {
        let stamped = h.stamp(&t, commit);
        h.stores.commit_auth_tenant(&t, stamped).await
    };
    is_conflict(put(Commit::update(first.clone(), first.clone()).event(fact("t"))).await);
    put(Commit::insert(first.clone())).await.unwrap();
    is_taken(&put(Commit::insert(first.clone()).event(fact("t"))).await);
    let change = Commit::update(first.clone(), first.clone());
    put(change.clone()).await.unwrap();
    is_conflict(put(change.clone().event(fact("t"))).await);
    is_conflict(put(Commit::delete(first).event(fact("t"))).await);
    assert_eq!(h.stores.auth_tenant(&t).await.unwrap().as_ref(), change.aggregate());
    assert_eq!(h.events().await, []);
}

async fn what_is_kept_for_a_tenant_is_kept_for_each(h: &Harness) {
    let tenants = [tenant(), other_tenant(), Default::default()];
    for (n, t) in (0..).zip(&tenants) {
        assert_eq!(h.stores.auth_tenant(t).await.unwrap(), None);
        let mut kept = auth_tenant(t);
        kept.from = n;
        let stamped = h.stamp(t, Commit::insert(kept));
        h.stores.commit_auth_tenant(t, stamped).await.unwrap();
    }
    for (n, t) in (0..).zip(&tenants) {
        let kept = h.stores.auth_tenant(t).await.unwrap().unwrap();
        assert_eq!((kept.tenant, kept.from), (t.clone(), n));
    }
}
