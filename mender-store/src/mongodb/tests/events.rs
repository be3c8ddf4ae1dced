use std::collections::BTreeSet;

use futures_util::future::join_all;
use mender_core::{Time, kit::DocStore};
use mongodb::bson::doc as bson;

use super::support::{KIND, delete, doc, event, id, insert, names, telling, update, with_docs};
use crate::MongoDocs;

async fn documents(docs: &MongoDocs) -> u64 {
    docs.link.kind(KIND).count_documents(bson! {}).await.unwrap()
}

#[tokio::test]
async fn events_are_claimed_after_their_lease_the_oldest_first() {
    with_docs(async |docs| {
        docs.write(&telling(insert(doc("z", 1)), &["1"])).await.unwrap();
        docs.write(&telling(insert(doc("a", 1)), &["2", "4"])).await.unwrap();
        let mut later = telling(update(doc("z", 2)), &["3"]);
        later.lease_until = Time(5000);
        docs.write(&later).await.unwrap();
        assert_eq!(docs.claim(Time(999), Time(2000), 9).await.unwrap(), []);
        let claimed = docs.claim(Time(1000), Time(2000), 2).await.unwrap();
        assert_eq!(claimed, [event(&id("z"), "1"), event(&id("a"), "2")]);
        let claimed = docs.claim(Time(1000), Time(3000), 9).await.unwrap();
        assert_eq!(names(&claimed), ["4"]);
        let claimed = docs.claim(Time(2000), Time(9000), 9).await.unwrap();
        assert_eq!(names(&claimed), ["1", "2"]);
        let claimed = docs.claim(Time(5000), Time(9000), 9).await.unwrap();
        assert_eq!(names(&claimed), ["3", "4"]);
        assert_eq!(docs.unsettled().await.unwrap(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_commit_without_events_or_with_a_later_lease_does_not_delay_older_events() {
    with_docs(async |docs| {
        docs.write(&telling(insert(doc("a", 1)), &["1"])).await.unwrap();
        docs.write(&update(doc("a", 2))).await.unwrap();
        let mut later = telling(update(doc("a", 3)), &["2"]);
        later.lease_until = Time(i64::MAX);
        docs.write(&later).await.unwrap();
        let claimed = docs.claim(Time(1000), Time(2000), 9).await.unwrap();
        assert_eq!(names(&claimed), ["1"]);
        assert_eq!(docs.unsettled().await.unwrap(), 2);
    })
    .await;
}

async fn claim_until_none(docs: &MongoDocs) -> Vec<String> {
    let mut mine = Vec::new();
    let mut empty = 0;
    while empty < 3 {
        let claimed = docs.claim(Time(1000), Time(2000), 5).await.unwrap();
        empty = if claimed.is_empty() { empty + 1 } else { 0 };
        mine.extend(claimed.iter().map(|event| event.id.to_string()));
    }
    mine
}

#[tokio::test]
async fn each_event_goes_to_one_of_many_claimers() {
    with_docs(async |docs| {
        for n in 0..40 {
            let names = [format!("{n:02}a"), format!("{n:02}b")];
            let write = insert(doc(&n.to_string(), 1));
            let write = telling(write, &[&names[0], &names[1]]);
            docs.write(&write).await.unwrap();
        }
        let claimers = (0..8).map(|_| claim_until_none(docs));
        let claimed: Vec<String> = join_all(claimers).await.concat();
        let distinct: BTreeSet<&String> = claimed.iter().collect();
        assert_eq!((claimed.len(), distinct.len()), (80, 80));
    })
    .await;
}

#[tokio::test]
async fn settling_forgets_these_events_and_no_others() {
    with_docs(async |docs| {
        docs.write(&telling(insert(doc("a", 1)), &["1", "2"])).await.unwrap();
        docs.write(&telling(insert(doc("b", 1)), &["3"])).await.unwrap();
        let of = |name: &str, e: &str| event(&id(name), e);
        docs.settle(&[of("a", "2"), of("b", "3"), of("b", "3"), of("gone", "9"), of("a", "8")])
            .await
            .unwrap();
        let pending = docs.pending(KIND, &id("a").tenant, "a").await.unwrap();
        assert_eq!(pending, [of("a", "1")]);
        assert_eq!(docs.pending(KIND, &id("b").tenant, "b").await.unwrap(), []);
        assert_eq!(docs.unsettled().await.unwrap(), 1);
        docs.settle(&[of("a", "1")]).await.unwrap();
        assert_eq!(docs.unsettled().await.unwrap(), 0);
        assert_eq!(docs.claim(Time(9000), Time(9001), 9).await.unwrap(), []);
        let asleep = bson! { "ob_at": i64::MAX };
        let asleep = docs.link.kind(KIND).count_documents(asleep).await.unwrap();
        assert_eq!(asleep, 2);
    })
    .await;
}

#[tokio::test]
async fn a_tombstone_goes_with_its_last_event_unless_it_holds_a_note() {
    with_docs(async |docs| {
        for (name, note) in [("a", None), ("b", Some("note"))] {
            docs.write(&insert(doc(name, 1))).await.unwrap();
            let gone = telling(delete(name, 1, note), &[&format!("{name}1"), &format!("{name}2")]);
            docs.write(&gone).await.unwrap();
        }
        let of = |name: &str, n: u32| event(&id(name), &format!("{name}{n}"));
        docs.sweep(Time(11), 9).await.unwrap();
        assert_eq!(documents(docs).await, 2, "their events are not settled");
        docs.settle(&[of("a", 1), of("b", 1)]).await.unwrap();
        assert_eq!(documents(docs).await, 2);
        docs.settle(&[of("a", 2), of("b", 2)]).await.unwrap();
        assert_eq!(documents(docs).await, 1);
        docs.sweep(Time(10), 9).await.unwrap();
        assert_eq!(docs.tombstone(&id("b")).await.unwrap().as_deref(), Some("note"));
        docs.sweep(Time(11), 9).await.unwrap();
        assert_eq!(docs.tombstone(&id("b")).await.unwrap(), None);
        assert_eq!(documents(docs).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_quiet_end_leaves_nothing_and_pending_events_outlive_it() {
    with_docs(async |docs| {
        docs.write(&insert(doc("a", 1))).await.unwrap();
        docs.write(&delete("a", 1, None)).await.unwrap();
        assert_eq!(documents(docs).await, 0);
        docs.write(&telling(insert(doc("b", 1)), &["1"])).await.unwrap();
        docs.write(&delete("b", 1, None)).await.unwrap();
        let claimed = docs.claim(Time(1000), Time(2000), 9).await.unwrap();
        assert_eq!(names(&claimed), ["1"]);
        docs.settle(&claimed).await.unwrap();
        assert_eq!(documents(docs).await, 0);
    })
    .await;
}
