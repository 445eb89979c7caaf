//! Alerts one by one, or counted.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{in_words, label, rank, state, states, text, yes};
use crate::answers::Row;
use crate::backends::Alertmanager;
use crate::error::Result;
use crate::toolkit::args::{Cursor, Instances, Limit, MaxTokens, Moment, View};
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool, join_equal};
use crate::tools::alertmanager::api::{self, AlertQuery, AlertState, Labels};
use crate::tools::alertmanager::{ages, matchers};

/// Lists alerts with state, severity, age and what mutes them.
///
/// Without `silenced` and `inhibited` only alerts that notify are listed, and the answer says how many others there are.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the filters that Alertmanager has, under its names")]
pub(in crate::tools::alertmanager) struct ListAlerts {
    /// Name of the instance, several names, or `"*"` for all.
    instance: Option<Instances>,
    /// Matchers, for example `severity="page"` or `namespace=~"shop-.*"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    filter: Vec<String>,
    /// Regular expression over the names of receivers; it must match a whole name.
    receiver: Option<String>,
    /// Include alerts that notify.
    #[serde(default = "yes")]
    active: bool,
    /// Include silenced ones.
    #[serde(default)]
    silenced: bool,
    /// Include those that another alert inhibits.
    #[serde(default)]
    inhibited: bool,
    /// Include those not yet routed.
    #[serde(default = "yes")]
    unprocessed: bool,
    /// Only alerts that began after this, for example `now-1h`.
    start: Option<Moment>,
    /// `table` has one row per alert, `summary` counts by name and severity, `full` adds annotations and links.
    #[serde(default)]
    view: View,
    /// Worst first, newest first, or by name.
    #[serde(default)]
    sort_by: SortBy,
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
enum SortBy {
    #[default]
    Severity,
    Start,
    Name,
}

/// An alert, or in the view `summary` all alerts of one name and severity.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(in crate::tools::alertmanager) struct AlertRow {
    /// Its `alertname`.
    alert: String,
    severity: String,
    /// Alerts that are counted here.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
    /// `active`, `silenced`, `inhibited`, `muted` by a time interval, or `unprocessed`.
    state: String,
    /// How long it fires; of several, the one that fires longest.
    #[serde(skip_serializing_if = "String::is_empty")]
    age: String,
    /// The age of the one that began last.
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<String>,
    receivers: Vec<String>,
    /// Ids of silences, fingerprints of inhibiting alerts, names of time intervals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    muted_by: Vec<String>,
    /// What it says about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    /// All other labels, those that most alerts have in front.
    #[serde(skip_serializing_if = "Map::is_empty")]
    labels: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<String>,
    /// All other annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: Labels,
    /// Where its rule is.
    #[serde(skip_serializing_if = "Option::is_none")]
    generator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

impl Tool for ListAlerts {
    const NAME: &str = "alertmanager_list_alerts";
    const POLICY: Policy = Policy::read(Permission::AlertsRead).cached(10).by_default();
    const REPLACES: &[&str] = &[
        "alertmanager_get_alerts",
        "alertmanager_query_alerts",
        "alertmanager_alerts_summary",
        "alertmanager_query_alerts_advanced",
    ];
    type Backend = Alertmanager;
    type Output = Listing<AlertRow>;

    async fn call(self, alertmanager: &Alertmanager) -> Result<Listing<AlertRow>> {
        let now = alertmanager.context.now;
        let filter = matchers::parse_argument("filter", &self.filter)?;
        let query = AlertQuery { receiver: self.receiver.clone(), ..AlertQuery::all(&filter) };
        let mut alerts = api::alerts(alertmanager, &query).await?;
        if let Some(start) = self.start {
            alerts.retain(|alert| alert.starts_at > start.when(now));
        }
        let (alerts, hidden): (Vec<_>, Vec<_>) = alerts.into_iter().partition(|alert| self.wants(&alert.status));
        let listing = match self.view {
            View::Summary => summary(&alerts, now),
            view => Listing::new(rows(alerts, view == View::Full, now)),
        };
        let listing = listing.ordered(match self.sort_by {
            SortBy::Severity => worst_first,
            SortBy::Start => newest_first,
            SortBy::Name => by_name,
        });
        Ok(if hidden.is_empty() { listing } else { listing.note(left_out(&hidden)) })
    }
}

impl ListAlerts {
    fn wants(&self, status: &api::Status) -> bool {
        match status.state {
            AlertState::Active => self.active,
            AlertState::Unprocessed => self.unprocessed,
            AlertState::Suppressed => {
                (self.silenced || status.silenced_by.is_empty()) && (self.inhibited || status.inhibited_by.is_empty())
            }
        }
    }
}

impl FanOut for ListAlerts {
    /// Members of a cluster hold the same alerts: equal labels, equal fingerprints. Counts stay side by side.
    fn join(rows: Vec<Row>) -> Vec<Row> {
        let (counts, alerts): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.contains_key("count"));
        let mut rows = join_equal(alerts, &["alert", "severity", "state", "labels"]);
        rows.extend(counts);
        rows
    }
}

