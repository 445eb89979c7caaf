//! Every metric by name. Labels take their values from fixed lists or from the configuration, never from callers.

use std::sync::LazyLock;

use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, TextEncoder,
};

/// Seconds, from a cached answer to a slow query.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Tool calls by tool and outcome.
pub static TOOL_CALLS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("mcp_tool_calls_total", "Tool calls by tool and outcome.", &["tool", "outcome"]));

/// How long tool calls took.
pub static TOOL_SECONDS: LazyLock<HistogramVec> =
    LazyLock::new(|| histogram("mcp_tool_call_duration_seconds", "Duration of tool calls.", &["tool"]));

/// Requests by method of the protocol and outcome.
pub static REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("mcp_requests_total", "Protocol requests by method, era and outcome.", &["method", "era", "outcome"])
});

/// Answers of the HTTP edge by status.
pub static HTTP_RESPONSES: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("mcp_http_responses_total", "HTTP responses by route and status.", &["route", "status"]));

/// Requests to backends by instance and outcome.
pub static BACKEND_REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("mcp_backend_requests_total", "Backend requests by instance and outcome.", &["backend", "outcome"])
});

/// How long requests to backends took.
pub static BACKEND_SECONDS: LazyLock<HistogramVec> =
    LazyLock::new(|| histogram("mcp_backend_request_duration_seconds", "Duration of backend requests.", &["backend"]));

/// Lists that watches keep up to date, by instance.
pub static KEPT_LISTS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = Opts::new("mcp_backend_kept_lists", "Lists that watches keep up to date, by instance.");
    register(IntGaugeVec::new(options, &["backend"]).expect("a valid name"))
});

/// Lists, or parts of them, that were answered without asking the instance.
pub static KEPT_ANSWERS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("mcp_backend_kept_answers_total", "Lists answered from a watch, by instance.", &["backend"])
});

/// Open connections.
pub static CONNECTIONS: LazyLock<IntGauge> = LazyLock::new(|| {
    let gauge = IntGauge::new("mcp_http_connections", "Open HTTP connections.").expect("a valid name");
    register(gauge)
});

/// Open event streams by kind.
pub static STREAMS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = Opts::new("mcp_streams", "Open event streams by kind.");
    register(IntGaugeVec::new(options, &["kind"]).expect("a valid name"))
});

/// Whether the shared store answers.
pub static STORE_UP: LazyLock<IntGauge> = LazyLock::new(|| {
    let gauge = IntGauge::new("mcp_store_up", "Whether the shared store answers: 1 or 0; none where there is none.");
    register(gauge.expect("a valid name"))
});

/// Commands that the shared store did not carry out.
pub static STORE_FAILURES: LazyLock<IntCounter> = LazyLock::new(|| {
    let counter = IntCounter::new("mcp_store_failures_total", "Commands that the shared store did not carry out.");
    register(counter.expect("a valid name"))
});

/// Requests that were over a limit.
pub static LIMITED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter("mcp_limited_total", "Requests that were over a limit: of their caller, the server, and so on.", &["limit"])
});

/// Decisions on a limit that this replica took alone.
pub static LIMITED_ALONE: LazyLock<IntCounter> = LazyLock::new(|| {
    let help = "Decisions on a limit that this replica took alone, because the shared store was away.";
    register(IntCounter::new("mcp_limits_alone_total", help).expect("a valid name"))
});

/// Version of this server; always 1.
static BUILD: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let options = Opts::new("mcp_build_info", "Version of this server.");
    register(IntGaugeVec::new(options, &["version"]).expect("a valid name"))
});

fn counter(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(IntCounterVec::new(Opts::new(name, help), labels).expect("a valid name"))
}

fn histogram(name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
    register(HistogramVec::new(options, labels).expect("a valid name"))
}

fn register<M: prometheus::core::Collector + Clone + 'static>(metric: M) -> M {
    prometheus::register(Box::new(metric.clone())).expect("each metric is made once");
    metric
}

/// All metrics in the text format of Prometheus.
#[must_use]
pub fn text() -> String {
    BUILD.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    let mut text = Vec::new();
    let encoded = TextEncoder::new().encode(&prometheus::gather(), &mut text);
    if let Err(error) = encoded {
        tracing::warn!(%error, "metrics cannot be encoded");
    }
    String::from_utf8_lossy(&text).into_owned()
}
