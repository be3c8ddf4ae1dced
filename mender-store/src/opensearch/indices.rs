//! Indices and their aliases.

use mender_core::{StoreError, StoreResult};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::OpenSearch;

impl OpenSearch {
    /// The alias of the index that answers.
    fn answering(&self) -> &str {
        &self.options.name
    }

    /// The alias of the indices that are written to.
    fn writing(&self) -> String {
        format!("{}-write", self.options.name)
    }

    fn template(&self) -> Value {
        json!({
            "index_patterns": [format!("{}-*", self.options.name)],
            "priority": 100,
            "template": {
                "settings": {
                    "number_of_shards": self.options.shards,
                    "number_of_replicas": self.options.replicas,
                    // How long the ends of documents are remembered: what comes later than
                    // this is not refused any more.
                    "gc_deletes": "1h",
                },
                "mappings": {
                    "dynamic": "strict",
                    "_source": { "enabled": false },
                    "properties": {
                        "t": { "type": "keyword" },
                        "d": { "type": "keyword" },
                        "p": { "type": "long" },
                        "x": { "type": "keyword" },
                        "s": {
                            "type": "nested",
                            "properties": {
                                "n": { "type": "keyword", "doc_values": false },
                                "lo": { "type": "keyword", "index": false },
                                "hi": { "type": "keyword", "index": false },
                            },
                        },
                    },
                },
            },
        })
    }

    /// The indices that an alias names.
    async fn named(&self, alias: &str) -> StoreResult<Vec<String>> {
        let answer = self.link.ask(Method::GET, &format!("_alias/{alias}"), None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        let body = answer.done()?;
        let mut names: Vec<String> =
            body.as_object().into_iter().flat_map(|all| all.keys().cloned()).collect();
        names.sort();
        Ok(names)
    }

    /// The indices that are written to; where there is none yet, the first one is made. It does
    /// not answer: devices from before it are not in it.
    pub(super) async fn written(&self) -> StoreResult<Vec<String>> {
        let written = self.named(&self.writing()).await?;
        if !written.is_empty() {
            return Ok(written);
        }
        let first = format!("{}-1", self.options.name);
        self.make(&first).await?;
        self.alias(&[("add", &first, &self.writing())]).await?;
        Ok(vec![first])
    }

    async fn make(&self, index: &str) -> StoreResult<()> {
        let template = format!("_index_template/{}", self.options.name);
        self.link.ask(Method::PUT, &template, Some(&self.template())).await?.done()?;
        let answer = self.link.ask(Method::PUT, index, None).await?;
        // Another node may have been first.
        if answer.exists_already() { Ok(()) } else { answer.done().map(drop) }
    }

    async fn alias(&self, actions: &[(&str, &str, &str)]) -> StoreResult<()> {
        let action = |(what, index, alias): &(&str, &str, &str)| json!({ *what: { "index": index, "alias": alias } });
        let actions: Vec<Value> = actions.iter().map(action).collect();
        self.link.post("_aliases", &json!({ "actions": actions })).await.map(drop)
    }

    /// The indices that are written to and do not answer.
    async fn unfinished(&self) -> StoreResult<Vec<String>> {
        let answering = self.named(self.answering()).await?;
        let written = self.written().await?;
        Ok(written.into_iter().filter(|index| !answering.contains(index)).collect())
    }

    /// Every index of ours, and whether an alias names it.
    async fn all(&self) -> StoreResult<Vec<(String, bool)>> {
        let path = format!("{}-*/_alias", self.options.name);
        let body = self.link.ask(Method::GET, &path, None).await?.done()?;
        let is_named = |index: &Value| index["aliases"].as_object().is_some_and(|a| !a.is_empty());
        let all = body.as_object().into_iter().flatten();
        Ok(all.map(|(name, index)| (name.clone(), is_named(index))).collect())
    }

    /// Makes another index that is written to, under a number that was never used by one that is
    /// there; returns its name.
    pub(super) async fn begin(&self) -> StoreResult<String> {
        self.written().await?;
        let known = self.all().await?;
        let number = |(name, _): &(String, bool)| name.rsplit_once('-')?.1.parse::<u64>().ok();
        let last = known.iter().filter_map(number).max().unwrap_or_default();
        let next = format!("{}-{}", self.options.name, last + 1);
        let unfinished = self.unfinished().await?;
        self.make(&next).await?;
        self.alias(&[("add", &next, &self.writing())]).await?;
        let abandoned = known.into_iter().filter(|(_, is_named)| !is_named).map(|(name, _)| name);
        for index in unfinished.into_iter().chain(abandoned) {
            self.link.ask(Method::DELETE, &index, None).await?.done()?;
        }
        Ok(next)
    }

    /// Has the new index answer, and deletes the others.
    pub(super) async fn finish(&self, new: &str) -> StoreResult<()> {
        if self.unfinished().await? != [new] {
            return Err(StoreError::unavailable("another rebuild of the index began meanwhile"));
        }
        self.link.post(&format!("{new}/_refresh"), &json!({})).await?;
        let old = self.named(self.answering()).await?;
        let (answering, writing) = (self.answering(), self.writing());
        let mut actions = vec![("add", new, answering)];
        for old in &old {
            actions.push(("remove", old, answering));
            actions.push(("remove", old, &writing));
        }
        self.alias(&actions).await?;
        for old in &old {
            self.link.ask(Method::DELETE, old, None).await?.done()?;
        }
        Ok(())
    }

    /// Searches the index that answers.
    pub(super) async fn search(&self, body: &Value) -> StoreResult<Value> {
        let path = format!("{}/_search", self.answering());
        let answer = self.link.ask(Method::POST, &path, Some(body)).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Err(StoreError::unavailable(
                "the search index was never built: run `mender-server search reindex`",
            ));
        }
        answer.done()
    }
}