fn rows(alerts: Vec<api::Alert>, full: bool, now: Timestamp) -> Vec<AlertRow> {
    let names = counts(alerts.iter().flat_map(|alert| alert.labels.keys()).map(String::as_str));
    alerts.into_iter().map(|alert| row(alert, &names, full, now)).collect()
}

/// `names` are those of all labels, in the order in which they are shown.
fn row(mut alert: api::Alert, names: &Map<String, Value>, full: bool, now: Timestamp) -> AlertRow {
    let state = state(&alert.status).to_owned();
    let api::Status { silenced_by, inhibited_by, muted_by, .. } = alert.status;
    let said = ["summary", "message", "description", "title"].iter().find_map(|name| alert.annotations.remove(*name));
    AlertRow {
        alert: alert.labels.remove("alertname").unwrap_or_default(),
        severity: alert.labels.remove("severity").unwrap_or_default(),
        state,
        age: ages::between(alert.starts_at, now),
        receivers: alert.receivers.into_iter().map(|receiver| receiver.name).collect(),
        muted_by: [silenced_by, inhibited_by, muted_by].concat(),
        summary: said,
        labels: names.keys().filter_map(|name| Some((name.clone(), alert.labels.remove(name)?.into()))).collect(),
        starts_at: full.then(|| ages::at(alert.starts_at)),
        annotations: if full { alert.annotations } else { Labels::new() },
        generator: Some(alert.generator_url).filter(|url| full && !url.is_empty()),
        fingerprint: full.then_some(alert.fingerprint),
        ..AlertRow::default()
    }
}

/// One row per name and severity, and the totals above.
fn summary(alerts: &[api::Alert], now: Timestamp) -> Listing<AlertRow> {
    let mut kinds: BTreeMap<(&str, &str), Vec<&api::Alert>> = BTreeMap::new();
    for alert in alerts {
        kinds.entry((label(alert, "alertname"), label(alert, "severity"))).or_default().push(alert);
    }
    let rows = kinds.into_iter().map(|((name, severity), alerts)| {
        let receivers: BTreeSet<_> = alerts.iter().flat_map(|alert| &alert.receivers).map(|r| r.name.clone()).collect();
        let begun = || alerts.iter().map(|alert| alert.starts_at);
        AlertRow {
            alert: name.to_owned(),
            severity: severity.to_owned(),
            count: Some(alerts.len()),
            state: in_words(&states(alerts.iter().copied())),
            age: begun().min().map(|first| ages::between(first, now)).unwrap_or_default(),
            newest: begun().max().map(|last| ages::between(last, now)).filter(|_| alerts.len() > 1),
            receivers: receivers.into_iter().collect(),
            ..AlertRow::default()
        }
    });
    Listing::new(rows.collect())
        .fact("alerts", alerts.len())
        .fact("by_severity", counts(alerts.iter().map(|alert| named(label(alert, "severity")))))
        .fact("by_receiver", counts(alerts.iter().flat_map(|alert| &alert.receivers).map(|r| r.name.as_str())))
}

fn named(severity: &str) -> &str {
    if severity.is_empty() { "none" } else { severity }
}

/// How often each text is there, the most frequent first.
fn counts<'a>(texts: impl Iterator<Item = &'a str>) -> Map<String, Value> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for text in texts {
        *counts.entry(text).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.into_iter().map(|(text, count)| (text.to_owned(), count.into())).collect()
}

/// Says what is not listed, and how to see it.
fn left_out(hidden: &[api::Alert]) -> String {
    let states = states(hidden);
    let arguments: Vec<_> = states.keys().map(|state| format!("`{state}`")).collect();
    format!("Not listed: {}; {} true includes them.", in_words(&states), arguments.join(" or "))
}

fn worst_first(a: &Row, b: &Row) -> Ordering {
    rank(text(a, "severity")).cmp(&rank(text(b, "severity"))).then_with(|| newest_first(a, b))
}

fn newest_first(a: &Row, b: &Row) -> Ordering {
    let begun = |row| ages::length(text(row, if text(row, "newest").is_empty() { "age" } else { "newest" }));
    begun(a).cmp(&begun(b)).then_with(|| by_name(a, b))
}

fn by_name(a: &Row, b: &Row) -> Ordering {
    text(a, "alert").cmp(text(b, "alert"))
}
