//! Alerts that rules hold pending or firing.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::labels::{Filter, LabelSet};
use super::super::number::Number;
use super::super::times;
use crate::answers::Row;
use crate::backends::Prometheus;
use crate::backends::rest::Request;
use crate::error::Result;
use crate::toolkit::args::{Cursor, Instances, Limit, MaxTokens, View};
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool, join_equal};

/// Lists alerts that rules hold pending or firing.
///
/// Silences and routing are not known here: prefer `alertmanager_list_alerts` for what people were told.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct ListAlerts {
    /// One Prometheus by name, several, or `"*"` for all.
    instance: Option<Instances>,
    /// Alert state.
    #[serde(default)]
    state: State,
    /// Matchers that all must hold, for example `severity="page"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    filter: Vec<String>,
    /// `summary` counts by name and severity; `full` adds all annotations.
    #[serde(default)]
    view: View,
    /// Rows per page, at most 1000.
    #[serde(default)]
    limit: Limit<50, 1000>,
    /// Position from the previous answer.
    cursor: Option<Cursor>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    Firing,
    Pending,
    #[default]
    Any,
}

/// An alert; or, in the summary, all alerts of a name and severity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(super) struct Alert {
    alert: String,
    /// `firing` or `pending`.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    severity: String,
    /// Alerts that fire, in the summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    firing: Option<usize>,
    /// Alerts that may fire soon, in the summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<usize>,
    /// Since when its condition holds; the earliest, in the summary.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Value of its expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Number>,
    /// Labels besides name and severity.
    #[serde(skip_serializing_if = "LabelSet::is_empty")]
    labels: LabelSet,
    /// Its annotation `summary`, or else its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    /// Since when it is kept firing although its condition no longer holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_since: Option<String>,
    /// The other annotations.
    #[serde(skip_serializing_if = "LabelSet::is_empty")]
    annotations: LabelSet,
}

/// An alert as the API gives it, also within its rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Held {
    labels: LabelSet,
    #[serde(default, deserialize_with = "super::super::null_is_empty")]
    annotations: LabelSet,
    state: String,
    #[serde(default)]
    active_at: Option<String>,
    #[serde(default)]
    keep_firing_since: Option<String>,
    #[serde(default)]
    value: Option<Number>,
}

impl Tool for ListAlerts {
    const NAME: &str = "prometheus_list_alerts";
    const POLICY: Policy = Policy::read(Permission::AlertsRead).cached(10);
    const REPLACES: &[&str] = &["prometheus_alerts_summary", "prometheus_get_alerts"];
    type Backend = Prometheus;
    type Output = Listing<Alert>;

    async fn call(self, prometheus: &Prometheus) -> Result<Listing<Alert>> {
        #[derive(Deserialize)]
        struct Alerts {
            #[serde(deserialize_with = "super::super::null_is_empty")]
            alerts: Vec<Held>,
        }
        let filter = Filter::read("filter", &self.filter)?;
        let held = prometheus.ask::<Alerts>(Request::get("api/v1/alerts")).await?.data.alerts;
        let all = held.len();
        let chosen = held.into_iter().filter(|alert| self.state.is(&alert.state) && filter.holds(&alert.labels));
        let full = self.view == View::Full;
        let alerts: Vec<Alert> = chosen.map(|alert| alert.row(full)).collect();
        let (firing, pending) = count(&alerts);
        let rows = if self.view == View::Summary { summary(alerts) } else { alerts };
        let none = rows.is_empty();
        let listing = Listing::new(rows).fact("firing", firing).fact("pending", pending).ordered(urgent_first);
        Ok(match (none, all) {
            (false, _) => listing,
            (true, 0) => listing.note("No rule holds an alert; `prometheus_list_rules` shows the rules."),
            (true, _) => listing.note(format!("None of {all} alerts fits.")),
        })
    }
}

impl FanOut for ListAlerts {
    fn join(rows: Vec<Row>) -> Vec<Row> {
        join_equal(rows, &["alert", "severity", "state", "firing", "pending", "labels"])
    }
}

impl State {
    fn is(self, state: &str) -> bool {
        match self {
            Self::Firing => state == "firing",
            Self::Pending => state == "pending",
            Self::Any => true,
        }
    }
}

impl Held {
    fn row(self, full: bool) -> Alert {
        let Self { mut labels, mut annotations, state, active_at, keep_firing_since, value } = self;
        let moment = |text: Option<String>| text.as_deref().and_then(times::from_text).map(times::shown);
        Alert {
            alert: labels.take("alertname").unwrap_or_default(),
            severity: labels.take("severity").unwrap_or_default(),
            state: Some(state),
            since: moment(active_at),
            value: value.map(Number::rounded),
            labels,
            summary: annotations.take("summary").or_else(|| annotations.take("description")),
            kept_since: if full { moment(keep_firing_since) } else { None },
            annotations: if full { annotations } else { LabelSet::default() },
            ..Alert::default()
        }
    }
}

