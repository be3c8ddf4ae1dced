//! S3, against a real server.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use libtest_mimic::Trial;
use mender_core::{
    Env,
    blob::{BlobKey, BlobSettings, Blobs as _, OpenBlobs as _, collect, once},
    secret::Secret,
    testing::blobs::{Adapter, Harness},
};
use mender_store::BlobOptions;

use crate::{
    client::Plain,
    server::{done, server},
    trial,
};

/// The bucket of everything but tests of buckets.
const BUCKET: &str = "mender-test";

/// Where the server is, and who may use it: `http://ID:SECRET@HOST:PORT`.
#[derive(Clone)]
struct Server {
    uri: String,
    id: String,
    secret: String,
}

impl Server {
    fn parse(url: &str) -> Self {
        let mut url: reqwest::Url = done(url.parse());
        let (id, secret) = (url.username().to_owned(), url.password().unwrap_or_default().into());
        let bare = url.set_username("").and_then(|()| url.set_password(None));
        assert!(bare.is_ok());
        Self { uri: url.as_str().trim_end_matches('/').into(), id, secret }
    }

    fn options(&self) -> BlobOptions {
        BlobOptions::default().key(&self.id, Secret::new(&self.secret))
    }

    fn url(&self, bucket: &str) -> String {
        format!("s3://{bucket}?region=us-east-1&uri={}", self.uri)
    }

    fn settings(&self, bucket: &str) -> BlobSettings {
        let mut settings = BlobSettings::s3("us-east-1", bucket);
        (settings.key, settings.secret) = (Some(self.id.clone()), Some(Secret::new(&self.secret)));
        settings.uri = Some(self.uri.clone());
        settings.force_path_style = true;
        settings
    }
}

pub(crate) fn trials() -> Vec<Trial> {
    let Some(url) = server("s3") else { return vec![] };
    let server = Server::parse(&url);
    let opened = server.clone();
    let adapter = Adapter::new("s3", move || {
        let server = opened.clone();
        async move {
            let blobs = done(server.options().open(&server.url(BUCKET)).await);
            Harness::new(blobs).client(Plain::default())
        }
    });
    let mut trials = adapter.into_trials();
    let mut add = |name: &str, run: fn(Server) -> std::pin::Pin<Box<dyn Future<Output = ()>>>| {
        let server = server.clone();
        trials.push(trial(&format!("s3::{name}"), move || run(server)));
    };
    add("a_missing_bucket_is_made", |s| Box::pin(a_missing_bucket_is_made(s)));
    add("what_is_wrong_is_said", |s| Box::pin(what_is_wrong_is_said(s)));
    add("stores_of_tenants_are_opened", |s| Box::pin(stores_of_tenants_are_opened(s)));
    add("the_address_may_be_that_of_the_bucket", |s| {
        Box::pin(the_address_may_be_that_of_the_bucket(s))
    });
    trials
}

fn fresh() -> String {
    format!("made-{}", Env::system().uuid())
}

fn key() -> BlobKey {
    BlobKey::new(format!("x/{}", Env::system().uuid())).unwrap()
}

async fn a_missing_bucket_is_made(server: Server) {
    let url = server.url(&fresh());
    let look = done(server.options().prepares(false).open(&url).await);
    let error = look.check_blobs().await.unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");
    for _ in 0..2 {
        done(server.options().open(&url).await);
    }
    done(look.check_blobs().await);
    let key = key();
    done(look.put_blob(&key, once("x")).await);
    done(look.delete_blob(&key).await);
}

async fn what_is_wrong_is_said(server: Server) {
    let wrong = server.options().key(&server.id, Secret::new("wrong-secret"));
    let error = wrong.open(&server.url(BUCKET)).await.map(drop).unwrap_err().to_string();
    let expected = format!("s3: insufficient permissions for accessing bucket '{BUCKET}'");
    assert!(error.contains(&expected) && error.contains("SignatureDoesNotMatch"), "{error}");
    let url = "s3://bucket?uri=http://127.0.0.1:9";
    let error = server.options().open(url).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("Connection refused"), "{error}");
    assert!(!error.contains("Signature"), "{error}");
    let look = done(server.options().prepares(false).open(url).await);
    let error = look.put_blob(&key(), once("x")).await.unwrap_err().to_string();
    assert!(error.contains("Connection refused"), "{error}");
    let url = format!("{}&pathstyle=1", server.url(BUCKET));
    let error = server.options().open(&url).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("no parameter pathstyle"), "{error}");
}

async fn stores_of_tenants_are_opened(server: Server) {
    let opener = BlobOptions::default().tenant_stores();
    done(server.options().open(&server.url(BUCKET)).await);
    let theirs = done(opener.open_blobs(&server.settings(BUCKET)).await);
    done(theirs.check_blobs().await);
    let key = key();
    done(theirs.put_blob(&key, once("theirs")).await);
    let read = done(theirs.blob(&key, None).await).unwrap();
    assert_eq!(done(collect(read).await), "theirs");
    let missing = done(opener.open_blobs(&server.settings(&fresh())).await);
    let error = missing.check_blobs().await.unwrap_err().to_string();
    assert!(error.contains("does not exist"), "{error}");
    let mut wrong = server.settings(BUCKET);
    wrong.secret = Some(Secret::new("wrong-secret"));
    let wrong = done(opener.open_blobs(&wrong).await);
    assert!(wrong.check_blobs().await.is_err());
}

async fn the_address_may_be_that_of_the_bucket(server: Server) {
    let all = done(server.options().open(&server.url(BUCKET)).await);
    let url = format!("s3://other-name?literal=true&uri={}/{BUCKET}", server.uri);
    let literal = done(server.options().open(&url).await);
    let key = key();
    done(literal.put_blob(&key, once("x")).await);
    assert_eq!(done(all.blob_size(&key).await), Some(1));
}
