//! Metrics: queries, what there is to query, and the server that answers.

mod alerts;
mod metrics;
mod query;
mod status;
mod targets;

mod evaluation;
mod labels;
mod number;
mod promql;
mod refusal;
mod times;

use crate::toolkit::Topic;

/// Toolsets of Prometheus.
pub(super) const TOPICS: &[Topic] = &[
    Topic { name: "prometheus/query", tools: query::TOOLS },
    Topic { name: "prometheus/metrics", tools: metrics::TOOLS },
    Topic { name: "prometheus/targets", tools: targets::TOOLS },
    Topic { name: "prometheus/alerts", tools: alerts::TOOLS },
    Topic { name: "prometheus/status", tools: status::TOOLS },
];
