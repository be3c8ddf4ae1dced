//! Amazon S3, and what speaks its protocol.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use async_trait::async_trait;
use mender_core::{
    Env, StoreError, StoreResult, Time,
    blob::{Audience, BlobKey, BlobSettings, Link, LinkTo},
    secret::Secret,
};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential, AwsCredentialProvider};
use reqwest::{Client, Method, Url};
use ring::hmac;
use tokio_util::task::TaskTracker;

use super::{
    AT_ONCE, Cloud, Vendor, retries,
    v4::{self, Dialect, Signer, clamp},
    web,
};

/// Into how many parts a blob may be cut.
const MAX_PARTS: u64 = 10_000;

/// The smallest part but for the last one.
const PART: u64 = 5 << 20;

/// How long to wait for a bucket that was made.
const MADE: Duration = Duration::from_secs(30);

/// The names of variables that may say how to find credentials.
const CHAIN: [&str; 2] = ["AWS_", "aws_"];

/// A bucket.
pub(crate) struct S3 {
    bucket: String,
    region: String,
    /// Where the bucket is, for us and for clients.
    here: Url,
    outside: Url,
    proxy: Option<Url>,
    may_make: bool,
    credentials: AwsCredentialProvider,
}

/// Returns where a bucket is, by the address of its store.
fn bucket_url(store: &Url, settings: &BlobSettings) -> StoreResult<Url> {
    if settings.literal_bucket_uri {
        return Ok(store.clone());
    }
    if settings.force_path_style {
        return Ok(web::below(store, &settings.bucket));
    }
    let mut url = store.clone();
    let host = format!("{}.{}", settings.bucket, store.host_str().unwrap_or_default());
    let unfit = |_| StoreError::unavailable(format!("{host} is no host: use the path style"));
    url.set_host(Some(&host)).map_err(unfit)?;
    Ok(url)
}

/// Returns the address of the store, for us.
fn store_url(settings: &BlobSettings) -> StoreResult<Url> {
    let domain =
        if settings.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    match &settings.uri {
        Some(uri) => web::url(uri),
        None if settings.literal_bucket_uri => {
            Err(StoreError::unavailable("a literal address of a bucket needs an address"))
        }
        None if settings.use_accelerate && !settings.force_path_style => {
            web::url(&format!("https://s3-accelerate.{domain}"))
        }
        None => web::url(&format!("https://s3.{}.{domain}", settings.region)),
    }
}

