#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use tokio::task::JoinSet;

use crate::{
    commit::Commit,
    env::Time,
    error::StoreError,
    id::{TenantId, Version},
    testing::{
        contract::{Harness, claims},
        fixtures::{
            ODD_IDS, TASKS, account, at, fact, id, is_conflict, is_duplicate, is_taken,
            other_tenant, tenant,
        },
    },
    users::{Account, Session},
};

claims!["users":
    an_unknown_account_is_none,
    an_account_is_returned_as_it_was_stored,
    an_account_is_found_by_its_address,
    another_account_with_the_address_is_a_duplicate,
    a_taken_id_conflicts,
    a_change_applies_to_its_version_only,
    a_deleted_address_and_id_are_free_again,
    accounts_of_a_tenant_come_by_id,
    an_account_is_listed_in_each_of_its_tenants,
    events_of_accounts_are_written_with_them,
    an_address_is_taken_once_under_contention,
    versions_have_no_gaps_under_contention,
];

async fn put(h: &Harness, account: &Account) {
    h.commit_account(Commit::insert(account.clone())).await.unwrap();
}

async fn get(h: &Harness, name: &str) -> Option<Account> {
    h.stores.account(&id(name)).await.unwrap()
}

async fn by_address(h: &Harness, name: &str) -> Option<Account> {
    let address = id(&format!("{name}@acme.com"));
    h.stores.account_by_email(&address).await.unwrap()
}

async fn an_unknown_account_is_none(h: &Harness) {
    assert_eq!(get(h, "ghost").await, None);
    assert_eq!(by_address(h, "ghost").await, None);
    let listed = h.stores.accounts(&tenant(), None, 10).await.unwrap();
    assert_eq!(listed, []);
}

fn session(n: usize, tenant: TenantId) -> Session {
    Session {
        id: id(&format!("sessiön {n}")),
        tenant,
        issued: Time(-1),
        expires: n.is_multiple_of(2).then_some(at(7)),
    }
}

async fn an_account_is_returned_as_it_was_stored(h: &Harness) {
    let mut full = account("full", &[tenant(), Default::default(), other_tenant()]);
    full.memberships[1].roles = vec![];
    full.memberships[2].roles = vec!["a".into(), "'; --".into(), "😀".into()];
    full.sessions = (0..50).map(|n| session(n, other_tenant())).collect();
    full.login = Some(at(3));
    put(h, &full).await;
    assert_eq!(get(h, "full").await, Some(full.clone()));
    let mut bare = full.clone();
    (bare.password, bare.login) = (String::new(), None);
    bare.memberships.truncate(1);
    bare.sessions.clear();
    let change = Commit::update(full, bare);
    h.commit_account(change.clone()).await.unwrap();
    assert_eq!(get(h, "full").await.as_ref(), change.aggregate());
}

async fn an_account_is_found_by_its_address(h: &Harness) {
    let was = account("before", &[tenant()]);
    put(h, &was).await;
    assert_eq!(by_address(h, "before").await, Some(was.clone()));
    let mut to = was.clone();
    to.email = id("after@acme.com");
    let change = Commit::update(was, to);
    h.commit_account(change.clone()).await.unwrap();
    assert_eq!(by_address(h, "before").await, None);
    assert_eq!(by_address(h, "after").await.as_ref(), change.aggregate());
    let mut next = account("next", &[tenant()]);
    next.email = id("before@acme.com");
    put(h, &next).await;
    assert_eq!(by_address(h, "before").await, Some(next));
}

async fn another_account_with_the_address_is_a_duplicate(h: &Harness) {
    put(h, &account("a", &[tenant()])).await;
    let mut second = account("b", &[other_tenant()]);
    second.email = id("a@acme.com");
    let commit = Commit::insert(second).event(fact("u.made"));
    is_duplicate(h.commit_account(commit).await, "email");
    assert_eq!(get(h, "b").await, None);
    let was = account("b", &[tenant()]);
    put(h, &was).await;
    let mut to = was.clone();
    to.email = id("a@acme.com");
    let change = Commit::update(was.clone(), to).event(fact("u.moved"));
    is_duplicate(h.commit_account(change).await, "email");
    assert_eq!(get(h, "b").await, Some(was));
    assert_eq!(h.events().await, []);
}

async fn a_taken_id_conflicts(h: &Harness) {
    let first = account("a", &[tenant()]);
    put(h, &first).await;
    let mut second = account("a", &[tenant()]);
    second.email = id("b@acme.com");
    is_conflict(h.commit_account(Commit::insert(second)).await);
    assert_eq!(get(h, "a").await, Some(first));
    assert_eq!(by_address(h, "b").await, None);
}

