#![expect(clippy::unwrap_used, reason = "a case that fails panics")]

use serde_json::json;

use crate::{
    commit::Commit,
    error::StoreResult,
    id::{TenantId, Version},
    inventory::{AttributeName, Filter, Op, Operand, Predicate},
    testing::{
        contract::{Harness, claims},
        fixtures::{ODD_IDS, fact, id, is_conflict, is_duplicate, is_taken, other_tenant, tenant},
    },
};

claims!["inventory":
    a_filter_is_returned_as_it_was_stored,
    another_filter_with_the_name_is_a_duplicate,
    a_change_of_a_filter_applies_to_its_version_only,
    a_taken_filter_id_conflicts,
    filters_come_by_name,
    filters_of_other_tenants_do_not_exist,
];

fn filter(id_: &str, name: &str) -> Filter {
    let value = Operand::Value(crate::inventory::Value::Text("x".into()));
    let term = Predicate { name: AttributeName::inventory("a"), op: Op::Eq, value };
    Filter { id: id(id_), name: name.into(), terms: vec![term], version: Version::FIRST }
}

async fn commit(h: &Harness, t: &TenantId, commit: Commit<Filter>) -> StoreResult<()> {
    let stamped = h.stamp(t, commit);
    h.stores.commit_filter(t, stamped).await
}

async fn put(h: &Harness, t: &TenantId, filter: &Filter) {
    commit(h, t, Commit::insert(filter.clone())).await.unwrap();
}

async fn get(h: &Harness, t: &TenantId, name: &str) -> Option<Filter> {
    h.stores.filter(t, &id(name)).await.unwrap()
}

async fn names(h: &Harness, t: &TenantId) -> Vec<String> {
    let filters = h.stores.filters(t, 0, 100).await.unwrap();
    assert_eq!(h.stores.count_filters(t).await.unwrap(), filters.len() as u64);
    filters.into_iter().map(|filter| filter.name).collect()
}

async fn a_filter_is_returned_as_it_was_stored(h: &Harness) {
    let t = tenant();
    assert_eq!(get(h, &t, "ghost").await, None);
    let operands = [
        json!(null),
        json!("é😀'; --"),
        json!(0.1 + 0.2),
        json!(false),
        json!([]),
        json!(["a", "b"]),
        json!([["a"], [1.5, 2.0], null, true]),
    ];
    let mut full = filter("full", "näme");
    full.terms.clear();
    for (n, operand) in operands.iter().enumerate() {
        let name = AttributeName::new(AttributeName::SCOPES[n % 5], format!("a.b ${n}"));
        let value = Operand::from_json(operand).unwrap();
        full.terms.push(Predicate { name, op: Op::ALL[n], value });
    }
    full.version = Version(1 << 50);
    put(h, &t, &full).await;
    assert_eq!(get(h, &t, "full").await, Some(full.clone()));
    let change = Commit::update(full, filter("full", "other"));
    commit(h, &t, change.clone()).await.unwrap();
    assert_eq!(get(h, &t, "full").await.as_ref(), change.aggregate());
    assert_eq!(names(h, &t).await, ["other"]);
    let gone = Commit::delete(change.aggregate().cloned().unwrap()).event(fact("f.gone"));
    commit(h, &t, gone).await.unwrap();
    assert_eq!(get(h, &t, "full").await, None);
    assert_eq!(names(h, &t).await, [""; 0]);
    assert_eq!(h.events().await.len(), 1);
}

async fn another_filter_with_the_name_is_a_duplicate(h: &Harness) {
    let t = tenant();
    put(h, &t, &filter("a", "same")).await;
    is_duplicate(commit(h, &t, Commit::insert(filter("b", "same")).event(fact("f"))).await, "name");
    assert_eq!(get(h, &t, "b").await, None);
    let was = filter("b", "Same");
    put(h, &t, &was).await;
    let change = Commit::update(was.clone(), filter("b", "same")).event(fact("f"));
    is_duplicate(commit(h, &t, change.clone()).await, "name");
    assert_eq!(get(h, &t, "b").await, Some(was));
    assert_eq!(h.events().await, []);
    commit(h, &t, Commit::delete(filter("a", "same"))).await.unwrap();
    commit(h, &t, change).await.unwrap();
    assert_eq!(names(h, &t).await, ["same"]);
    assert_eq!(h.events().await.len(), 1);
}

async fn a_change_of_a_filter_applies_to_its_version_only(h: &Harness) {
    let t = tenant();
    let first = filter("a", "one");
    let change = Commit::update(first.clone(), filter("a", "two")).event(fact("f"));
    is_conflict(commit(h, &t, change.clone()).await);
    put(h, &t, &first).await;
    let quiet = Commit::update(first.clone(), filter("a", "three"));
    commit(h, &t, quiet).await.unwrap();
    is_conflict(commit(h, &t, change).await);
    is_conflict(commit(h, &t, Commit::delete(first).event(fact("f"))).await);
    assert_eq!(names(h, &t).await, ["three"]);
    assert_eq!(h.events().await, []);
}

async fn a_taken_filter_id_conflicts(h: &Harness) {
    let t = tenant();
    put(h, &t, &filter("a", "one")).await;
    is_conflict(commit(h, &t, Commit::insert(filter("a", "two"))).await);
    is_taken(&commit(h, &t, Commit::insert(filter("a", "one"))).await);
    assert_eq!(names(h, &t).await, ["one"]);
}

async fn filters_come_by_name(h: &Harness) {
    let t = tenant();
    for (n, name) in ODD_IDS.into_iter().enumerate() {
        put(h, &t, &filter(&format!("{:02}", 50 - n), name)).await;
    }
    assert_eq!(names(h, &t).await, ODD_IDS);
    for limit in [1, 5] {
        let mut pages = Vec::new();
        loop {
            let page = h.stores.filters(&t, pages.len() as u64, limit).await.unwrap();
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            pages.extend(page.into_iter().map(|filter| filter.name));
        }
        assert_eq!(pages, ODD_IDS);
    }
    assert_eq!(h.stores.filters(&t, 1 << 40, 5).await.unwrap(), []);
}

async fn filters_of_other_tenants_do_not_exist(h: &Harness) {
    put(h, &tenant(), &filter("a", "same")).await;
    assert_eq!(get(h, &other_tenant(), "a").await, None);
    assert_eq!(names(h, &other_tenant()).await, [""; 0]);
    let theirs = filter("a", "same");
    put(h, &other_tenant(), &theirs).await;
    commit(h, &tenant(), Commit::delete(filter("a", "same"))).await.unwrap();
    assert_eq!(get(h, &other_tenant(), "a").await, Some(theirs));
    assert_eq!(names(h, &tenant()).await, [""; 0]);
}
