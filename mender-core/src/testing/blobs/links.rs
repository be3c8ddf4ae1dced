//! Links that the store signed. A store without links passes.

use std::time::Duration;

use bytes::Bytes;

use super::{Harness, LARGE, claims, noise};
use crate::{
    blob::{ARTIFACT_TYPE, Audience, BlobKey, Link, LinkTo},
    env::{Env, Time},
    error::StoreError,
    outbound::{OutboundAnswer, OutboundRequest},
};

claims!["blobs":
    a_link_reads_a_blob_and_parts_of_it,
    a_link_names_the_file,
    a_link_stores_a_blob,
    a_link_deletes_a_blob,
    a_link_to_read_what_is_not_there_is_an_error,
    a_link_is_good_for_its_blob_only,
    a_link_is_good_for_its_purpose_only,
    a_link_that_expired_is_refused,
    a_link_tells_how_long_it_is_good,
];

const READ: LinkTo<'static> = LinkTo::Read { file_name: None };

const HOUR: Duration = Duration::from_secs(3600);

fn now() -> Time {
    Env::system().now()
}

impl Harness {
    async fn link(&self, key: &BlobKey, to: LinkTo<'_>) -> Option<Link> {
        self.link_from(key, to, now()).await
    }

    async fn link_from(&self, key: &BlobKey, to: LinkTo<'_>, from: Time) -> Option<Link> {
        let made = self.blobs.link_to(key, to, Audience::Public, HOUR, from).await.unwrap();
        made.inspect(|link| assert_eq!(link.method, to.method()))
    }

    async fn follow(&self, link: &Link, headers: &[(&str, &str)], body: Bytes) -> OutboundAnswer {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let needed = link.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let request = OutboundRequest {
            method: link.method.into(),
            url: link.uri.clone(),
            headers: needed.chain(headers.iter().copied()).map(owned).collect(),
            body,
        };
        let client = self.client.as_ref().expect("a store that makes links needs a client");
        client.send(request).await.unwrap()
    }

    async fn get(&self, link: &Link) -> OutboundAnswer {
        self.follow(link, &[], Bytes::new()).await
    }
}

fn header<'a>(answer: &'a OutboundAnswer, name: &str) -> &'a str {
    let found = answer.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map_or("", |(_, value)| value)
}

fn is_refused(answer: &OutboundAnswer) {
    assert!(matches!(answer.status, 401 | 403), "{answer:?}");
}

async fn a_link_reads_a_blob_and_parts_of_it(h: &Harness) {
    let key = h.key("read");
    h.put(&key, "hello").await;
    for audience in [Audience::Public, Audience::Internal] {
        let made = h.blobs.link_to(&key, READ, audience, HOUR, now()).await.unwrap();
        let Some(link) = made else { return };
        let answer = h.get(&link).await;
        assert_eq!((answer.status, answer.body.as_ref()), (200, &b"hello"[..]));
        let part = h.follow(&link, &[("Range", "bytes=1-3")], Bytes::new()).await;
        assert_eq!((part.status, part.body.as_ref()), (206, &b"ell"[..]));
        assert_eq!(header(&part, "content-range"), "bytes 1-3/5");
    }
}

async fn a_link_names_the_file(h: &Harness) {
    let key = h.key("named");
    h.put(&key, "hello").await;
    let to = LinkTo::Read { file_name: Some("release 1 (\"x\").mender") };
    let Some(link) = h.link(&key, to).await else { return };
    let answer = h.get(&link).await;
    assert_eq!(answer.status, 200);
    assert_eq!(header(&answer, "content-type"), ARTIFACT_TYPE);
    let expected = "attachment; filename=\"release 1 (\\\"x\\\").mender\"";
    assert_eq!(header(&answer, "content-disposition"), expected);
}

async fn a_link_stores_a_blob(h: &Harness) {
    for bytes in [noise(10, 0), noise(LARGE, 1)] {
        let key = h.key(&format!("written-{}", bytes.len()));
        let Some(link) = h.link(&key, LinkTo::Write).await else { return };
        let kind = [("Content-Type", "application/octet-stream")];
        let answer = h.follow(&link, &kind, bytes.clone()).await;
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        assert!(h.all(&key).await.unwrap() == bytes);
    }
}

async fn a_link_deletes_a_blob(h: &Harness) {
    let key = h.key("deleted");
    h.put(&key, "hello").await;
    let Some(link) = h.link(&key, LinkTo::Delete).await else { return };
    let answer = h.get(&link).await;
    assert!(matches!(answer.status, 200..300), "{answer:?}");
    h.is_missing(&key).await;
}

async fn a_link_to_read_what_is_not_there_is_an_error(h: &Harness) {
    let key = h.key("ghost");
    match h.blobs.link_to(&key, READ, Audience::Public, HOUR, now()).await {
        Ok(link) => assert_eq!(link, None),
        Err(error) => {
            assert!(matches!(error, StoreError::Corrupt { .. }));
            assert!(error.to_string().contains(key.as_str()), "{error}");
        }
    }
}

async fn a_link_is_good_for_its_blob_only(h: &Harness) {
    let (mine, theirs) = (h.key("mine"), h.key("theirs"));
    h.put(&mine, "mine").await;
    h.put(&theirs, "theirs").await;
    for to in [READ, LinkTo::Write, LinkTo::Delete] {
        let Some(mut link) = h.link(&mine, to).await else { return };
        if h.believes {
            return;
        }
        link.uri = link.uri.replace(mine.as_str(), theirs.as_str());
        is_refused(&h.follow(&link, &[], "x".into()).await);
    }
    assert_eq!(h.all(&theirs).await.unwrap(), "theirs");
}

async fn a_link_is_good_for_its_purpose_only(h: &Harness) {
    let key = h.key("purpose");
    h.put(&key, "hello").await;
    for (to, not) in [(READ, "PUT"), (READ, "DELETE"), (LinkTo::Write, "DELETE")] {
        let Some(mut link) = h.link(&key, to).await else { return };
        if h.believes {
            return;
        }
        link.method = not;
        is_refused(&h.follow(&link, &[("x-ms-blob-type", "BlockBlob")], "x".into()).await);
    }
    assert_eq!(h.all(&key).await.unwrap(), "hello");
}

async fn a_link_that_expired_is_refused(h: &Harness) {
    let key = h.key("expired");
    h.put(&key, "hello").await;
    let Some(link) = h.link_from(&key, READ, now() - HOUR * 2).await else { return };
    assert!(link.expire < now());
    if !h.believes {
        is_refused(&h.get(&link).await);
    }
}

async fn a_link_tells_how_long_it_is_good(h: &Harness) {
    let from: Time = "2026-08-01T10:00:00.75Z".parse().unwrap();
    let Some(link) = h.link_from(&h.key("new"), LinkTo::Write, from).await else { return };
    assert_eq!(link.expire, "2026-08-01T11:00:00Z".parse().unwrap());
}
