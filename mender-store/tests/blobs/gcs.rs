//! Google Cloud Storage, against an imitation that looks at no signature.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::sync::OnceLock;

use libtest_mimic::Trial;
use mender_core::{
    secret::Secret,
    testing::blobs::{Adapter, Harness},
};
use mender_store::BlobOptions;
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
use serde_json::json;

use crate::{
    client::Plain,
    server::{done, server},
    trial,
};

const BUCKET: &str = "mender-test";

/// A key of a service account that nobody has.
fn account() -> Secret {
    static JSON: OnceLock<String> = OnceLock::new();
    let json = JSON.get_or_init(|| {
        let key = done(rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048));
        let pem = done(key.to_pkcs8_pem(LineEnding::LF));
        json!({
            "type": "service_account",
            "client_email": "tester@example.com",
            "private_key_id": "1",
            "private_key": pem.as_str(),
            "disable_oauth": true,
        })
        .to_string()
    });
    Secret::new(json.as_str())
}

fn options() -> BlobOptions {
    BlobOptions::default().service_account(account())
}

/// Buckets are not made by the server.
async fn make_bucket(server: &str) {
    let request = reqwest::Client::new().put(format!("{server}/{BUCKET}"));
    let status = done(request.send().await).status().as_u16();
    assert!(matches!(status, 200 | 409), "{status}");
}

pub(crate) fn trials() -> Vec<Trial> {
    let Some(server) = server("gcs") else { return vec![] };
    let base = server.clone();
    let adapter = Adapter::new("gcs", move || {
        let server = base.clone();
        async move {
            make_bucket(&server).await;
            let blobs = done(options().open(&format!("gs://{BUCKET}?uri={server}")).await);
            Harness::new(blobs).client(Plain::default()).believes_signatures()
        }
    });
    let mut trials = adapter.into_trials();
    trials.push(trial("gcs::what_is_wrong_is_said", move || what_is_wrong_is_said(server)));
    trials
}

async fn what_is_wrong_is_said(server: String) {
    let url = format!("gs://missing?uri={server}");
    let error = options().open(&url).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("gcs: bucket 'missing' does not exist"), "{error}");
    let url = "gs://bucket?uri=http://127.0.0.1:9";
    let error = options().open(url).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("Connection refused"), "{error}");
    let wrong = BlobOptions::default().service_account(Secret::new("{}"));
    let error = wrong.open(url).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("gcs: "), "{error}");
}