async fn a_change_applies_to_its_version_only(h: &Harness) {
    let first = account("a", &[tenant()]);
    let change = Commit::update(first.clone(), first.clone()).event(fact("u"));
    is_conflict(h.commit_account(change.clone()).await);
    is_conflict(h.commit_account(Commit::delete(first.clone())).await);
    put(h, &first).await;
    let quiet = Commit::update(first.clone(), first.clone());
    h.commit_account(quiet).await.unwrap();
    is_conflict(h.commit_account(change).await);
    is_conflict(h.commit_account(Commit::delete(first).event(fact("u"))).await);
    assert!(get(h, "a").await.is_some());
    assert_eq!(h.events().await, []);
}

async fn a_deleted_address_and_id_are_free_again(h: &Harness) {
    for round in 1..4 {
        let mut again = account("a", &[tenant()]);
        again.version = Version(round * 1000);
        put(h, &again).await;
        assert_eq!(by_address(h, "a").await.as_ref(), Some(&again));
        h.commit_account(Commit::delete(again)).await.unwrap();
        assert_eq!(get(h, "a").await, None);
        assert_eq!(by_address(h, "a").await, None);
        let listed = h.stores.accounts(&tenant(), None, 10).await.unwrap();
        assert_eq!(listed, []);
    }
    let mut other = account("b", &[tenant()]);
    other.email = id("a@acme.com");
    put(h, &other).await;
    assert_eq!(by_address(h, "a").await, Some(other));
}

async fn accounts_of_a_tenant_come_by_id(h: &Harness) {
    for (n, name) in ODD_IDS.into_iter().enumerate().rev() {
        let mut odd = account(&format!("n{n}"), &[tenant()]);
        odd.id = id(name);
        put(h, &odd).await;
    }
    for limit in [1, 5, 100] {
        let mut listed: Vec<Account> = Vec::new();
        loop {
            let after = listed.last().map(|account| account.id.clone());
            let chunk = h.stores.accounts(&tenant(), after.as_ref(), limit).await;
            let chunk = chunk.unwrap();
            assert!(chunk.len() <= limit);
            if chunk.is_empty() {
                break;
            }
            listed.extend(chunk);
        }
        let ids: Vec<&str> = listed.iter().map(|account| account.id.as_str()).collect();
        assert_eq!(ids, ODD_IDS);
    }
}

async fn an_account_is_listed_in_each_of_its_tenants(h: &Harness) {
    let names = async |t: &TenantId| -> Vec<String> {
        let listed = h.stores.accounts(t, None, 10).await.unwrap();
        listed.iter().map(|a| a.id.to_string()).collect()
    };
    let both = account("both", &[tenant(), other_tenant()]);
    put(h, &both).await;
    put(h, &account("mine", &[tenant()])).await;
    put(h, &account("root", &[Default::default()])).await;
    assert_eq!(names(&tenant()).await, ["both", "mine"]);
    assert_eq!(names(&other_tenant()).await, ["both"]);
    assert_eq!(names(&TenantId::default()).await, ["root"]);
    let mut to = both.clone();
    to.memberships.remove(0);
    h.commit_account(Commit::update(both, to)).await.unwrap();
    assert_eq!(names(&tenant()).await, ["mine"]);
    assert_eq!(names(&other_tenant()).await, ["both"]);
}

async fn events_of_accounts_are_written_with_them(h: &Harness) {
    let made = Commit::insert(account("a", &[tenant()])).event(fact("u.made"));
    let stamped = h.stamp(&TenantId::default(), made);
    h.stores.commit_account(stamped.clone()).await.unwrap();
    assert_eq!(h.events().await, stamped.events);
}

async fn an_address_is_taken_once_under_contention(h: &Harness) {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            let mut account = account(&format!("u{task}"), &[tenant()]);
            account.email = id("same@acme.com");
            h.waver().await;
            h.commit_account(Commit::insert(account)).await
        });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    answers.iter().filter(|a| a.is_err()).for_each(is_taken);
    let listed = h.stores.accounts(&tenant(), None, 100).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(by_address(h, "same").await.as_ref(), listed.first());
}

async fn versions_have_no_gaps_under_contention(h: &Harness) {
    let first = account("a", &[tenant()]);
    put(h, &first).await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let h = h.clone();
        tasks.spawn(async move {
            loop {
                let was = get(&h, "a").await.unwrap();
                h.waver().await;
                let mut to = was.clone();
                to.sessions.push(session(task, tenant()));
                match h.commit_account(Commit::update(was, to)).await {
                    Ok(()) => return,
                    Err(StoreError::Conflict) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
        });
    }
    tasks.join_all().await;
    let last = get(h, "a").await.unwrap();
    let changes = i64::try_from(TASKS).unwrap();
    assert_eq!(last.version, Version(first.version.0 + changes));
    assert_eq!(last.sessions.len(), TASKS);
}
