//! Alerts: what fires, who is told, what is silenced.

use crate::toolkit::Topic;

/// Toolsets of Alertmanager.
pub(super) const TOPICS: &[Topic] = &[];
