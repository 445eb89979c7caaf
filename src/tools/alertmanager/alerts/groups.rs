//! Alerts in the groups that are notified together.

use std::cmp::Ordering;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{in_words, label, rank, states, text, yes};
use crate::answers::Row;
use crate::backends::Alertmanager;
use crate::backends::rest::Request;
use crate::error::Result;
use crate::toolkit::args::{Cursor, Instances, Limit, MaxTokens};
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool};
use crate::tools::alertmanager::api::{self, AlertQuery};
use crate::tools::alertmanager::{ages, matchers};

/// Alerts of a group that its row names.
const NAMED_ALERTS: usize = 10;

/// Shows alerts as grouped for notification, by receiver.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::tools::alertmanager) struct ListAlertGroups {
    /// Name of the instance, several names, or `"*"` for all.
    instance: Option<Instances>,
    /// Matchers, for example `team="db"`.
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
    /// Rows per page, at most 200.
    #[serde(default)]
    limit: Limit<20, 200>,
    /// Position from the previous answer.
    cursor: Option<Cursor>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// Alerts that are notified together.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::tools::alertmanager) struct GroupRow {
    receiver: String,
    /// The labels that the group is made by.
    group: String,
    /// How many alerts there are in each state.
    alerts: String,
    /// The severity of the worst.
    worst: String,
    /// How long the oldest fires.
    oldest: String,
    /// The alerts, each with what tells it from the others, worst first.
    members: Vec<String>,
}

impl Tool for ListAlertGroups {
    const NAME: &str = "alertmanager_list_alert_groups";
    const POLICY: Policy = Policy::read(Permission::AlertsRead).cached(10);
    const REPLACES: &[&str] = &["alertmanager_get_alert_groups", "alertmanager_alert_groups_paginated"];
    type Backend = Alertmanager;
    type Output = Listing<GroupRow>;

    async fn call(self, alertmanager: &Alertmanager) -> Result<Listing<GroupRow>> {
        let now = alertmanager.context.now;
        let filter = matchers::parse_argument("filter", &self.filter)?;
        let query = AlertQuery {
            active: self.active,
            silenced: self.silenced,
            inhibited: self.inhibited,
            unprocessed: None,
            muted: Some(true),
            receiver: self.receiver,
            ..AlertQuery::all(&filter)
        };
        let groups: Vec<api::Group> = alertmanager.ask(Request::get("api/v2/alerts/groups").query(&query)?).await?;
        let rows = groups.into_iter().filter(|group| !group.alerts.is_empty()).map(|group| group_row(group, now));
        Ok(Listing::new(rows.collect()).ordered(worst_group_first))
    }
}

impl FanOut for ListAlertGroups {}

fn group_row(mut group: api::Group, now: Timestamp) -> GroupRow {
    group.alerts.sort_by_key(|alert| (rank(label(alert, "severity")), alert.starts_at));
    // What all members share says nothing about one of them.
    let shared = |(name, value): (&String, &String)| {
        group.alerts.len() > 1 && group.alerts.iter().all(|alert| alert.labels.get(name) == Some(value))
    };
    let mut members: Vec<_> = group
        .alerts
        .iter()
        .take(NAMED_ALERTS)
        .map(|alert| {
            let own = alert.labels.iter().filter(|(name, value)| {
                !["alertname", "severity"].contains(&name.as_str())
                    && !group.labels.contains_key(*name)
                    && !shared((name, value))
            });
            let own: Vec<_> = own.map(|(name, value)| format!("{name}={value}")).collect();
            format!("{} {}", label(alert, "alertname"), own.join(" ")).trim_end().to_owned()
        })
        .collect();
    if group.alerts.len() > NAMED_ALERTS {
        members.push(format!("and {} more", group.alerts.len() - NAMED_ALERTS));
    }
    GroupRow {
        receiver: group.receiver.name,
        alerts: in_words(&states(&group.alerts)),
        worst: group.alerts.first().map(|alert| label(alert, "severity").to_owned()).unwrap_or_default(),
        oldest: group
            .alerts
            .iter()
            .map(|alert| alert.starts_at)
            .min()
            .map(|first| ages::between(first, now))
            .unwrap_or_default(),
        group: group.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "),
        members,
    }
}

fn worst_group_first(a: &Row, b: &Row) -> Ordering {
    rank(text(a, "worst"))
        .cmp(&rank(text(b, "worst")))
        .then_with(|| text(a, "receiver").cmp(text(b, "receiver")))
        .then_with(|| ages::length(text(a, "oldest")).cmp(&ages::length(text(b, "oldest"))))
}
