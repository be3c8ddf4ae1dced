//! Traces, sent to an OpenTelemetry collector.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError, hyper::HyperClient};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::{Layer, registry::LookupSpan};

use crate::failure::Failure;

/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the spans are called by.
const NAME: &str = "mender-server";

/// Traces that are being sent.
#[derive(Default)]
pub(crate) struct Traces(Option<SdkTracerProvider>);

/// Sends requests from the exporter's own thread by way of the runtime.
#[derive(Debug)]
struct Client {
    runtime: Handle,
    inner: HyperClient,
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.inner.clone();
        let sent = self.runtime.spawn(async move { client.send_bytes(request).await });
        sent.await?
    }
}

/// Returns the layer whose spans are sent to the collector.
pub(crate) fn send<S>(url: &str) -> Result<(Box<dyn Layer<S> + Send + Sync>, Traces), Failure>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let client = Client {
        runtime: Handle::current(),
        inner: HyperClient::with_default_connector(PATIENCE, None),
    };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(format!("{url}/v1/traces"))
        .with_timeout(PATIENCE)
        .build()
        .map_err(|e| Failure::new(format!("otel_endpoint: {e}")))?;
    let resource = Resource::builder_empty().with_service_name(NAME).build();
    let provider =
        SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer(NAME));
    Ok((layer.boxed(), Traces(Some(provider))))
}

impl Traces {
    /// Sends what is left.
    pub(crate) async fn end(self) {
        let Some(provider) = self.0 else {
            return;
        };
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(PATIENCE));
        if let Ok(Err(error)) = ended.await {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}
