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

use serde::{Deserialize, Deserializer};

use crate::toolkit::Topic;

/// Toolsets of Prometheus.
pub(super) const TOPICS: &[Topic] = &[
    Topic { name: "prometheus/query", tools: query::TOOLS },
    Topic { name: "prometheus/metrics", tools: metrics::TOOLS },
    Topic { name: "prometheus/targets", tools: targets::TOOLS },
    Topic { name: "prometheus/alerts", tools: alerts::TOOLS },
    Topic { name: "prometheus/status", tools: status::TOOLS },
];

/// Go writes lists and maps that were never filled as `null`.
fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
