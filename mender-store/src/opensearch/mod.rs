//! An index of devices in OpenSearch.
//!
//! Every device is one document of an index `NAME-N`. The alias `NAME` names the index that
//! answers, once it was built; `NAME-write` all that are written to: two, while the index is built
//! anew.
//!
//! | field | holds |
//! |---|---|
//! | `_id` | a hash of tenant and device: ids may be longer than the engine allows |
//! | `t`, `d`, `p` | tenant, device, place |
//! | `x` | the texts that the device is found by |
//! | `s` | for each attribute its prefix `n`, and the smallest and the greatest text, `lo` and `hi` |
//!
//! The engine compares keywords by bytes, as everything else here does, and analyses nothing:
//! core has made the texts. The number of fields does not grow with the attributes of devices.

mod indices;
mod link;
mod query;

use std::time::Duration;

use async_trait::async_trait;
use mender_core::{
    DeviceId, StoreError, StoreResult, TenantId, Version,
    index::Span,
    inventory::{Search, Tally},
    search::{Hits, IndexDoc, SearchIndex, SortText},
    secret::token_hash,
};
use serde_json::{Value, json};

use link::Link;

/// How large one request of changes may become, in bytes, before it is sent.
const BULK: usize = 4 << 20;

/// How many texts one answer of numbers holds.
const MAX_TALLY: usize = 10_000;

/// How to reach and to make an index.
#[derive(Clone, Debug)]
#[must_use = "opens nothing until `open` is called"]
pub struct OpenSearchOptions {
    name: String,
    shards: u32,
    replicas: u32,
    timeout: Duration,
}

impl Default for OpenSearchOptions {
    fn default() -> Self {
        let timeout = Duration::from_secs(10);
        Self { name: "mender-devices".into(), shards: 1, replicas: 0, timeout }
    }
}

impl OpenSearchOptions {
    /// Sets the name that indices and aliases begin with: small letters, digits, `-` and `_`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets into how many parts new indices are split.
    pub fn shards(mut self, shards: u32) -> Self {
        self.shards = shards;
        self
    }

    /// Sets how many copies of each part there are.
    pub fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = replicas;
        self
    }

    /// Sets how long one request may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Prepares for `http://` or `https://user:password@host:port`. The server need not run yet:
    /// the index is made when it is first needed.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the URL or the name can't be used.
    pub fn open(self, url: &str) -> StoreResult<OpenSearch> {
        let plain =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        let begins = self.name.starts_with(|c: char| c.is_ascii_lowercase());
        if !begins || !self.name.chars().all(plain) || self.name.len() > 100 {
            return Err(StoreError::unavailable("the name of an index: small letters, - and _"));
        }
        Ok(OpenSearch { link: Link::new(url, self.timeout)?, options: self })
    }
}

/// An index of devices in OpenSearch.
#[derive(Debug)]
pub struct OpenSearch {
    link: Link,
    options: OpenSearchOptions,
}

impl OpenSearch {
    /// Prepares for an index with default options, at `http://` or `https://`.
    ///
    /// # Errors
    /// As [`OpenSearchOptions::open`].
    pub fn open(url: &str) -> StoreResult<Self> {
        OpenSearchOptions::default().open(url)
    }

    /// Returns the options to open an index with.
    pub fn options() -> OpenSearchOptions {
        OpenSearchOptions::default()
    }

    /// Has everything that was taken up be found; the engine does so by itself every second.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn refresh(&self) -> StoreResult<()> {
        for index in self.written().await? {
            self.link.post(&format!("{index}/_refresh"), &json!({})).await?;
        }
        Ok(())
    }

    /// Sends changes: pairs of lines, to every index that is written to.
    async fn change(&self, changes: Vec<(Value, Option<Value>)>) -> StoreResult<()> {
        let indices = self.written().await?;
        let mut lines = String::new();
        for (action, doc) in changes {
            for index in &indices {
                let mut action = action.clone();
                for what in ["index", "delete"] {
                    if let Some(Value::Object(target)) = action.get_mut(what) {
                        target.insert("_index".into(), index.clone().into());
                    }
                }
                lines.push_str(&format!("{action}\n"));
                if let Some(doc) = &doc {
                    lines.push_str(&format!("{doc}\n"));
                }
            }
            if lines.len() >= BULK {
                self.link.bulk(std::mem::take(&mut lines)).await?;
            }
        }
        if lines.is_empty() { Ok(()) } else { self.link.bulk(lines).await }
    }
}

