//! Azure Blob Storage, against its emulator.
#![expect(clippy::unwrap_used, reason = "a test that fails panics")]

use std::time::Duration;

use libtest_mimic::Trial;
use mender_core::{
    Env,
    blob::{Audience, BlobKey, BlobSettings, Blobs as _, LinkTo, OpenBlobs as _},
    secret::Secret,
    testing::blobs::{Adapter, Harness},
};
use mender_store::BlobOptions;

use crate::{
    client::Plain,
    server::{done, server},
    trial,
};

/// The well-known account of emulators.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

const CONTAINER: &str = "mender-test";

fn options() -> BlobOptions {
    BlobOptions::default().key(ACCOUNT, Secret::new(KEY))
}

fn url(server: &str, container: &str) -> String {
    format!("azure://{container}?uri={server}/{ACCOUNT}")
}

fn connection_string(server: &str) -> Secret {
    let endpoint = format!("BlobEndpoint={server}/{ACCOUNT}");
    Secret::new(format!("AccountName={ACCOUNT};AccountKey={KEY};{endpoint};"))
}

/// Containers are not made by the server.
async fn make_container(server: &str) {
    let opened = options().prepares(false).open(&url(server, CONTAINER)).await;
    if done(opened).check_blobs().await.is_ok() {
        return;
    }
    done(container::make(server, CONTAINER).await);
}

mod container {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use mender_core::{StoreError, StoreResult};
    use ring::hmac;

    use super::{ACCOUNT, KEY};

    /// Makes a container, by a request that the key of the account signs.
    pub(super) async fn make(server: &str, name: &str) -> StoreResult<()> {
        const VERSION: &str = "2020-12-06";
        let date = "Thu, 01 Jan 2026 00:00:00 GMT";
        let text = format!(
            "PUT\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:{VERSION}\n\
             /{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
        );
        let key = STANDARD.decode(KEY).map_err(StoreError::unavailable)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let signature = STANDARD.encode(hmac::sign(&key, text.as_bytes()));
        let request = reqwest::Client::new()
            .put(format!("{server}/{ACCOUNT}/{name}?restype=container"))
            .header("content-length", "0")
            .header("x-ms-date", date)
            .header("x-ms-version", VERSION)
            .header("authorization", format!("SharedKey {ACCOUNT}:{signature}"));
        let answer = request.send().await.map_err(StoreError::unavailable)?;
        match answer.status().as_u16() {
            // Another test was faster.
            201 | 409 => Ok(()),
            status => Err(StoreError::unavailable(format!("making a container: {status}"))),
        }
    }
}

pub(crate) fn trials() -> Vec<Trial> {
    let Some(server) = server("azure") else { return vec![] };
    let base = server.clone();
    let adapter = Adapter::new("azure", move || {
        let server = base.clone();
        async move {
            make_container(&server).await;
            let blobs = done(options().open(&url(&server, CONTAINER)).await);
            Harness::new(blobs).client(Plain::default())
        }
    });
    let mut trials = adapter.into_trials();
    let base = server.clone();
    trials.push(trial("azure::what_is_wrong_is_said", move || what_is_wrong_is_said(base)));
    let base = server;
    trials.push(trial("azure::stores_of_tenants_are_opened", move || {
        stores_of_tenants_are_opened(base)
    }));
    trials
}

async fn what_is_wrong_is_said(server: String) {
    make_container(&server).await;
    let missing = options().open(&url(&server, "missing")).await;
    let error = missing.map(drop).unwrap_err().to_string();
    assert!(error.contains("azure: container 'missing' does not exist"), "{error}");
    let wrong = options().key(ACCOUNT, Secret::new("d3Jvbmc="));
    let error = wrong.open(&url(&server, CONTAINER)).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("azure: insufficient permissions for accessing"), "{error}");
    let url = "azure://container?uri=http://127.0.0.1:9/account";
    let error = options().open(url).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("Connection refused") && !error.contains("sig="), "{error}");
}

async fn stores_of_tenants_are_opened(server: String) {
    make_container(&server).await;
    let opener = BlobOptions::default().tenant_stores();
    let mut settings = BlobSettings::azure(CONTAINER);
    settings.connection_string = Some(Secret::new("nonsense"));
    assert!(opener.open_blobs(&settings).await.is_err());
    settings.connection_string = Some(connection_string(&server));
    settings.proxy_uri = Some("https://proxy.example.com".into());
    let theirs = done(opener.open_blobs(&settings).await);
    done(theirs.check_blobs().await);
    let (key, now) = (BlobKey::new("a").unwrap(), Env::system().now());
    let link = theirs.link_to(&key, LinkTo::Write, Audience::Public, Duration::from_secs(60), now);
    let link = done(link.await).unwrap();
    assert!(link.uri.starts_with("https://proxy.example.com/devstoreaccount1/"), "{}", link.uri);
}
