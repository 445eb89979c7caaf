//! Alerting and recording rules.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::labels::LabelSet;
use super::super::number::Number;
use super::super::query::similar;
use super::super::times;
use super::active::Held;
use super::choice::Choice;
use crate::answers::Row;
use crate::backends::Prometheus;
use crate::backends::rest::{Request, shorten};
use crate::error::Result;
use crate::toolkit::args::{Cursor, Instances, Limit, MaxTokens, Span, View};
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool};

/// Active alerts of a rule that are shown in full.
const MOST_ALERTS: usize = 5;

/// Looks up alerting and recording rules by name, label or expression.
///
/// Rules that fail come first, then those that fire. Prefer `prometheus_list_alerts` for the single alerts.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct ListRules {
    /// One Prometheus by name, several, or `"*"` for all.
    instance: Option<Instances>,
    /// Rule name or glob, for example `Kube*`.
    pub(super) name: Option<String>,
    /// Rule group.
    pub(super) group: Option<String>,
    /// Rule file, or the end of its path.
    pub(super) file: Option<String>,
    /// Kind of rule.
    #[serde(rename = "type")]
    pub(super) kind: Option<Kind>,
    /// Selectors over rule labels, for example `{severity="page"}`; a rule needs to fit one.
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub(super) selectors: Vec<String>,
    /// Part of the PromQL, for example a metric.
    pub(super) expression: Option<String>,
    /// Evaluation health.
    pub(super) health: Option<Health>,
    /// Alert state.
    pub(super) state: Option<State>,
    /// `summary` has a row for each group; `full` adds annotations and active alerts.
    #[serde(default)]
    view: View,
    /// Rows per page, at most 500.
    #[serde(default)]
    limit: Limit<50, 500>,
    /// Position from the previous answer.
    cursor: Option<Cursor>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Alert,
    Record,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Health {
    Ok,
    Err,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Firing,
    Pending,
    Inactive,
}

/// A rule; or, in the summary, a group of rules.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub(super) struct Rule {
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    /// `alert` or `record`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// Of alerts: `firing`, `pending` or `inactive`.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// Whether its evaluation works: `ok`, `err`, or `unknown` before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    severity: String,
    /// What it evaluates.
    #[serde(skip_serializing_if = "Option::is_none")]
    expression: Option<String>,
    /// How long the condition must hold.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    hold: Option<String>,
    group: String,
    /// Rules of the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<usize>,
    /// Rules of the group that fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing: Option<usize>,
    /// Rules of the group that fire.
    #[serde(skip_serializing_if = "Option::is_none")]
    firing: Option<usize>,
    /// Rules of the group that may fire soon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<usize>,
    /// How often the group is evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<String>,
    /// Milliseconds that the last evaluation took.
    #[serde(skip_serializing_if = "Option::is_none")]
    evaluation_ms: Option<Number>,
    /// Of the last evaluation.
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
    /// Labels that it sets, besides the severity.
    #[serde(skip_serializing_if = "LabelSet::is_empty")]
    labels: LabelSet,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_evaluation: Option<String>,
    /// How long it stays firing after the condition ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_for: Option<String>,
    #[serde(skip_serializing_if = "LabelSet::is_empty")]
    annotations: LabelSet,
    /// Alerts that it holds now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alerts: Vec<String>,
}

/// The answer of `rules`.
#[derive(Debug, Deserialize)]
struct Groups {
    #[serde(default, deserialize_with = "super::super::null_is_empty")]
    groups: Vec<Group>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Group {
    pub(super) name: String,
    #[serde(default)]
    pub(super) file: String,
    #[serde(default, deserialize_with = "super::super::null_is_empty")]
    pub(super) rules: Vec<Found>,
    #[serde(default)]
    interval: f64,
    #[serde(default)]
    evaluation_time: f64,
    #[serde(default)]
    last_evaluation: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) query: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) state: Option<String>,
    #[serde(default)]
    pub(super) health: String,
    #[serde(default)]
    last_error: String,
    #[serde(default)]
    duration: f64,
    #[serde(default)]
    keep_firing_for: f64,
    #[serde(default, deserialize_with = "super::super::null_is_empty")]
    pub(super) labels: LabelSet,
    #[serde(default, deserialize_with = "super::super::null_is_empty")]
    annotations: LabelSet,
    #[serde(default, deserialize_with = "super::super::null_is_empty")]
    alerts: Vec<Held>,
    #[serde(default)]
    evaluation_time: f64,
    #[serde(default)]
    last_evaluation: Option<String>,
}

impl Tool for ListRules {
    const NAME: &str = "prometheus_list_rules";
    const POLICY: Policy = Policy::read(Permission::AlertsRead).cached(30).by_default();
    const REPLACES: &[&str] = &["prometheus_rules_summary", "prometheus_get_rules"];
    type Backend = Prometheus;
    type Output = Listing<Rule>;

    async fn call(self, prometheus: &Prometheus) -> Result<Listing<Rule>> {
        let choice = Choice::new(&self)?;
        let answer = prometheus.ask::<Groups>(self.request()?).await?;
        let mut notes = answer.notes();
        let mut groups = answer.data.groups;
        groups.retain(|group| choice.takes_group(group));
        for group in &mut groups {
            group.rules.retain(|rule| choice.takes(rule));
        }
        groups.retain(|group| !group.rules.is_empty());
        if groups.is_empty() {
            notes.push(self.advice(prometheus).await);
        }
        let mut listing = if self.view == View::Summary {
            Listing::new(groups.iter().map(Group::row).collect()).ordered(failing_first)
        } else {
            let full = self.view == View::Full;
            let rows = groups.iter().flat_map(|group| group.rules.iter().map(move |rule| rule.row(group, full)));
            Listing::new(rows.collect()).ordered(failing_first)
        };
        let rules = || groups.iter().flat_map(|group| &group.rules);
        for (name, count) in [
            ("rules", rules().count()),
            ("failing", rules().filter(|rule| rule.health == "err").count()),
            ("firing", rules().filter(|rule| rule.is("firing")).count()),
            ("pending", rules().filter(|rule| rule.is("pending")).count()),
        ] {
            if count > 0 {
                listing.facts.insert(name.into(), count.into());
            }
        }
        listing.notes = notes;
        Ok(listing)
    }
}

