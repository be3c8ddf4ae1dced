//! Where blobs are, by URL.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use mender_core::{
    StoreError, StoreResult,
    blob::{BlobSettings, BlobStoreType, Blobs, OpenBlobs},
    secret::Secret,
};

/// How to open a place for blobs.
///
/// | URL | parameters |
/// |---|---|
/// | `file://DIRECTORY` | |
/// | `s3://BUCKET` | `region`, `uri`, `external_uri`, `proxy_uri`; `path_style`, `accelerate`, `literal`: true or false |
/// | `azure://CONTAINER` | `uri`, `proxy_uri` |
/// | `gs://BUCKET` | `uri`, `proxy_uri` |
///
/// `uri` is the address of the store where it is not the vendor's own; `external_uri` the one that
/// clients know the same store by; `proxy_uri` that of a proxy that clients go through and that
/// restores the host that was signed. Buckets of S3 are in the path of addresses unless
/// `path_style=false`; with `literal=true` `uri` is the address of the bucket itself.
///
/// Uploads that are cut off by the end of the program leave parts behind: have the bucket end
/// uploads in parts after a day.
#[derive(Clone, Debug)]
#[must_use = "opens nothing until `open` is called"]
pub struct BlobOptions {
    key: Option<String>,
    secret: Option<Secret>,
    token: Option<Secret>,
    connection_string: Option<Secret>,
    service_account: Option<Secret>,
    variables: Variables,
    authorities: Vec<u8>,
    largest: u64,
    prepares: bool,
}

/// Variables may hold secrets.
#[derive(Clone, Default)]
struct Variables(BTreeMap<String, String>);

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Default for BlobOptions {
    fn default() -> Self {
        Self {
            key: None,
            secret: None,
            token: None,
            connection_string: None,
            service_account: None,
            variables: Variables::default(),
            authorities: Vec::new(),
            largest: 10 << 30,
            prepares: true,
        }
    }
}

impl BlobOptions {
    /// Sets the id of the access key to S3, or the name of the Azure account, and its secret.
    pub fn key(mut self, id: impl Into<String>, secret: Secret) -> Self {
        (self.key, self.secret) = (Some(id.into()), Some(secret));
        self
    }

    /// Sets the token of the S3 session that the key belongs to.
    pub fn token(mut self, token: Secret) -> Self {
        self.token = Some(token);
        self
    }

    /// Sets the connection string of the Azure account.
    pub fn connection_string(mut self, text: Secret) -> Self {
        self.connection_string = Some(text);
        self
    }

    /// Sets the key of the Google service account, as JSON.
    pub fn service_account(mut self, json: Secret) -> Self {
        self.service_account = Some(json);
        self
    }

    /// Gives environment variables, to find credentials as the vendors' own tools do where none are
    /// set: `AWS_ACCESS_KEY_ID`, `AWS_WEB_IDENTITY_TOKEN_FILE` and so on, else the role of the
    /// machine; `AZURE_STORAGE_CONNECTION_STRING`, `AZURE_STORAGE_ACCOUNT` and `…_KEY`;
    /// `GOOGLE_APPLICATION_CREDENTIALS`, else the account of the machine.
    pub fn variables(mut self, all: impl IntoIterator<Item = (String, String)>) -> Self {
        let of_vendors = |name: &str| {
            ["AWS_", "AZURE_", "GOOGLE_"].iter().any(|prefix| name.starts_with(prefix))
        };
        let all = all.into_iter().filter(|(name, value)| of_vendors(name) && !value.is_empty());
        self.variables = Variables(all.collect());
        self
    }

    /// Trusts further authorities when talking to the store, PEM.
    pub fn authorities(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = pem.into();
        self
    }

    /// Sets the size of the largest blob, 10 GiB unless set: S3 takes it in 10,000 parts, which must
    /// fit into memory, four at a time.
    pub fn largest(mut self, bytes: u64) -> Self {
        self.largest = bytes;
        self
    }

    /// Sets whether opening checks a remote store, and makes a bucket of S3 that is missing. Else
    /// nothing is sent before the store is used.
    pub fn prepares(mut self, prepares: bool) -> Self {
        self.prepares = prepares;
        self
    }

