use std::time::Duration;

use mender_core::{
    StoreError,
    kit::{DocStore, Write},
};
use tokio::time::Instant;

use super::{
    proxy::{Loses, Proxy},
    support::{
        KIND, delete, doc, id, insert, names, open_unprobed, telling, update, url, with_docs,
    },
};
use crate::MongoDocs;

/// Runs a test with a store of its own, and the same one seen through a proxy.
async fn with_proxy(test: impl AsyncFnOnce(&MongoDocs, &MongoDocs, &Proxy)) {
    let Some(url) = url() else {
        return;
    };
    let (server, rest) = url.trim_start_matches("mongodb://").split_once('/').unwrap();
    let proxy = Proxy::start(server).await;
    let through = format!("mongodb://127.0.0.1:{}/{rest}", proxy.port);
    let direct = open_unprobed(&url).await;
    let docs = MongoDocs::open(&through).await.unwrap();
    test(&docs, &direct, &proxy).await;
    direct.link.database().drop().await.unwrap();
}

async fn events_of(docs: &MongoDocs, name: &str) -> Vec<String> {
    let events = docs.pending(KIND, &id(name).tenant, name).await.unwrap();
    names(&events).into_iter().map(String::from).collect()
}

#[tokio::test]
async fn a_write_whose_request_or_answer_was_lost_happens_once_and_succeeds() {
    with_proxy(async |docs, direct, proxy| {
        for (n, loses) in [Loses::Request, Loses::Answer].into_iter().enumerate() {
            let name = n.to_string();
            let writes: [(&str, Write); 4] = [
                ("insert", telling(insert(doc(&name, 1)), &["1"])),
                ("update", telling(update(doc(&name, 2)), &["2"])),
                ("update", telling(delete(&name, 2, None), &["3"])),
                // Over the tombstone.
                ("update", telling(insert(doc(&name, 9)), &["4"])),
            ];
            for (command, write) in writes {
                proxy.lose(command, loses, 1);
                docs.write(&write).await.unwrap();
                assert!(proxy.is_done(), "{command} {loses:?}");
            }
            assert_eq!(direct.get(&id(&name)).await.unwrap(), Some(doc(&name, 9)));
            assert_eq!(events_of(direct, &name).await, ["1", "2", "3", "4"]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_lost_refusal_is_still_a_refusal_or_unknown() {
    with_proxy(async |docs, direct, proxy| {
        direct.write(&insert(doc("a", 1))).await.unwrap();
        proxy.lose("update", Loses::Answer, 1);
        let stale = docs.write(&telling(update(doc("a", 7)), &["e"])).await;
        assert!(matches!(stale, Err(StoreError::Unavailable(_))), "{stale:?}");
        let mut same = telling(insert(doc("b", 1)), &["e"]);
        if let mender_core::kit::Put::Doc(doc) = &mut same.put {
            doc.unique = "a".into();
        }
        proxy.lose("insert", Loses::Answer, 1);
        let refused = docs.write(&same).await;
        assert!(matches!(refused, Err(StoreError::Duplicate { .. })), "{refused:?}");
        assert_eq!(direct.unsettled().await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_write_overtaken_while_its_answer_was_lost_is_unknown() {
    with_proxy(async |docs, direct, proxy| {
        direct.write(&insert(doc("a", 1))).await.unwrap();
        proxy.lose("update", Loses::AnswerLater, 1);
        let write = telling(update(doc("a", 2)), &["mine"]);
        let overtake = async {
            proxy.reached().await;
            direct.write(&telling(update(doc("a", 3)), &["other"])).await.unwrap();
            proxy.go_on();
        };
        let (answer, ()) = tokio::join!(docs.write(&write), overtake);
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        assert_eq!(events_of(direct, "a").await, ["mine", "other"]);
    })
    .await;
}

#[tokio::test]
async fn a_write_without_any_answer_is_unknown_and_happens_at_most_once() {
    with_proxy(async |docs, direct, proxy| {
        direct.write(&insert(doc("a", 1))).await.unwrap();
        proxy.lose("update", Loses::Answer, 100);
        let answer = docs.write(&telling(update(doc("a", 2)), &["e"])).await;
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        assert_eq!(direct.get(&id("a")).await.unwrap(), Some(doc("a", 2)));
        assert_eq!(events_of(direct, "a").await, ["e"]);
    })
    .await;
}

#[tokio::test]
async fn a_store_that_was_down_answers_again_by_itself() {
    with_proxy(async |docs, direct, proxy| {
        docs.write(&insert(doc("a", 1))).await.unwrap();
        proxy.set_down(true);
        let start = Instant::now();
        for _ in 0..2 {
            let read = docs.get(&id("a")).await;
            assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
        }
        let written = docs.write(&telling(update(doc("a", 2)), &["e"])).await;
        assert!(matches!(written, Err(StoreError::Unavailable(_))), "{written:?}");
        assert!(start.elapsed() < Duration::from_secs(12), "{:?}", start.elapsed());
        proxy.set_down(false);
        assert_eq!(docs.get(&id("a")).await.unwrap(), Some(doc("a", 1)));
        docs.write(&telling(update(doc("a", 2)), &["e"])).await.unwrap();
        assert_eq!(events_of(direct, "a").await, ["e"]);
    })
    .await;
}

#[tokio::test]
async fn without_a_server_opening_says_so_soon() {
    let start = Instant::now();
    let answer = MongoDocs::open("mongodb://127.0.0.1:1/x").await;
    let text = answer.unwrap_err().to_string();
    assert!(text.contains("no MongoDB server answers"), "{text}");
    assert!(start.elapsed() < Duration::from_secs(5));
    let answer = MongoDocs::open("mongodb://127.0.0.1:1/").await;
    assert!(answer.unwrap_err().to_string().contains("names no database"));
    assert!(MongoDocs::open("postgres://x/y").await.is_err());
}

#[tokio::test]
async fn more_than_the_connections_can_serve_is_refused_in_time() {
    with_docs(async |docs| {
        let never = || docs.link.run(std::future::pending::<Result<(), _>>());
        let busy = futures_util::future::join_all((0..64).map(|_| never()));
        let late = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            docs.get(&id("a")).await
        };
        let answer = tokio::select! {
            _ = busy => panic!("they never end"),
            answer = late => answer,
        };
        let text = answer.unwrap_err().to_string();
        assert!(text.contains("all 64 connections to MongoDB are busy"), "{text}");
        assert_eq!(docs.get(&id("a")).await.unwrap(), None);
    })
    .await;
}
