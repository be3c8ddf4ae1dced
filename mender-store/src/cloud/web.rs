//! Plain requests to a store, and addresses.

use std::{error, fmt, time::Duration};

use mender_core::{StoreError, StoreResult, Time};
use object_store::{
    ClientOptions,
    client::{HttpClient, HttpConnector},
};
use reqwest::{Certificate, Client, Method, StatusCode, Url};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long nothing may come back: also the time that one part takes to be sent.
const SILENCE: Duration = Duration::from_secs(120);

/// Makes the client that everything is sent by. `authorities` are trusted too, PEM.
pub(crate) fn client(authorities: &[u8]) -> StoreResult<Client> {
    let unreadable = |_| StoreError::unavailable("the authorities of the blob store are no PEM");
    let authorities = Certificate::from_pem_bundle(authorities).map_err(unreadable)?;
    let builder = Client::builder().connect_timeout(CONNECT).read_timeout(SILENCE);
    // What is signed is good for one address.
    let builder = builder.redirect(reqwest::redirect::Policy::none());
    let builder =
        authorities.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
    builder.build().map_err(StoreError::unavailable)
}

/// Has `object_store` use a client of ours.
#[derive(Debug)]
pub(crate) struct Shared(pub(crate) Client);

impl HttpConnector for Shared {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

/// Reads a URL of the web.
pub(crate) fn url(text: &str) -> StoreResult<Url> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.filter(Url::has_host).ok_or_else(|| {
        let why = format!("the address '{text}' of a blob store begins with http:// or https://");
        StoreError::unavailable(why)
    })
}

/// Returns the URL with something at the end of its path.
pub(crate) fn below(url: &Url, more: &str) -> Url {
    let mut url = url.clone();
    let path = format!("{}/{more}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

/// Moves a signed URL to a proxy, which restores the host that was signed.
pub(crate) fn through(proxy: &Url, signed: &Url) -> Url {
    let mut url = below(proxy, signed.path().trim_start_matches('/'));
    let query: Vec<&str> = [proxy.query(), signed.query()].into_iter().flatten().collect();
    url.set_query(Some(&query.join("&")));
    url
}

/// Writes a time as `20261121T204356Z`, and its day as `20261121`.
#[cfg(any(feature = "s3", feature = "gcs"))]
pub(crate) fn compact(time: Time) -> (String, String) {
    let text = Time::from_seconds(time.seconds()).to_string().replace(['-', ':'], "");
    let day = text.split('T').next().unwrap_or_default().to_owned();
    (text, day)
}

/// Encodes all but what needs no encoding in any part of a URL.
pub(crate) fn encode(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        match byte {
            b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
        encoded
    })
}

/// Returns the end of a link that begins now, in whole seconds.
pub(crate) fn end(now: Time, valid_for: Duration) -> Time {
    Time::from_seconds(now.seconds()) + Duration::from_secs(valid_for.as_secs())
}

/// Says an error with its causes, each once.
pub(crate) fn reason(error: &dyn error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}

/// What a store answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The name of the error, of those that stores answer.
    pub(crate) code: String,
}

impl Answer {
    /// Tells whether it is the bucket that is missing.
    pub(crate) fn is_about_bucket(&self) -> bool {
        matches!(self.code.as_str(), "NoSuchBucket" | "ContainerNotFound")
    }

    /// The refusal as an error.
    pub(crate) fn refusal(&self, place: &str) -> StoreError {
        StoreError::unavailable(format!("{place}: {self}"))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store answers {}", self.status)?;
        if self.code.is_empty() { Ok(()) } else { write!(f, ", {}", self.code) }
    }
}

/// A store that does not answer.
pub(crate) struct Unreachable(String);

impl Unreachable {
    pub(crate) fn at(self, place: &str) -> StoreError {
        StoreError::unavailable(format!("{place}: {}", self.0))
    }
}

/// Returns what is between the first `<Code>` and its end.
fn code(body: &str) -> Option<&str> {
    body.split_once("<Code>")?.1.split_once("</Code>").map(|(code, _)| code)
}

/// Follows a signed URL.
pub(crate) async fn ask(
    client: &Client,
    method: Method,
    uri: &str,
    body: impl Into<reqwest::Body>,
) -> Result<Answer, Unreachable> {
    // Why: what fails to connect names the URL, which is as good as a credential.
    let unreachable = |error: reqwest::Error| Unreachable(reason(&error.without_url()));
    let request = client.request(method, uri).body(body).timeout(CONNECT * 3);
    let answer = request.send().await.map_err(unreachable)?;
    let status = answer.status();
    let body = answer.text().await.map_err(unreachable)?;
    Ok(Answer { status, code: code(&body).unwrap_or_default().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_take_the_place_of_hosts() {
        let signed = url("https://s3.example.com:9000/bucket/key?X=1").unwrap();
        let proxy = url("http://proxy.example.com/store/?a=b").unwrap();
        let through = through(&proxy, &signed);
        assert_eq!(through.as_str(), "http://proxy.example.com/store/bucket/key?a=b&X=1");
    }

    #[test]
    fn addresses_are_of_the_web() {
        for wrong in ["", "s3.example.com", "ftp://x", "https://"] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }
}
