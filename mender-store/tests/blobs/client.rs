//! What follows links.

use async_trait::async_trait;
use mender_core::{
    StoreError, StoreResult,
    outbound::{Outbound, OutboundAnswer, OutboundRequest},
};

/// A plain client of the web.
#[derive(Default)]
pub(crate) struct Plain(reqwest::Client);

#[async_trait]
impl Outbound for Plain {
    async fn send(&self, request: OutboundRequest) -> StoreResult<OutboundAnswer> {
        let method = request.method.parse().map_err(StoreError::unavailable)?;
        let asked = self.0.request(method, &request.url).body(request.body);
        let asked = request
            .headers
            .iter()
            .fold(asked, |asked, (name, value)| asked.header(name.as_str(), value.as_str()));
        let answer = asked.send().await.map_err(StoreError::unavailable)?;
        let text = |value: &reqwest::header::HeaderValue| {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        Ok(OutboundAnswer {
            status: answer.status().as_u16(),
            headers: answer.headers().iter().map(|(n, v)| (n.to_string(), text(v))).collect(),
            body: answer.bytes().await.map_err(StoreError::unavailable)?,
        })
    }
}
