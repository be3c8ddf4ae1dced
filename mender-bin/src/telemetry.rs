//! Logs and metrics.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use mender_core::{Env, Mender};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::LevelFilter, fmt, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    failure::Failure,
    settings::{LogFormat, Server},
    traces::{self, Traces},
};

/// Logs to standard error from now on, and sends `traces` if the settings say where to.
pub(crate) fn log(server: &Server, traces: bool) -> Result<Traces, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::new(format!("no log: {e}"));
    let filter = EnvFilter::try_new(levels(&server.log_level.0)).map_err(|e| failed(&e))?;
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match server.log_format {
        LogFormat::Text => lines.with_ansi(is_coloured()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let endpoint = server.otel_endpoint.as_ref().filter(|_| traces);
    let (spans, traces) = match endpoint {
        Some(url) => traces::send(&url.0).map(|(spans, traces)| (Some(spans), traces))?,
        None => (None, Traces::default()),
    };
    // Who logs little still wants whole traces.
    let spans = spans.map(|spans| spans.with_filter(LevelFilter::INFO));
    let all = tracing_subscriber::registry().with(lines.with_filter(filter)).with(spans);
    all.try_init().map_err(|e| failed(&e))?;
    Ok(traces)
}

/// The library that speaks with NATS logs each attempt to reach it; ours says the same once.
fn levels(wanted: &str) -> String {
    if wanted.contains("async_nats") { wanted.into() } else { format!("{wanted},async_nats=off") }
}

/// Tells whether who reads the log sees colours, and wants to.
fn is_coloured() -> bool {
    io::stderr().is_terminal() && wants_colours()
}

/// Tells whether colours are not refused: <https://no-color.org>.
pub(crate) fn wants_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Up to how many seconds requests take that are counted together.
const BUCKETS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// How long the database may take to count.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many dead letters are counted at most.
const MANY: usize = 1000;

/// What is counted and measured.
#[derive(Clone)]
pub(crate) struct Metrics(PrometheusHandle);

impl Metrics {
    /// Counts and measures from now on.
    pub(crate) fn record(env: &Env) -> Result<Self, Failure> {
        let failed = |e: &dyn std::fmt::Display| Failure::new(format!("no metrics: {e}"));
        let requests = Matcher::Full("mender_http_request_seconds".into());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(requests, &BUCKETS);
        let recorder = builder.map_err(|e| failed(&e))?.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|e| failed(&e))?;
        metrics::describe_gauge!("mender_build_info", "Always 1; the label is the version.");
        metrics::describe_counter!("mender_http_requests_total", "Requests answered.");
        metrics::describe_histogram!(
            "mender_http_request_seconds",
            "How long requests took, to the last byte of the answer."
        );
        metrics::describe_gauge!("mender_http_connections", "Connections that are open.");
        metrics::describe_gauge!("mender_undelivered_events", "Events not yet delivered.");
        metrics::describe_gauge!(
            "mender_dead_jobs",
            "Dead letters: what was given up after many attempts. 1000 means that or more."
        );
        metrics::describe_gauge!(
            "mender_due_job_seconds",
            "How long the longest due job has been waiting; 0 where none is due."
        );
        metrics::describe_gauge!(
            "mender_search_lag_seconds",
            "How far the search index lies behind, as far as this node knows."
        );
        metrics::describe_gauge!(
            "process_start_time_seconds",
            "When the server started, in seconds since 1970."
        );
        metrics::gauge!("mender_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
        #[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
        let started = env.now().0 as f64 / 1000.0;
        metrics::gauge!("process_start_time_seconds").set(started);
        Ok(Self(handle))
    }

    /// Returns everything in the text format of Prometheus.
    pub(crate) async fn render(&self, mender: &Mender) -> String {
        // Metrics are wanted most when the database does not answer.
        match tokio::time::timeout(PATIENCE, count(mender)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "events and jobs were not counted"),
            Err(_) => tracing::warn!("counting events and jobs takes too long"),
        }
        self.0.run_upkeep();
        self.0.render()
    }

    /// Sums up what was measured.
    pub(crate) fn tidy(&self) {
        self.0.run_upkeep();
    }
}

/// Measures what waits in the database.
#[expect(clippy::cast_precision_loss, reason = "gauges are floating-point numbers")]
async fn count(mender: &Mender) -> mender_core::Result<()> {
    let undelivered = mender.undelivered().await?;
    metrics::gauge!("mender_undelivered_events").set(undelivered as f64);
    let dead = mender.jobs().dead_jobs(MANY).await?;
    metrics::gauge!("mender_dead_jobs").set(dead.len() as f64);
    let waiting = mender.longest_due().await?;
    metrics::gauge!("mender_due_job_seconds").set(waiting.as_secs_f64());
    if mender.search().has_index() {
        let since = mender.search().waiting_since().await?;
        let lag = since.map(|since| mender.env().now().since(since));
        metrics::gauge!("mender_search_lag_seconds").set(lag.unwrap_or_default().as_secs_f64());
    }
    Ok(())
}
