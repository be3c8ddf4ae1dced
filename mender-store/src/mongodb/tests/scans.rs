use mender_core::{
    Version,
    index::{Clause, Span},
    kit::{Doc, DocId, DocStore, MemoryDocs, Plan},
};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{select, subsequence},
    strategy::ValueTree,
    test_runner::TestRunner,
};

use super::support::delete;
use super::support::{KIND, doc, id, insert, telling, with_docs};

const IDS: &str = "[ab/0\u{7e}\u{e9}\u{ffff}\u{1f600}]{1,3}";
const PLACES: &str = "[ab]{0,2}";

fn tenants() -> impl Strategy<Value = &'static str> {
    select(vec!["", "t", "t/", "t0", "\u{e9}"])
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    let some = subsequence(vec!["x=1", "x=2", "y=1", "y=2"], 0..4);
    some.prop_map(|texts| texts.into_iter().map(String::from).collect())
}

fn span() -> impl Strategy<Value = Span> {
    let text =
        || select(vec!["", "w", "x=1", "x=2", "x=2\u{1}", "y=1", "z"]).prop_map(String::from);
    prop_oneof![
        text().prop_map(Span::At),
        (text(), text()).prop_map(|(from, to)| Span::Within { from, to }),
    ]
}

fn clause() -> impl Strategy<Value = Clause> {
    let none = option::of(vec(span(), 0..3));
    (vec(span(), 0..4), none).prop_map(|(some, none)| Clause { some, none })
}

fn sorts() -> impl Strategy<Value = Vec<(String, bool)>> {
    let name = select(vec!["+a", "-a", "+time", "-none"]).prop_map(String::from);
    vec((name, any::<bool>()), 0..3)
}

fn docs() -> impl Strategy<Value = Vec<Doc>> {
    let places = || (option::of(PLACES), option::of(PLACES));
    let one = (tenants(), IDS, texts(), places(), places());
    let one = one.prop_map(|(tenant, name, index, (time, key), (first, last))| {
        let mut new = doc(&name, 1);
        new.id.tenant = tenant.parse().unwrap();
        new.version = Version(3);
        new.index = index;
        new.orders.extend(time.map(|place| ("time", place)));
        new.orders.extend(key.map(|place| ("key", place)));
        new.sorts.extend(first.map(|place| ("+a".to_owned(), place)));
        new.sorts.extend(last.map(|place| ("-a".to_owned(), place)));
        new
    });
    vec(one, 20..60)
}

fn plans() -> impl Strategy<Value = Plan> {
    let order = select(vec![None, Some("time"), Some("key"), Some("none")]);
    let bound = || option::weighted(0.3, prop_oneof![IDS, PLACES]);
    let ids = option::weighted(0.2, vec(IDS, 0..20));
    let limit = prop_oneof![Just(usize::MAX), 0..12_usize];
    let skip = prop_oneof![3 => Just(0_u64), 1 => 0..8_u64];
    let conditions = (ids, vec(clause(), 0..3));
    (tenants(), conditions, sorts(), order, bound(), bound(), skip, limit).prop_map(
        |(tenant, (ids, all), sorts, order, after, until, skip, limit)| Plan {
            kind: KIND,
            tenant: tenant.parse().unwrap(),
            ids,
            all,
            sorts,
            order,
            after,
            until,
            skip,
            limit,
        },
    )
}

#[tokio::test]
async fn scans_and_counts_equal_those_in_memory() {
    with_docs(async |mongo| {
        let memory = MemoryDocs::default();
        let mut runner = TestRunner::default();
        for new in docs().new_tree(&mut runner).unwrap().current() {
            let write = insert(new);
            let (left, right) = (memory.write(&write).await, mongo.write(&write).await);
            assert_eq!(format!("{left:?}"), format!("{right:?}"));
        }
        // What is left of a deleted one is found by nothing, not by what it lacks either.
        let dead = [insert(doc("dead", 1)), telling(delete("dead", 1, None), &["e"])];
        for write in dead {
            memory.write(&write).await.unwrap();
            mongo.write(&write).await.unwrap();
        }
        for _ in 0..400 {
            let plan = plans().new_tree(&mut runner).unwrap().current();
            let (left, right) = (memory.scan(&plan).await, mongo.scan(&plan).await);
            assert_eq!(left.unwrap(), right.unwrap(), "{plan:?}");
            let within = span().new_tree(&mut runner).unwrap().current();
            let left = memory.tally(&plan, &within).await;
            let right = mongo.tally(&plan, &within).await;
            assert_eq!(left.unwrap(), right.unwrap(), "{within:?} of {plan:?}");
            let (left, right) = (memory.count(&plan).await, mongo.count(&plan).await);
            assert_eq!(left.unwrap(), right.unwrap(), "{plan:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn pages_by_order_are_complete_and_without_repetition() {
    with_docs(async |docs| {
        for n in 0..30 {
            let mut new = doc(&format!("{:02}", (n * 7) % 30), 1);
            new.orders = vec![("time", format!("{:02}", n / 3))];
            docs.write(&insert(new)).await.unwrap();
        }
        docs.write(&insert(doc("dead", 1))).await.unwrap();
        docs.write(&telling(delete("dead", 1, None), &["e"])).await.unwrap();
        let mut plan = Plan::new(KIND, &id("").tenant).limit(7);
        plan.order = Some("time");
        let mut pages: Vec<DocId> = Vec::new();
        loop {
            let page = docs.scan(&plan).await.unwrap();
            if page.is_empty() {
                break;
            }
            plan.skip += page.len() as u64;
            pages.extend(page.into_iter().map(|doc| doc.id));
        }
        plan.skip = 0;
        plan.limit = usize::MAX;
        let whole: Vec<DocId> = docs.scan(&plan).await.unwrap().into_iter().map(|d| d.id).collect();
        assert_eq!(pages, whole);
        assert_eq!(pages.len(), 30);
    })
    .await;
}
