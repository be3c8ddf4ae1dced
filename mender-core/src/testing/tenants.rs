#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use tokio::task::JoinSet;

use crate::{
    commit::Commit,
    error::StoreResult,
    id::{TenantId, Version},
    secret::token_hash,
    tenants::{Addon, Plan, Tenant, TenantStatus},
    testing::{
        contract::{Harness, claims},
        fixtures::{ODD_IDS, TASKS, at, fact, id, is_conflict, is_duplicate, is_taken},
    },
};

claims!["tenants":
    an_unknown_tenant_is_none,
    a_tenant_is_returned_as_it_was_stored,
    a_tenant_is_found_by_the_hash_of_its_token,
    another_tenant_with_the_token_is_a_duplicate,
    a_change_applies_to_its_version_only,
    a_deleted_token_and_id_are_free_again,
    tenants_come_by_id,
    events_of_tenants_are_written_with_them,
    a_token_is_taken_once_under_contention,
];

fn made(name: &str) -> Tenant {
    Tenant {
        id: id(name),
        name: format!("Acme {name} – é"),
        token: format!("token of {name}"),
        plan: Plan::Professional,
        trial: false,
        addons: vec![],
        status: TenantStatus::Active,
        created: at(1),
        updated: at(2),
        version: Version::FIRST,
    }
}

async fn commit(h: &Harness, commit: Commit<Tenant>) -> StoreResult<()> {
    let stamped = h.stamp(&TenantId::default(), commit);
    h.stores.commit_tenant(stamped).await
}

async fn put(h: &Harness, tenant: &Tenant) {
    commit(h, Commit::insert(tenant.clone())).await.unwrap();
}

async fn get(h: &Harness, name: &str) -> Option<Tenant> {
    h.stores.tenant(&id(name)).await.unwrap()
}

async fn by_token(h: &Harness, token: &str) -> Option<Tenant> {
    h.stores.tenant_by_token(&token_hash(token)).await.unwrap()
}

async fn an_unknown_tenant_is_none(h: &Harness) {
    assert_eq!(get(h, "ghost").await, None);
    assert_eq!(by_token(h, "ghost").await, None);
    assert_eq!(h.stores.tenants(None, 10).await.unwrap(), []);
}

async fn a_tenant_is_returned_as_it_was_stored(h: &Harness) {
    let mut full = made("full");
    (full.plan, full.trial, full.status) = (Plan::Os, true, TenantStatus::Suspended);
    full.addons =
        Addon::NAMES.map(|name| Addon { name: name.into(), enabled: name == "monitor" }).into();
    put(h, &full).await;
    assert_eq!(get(h, "full").await, Some(full.clone()));
    let mut bare = full.clone();
    (bare.plan, bare.trial, bare.status) = (Plan::Enterprise, false, TenantStatus::Active);
    bare.addons.clear();
    let change = Commit::update(full, bare);
    commit(h, change.clone()).await.unwrap();
    assert_eq!(get(h, "full").await.as_ref(), change.aggregate());
}

async fn a_tenant_is_found_by_the_hash_of_its_token(h: &Harness) {
    let was = made("a");
    put(h, &was).await;
    assert_eq!(by_token(h, "token of a").await, Some(was.clone()));
    let plain = h.stores.tenant_by_token("token of a").await.unwrap();
    assert_eq!(plain, None);
    let mut to = was.clone();
    to.token = "another".into();
    let change = Commit::update(was, to);
    commit(h, change.clone()).await.unwrap();
    assert_eq!(by_token(h, "token of a").await, None);
    assert_eq!(by_token(h, "another").await.as_ref(), change.aggregate());
}

async fn another_tenant_with_the_token_is_a_duplicate(h: &Harness) {
    put(h, &made("a")).await;
    let mut second = made("b");
    second.token = made("a").token;
    let again = Commit::insert(second).event(fact("t.made"));
    is_duplicate(commit(h, again).await, "tenant_token");
    assert_eq!(get(h, "b").await, None);
    let mut same_id = made("a");
    same_id.token = "another".into();
    is_conflict(commit(h, Commit::insert(same_id).event(fact("t.made"))).await);
    assert_eq!(h.events().await, []);
}

async fn a_change_applies_to_its_version_only(h: &Harness) {
    let first = made("a");
    let change = Commit::update(first.clone(), first.clone()).event(fact("t"));
    is_conflict(commit(h, change.clone()).await);
    is_conflict(commit(h, Commit::delete(first.clone())).await);
    put(h, &first).await;
    let quiet = Commit::update(first.clone(), first.clone());
    commit(h, quiet).await.unwrap();
    is_conflict(commit(h, change).await);
    is_conflict(commit(h, Commit::delete(first).event(fact("t"))).await);
    assert!(get(h, "a").await.is_some());
    assert_eq!(h.events().await, []);
}

async fn a_deleted_token_and_id_are_free_again(h: &Harness) {
    for round in 1..4 {
        let mut again = made("a");
        again.version = Version(round * 1000);
        put(h, &again).await;
        assert_eq!(by_token(h, &again.token).await.as_ref(), Some(&again));
        commit(h, Commit::delete(again.clone())).await.unwrap();
        assert_eq!(get(h, "a").await, None);
        assert_eq!(by_token(h, &again.token).await, None);
    }
}

async fn tenants_come_by_id(h: &Harness) {
    for (n, name) in ODD_IDS.into_iter().enumerate().rev() {
        let mut odd = made(name);
        odd.token = format!("token {n}");
        put(h, &odd).await;
    }
    for limit in [1, 5, 100] {
        let mut listed: Vec<Tenant> = Vec::new();
        loop {
            let after = listed.last().map(|tenant| tenant.id.clone());
            let chunk = h.stores.tenants(after.as_ref(), limit).await.unwrap();
            assert!(chunk.len() <= limit);
            if chunk.is_empty() {
                break;
            }
            listed.extend(chunk);
        }
        let ids: Vec<&str> = listed.iter().map(|tenant| tenant.id.as_str()).collect();
        assert_eq!(ids, ODD_IDS);
    }
}

async fn events_of_tenants_are_written_with_them(h: &Harness) {
    let made = Commit::insert(made("a")).event(fact("t.made"));
    let stamped = h.stamp(&TenantId::default(), made);
    h.stores.commit_tenant(stamped.clone()).await.unwrap();
    assert_eq!(h.events().await, stamped.events);
}

async fn a_token_is_taken_once_under_contention(h: &Harness) {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            let mut tenant = made(&format!("t{task}"));
            tenant.token = "same".into();
            h.waver().await;
            commit(&h, Commit::insert(tenant)).await
        });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    answers.iter().filter(|a| a.is_err()).for_each(is_taken);
    assert_eq!(h.stores.tenants(None, 100).await.unwrap().len(), 1);
}