    /// Opens a place for blobs.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], saying why: a URL that can't be read, a scheme that this program
    /// was built without, a store that can't be reached or that refuses us.
    pub async fn open(&self, url: &str) -> StoreResult<Arc<dyn Blobs>> {
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        match scheme {
            "file" => files(rest),
            "s3" => self.s3(&Place::parse(rest)?).await,
            "azure" => self.azure(&Place::parse(rest)?).await,
            "gs" => self.gcs(&Place::parse(rest)?).await,
            _ => Err(StoreError::unavailable(
                "a URL of blobs begins with file://, s3://, azure:// or gs://",
            )),
        }
    }

    /// Returns what opens the stores that tenants bring, with the same authorities and sizes.
    pub fn tenant_stores(&self) -> TenantBlobs {
        TenantBlobs { options: self.clone(), client: OnceLock::new() }
    }

    #[cfg_attr(
        not(any(feature = "s3", feature = "azure")),
        expect(dead_code, reason = "stores of these kinds are left out")
    )]
    fn settings(&self, place: &Place) -> StoreResult<BlobSettings> {
        let on = |name: &str, default: bool| place.switch(name).map(|on| on.unwrap_or(default));
        Ok(BlobSettings {
            kind: BlobStoreType::S3,
            region: place.get("region").unwrap_or_default(),
            bucket: place.bucket.clone(),
            key: self.key.clone(),
            secret: self.secret.clone(),
            uri: place.get("uri"),
            external_uri: place.get("external_uri"),
            token: self.token.clone(),
            proxy_uri: place.get("proxy_uri"),
            connection_string: self.connection_string.clone(),
            force_path_style: on("path_style", true)?,
            use_accelerate: on("accelerate", false)?,
            literal_bucket_uri: on("literal", false)?,
        })
    }

    #[cfg_attr(
        not(any(feature = "s3", feature = "azure", feature = "gcs")),
        expect(dead_code, reason = "stores of these kinds are left out")
    )]
    fn variable(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.variables.0.get(*name).cloned())
    }
}

#[cfg(feature = "fs")]
fn files(path: &str) -> StoreResult<Arc<dyn Blobs>> {
    if path.is_empty() {
        return Err(StoreError::unavailable("file:// needs a directory"));
    }
    Ok(Arc::new(crate::LocalBlobs::new(path)?))
}

#[cfg(not(feature = "fs"))]
fn files(_: &str) -> StoreResult<Arc<dyn Blobs>> {
    without("fs")
}

#[cfg_attr(
    all(feature = "fs", feature = "s3", feature = "azure", feature = "gcs"),
    expect(dead_code, reason = "nothing is left out")
)]
fn without<T>(feature: &str) -> StoreResult<T> {
    Err(StoreError::unavailable(format!("built without the `{feature}` feature")))
}

#[cfg(feature = "s3")]
impl BlobOptions {
    async fn s3(&self, place: &Place) -> StoreResult<Arc<dyn Blobs>> {
        place.only(&[
            "region",
            "uri",
            "external_uri",
            "proxy_uri",
            "path_style",
            "accelerate",
            "literal",
        ])?;
        let mut settings = self.settings(place)?;
        if settings.region.is_empty() {
            let region = self.variable(&["AWS_REGION", "AWS_DEFAULT_REGION"]);
            settings.region = region.unwrap_or_else(|| "us-east-1".into());
        }
        settings.uri =
            settings.uri.or_else(|| self.variable(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]));
        // Compat: accelerated addresses have the bucket in the host.
        settings.force_path_style &= !settings.use_accelerate || settings.uri.is_some();
        let client = crate::cloud::web::client(&self.authorities)?;
        let (cloud, bucket) =
            crate::cloud::s3::open(&settings, &self.variables.0, client, self.largest)?;
        if self.prepares {
            bucket.prepare(&cloud.client).await?;
        }
        Ok(Arc::new(cloud))
    }
}

#[cfg(not(feature = "s3"))]
impl BlobOptions {
    async fn s3(&self, _: &Place) -> StoreResult<Arc<dyn Blobs>> {
        without("s3")
    }
}

