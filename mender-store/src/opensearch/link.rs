//! The way to the engine.

use std::{fmt, time::Duration};

use mender_core::{StoreError, StoreResult};
use reqwest::{Client, Method, Response, StatusCode, Url, header::CONTENT_TYPE};
use serde_json::Value;

/// The status of a change that is older than what the index holds.
const STALE: u64 = 409;

pub(super) struct Link {
    client: Client,
    base: Url,
}

impl fmt::Debug for Link {
    /// Leaves out the password of the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("host", &self.base.host_str()).finish_non_exhaustive()
    }
}

/// What the engine answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Answer {
    /// The reason that the engine gives for a refusal.
    fn refusal(&self) -> StoreError {
        let reason = self.body["error"]["reason"].as_str().unwrap_or_default();
        StoreError::unavailable(format!("OpenSearch answers {}: {reason}", self.status))
    }

    /// Refuses all but success.
    pub(super) fn done(self) -> StoreResult<Value> {
        if self.status.is_success() { Ok(self.body) } else { Err(self.refusal()) }
    }

    /// Tells whether something with this name is there already.
    pub(super) fn exists_already(&self) -> bool {
        self.body["error"]["type"] == "resource_already_exists_exception"
    }
}

fn unreachable(error: reqwest::Error) -> StoreError {
    // The URL may hold a password.
    StoreError::unavailable(error.without_url())
}

impl Link {
    pub(super) fn new(url: &str, timeout: Duration) -> StoreResult<Self> {
        let mut base: Url = url
            .parse()
            .map_err(|_| StoreError::unavailable("the URL of OpenSearch can't be read"))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(StoreError::unavailable(
                "the URL of OpenSearch begins with http:// or https://",
            ));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let client = Client::builder().timeout(timeout).build().map_err(unreachable)?;
        Ok(Self { client, base })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: String,
    ) -> StoreResult<Answer> {
        let url = self.base.join(path).map_err(StoreError::unavailable)?;
        let request = self.client.request(method, url).header(CONTENT_TYPE, kind).body(body);
        let response: Response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(unreachable)?;
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Answer { status, body })
    }

    /// Asks, whatever the status of the answer.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> StoreResult<Answer> {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.send(method, path, "application/json", body).await
    }

    /// Posts JSON.
    pub(super) async fn post(&self, path: &str, body: &Value) -> StoreResult<Value> {
        self.ask(Method::POST, path, Some(body)).await?.done()
    }

    /// Sends changes. Those that are older than what the index holds, and ends of unknown
    /// documents, are done.
    pub(super) async fn bulk(&self, lines: String) -> StoreResult<()> {
        let path = "_bulk?require_alias=false";
        let answer = self.send(Method::POST, path, "application/x-ndjson", lines).await?.done()?;
        let items = answer["items"].as_array().map_or(&[][..], Vec::as_slice);
        let failed = items.iter().flat_map(Value::as_object).flat_map(|item| item.values());
        let failed = failed.filter(|result| {
            let status = result["status"].as_u64().unwrap_or_default();
            let is_gone = status == 404 && result["error"].is_null();
            !(200..300).contains(&status) && status != STALE && !is_gone
        });
        match failed.map(|result| result["error"]["reason"].to_string()).next() {
            None => Ok(()),
            Some(reason) => Err(StoreError::unavailable(format!("OpenSearch refuses: {reason}"))),
        }
    }
}
