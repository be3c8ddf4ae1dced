use mender_core::{
    Time,
    kit::{DocStore, KINDS},
};
use mongodb::bson::doc as bson;
use tokio::time::Instant;

use super::support::{doc, insert, telling, url, with_docs};
use crate::MongoDocs;

#[tokio::test]
async fn the_second_opening_finds_everything_ready() {
    let Some(url) = url() else {
        return;
    };
    let start = Instant::now();
    let first = MongoDocs::open(&url).await.unwrap();
    let probed = start.elapsed();
    first.write(&telling(insert(doc("a", 1)), &["e"])).await.unwrap();
    let start = Instant::now();
    let second = MongoDocs::open(&url).await.unwrap();
    println!("opened first in {probed:?}, then in {:?}", start.elapsed());
    let claimed = second.claim(Time(1000), Time(2000), 9).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let left = second.link.kind("kit.probe").count_documents(bson! {}).await;
    assert_eq!(left.unwrap(), 1, "the probe leaves its result alone");
    second.link.database().drop().await.unwrap();
}

#[tokio::test]
async fn every_kind_has_its_indexes_and_orders_get_theirs_when_written() {
    with_docs(async |docs| {
        for kind in KINDS {
            let names = docs.link.kind(kind).list_index_names().await.unwrap();
            for wanted in ["t_1_uk_1", "t_1_ix_1__id_1", "ob_at_1"] {
                assert!(names.contains(&wanted.to_owned()), "{kind}: {names:?}");
            }
        }
        let mut new = doc("a", 1);
        new.orders = vec![("time", "1".into())];
        docs.write(&insert(new.clone())).await.unwrap();
        let names = docs.link.kind(new.id.kind).list_index_names().await.unwrap();
        assert!(names.contains(&"t_1_s.time_1__id_1".to_owned()), "{names:?}");
    })
    .await;
}
