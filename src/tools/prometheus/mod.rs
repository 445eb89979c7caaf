//! Metrics: queries, what there is to query, and the server that answers.

use crate::toolkit::Topic;

/// Toolsets of Prometheus.
pub(super) const TOPICS: &[Topic] = &[];
