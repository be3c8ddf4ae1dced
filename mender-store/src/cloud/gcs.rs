//! Google Cloud Storage.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use mender_core::{
    StoreError, StoreResult, Time,
    blob::{Audience, BlobKey, Link, LinkTo},
    secret::Secret,
};
use object_store::{
    ClientOptions, ObjectStore,
    client::{HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService},
    gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder},
    path::Path,
};
use reqwest::{Client, Method, Url, header::AUTHORIZATION};
use ring::{rand::SystemRandom, signature::RsaKeyPair};
use serde::Deserialize;
use tokio_util::task::TaskTracker;

use super::{
    AT_ONCE, Cloud, Vendor, retries,
    v4::{self, Dialect, Signer, clamp},
    web,
};

/// How large the parts are that blobs are sent in.
const PART: usize = 8 << 20;

/// Where the buckets of everybody are.
const GOOGLE: &str = "https://storage.googleapis.com";

/// How to reach a bucket.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) bucket: String,
    /// The address of the store, where it is not Google's.
    pub(crate) uri: Option<String>,
    pub(crate) proxy_uri: Option<String>,
    /// The key of a service account, as Google gives it out: JSON. Without it credentials are those
    /// of the machine, and there are no links.
    pub(crate) account: Option<Secret>,
    /// A file with other credentials.
    pub(crate) file: Option<String>,
}

/// The part of a service account's key that signs.
#[derive(Deserialize)]
struct Account {
    client_email: String,
    private_key: String,
    /// Whether the store asks for nothing: for imitations of Google's.
    #[serde(default)]
    disable_oauth: bool,
}

/// What signs links.
struct Key {
    email: String,
    pair: RsaKeyPair,
    is_open: bool,
}

impl Key {
    fn read(account: &Secret) -> StoreResult<Self> {
        let wrong = |why: &str| {
            StoreError::unavailable(format!("gcs: the key of the service account {why}"))
        };
        let account: Account = serde_json::from_str(account.expose())
            .map_err(|_| wrong("is no JSON with client_email and private_key"))?;
        let pem = pem::parse(account.private_key);
        let pem = pem.map_err(|_| wrong("has a private_key that is no PEM"))?;
        let pair = match pem.tag() {
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(pem.contents()),
            _ => RsaKeyPair::from_pkcs8(pem.contents()),
        };
        let pair = pair.map_err(|_| wrong("has a private_key that is no RSA key"))?;
        Ok(Self { email: account.client_email, pair, is_open: account.disable_oauth })
    }
}

/// Talks to an imitation of Google's store that asks nobody who they are: some of those that let
/// everybody in refuse an empty token.
#[derive(Clone, Debug)]
struct Open(Client);

impl HttpConnector for Open {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Open {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        request.headers_mut().remove(AUTHORIZATION);
        self.0.call(request).await
    }
}

/// A bucket.
struct Gcs {
    bucket: String,
    here: Url,
    proxy: Option<Url>,
    key: Option<Key>,
    data: Arc<GoogleCloudStorage>,
}

impl fmt::Debug for Gcs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gcs").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

/// Opens a bucket.
pub(crate) fn open(settings: &Settings, client: Client) -> StoreResult<Cloud> {
    let failed =
        |e: object_store::Error| StoreError::unavailable(format!("gcs: {}", web::reason(&e)));
    let store = web::url(settings.uri.as_deref().unwrap_or(GOOGLE))?;
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&settings.bucket)
        .with_base_url(store.as_str().trim_end_matches('/'))
        .with_retry(retries())
        .with_http_connector(web::Shared(client.clone()));
    if let Some(account) = &settings.account {
        builder = builder.with_service_account_key(account.expose());
    } else if let Some(file) = &settings.file {
        builder = builder.with_application_credentials(file);
    }
    let key = settings.account.as_ref().map(Key::read).transpose()?;
    if key.as_ref().is_some_and(|key| key.is_open) {
        builder = builder.with_http_connector(Open(client.clone()));
    }
    let data = Arc::new(builder.build().map_err(failed)?);
    let vendor = Gcs {
        bucket: settings.bucket.clone(),
        here: web::below(&store, &settings.bucket),
        proxy: settings.proxy_uri.as_deref().map(web::url).transpose()?,
        key,
        data: data.clone(),
    };
    let (vendor, tasks) = (Arc::new(vendor), TaskTracker::new());
    Ok(Cloud { data, vendor, client, part: PART, tasks })
}

impl Gcs {
    fn sign(
        &self,
        key: &Key,
        method: &str,
        url: &Url,
        more: &[(&str, &str)],
        valid_for: Duration,
        now: Time,
    ) -> StoreResult<Url> {
        let signer = Signer {
            dialect: Dialect { prefix: "Goog", algorithm: "GOOG4-RSA-SHA256" },
            id: &key.email,
            scope: "auto/storage/goog4_request".into(),
            token: None,
        };
        let sign = |_: &str, text: &str| {
            let mut signature = vec![0; key.pair.public().modulus_len()];
            let padding = &ring::signature::RSA_PKCS1_SHA256;
            let signed =
                key.pair.sign(padding, &SystemRandom::new(), text.as_bytes(), &mut signature);
            signed.map_err(|_| StoreError::unavailable("gcs: the link can't be signed"))?;
            Ok(signature)
        };
        signer.sign(method, url, more, valid_for, now, sign)
    }

    /// Asks without a signature of ours.
    async fn check_by_listing(&self) -> StoreResult<()> {
        let nothing = Path::from("no-blob-begins-like-this");
        let listed = self.data.list(Some(&nothing)).try_next().await;
        listed.map(drop).map_err(|error| {
            StoreError::unavailable(format!("{}: {}", self.place(), web::reason(&error)))
        })
    }
}

#[async_trait]
impl Vendor for Gcs {
    fn place(&self) -> String {
        format!("gcs: bucket '{}'", self.bucket)
    }

    async fn link(
        &self,
        key: &BlobKey,
        to: LinkTo<'_>,
        audience: Audience,
        valid_for: Duration,
        now: Time,
    ) -> StoreResult<Option<Link>> {
        let Some(signer) = &self.key else { return Ok(None) };
        let mut shown = String::new();
        let more = v4::answer(to, &mut shown);
        let url = web::below(&self.here, key.as_str());
        let signed = self.sign(signer, to.method(), &url, &more, valid_for, now)?;
        let proxy = self.proxy.as_ref().filter(|_| audience == Audience::Public);
        let uri = proxy.map_or(signed.clone(), |proxy| web::through(proxy, &signed));
        Ok(Some(Link {
            uri: uri.into(),
            expire: web::end(now, clamp(valid_for)),
            method: to.method(),
            headers: BTreeMap::new(),
        }))
    }

    async fn check(&self, client: &Client, now: Time) -> StoreResult<()> {
        let Some(key) = &self.key else { return self.check_by_listing().await };
        let list = [("list-type", "2"), ("max-keys", "1")];
        let url = self.sign(key, "GET", &self.here, &list, AT_ONCE, now)?;
        let answer = web::ask(client, Method::GET, url.as_str(), "").await;
        let answer = answer.map_err(|error| error.at(&self.place()))?;
        match answer.status.as_u16() {
            200..300 => Ok(()),
            404 => Err(StoreError::unavailable(format!("{} does not exist", self.place()))),
            401 | 403 => {
                let bucket = &self.bucket;
                let what = "gcs: insufficient permissions for accessing bucket";
                Err(StoreError::unavailable(format!("{what} '{bucket}': {answer}")))
            }
            _ => Err(answer.refusal(&self.place())),
        }
    }
}