/// The `_id` of a device.
fn id_of(tenant: &TenantId, device: &DeviceId) -> String {
    token_hash(&format!("{tenant}\0{device}"))
}

fn doc_of(doc: &IndexDoc) -> Value {
    let sort = |SortText { prefix, first, last }: &SortText| json!({ "n": prefix, "lo": first, "hi": last });
    json!({
        "t": doc.tenant,
        "d": doc.device,
        "p": doc.place,
        "x": doc.texts,
        "s": doc.sorts.iter().map(sort).collect::<Vec<_>>(),
    })
}

fn target(tenant: &TenantId, device: &DeviceId, version: i64) -> Value {
    json!({ "_id": id_of(tenant, device), "version": version, "version_type": "external" })
}

#[async_trait]
impl SearchIndex for OpenSearch {
    async fn put(&self, docs: &[IndexDoc]) -> StoreResult<()> {
        let put = |doc: &IndexDoc| {
            let target = target(&doc.tenant, &doc.device, doc.version.0);
            (json!({ "index": target }), Some(doc_of(doc)))
        };
        self.change(docs.iter().map(put).collect()).await
    }

    async fn remove(&self, gone: &[(TenantId, DeviceId, Version)]) -> StoreResult<()> {
        // One beyond the last state: what was read before the end and comes late is refused.
        let remove = |(tenant, device, version): &(TenantId, DeviceId, Version)| {
            (json!({ "delete": target(tenant, device, version.next().0) }), None)
        };
        self.change(gone.iter().map(remove).collect()).await
    }

    async fn find(
        &self,
        tenant: &TenantId,
        search: &Search,
        skip: u64,
        limit: usize,
    ) -> StoreResult<Hits> {
        let body = query::page(tenant, search, skip, limit);
        let answer = self.search(&body).await?;
        let hits = answer["hits"]["hits"].as_array().map_or(&[][..], Vec::as_slice);
        let device = |hit: &Value| {
            let id = hit["fields"]["d"][0].as_str().unwrap_or_default();
            id.parse().map_err(|e| StoreError::corrupt("search hit", e))
        };
        let devices = hits.iter().map(device).collect::<StoreResult<_>>()?;
        let total = answer["hits"]["total"]["value"].as_u64();
        let total = total.ok_or_else(|| StoreError::corrupt("search answer", "no total"))?;
        Ok(Hits { devices, total })
    }

    async fn tally(
        &self,
        tenant: &TenantId,
        search: &Search,
        within: &Span,
        limit: usize,
    ) -> StoreResult<Tally> {
        let limit = limit.min(MAX_TALLY);
        let answer = self.search(&query::tally(tenant, search, within, limit)).await?;
        let terms = &answer["aggregations"]["texts"];
        let buckets = terms["buckets"].as_array().map_or(&[][..], Vec::as_slice);
        let bucket = |bucket: &Value| {
            Some((bucket["key"].as_str()?.to_owned(), bucket["doc_count"].as_u64()?))
        };
        let top: Option<Vec<_>> = buckets.iter().map(bucket).collect();
        let top = top.ok_or_else(|| StoreError::corrupt("search answer", "no buckets"))?;
        Ok(Tally { top, others: terms["sum_other_doc_count"].as_u64().unwrap_or_default() })
    }

    async fn begin_rebuild(&self) -> StoreResult<String> {
        self.begin().await
    }

    async fn finish_rebuild(&self, new: &str) -> StoreResult<()> {
        self.finish(new).await
    }

    async fn check(&self) -> StoreResult<()> {
        self.written().await.map(drop)
    }
}