/// Returns the size of parts that lets the largest blob have few enough of them.
pub(crate) fn part(largest: u64) -> usize {
    let size = largest.div_ceil(MAX_PARTS * PART).max(1) * PART;
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// Opens a bucket. Without keys in the settings, `chain` has the variables that say where
/// credentials are.
pub(crate) fn open(
    settings: &BlobSettings,
    chain: &BTreeMap<String, String>,
    client: Client,
    largest: u64,
) -> StoreResult<(Cloud, Arc<S3>)> {
    let failed =
        |e: object_store::Error| StoreError::unavailable(format!("s3: {}", web::reason(&e)));
    let store = store_url(settings)?;
    let here = bucket_url(&store, settings)?;
    let outside = settings.external_uri.as_deref().map(web::url).transpose()?;
    let outside = outside.map_or(Ok(here.clone()), |store| bucket_url(&store, settings))?;
    let proxy = settings.proxy_uri.as_deref().map(web::url).transpose()?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_endpoint(here.as_str().trim_end_matches('/'))
        // The address has the bucket in it already.
        .with_virtual_hosted_style_request(true)
        .with_allow_http(true)
        .with_retry(retries())
        .with_http_connector(web::Shared(client.clone()));
    match (&settings.key, &settings.secret) {
        (Some(key), Some(secret)) => {
            builder = builder.with_access_key_id(key).with_secret_access_key(secret.expose());
            if let Some(token) = &settings.token {
                builder = builder.with_token(token.expose());
            }
        }
        (None, None) => {
            for (name, value) in chain {
                let is_known = CHAIN.iter().any(|prefix| name.starts_with(prefix));
                if let Ok(key) = name.to_ascii_lowercase().parse()
                    && is_known
                    && is_credential(key)
                {
                    builder = builder.with_config(key, value);
                }
            }
        }
        _ => return Err(StoreError::unavailable("s3: an access key needs both id and secret")),
    }
    let data = builder.build().map_err(failed)?;
    let s3 = Arc::new(S3 {
        bucket: settings.bucket.clone(),
        region: settings.region.clone(),
        here,
        outside,
        proxy,
        may_make: !settings.literal_bucket_uri,
        credentials: data.credentials().clone(),
    });
    let cloud = Cloud {
        data: Arc::new(data),
        vendor: s3.clone(),
        client,
        part: part(largest),
        tasks: TaskTracker::new(),
    };
    Ok((cloud, s3))
}

/// Tells whether a variable says who we are; where the store is, only settings say.
fn is_credential(key: AmazonS3ConfigKey) -> bool {
    use AmazonS3ConfigKey as Key;
    !matches!(
        key,
        Key::Bucket
            | Key::Region
            | Key::DefaultRegion
            | Key::Endpoint
            | Key::VirtualHostedStyleRequest
            | Key::Client(_)
    )
}

enum State {
    There,
    Missing,
}

impl S3 {
    async fn credential(&self) -> StoreResult<Arc<AwsCredential>> {
        let failed = |error: object_store::Error| {
            let place = self.place();
            StoreError::unavailable(format!("{place}: no credentials: {}", web::reason(&error)))
        };
        self.credentials.get_credential().await.map_err(failed)
    }

    async fn sign(
        &self,
        method: &str,
        url: &Url,
        more: &[(&str, &str)],
        valid_for: Duration,
        now: Time,
    ) -> StoreResult<Url> {
        let credential = self.credential().await?;
        let signer = Signer {
            dialect: Dialect { prefix: "Amz", algorithm: "AWS4-HMAC-SHA256" },
            id: &credential.key_id,
            scope: format!("{}/s3/aws4_request", self.region),
            token: credential.token.as_deref(),
        };
        let secret = Secret::new(format!("AWS4{}", credential.secret_key));
        let sign = |day: &str, text: &str| {
            let parts = [day, &self.region, "s3", "aws4_request", text];
            let signature = parts.iter().fold(secret.expose().as_bytes().to_vec(), |key, part| {
                let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
                hmac::sign(&key, part.as_bytes()).as_ref().to_vec()
            });
            Ok::<_, Infallible>(signature)
        };
        let Ok(signed) = signer.sign(method, url, more, valid_for, now, sign);
        Ok(signed)
    }

    /// Looks whether the bucket is there and lets us in.
    async fn state(&self, client: &Client, now: Time) -> StoreResult<State> {
        let (place, list) = (self.place(), [("list-type", "2"), ("max-keys", "1")]);
        let url = self.sign("GET", &self.here, &list, AT_ONCE, now).await?;
        let answer = web::ask(client, Method::GET, url.as_str(), "").await;
        let answer = answer.map_err(|error| error.at(&place))?;
        match answer.status.as_u16() {
            200..300 => Ok(State::There),
            404 => Ok(State::Missing),
            403 => {
                let bucket = &self.bucket;
                let what = "s3: insufficient permissions for accessing bucket";
                Err(StoreError::unavailable(format!("{what} '{bucket}': {answer}")))
            }
            _ => Err(answer.refusal(&place)),
        }
    }

    /// Makes the bucket where there is none, and waits until it is there.
    pub(crate) async fn prepare(&self, client: &Client) -> StoreResult<()> {
        let env = Env::system();
        if !self.may_make || matches!(self.state(client, env.now()).await?, State::There) {
            return self.check(client, env.now()).await;
        }
        // Why: a region of Amazon's takes a bucket only if asked for itself, the first one only
        // if not; other stores don't care.
        let body = match self.region.as_str() {
            "us-east-1" => String::new(),
            region => format!(
                "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint>\
                 </CreateBucketConfiguration>"
            ),
        };
        tracing::info!(bucket = %self.bucket, "making the bucket");
        let url = self.sign("PUT", &self.here, &[], AT_ONCE, env.now()).await?;
        let made = web::ask(client, Method::PUT, url.as_str(), body).await;
        let made = made.map_err(|error| error.at(&self.place()))?;
        // Another server may have been faster.
        if !made.status.is_success() && made.status != 409 {
            let what = format!("{}: it does not exist and can't be made", self.place());
            return Err(made.refusal(&what));
        }
        let until = env.now() + MADE;
        while matches!(self.state(client, env.now()).await?, State::Missing) {
            if env.now() > until {
                return Err(self.missing());
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    fn missing(&self) -> StoreError {
        StoreError::unavailable(format!("{} does not exist", self.place()))
    }
}

#[async_trait]
impl Vendor for S3 {
    fn place(&self) -> String {
        format!("s3: bucket '{}'", self.bucket)
    }

    async fn link(
        &self,
        key: &BlobKey,
        to: LinkTo<'_>,
        audience: Audience,
        valid_for: Duration,
        now: Time,
    ) -> StoreResult<Option<Link>> {
        let bucket = match audience {
            Audience::Public => &self.outside,
            Audience::Internal => &self.here,
        };
        let mut shown = String::new();
        let more = v4::answer(to, &mut shown);
        let url = web::below(bucket, key.as_str());
        let signed = self.sign(to.method(), &url, &more, valid_for, now).await?;
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
        match self.state(client, now).await? {
            State::There => Ok(()),
            State::Missing => Err(self.missing()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> BlobSettings {
        let mut settings = BlobSettings::s3("eu-west-1", "bucket");
        settings.key = Some("AKIAIOSFODNN7EXAMPLE".into());
        settings.secret = Some(Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"));
        settings
    }

    async fn link(settings: &BlobSettings, to: LinkTo<'_>, audience: Audience) -> Link {
        let client = web::client(&[]).unwrap();
        let (cloud, _) = open(settings, &BTreeMap::new(), client, 0).unwrap();
        let key = BlobKey::new("t/a").unwrap();
        let now: Time = "2013-05-24T00:00:00.9Z".parse().unwrap();
        let day = Duration::from_secs(86_400);
        cloud.vendor.link(&key, to, audience, day, now).await.unwrap().unwrap()
    }

    async fn host(settings: &BlobSettings, audience: Audience) -> String {
        let link = link(settings, LinkTo::Write, audience).await;
        link.uri.split_once('?').unwrap().0.to_owned()
    }

    /// The example of Amazon's documentation.
    #[tokio::test]
    async fn the_signature_is_that_of_the_documentation() {
        let mut example = settings();
        (example.region, example.bucket) = ("us-east-1".into(), "examplebucket".into());
        example.uri = Some("https://examplebucket.s3.amazonaws.com".into());
        example.literal_bucket_uri = true;
        let client = web::client(&[]).unwrap();
        let (_, s3) = open(&example, &BTreeMap::new(), client, 0).unwrap();
        let url = web::below(&s3.here, "test.txt");
        let now: Time = "2013-05-24T00:00:00Z".parse().unwrap();
        let signed = s3.sign("GET", &url, &[], Duration::from_secs(86_400), now).await.unwrap();
        let expected = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert!(signed.as_str().ends_with(expected), "{signed}");
    }

    #[tokio::test]
    async fn the_bucket_is_in_the_host_the_path_or_the_address() {
        let mut settings = settings();
        let here = Audience::Internal;
        assert_eq!(host(&settings, here).await, "https://bucket.s3.eu-west-1.amazonaws.com/t/a");
        settings.use_accelerate = true;
        assert_eq!(host(&settings, here).await, "https://bucket.s3-accelerate.amazonaws.com/t/a");
        settings.use_accelerate = false;
        settings.force_path_style = true;
        assert_eq!(host(&settings, here).await, "https://s3.eu-west-1.amazonaws.com/bucket/t/a");
        settings.uri = Some("http://localhost:9000/".into());
        assert_eq!(host(&settings, here).await, "http://localhost:9000/bucket/t/a");
        settings.literal_bucket_uri = true;
        assert_eq!(host(&settings, here).await, "http://localhost:9000/t/a");
    }

    #[tokio::test]
    async fn clients_get_their_own_address_and_go_through_the_proxy() {
        let mut settings = settings();
        settings.external_uri = Some("https://s3.example.com".into());
        assert_eq!(host(&settings, Audience::Public).await, "https://bucket.s3.example.com/t/a");
        settings.proxy_uri = Some("https://proxy.example.com/s3".into());
        assert_eq!(host(&settings, Audience::Public).await, "https://proxy.example.com/s3/t/a");
        let inside = "https://bucket.s3.eu-west-1.amazonaws.com/t/a";
        assert_eq!(host(&settings, Audience::Internal).await, inside);
    }

    #[tokio::test]
    async fn a_link_says_how_long_it_is_good_and_what_the_answer_is() {
        let mut settings = settings();
        settings.token = Some(Secret::new("session/token"));
        let to = LinkTo::Read { file_name: Some("a b.mender") };
        let link = link(&settings, to, Audience::Public).await;
        assert_eq!(link.expire, "2013-05-25T00:00:00Z".parse().unwrap());
        assert_eq!((link.method, link.headers.len()), ("GET", 0));
        for part in [
            "X-Amz-Expires=86400&",
            "X-Amz-Security-Token=session%2Ftoken&",
            "response-content-disposition=attachment%3B%20filename%3D%22a%20b.mender%22&",
            "response-content-type=application%2Fvnd.mender-artifact&",
        ] {
            assert!(link.uri.contains(part), "{}", link.uri);
        }
    }

    #[test]
    fn the_largest_blob_fits_into_ten_thousand_parts() {
        assert_eq!(part(0), 5 << 20);
        assert_eq!(part(10 << 30), 5 << 20);
        assert_eq!(part(10_000 * (5 << 20)), 5 << 20);
        assert_eq!(part(10_000 * (5 << 20) + 1), 10 << 20);
    }
}
