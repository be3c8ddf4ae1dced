//! Azure Blob Storage.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use mender_core::{
    StoreError, StoreResult, Time,
    blob::{ARTIFACT_TYPE, Audience, BlobKey, BlobSettings, Link, LinkTo, disposition},
};
use object_store::azure::MicrosoftAzureBuilder;
use reqwest::{Client, Method, Url};
use ring::hmac;
use tokio_util::task::TaskTracker;

use super::{AT_ONCE, Cloud, Vendor, retries, web};

/// The version of the protocol, which says what is signed.
const VERSION: &str = "2020-12-06";

/// How large the blocks are that blobs are sent in: 50,000 of them may follow each other.
const BLOCK: usize = 5 << 20;

/// How far the clock of the store may be behind ours before it refuses a new link.
const SKEW: Duration = Duration::from_secs(300);

/// What a development server is called, and its well-known key.
const DEVELOPMENT: &str = "devstoreaccount1";
const DEVELOPMENT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A container.
struct Azure {
    account: String,
    container: String,
    key: hmac::Key,
    /// Where the container is.
    here: Url,
    proxy: Option<Url>,
}

/// What a connection string says.
#[derive(Debug, Default, Eq, PartialEq)]
struct Account {
    name: String,
    key: String,
    endpoint: Option<String>,
}

impl Account {
    fn parse(text: &str) -> StoreResult<Self> {
        let parts = text.split(';').filter_map(|part| part.trim().split_once('='));
        let parts: BTreeMap<String, &str> =
            parts.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        let get = |name: &str| parts.get(name).map(|value| (*value).to_owned());
        if get("usedevelopmentstorage").is_some_and(|on| on == "true") {
            let endpoint = Some(format!("http://127.0.0.1:10000/{DEVELOPMENT}"));
            return Ok(Self { name: DEVELOPMENT.into(), key: DEVELOPMENT_KEY.into(), endpoint });
        }
        let (Some(name), Some(key)) = (get("accountname"), get("accountkey")) else {
            let why = "azure: the connection string needs AccountName and AccountKey";
            return Err(StoreError::unavailable(why));
        };
        let made = || {
            let scheme = get("defaultendpointsprotocol").unwrap_or_else(|| "https".into());
            get("endpointsuffix").map(|suffix| format!("{scheme}://{name}.blob.{suffix}"))
        };
        let endpoint = get("blobendpoint").or_else(made);
        Ok(Self { name, key, endpoint })
    }

    fn of(settings: &BlobSettings) -> StoreResult<Self> {
        if let Some(text) = &settings.connection_string {
            return Self::parse(text.expose());
        }
        match (&settings.key, &settings.secret) {
            (Some(name), Some(key)) => {
                let (name, key) = (name.clone(), key.expose().to_owned());
                Ok(Self { name, key, endpoint: settings.uri.clone() })
            }
            _ => Err(StoreError::unavailable(
                "azure: the name of the account and its key are needed, or a connection string",
            )),
        }
    }
}

/// Opens a container.
pub(crate) fn open(settings: &BlobSettings, client: Client) -> StoreResult<Cloud> {
    let failed =
        |e: object_store::Error| StoreError::unavailable(format!("azure: {}", web::reason(&e)));
    let account = Account::of(settings)?;
    let key = STANDARD.decode(account.key.trim());
    let key =
        key.map_err(|_| StoreError::unavailable("azure: the key of the account is no base64"))?;
    let public = || format!("https://{}.blob.core.windows.net", account.name);
    let store = web::url(&account.endpoint.clone().unwrap_or_else(public))?;
    let data = MicrosoftAzureBuilder::new()
        .with_account(&account.name)
        .with_access_key(account.key.trim())
        .with_endpoint(store.as_str().trim_end_matches('/').to_owned())
        .with_container_name(&settings.bucket)
        .with_allow_http(true)
        .with_retry(retries())
        .with_http_connector(web::Shared(client.clone()))
        .build()
        .map_err(failed)?;
    let vendor = Azure {
        here: web::below(&store, &settings.bucket),
        account: account.name,
        container: settings.bucket.clone(),
        key: hmac::Key::new(hmac::HMAC_SHA256, &key),
        proxy: settings.proxy_uri.as_deref().map(web::url).transpose()?,
    };
    Ok(Cloud {
        data: Arc::new(data),
        vendor: Arc::new(vendor),
        client,
        part: BLOCK,
        tasks: TaskTracker::new(),
    })
}

/// What a signature is good for.
#[derive(Default)]
struct Grant<'a> {
    permissions: &'a str,
    /// `b`, a blob, or `c`, the container.
    resource: &'a str,
    /// The key of the blob.
    key: Option<&'a str>,
    /// What the answer says of the blob.
    disposition: Option<&'a str>,
    kind: Option<&'a str>,
}

