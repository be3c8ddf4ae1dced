//! Logs and metrics.

use std::io::{self, IsTerminal as _};

use mender_core::Mender;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{
    EnvFilter, Layer as _, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{
    failure::Failure,
    settings::{LogFormat, Server},
    traces::{self, Traces},
};

/// Logs to standard error from now on, and sends `traces` if the settings say where to.
pub(crate) fn log(server: &Server, traces: bool) -> Result<Traces, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::new(format!("no log: {e}"));
    let filter = EnvFilter::try_new(&server.log_level.0).map_err(|e| failed(&e))?;
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match server.log_format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let endpoint = server.otel_endpoint.as_ref().filter(|_| traces);
    let (spans, traces) = match endpoint {
        Some(url) => traces::send(&url.0).map(|(spans, traces)| (Some(spans), traces))?,
        None => (None, Traces::default()),
    };
    let all = tracing_subscriber::registry().with(filter).with(lines).with(spans);
    all.try_init().map_err(|e| failed(&e))?;
    Ok(traces)
}

/// What is counted and measured.
#[derive(Clone)]
pub(crate) struct Metrics(PrometheusHandle);

impl Metrics {
    /// Counts and measures from now on.
    pub(crate) fn record() -> Result<Self, Failure> {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder)
            .map_err(|e| Failure::new(format!("no metrics: {e}")))?;
        metrics::describe_gauge!("mender_build_info", "Always 1; the label is the version.");
        metrics::describe_gauge!("mender_undelivered_events", "Events not yet delivered.");
        metrics::gauge!("mender_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
        Ok(Self(handle))
    }

    /// Returns everything in the text format of Prometheus.
    pub(crate) async fn render(&self, mender: &Mender) -> String {
        match mender.undelivered().await {
            #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
            Ok(count) => metrics::gauge!("mender_undelivered_events").set(count as f64),
            Err(error) => tracing::warn!(%error, "the undelivered events were not counted"),
        }
        self.0.run_upkeep();
        self.0.render()
    }

    /// Keeps what was measured small.
    pub(crate) fn tidy(&self) {
        self.0.run_upkeep();
    }
}
