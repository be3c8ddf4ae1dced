use futures_util::future::join_all;
use mender_core::{
    StoreError, Time, Version,
    kit::{DocStore, Expect, Plan},
};

use super::support::{delete, doc, id, insert, names, telling, update, with_docs};
use crate::MongoDocs;

#[tokio::test]
async fn what_was_written_is_read_back_alike() {
    with_docs(async |docs| {
        let mut all = doc("a/\u{e9}\u{1f600}", i64::MAX - 7);
        all.body = "{\"$x.y\": [[1.0]], \"z\": 18446744073709551615}".into();
        all.unique = "dead/\u{1f600}".into();
        all.index = vec!["b=2".into(), "a=1".into()];
        all.orders = vec![("time", "7".into()), ("key", String::new())];
        all.sorts = vec![("-time".into(), "7".into()), ("+k_-9".into(), String::new())];
        docs.write(&insert(all.clone())).await.unwrap();
        assert_eq!(docs.get(&all.id).await.unwrap(), Some(all.clone()));
        let found = docs.find(all.id.kind, &all.id.tenant, &all.unique).await;
        assert_eq!(found.unwrap(), Some(all.clone()));
        assert_eq!(docs.get(&id("b")).await.unwrap(), None);
    })
    .await;
}

async fn add_ones(docs: &MongoDocs, times: usize) {
    for _ in 0..times {
        loop {
            let was = docs.get(&id("n")).await.unwrap().unwrap();
            let n: i64 = was.body.parse().unwrap();
            let mut to = doc("n", was.version.0 + 1);
            to.body = (n + 1).to_string();
            let tell = telling(update(to), &[&format!("{n:04}")]);
            match docs.write(&tell).await {
                Ok(()) => break,
                Err(StoreError::Conflict) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[tokio::test]
async fn sixteen_tasks_lose_no_update_and_no_event() {
    with_docs(async |docs| {
        let mut first = doc("n", 1);
        first.body = "0".into();
        docs.write(&insert(first)).await.unwrap();
        join_all((0..16).map(|_| add_ones(docs, 10))).await;
        let end = docs.get(&id("n")).await.unwrap().unwrap();
        assert_eq!((end.version, end.body.as_str()), (Version(161), "160"));
        let events = docs.pending(end.id.kind, &end.id.tenant, "n").await.unwrap();
        let wanted: Vec<String> = (0..160).map(|n| format!("{n:04}")).collect();
        assert_eq!(names(&events), wanted);
        assert_eq!(docs.unsettled().await.unwrap(), 160);
    })
    .await;
}

#[tokio::test]
async fn of_many_inserts_of_one_id_one_succeeds_and_the_others_conflict() {
    with_docs(async |docs| {
        let writes: Vec<_> = (0..8).map(|_| insert(doc("a", 1))).collect();
        let answers = join_all(writes.iter().map(|write| docs.write(write))).await;
        let conflicts = |a: &&Result<(), _>| matches!(a, Err(StoreError::Conflict));
        assert_eq!(answers.iter().filter(|a| a.is_ok()).count(), 1);
        assert_eq!(answers.iter().filter(conflicts).count(), 7);
    })
    .await;
}

#[tokio::test]
async fn a_unique_text_of_another_is_a_duplicate_and_of_the_dead_is_free() {
    with_docs(async |docs| {
        let mut b = doc("b", 1);
        b.unique = "a".into();
        docs.write(&insert(doc("a", 1))).await.unwrap();
        let refused = docs.write(&insert(b.clone())).await;
        assert!(matches!(refused, Err(StoreError::Duplicate { .. })), "{refused:?}");
        docs.write(&insert(doc("b", 1))).await.unwrap();
        b.version = Version(2);
        let refused = docs.write(&update(b.clone())).await;
        assert!(matches!(refused, Err(StoreError::Duplicate { .. })), "{refused:?}");
        docs.write(&delete("a", 1, Some("note"))).await.unwrap();
        docs.write(&update(b)).await.unwrap();
        // The tombstone of `a` must not hide that its text is another's.
        let refused = docs.write(&insert(doc("a", 5))).await;
        assert!(matches!(refused, Err(StoreError::Duplicate { .. })), "{refused:?}");
        assert_eq!(docs.tombstone(&id("a")).await.unwrap().as_deref(), Some("note"));
    })
    .await;
}

#[tokio::test]
async fn a_stale_or_missing_version_conflicts_and_changes_nothing() {
    with_docs(async |docs| {
        docs.write(&insert(doc("a", 1))).await.unwrap();
        for stale in [
            telling(update(doc("a", 3)), &["e"]),
            telling(update(doc("b", 2)), &["e"]),
            delete("a", 2, None),
            delete("b", 1, Some("note")),
        ] {
            let answer = docs.write(&stale).await;
            assert!(matches!(answer, Err(StoreError::Conflict)), "{answer:?}");
        }
        assert_eq!(docs.get(&id("a")).await.unwrap(), Some(doc("a", 1)));
        assert_eq!(docs.unsettled().await.unwrap(), 0);
        assert_eq!(docs.tombstone(&id("b")).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn a_tombstone_is_no_document_and_its_version_is_gone() {
    with_docs(async |docs| {
        docs.write(&insert(doc("a", 1))).await.unwrap();
        docs.write(&telling(delete("a", 1, None), &["e"])).await.unwrap();
        assert_eq!(docs.get(&id("a")).await.unwrap(), None);
        let plan = Plan::new(id("a").kind, &id("a").tenant);
        assert_eq!(docs.scan(&plan).await.unwrap(), []);
        assert_eq!(docs.count(&plan).await.unwrap(), 0);
        for late in [update(doc("a", 2)), delete("a", 1, None)] {
            let answer = docs.write(&late).await;
            assert!(matches!(answer, Err(StoreError::Conflict)), "{answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_insert_over_a_tombstone_keeps_its_events_and_drops_its_note() {
    with_docs(async |docs| {
        docs.write(&telling(insert(doc("a", 1)), &["1"])).await.unwrap();
        docs.write(&telling(delete("a", 1, Some("note")), &["2"])).await.unwrap();
        assert_eq!(docs.tombstone(&id("a")).await.unwrap().as_deref(), Some("note"));
        docs.write(&telling(insert(doc("a", 50)), &["3"])).await.unwrap();
        assert_eq!(docs.get(&id("a")).await.unwrap(), Some(doc("a", 50)));
        assert_eq!(docs.tombstone(&id("a")).await.unwrap(), None);
        let claimed = docs.claim(Time(1000), Time(2000), 9).await.unwrap();
        assert_eq!(names(&claimed), ["1", "2", "3"]);
    })
    .await;
}

#[tokio::test]
async fn an_absent_document_may_leave_a_note() {
    with_docs(async |docs| {
        let mut write = delete("a", 1, Some("note"));
        write.expect = Expect::Absent;
        docs.write(&write).await.unwrap();
        assert_eq!(docs.tombstone(&id("a")).await.unwrap().as_deref(), Some("note"));
        docs.write(&insert(doc("a", 1))).await.unwrap();
        let answer = docs.write(&write).await;
        assert!(matches!(answer, Err(StoreError::Conflict)), "{answer:?}");
    })
    .await;
}

#[tokio::test]
async fn a_document_over_the_servers_limits_is_too_large() {
    with_docs(async |docs| {
        let mut wide = doc("a", 1);
        wide.index = (0..1201).map(|n| n.to_string()).collect();
        let answer = docs.write(&insert(wide)).await;
        assert!(matches!(answer, Err(StoreError::TooLarge)), "{answer:?}");
        let mut long = doc("a", 1);
        long.body = "x".repeat(13 << 20);
        let answer = docs.write(&insert(long)).await;
        assert!(matches!(answer, Err(StoreError::TooLarge)), "{answer:?}");
    })
    .await;
}