#[cfg(feature = "azure")]
impl BlobOptions {
    async fn azure(&self, place: &Place) -> StoreResult<Arc<dyn Blobs>> {
        place.only(&["uri", "proxy_uri"])?;
        let mut settings = self.settings(place)?;
        settings.kind = BlobStoreType::Azure;
        let set = |value: &Option<_>| value.is_some();
        if !set(&settings.connection_string) && !set(&settings.secret) {
            let variable = |names: &[&str]| self.variable(names).map(Secret::new);
            settings.connection_string = variable(&["AZURE_STORAGE_CONNECTION_STRING"]);
            settings.key = self.variable(&["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"]);
            settings.secret = variable(&["AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"]);
        }
        let client = crate::cloud::web::client(&self.authorities)?;
        self.ready(crate::cloud::azure::open(&settings, client)?).await
    }
}

#[cfg(not(feature = "azure"))]
impl BlobOptions {
    async fn azure(&self, _: &Place) -> StoreResult<Arc<dyn Blobs>> {
        without("azure")
    }
}

#[cfg(feature = "gcs")]
impl BlobOptions {
    async fn gcs(&self, place: &Place) -> StoreResult<Arc<dyn Blobs>> {
        place.only(&["uri", "proxy_uri"])?;
        let file = self.variable(&["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT"]);
        let mut settings = crate::cloud::gcs::Settings {
            bucket: place.bucket.clone(),
            uri: place.get("uri"),
            proxy_uri: place.get("proxy_uri"),
            account: self.service_account.clone(),
            file,
        };
        if let (None, Some(file)) = (&settings.account, &settings.file) {
            let read = tokio::fs::read_to_string(file).await;
            let json = read.map_err(|e| StoreError::unavailable(format!("gcs: {file}: {e}")))?;
            // Other kinds of credentials can't sign.
            let signs = json.contains("\"private_key\"");
            settings.account = signs.then(|| Secret::new(json));
        }
        let client = crate::cloud::web::client(&self.authorities)?;
        self.ready(crate::cloud::gcs::open(&settings, client)?).await
    }
}

#[cfg(not(feature = "gcs"))]
impl BlobOptions {
    async fn gcs(&self, _: &Place) -> StoreResult<Arc<dyn Blobs>> {
        without("gcs")
    }
}

#[cfg(any(feature = "azure", feature = "gcs"))]
impl BlobOptions {
    async fn ready(&self, cloud: crate::cloud::Cloud) -> StoreResult<Arc<dyn Blobs>> {
        if self.prepares {
            cloud.check_blobs().await?;
        }
        Ok(Arc::new(cloud))
    }
}

/// What follows the scheme.
#[derive(Debug, Default, Eq, PartialEq)]
struct Place {
    bucket: String,
    parameters: BTreeMap<String, String>,
}

impl Place {
    fn parse(rest: &str) -> StoreResult<Self> {
        let (bucket, query) = rest.split_once('?').unwrap_or((rest, ""));
        let bucket = bucket.trim_end_matches('/');
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if bucket.is_empty() || !bucket.chars().all(plain) {
            return Err(StoreError::unavailable(format!("'{bucket}' is no name of a bucket")));
        }
        let mut parameters = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value).ok_or_else(|| {
                StoreError::unavailable(format!("the parameter {name} of blobs can't be read"))
            })?;
            parameters.insert(name.to_owned(), value);
        }
        Ok(Self { bucket: bucket.into(), parameters })
    }
}

#[cfg_attr(
    not(any(feature = "s3", feature = "azure", feature = "gcs")),
    expect(dead_code, reason = "stores of these kinds are left out")
)]
impl Place {
    fn get(&self, name: &str) -> Option<String> {
        self.parameters.get(name).filter(|value| !value.is_empty()).cloned()
    }

    fn switch(&self, name: &str) -> StoreResult<Option<bool>> {
        match self.get(name).as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => {
                let why = format!("the parameter {name} of blobs is true or false");
                Err(StoreError::unavailable(why))
            }
        }
    }

    fn only(&self, known: &[&str]) -> StoreResult<()> {
        match self.parameters.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let known = known.join(", ");
                let why = format!("blobs have no parameter {name}; there are: {known}");
                Err(StoreError::unavailable(why))
            }
        }
    }
}