impl FanOut for ListRules {}

impl ListRules {
    /// What the server can choose itself; older ones pass over what they do not know, so all is chosen here again.
    fn request(&self) -> Result<Request> {
        #[derive(Serialize)]
        struct Parameters<'a> {
            #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
            kind: Option<Kind>,
            #[serde(rename = "rule_name[]", skip_serializing_if = "Option::is_none")]
            name: Option<&'a str>,
            #[serde(rename = "rule_group[]", skip_serializing_if = "Option::is_none")]
            group: Option<&'a str>,
            #[serde(rename = "match[]")]
            selectors: &'a [String],
            exclude_alerts: bool,
        }
        let is_glob = |name: &&str| name.contains(['*', '?']);
        Request::get("api/v1/rules").query(&Parameters {
            kind: self.kind,
            name: self.name.as_deref().filter(|name| !is_glob(name)),
            group: self.group.as_deref(),
            selectors: &self.selectors,
            exclude_alerts: self.view != View::Full,
        })
    }

    /// What to do when no rule fits, with names like the one asked for.
    async fn advice(&self, prometheus: &Prometheus) -> String {
        let Some(name) = &self.name else {
            return "No rule fits; leave arguments out, or see the groups with view `summary`.".into();
        };
        let all = prometheus.ask::<Groups>(Request::get("api/v1/rules")).await.map(|answer| answer.data.groups);
        let names: Vec<String> =
            all.unwrap_or_default().into_iter().flat_map(|group| group.rules).map(|rule| rule.name).collect();
        match similar(name, &names).as_slice() {
            [] => "No rule fits; give `name` as a glob such as `*Memory*`, or leave it out.".into(),
            names => format!("No rule fits; names like it: {}.", names.join(", ")),
        }
    }
}

impl Group {
    fn row(&self) -> Rule {
        let count = |test: &dyn Fn(&Found) -> bool| Some(self.rules.iter().filter(|rule| test(rule)).count());
        Rule {
            group: self.name.clone(),
            rules: Some(self.rules.len()),
            failing: count(&|rule| rule.health == "err"),
            firing: count(&|rule| rule.is("firing")),
            pending: count(&|rule| rule.is("pending")),
            interval: Some(span(self.interval).to_string()),
            evaluation_ms: Some(milliseconds(self.evaluation_time)),
            file: Some(self.file.clone()),
            last_evaluation: self.last_evaluation.as_deref().and_then(times::from_text).map(times::shown),
            error: self
                .rules
                .iter()
                .map(|rule| shorten(&rule.last_error))
                .find(|error| !error.is_empty())
                .unwrap_or_default(),
            ..Rule::default()
        }
    }
}

impl Found {
    pub(super) fn is(&self, state: &str) -> bool {
        self.state.as_deref() == Some(state)
    }

    fn row(&self, group: &Group, full: bool) -> Rule {
        let alerting = self.kind == "alerting";
        let mut labels = self.labels.clone();
        let row = Rule {
            rule: Some(self.name.clone()),
            kind: Some(if alerting { "alert" } else { "record" }),
            state: self.state.clone(),
            health: Some(self.health.clone()),
            severity: labels.take("severity").unwrap_or_default(),
            expression: Some(self.query.split_whitespace().collect::<Vec<_>>().join(" ")),
            hold: (alerting && self.duration > 0.0).then(|| span(self.duration).to_string()),
            group: group.name.clone(),
            evaluation_ms: Some(milliseconds(self.evaluation_time)),
            error: shorten(&self.last_error),
            ..Rule::default()
        };
        if !full {
            return row;
        }
        Rule {
            labels,
            file: Some(group.file.clone()),
            interval: Some(span(group.interval).to_string()),
            last_evaluation: self.last_evaluation.as_deref().and_then(times::from_text).map(times::shown),
            keep_firing_for: (self.keep_firing_for > 0.0).then(|| span(self.keep_firing_for).to_string()),
            annotations: self.annotations.clone(),
            alerts: self.alerts_in_words(),
            ..row
        }
    }

    fn alerts_in_words(&self) -> Vec<String> {
        let mut alerts: Vec<String> =
            self.alerts.iter().take(MOST_ALERTS).map(|alert| alert.in_words(&self.labels)).collect();
        if self.alerts.len() > MOST_ALERTS {
            alerts.push(format!("and {} more", self.alerts.len() - MOST_ALERTS));
        }
        alerts
    }
}

fn span(seconds: f64) -> Span {
    Span(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

fn milliseconds(seconds: f64) -> Number {
    Number((seconds * 1e5).round() / 100.0)
}

/// Failing rules, then firing, then pending ones; otherwise as they are evaluated.
fn failing_first(a: &Row, b: &Row) -> Ordering {
    let rank = |row: &Row| {
        let is = |column: &str, text: &str| row.get(column).and_then(Value::as_str) == Some(text);
        let any = |column: &str| row.get(column).and_then(Value::as_u64).unwrap_or(0) > 0;
        match () {
            () if is("health", "err") || any("failing") => 0,
            () if is("state", "firing") || any("firing") => 1,
            () if is("state", "pending") || any("pending") => 2,
            () => 3,
        }
    };
    rank(a).cmp(&rank(b))
}
