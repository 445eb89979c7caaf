//! Alerts: what fires, who is told, what is silenced.

mod alerts;
mod api;
mod configuration;
mod counters;
mod labels;
mod matchers;
mod routes;
mod routing;
mod silences;
mod status;
mod test_alert;

use super::ages;
use crate::toolkit::{Topic, fan_out, tool};

/// Toolsets of Alertmanager.
pub(super) const TOPICS: &[Topic] = &[
    Topic { name: "alertmanager/alerts", tools: alerts::TOOLS },
    Topic { name: "alertmanager/silences", tools: silences::TOOLS },
    Topic {
        name: "alertmanager/routing",
        tools: &[tool::<routing::GetRouting>(), tool::<test_alert::SendTestAlert>(), fan_out::<status::GetStatus>()],
    },
];