/// Decodes what is encoded by percent signs.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Opens the stores that tenants bring. All of them share connections.
#[derive(Debug)]
#[cfg_attr(
    not(any(feature = "s3", feature = "azure")),
    expect(dead_code, reason = "stores of these kinds are left out")
)]
pub struct TenantBlobs {
    options: BlobOptions,
    client: OnceLock<Client>,
}

#[cfg(any(feature = "s3", feature = "azure"))]
use reqwest::Client;

#[cfg(not(any(feature = "s3", feature = "azure")))]
type Client = ();

#[async_trait]
impl OpenBlobs for TenantBlobs {
    async fn open_blobs(&self, settings: &BlobSettings) -> StoreResult<Arc<dyn Blobs>> {
        match settings.kind {
            BlobStoreType::S3 => self.s3(settings),
            BlobStoreType::Azure => self.azure(settings),
        }
    }
}

#[cfg(any(feature = "s3", feature = "azure"))]
impl TenantBlobs {
    fn client(&self) -> StoreResult<Client> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let made = crate::cloud::web::client(&self.options.authorities)?;
        Ok(self.client.get_or_init(|| made).clone())
    }
}

#[cfg(feature = "s3")]
impl TenantBlobs {
    fn s3(&self, settings: &BlobSettings) -> StoreResult<Arc<dyn Blobs>> {
        if settings.key.is_none() {
            // Why: the credentials of this server are not for the buckets of tenants.
            return Err(StoreError::unavailable("s3: a store of a tenant needs an access key"));
        }
        let none = BTreeMap::new();
        let opened = crate::cloud::s3::open(settings, &none, self.client()?, self.options.largest)?;
        Ok(Arc::new(opened.0))
    }
}

#[cfg(not(feature = "s3"))]
impl TenantBlobs {
    fn s3(&self, _: &BlobSettings) -> StoreResult<Arc<dyn Blobs>> {
        without("s3")
    }
}

#[cfg(feature = "azure")]
impl TenantBlobs {
    fn azure(&self, settings: &BlobSettings) -> StoreResult<Arc<dyn Blobs>> {
        Ok(Arc::new(crate::cloud::azure::open(settings, self.client()?)?))
    }
}

#[cfg(not(feature = "azure"))]
impl TenantBlobs {
    fn azure(&self, _: &BlobSettings) -> StoreResult<Arc<dyn Blobs>> {
        without("azure")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_follow_the_bucket() {
        let place = Place::parse("a-b.c/?uri=http://h:1/x%20y&path_style=false&region=").unwrap();
        assert_eq!(place.bucket, "a-b.c");
        assert_eq!(place.parameters["uri"], "http://h:1/x y");
        assert_eq!(place.parameters.len(), 3);
        for wrong in ["", "?uri=x", "a b", "a/b", "a?uri=%", "a?uri=%zz", "a?uri=%ff"] {
            assert!(Place::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn secrets_of_options_do_not_print() {
        let variables = [("AWS_SECRET_ACCESS_KEY", "hunter2"), ("HOME", "hunter2")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let options = BlobOptions::default()
            .key("id", Secret::new("hunter2"))
            .connection_string(Secret::new("hunter2"))
            .variables(variables);
        let printed = format!("{options:?}");
        assert!(printed.contains("AWS_SECRET_ACCESS_KEY") && !printed.contains("HOME"));
        assert!(!printed.contains("hunter2"), "{printed}");
    }

    #[tokio::test]
    async fn urls_that_cannot_be_opened_say_why() {
        let why = async |url: &str| {
            let opened = BlobOptions::default().prepares(false).open(url).await;
            opened.map(drop).unwrap_err().to_string()
        };
        assert!(why("ftp://x").await.contains("begins with file://, s3://"));
        assert!(why("memory:").await.contains("begins with file://, s3://"));
        #[cfg(not(feature = "s3"))]
        assert!(why("s3://bucket").await.contains("built without the `s3` feature"));
        #[cfg(feature = "azure")]
        assert!(why("azure://container").await.contains("name of the account and its key"));
        #[cfg(feature = "s3")]
        assert!(why("s3://bucket?path_style=1").await.contains("path_style of blobs is true or"));
    }
}