impl Azure {
    /// Signs a URL that has no query.
    fn sign(&self, url: &Url, grant: &Grant<'_>, more: &str, now: Time, end: Time) -> Url {
        let second = |time: Time| Time::from_seconds(time.seconds()).to_string();
        let (start, end) = (second(now - SKEW), second(end));
        let key = grant.key.map(|key| format!("/{key}")).unwrap_or_default();
        let resource = format!("/blob/{}/{}{key}", self.account, self.container);
        let disposition = grant.disposition.unwrap_or_default();
        let kind = grant.kind.unwrap_or_default();
        let text = [
            grant.permissions,
            &start,
            &end,
            &resource,
            "", // identifier
            "", // address
            "", // protocol
            VERSION,
            grant.resource,
            "", // snapshot
            "", // encryption scope
            "", // cache control
            disposition,
            "", // encoding
            "", // language
            kind,
        ]
        .join("\n");
        let signature = STANDARD.encode(hmac::sign(&self.key, text.as_bytes()));
        let pairs = [
            ("sv", VERSION),
            ("st", &start),
            ("se", &end),
            ("sr", grant.resource),
            ("sp", grant.permissions),
            ("rscd", disposition),
            ("rsct", kind),
            ("sig", &signature),
        ];
        let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
        let pairs = pairs.map(|(name, value)| format!("{name}={}", web::encode(value)));
        let mut query: Vec<String> = pairs.collect();
        query.extend((!more.is_empty()).then(|| more.to_owned()));
        let mut signed = url.clone();
        signed.set_query(Some(&query.join("&")));
        signed
    }
}

#[async_trait]
impl Vendor for Azure {
    fn place(&self) -> String {
        format!("azure: container '{}'", self.container)
    }

    async fn link(
        &self,
        key: &BlobKey,
        to: LinkTo<'_>,
        audience: Audience,
        valid_for: Duration,
        now: Time,
    ) -> StoreResult<Option<Link>> {
        let shown = match to {
            LinkTo::Read { file_name } => file_name.map(disposition),
            LinkTo::Write | LinkTo::Delete => None,
        };
        let permissions = match to {
            LinkTo::Read { .. } => "r",
            LinkTo::Write => "cw",
            LinkTo::Delete => "d",
        };
        let grant = Grant {
            permissions,
            resource: "b",
            key: Some(key.as_str()),
            disposition: shown.as_deref(),
            // Clients stored it under another type, or under none.
            kind: matches!(to, LinkTo::Read { .. }).then_some(ARTIFACT_TYPE),
        };
        let expire = web::end(now, valid_for);
        let signed = self.sign(&web::below(&self.here, key.as_str()), &grant, "", now, expire);
        let proxy = self.proxy.as_ref().filter(|_| audience == Audience::Public);
        let uri = proxy.map_or(signed.clone(), |proxy| web::through(proxy, &signed));
        let kind = (to == LinkTo::Write).then(|| ("x-ms-blob-type".into(), "BlockBlob".into()));
        Ok(Some(Link {
            uri: uri.into(),
            expire,
            method: to.method(),
            headers: kind.into_iter().collect(),
        }))
    }

    async fn check(&self, client: &Client, now: Time) -> StoreResult<()> {
        let grant = Grant { permissions: "l", resource: "c", key: None, ..Grant::default() };
        let list = "restype=container&comp=list&maxresults=1";
        let url = self.sign(&self.here, &grant, list, now, now + AT_ONCE);
        let answer = web::ask(client, Method::GET, url.as_str(), "").await;
        let answer = answer.map_err(|error| error.at(&self.place()))?;
        match answer.status.as_u16() {
            200..300 => Ok(()),
            404 => Err(StoreError::unavailable(format!("{} does not exist", self.place()))),
            403 => {
                let container = &self.container;
                let what = "azure: insufficient permissions for accessing container";
                Err(StoreError::unavailable(format!("{what} '{container}': {answer}")))
            }
            _ => Err(answer.refusal(&self.place())),
        }
    }
}

#[cfg(test)]
mod tests {
    use mender_core::secret::Secret;

    use super::*;

    #[test]
    fn connection_strings_name_the_account() {
        let text = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=b+/==;\
                    EndpointSuffix=core.windows.net";
        let account = Account::parse(text).unwrap();
        assert_eq!((account.name.as_str(), account.key.as_str()), ("a", "b+/=="));
        assert_eq!(account.endpoint.unwrap(), "https://a.blob.core.windows.net");
        let other = "AccountName=a;AccountKey=b;BlobEndpoint=http://h:1/a";
        assert_eq!(Account::parse(other).unwrap().endpoint.unwrap(), "http://h:1/a");
        assert!(Account::parse("UseDevelopmentStorage=true").is_ok());
        for wrong in ["", "nonsense", "AccountName=a", "AccountKey=b"] {
            assert!(Account::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn links_go_through_the_proxy_and_ask_for_the_type_of_blob() {
        let mut settings = BlobSettings::azure("container");
        settings.key = Some("account".into());
        settings.secret = Some(Secret::new("c2VjcmV0"));
        settings.proxy_uri = Some("https://proxy.example.com".into());
        let cloud = open(&settings, web::client(&[]).unwrap()).unwrap();
        let key = BlobKey::new("t/a").unwrap();
        let link = async |to, audience| {
            let (valid_for, now) = (Duration::from_secs(900), Time::from_seconds(1_000_000));
            cloud.vendor.link(&key, to, audience, valid_for, now).await.unwrap().unwrap()
        };
        let public = link(LinkTo::Write, Audience::Public).await;
        assert!(public.uri.starts_with("https://proxy.example.com/container/t/a?sv="));
        assert!(public.uri.contains("&se=1970-01-12T14%3A01%3A40Z&sr=b&sp=cw&sig="));
        assert_eq!(public.expire, Time::from_seconds(1_000_900));
        assert_eq!(public.headers["x-ms-blob-type"], "BlockBlob");
        let internal = link(LinkTo::Read { file_name: None }, Audience::Internal).await;
        let here = "https://account.blob.core.windows.net/container/t/a?";
        assert!(internal.uri.starts_with(here), "{}", internal.uri);
        assert!(internal.headers.is_empty());
    }
}
