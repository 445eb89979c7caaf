//! Alerts: what fires now.

mod groups;
mod list;

use std::collections::BTreeMap;

use serde_json::Value;

use super::api::{self, AlertState};
use crate::answers::Row;
use crate::toolkit::{Entry, fan_out};

/// The tools about alerts.
pub(super) const TOOLS: &[Entry] = &[fan_out::<list::ListAlerts>(), fan_out::<groups::ListAlertGroups>()];

/// What happens to an alert: Alertmanager's `suppressed`, told apart.
fn state(status: &api::Status) -> &'static str {
    match status.state {
        AlertState::Active => "active",
        AlertState::Unprocessed => "unprocessed",
        AlertState::Suppressed if !status.silenced_by.is_empty() => "silenced",
        AlertState::Suppressed if !status.inhibited_by.is_empty() => "inhibited",
        AlertState::Suppressed => "muted",
    }
}

/// An alert in one line: its name, and every label that says more.
pub(super) fn one_line(alert: &api::Alert) -> String {
    let labels = alert.labels.iter().filter(|(name, _)| *name != "alertname");
    let labels: Vec<_> = labels.map(|(name, value)| format!("{name}={value}")).collect();
    format!("{} {}", label(alert, "alertname"), labels.join(" ")).trim().to_owned()
}

fn label<'a>(alert: &'a api::Alert, name: &str) -> &'a str {
    alert.labels.get(name).map_or("", String::as_str)
}

fn states<'a>(alerts: impl IntoIterator<Item = &'a api::Alert>) -> BTreeMap<&'static str, usize> {
    let mut states = BTreeMap::new();
    for alert in alerts {
        *states.entry(state(&alert.status)).or_default() += 1;
    }
    states
}

/// Counts as text: `3 active, 1 silenced`.
fn in_words(counts: &BTreeMap<&'static str, usize>) -> String {
    counts.iter().map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ")
}

/// Severities from worst to least, in the words that are usual; what is not known stands above mere information.
fn rank(severity: &str) -> u8 {
    match severity.to_ascii_lowercase().as_str() {
        "critical" | "crit" | "page" | "emergency" | "disaster" | "fatal" | "p0" | "p1" | "sev0" | "sev1" => 0,
        "error" | "high" | "major" | "p2" | "sev2" => 1,
        "warning" | "warn" | "medium" | "average" | "ticket" | "p3" | "sev3" => 2,
        "info" | "information" | "notice" | "low" | "minor" | "p4" | "p5" | "sev4" | "sev5" => 4,
        "none" | "debug" | "ok" => 5,
        _ => 3,
    }
}

fn text<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

fn yes() -> bool {
    true
}