impl Held {
    /// In one line, without the labels that all alerts of the rule have.
    pub(super) fn in_words(&self, of_rule: &LabelSet) -> String {
        let labels: Vec<String> = self
            .labels
            .iter()
            .filter(|(name, value)| *name != "alertname" && of_rule.get(name) != *value)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let since = self.active_at.as_deref().and_then(times::from_text).map(times::shown).unwrap_or_default();
        let value = self.value.map(|value| format!(", value {}", value.rounded())).unwrap_or_default();
        format!("{} since {since}{value} {}", self.state, labels.join(" ")).trim_end().to_owned()
    }
}

fn count(alerts: &[Alert]) -> (usize, usize) {
    let of = |state: &str| alerts.iter().filter(|alert| alert.state.as_deref() == Some(state)).count();
    (of("firing"), of("pending"))
}

/// A row for each name and severity.
fn summary(alerts: Vec<Alert>) -> Vec<Alert> {
    let mut groups: BTreeMap<(String, String), Vec<Alert>> = BTreeMap::new();
    for alert in alerts {
        groups.entry((alert.alert.clone(), alert.severity.clone())).or_default().push(alert);
    }
    groups
        .into_iter()
        .map(|((alert, severity), alerts)| {
            let (firing, pending) = count(&alerts);
            let since = alerts.iter().filter_map(|alert| alert.since.clone()).min();
            Alert { alert, severity, firing: Some(firing), pending: Some(pending), since, ..Alert::default() }
        })
        .collect()
}

/// Firing before pending, the severe first, then the newest.
fn urgent_first(a: &Row, b: &Row) -> Ordering {
    const SEVERITIES: [&str; 9] =
        ["disaster", "emergency", "critical", "page", "high", "error", "major", "warning", "warn"];
    let text = |row: &Row, column: &str| row.get(column).and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let fires = |row: &Row| {
        row.get("firing").and_then(Value::as_u64).unwrap_or_else(|| u64::from(text(row, "state") == "firing")) > 0
    };
    let severity = |row: &Row| {
        let severity = text(row, "severity");
        SEVERITIES.iter().position(|known| *known == severity).unwrap_or(SEVERITIES.len())
    };
    (fires(b), severity(a), text(b, "since"), text(a, "alert")).cmp(&(
        fires(a),
        severity(b),
        text(a, "since"),
        text(b, "alert"),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::toolkit::Output as _;

    fn held(name: &str, severity: &str, state: &str, at: &str) -> Alert {
        let alert: Held = serde_json::from_value(json!({
            "labels": {"alertname": name, "severity": severity, "pod": "a"},
            "annotations": {"summary": "It burns.", "runbook": "https://example.org"},
            "state": state, "activeAt": at, "value": "1.5e+00",
        }))
        .unwrap();
        alert.row(false)
    }

    #[test]
    fn what_is_urgent_comes_first() {
        let rows = vec![
            held("old", "warning", "firing", "2026-01-01T00:00:00Z"),
            held("soon", "critical", "pending", "2026-01-02T00:00:00Z"),
            held("new", "warning", "firing", "2026-01-02T00:00:00.5Z"),
            held("worst", "critical", "firing", "2026-01-01T00:00:00Z"),
        ];
        let rows = Listing::new(rows).ordered(urgent_first).into_answer().unwrap().rows.unwrap();
        let names: Vec<_> = rows.iter().map(|row| row["alert"].as_str().unwrap()).collect();
        assert_eq!(names, ["worst", "new", "old", "soon"]);
        assert_eq!(
            Value::from(rows[1].clone()),
            json!({"alert": "new", "state": "firing", "severity": "warning", "since": "2026-01-02T00:00:00Z",
                "value": 1.5, "labels": {"pod": "a"}, "summary": "It burns."})
        );
    }

    #[test]
    fn a_summary_counts_by_name_and_severity() {
        let rows = summary(vec![
            held("a", "page", "firing", "2026-01-02T00:00:00Z"),
            held("a", "page", "pending", "2026-01-01T00:00:00Z"),
            held("b", "page", "firing", "2026-01-01T00:00:00Z"),
        ]);
        assert_eq!((rows.len(), rows[0].firing, rows[0].pending), (2, Some(1), Some(1)));
        assert_eq!(rows[0].since.as_deref(), Some("2026-01-01T00:00:00Z"));
    }
}
