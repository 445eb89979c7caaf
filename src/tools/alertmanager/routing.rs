//! Who is told: the tree of routes, and the way of an alert through it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::api::Labels;
use super::configuration::{self, Configuration, InhibitRule};
use super::labels::way;
use super::matchers;
use super::routes::{Path, Route};
use crate::backends::Alertmanager;
use crate::error::Result;
use crate::toolkit::args::MaxTokens;
use crate::toolkit::{Facts, Permission, Policy, Tool};
use crate::yaml;

/// Shows receivers and route tree, and who gets given labels.
///
/// With `labels` it tells whom an alert with these labels would be sent to, and by which routes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct GetRouting {
    /// Name of the instance; needed when several are configured.
    instance: Option<String>,
    /// Label set to route, for example `{"severity": "page", "team": "db"}`.
    labels: Option<Labels>,
    /// `tree` shows routes and inhibition rules, `receivers` who is told and how, `full` all of the configuration,
    /// credentials masked.
    #[serde(default)]
    view: View,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum View {
    #[default]
    Tree,
    Receivers,
    Full,
}

/// How alerts are routed.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct Routing {
    /// Where an alert with the given labels goes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    matched: Vec<Matched>,
    /// The tree, in the order in which routes are tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<RouteRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    receivers: Vec<ReceiverRow>,
    /// Alerts that mute others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inhibit_rules: Vec<String>,
    /// All of the configuration as YAML.
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<String>,
}

/// One notification that an alert leads to.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Matched {
    receiver: String,
    /// How it is told.
    integrations: String,
    /// The routes from the top.
    way: Vec<String>,
    /// The labels of its group.
    group: Labels,
    /// When and how often.
    remarks: Vec<String>,
}

/// A route.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RouteRow {
    /// How far below the root.
    depth: usize,
    matchers: Vec<String>,
    receiver: String,
    /// Whether routes after it are tried too.
    #[serde(rename = "continue")]
    continues: bool,
    group_by: Vec<String>,
    group_wait: String,
    group_interval: String,
    repeat_interval: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mute_time_intervals: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    active_time_intervals: Vec<String>,
}

/// A receiver.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ReceiverRow {
    name: String,
    /// How it is told.
    integrations: String,
    /// Routes that lead to it.
    routes: usize,
}

impl Tool for GetRouting {
    const NAME: &str = "alertmanager_get_routing";
    const POLICY: Policy = Policy::read(Permission::AlertsRead).cached(60);
    const REPLACES: &[&str] = &["alertmanager_get_receivers", "alertmanager_receivers_summary"];
    type Backend = Alertmanager;
    type Output = Facts<Routing>;

    async fn call(self, alertmanager: &Alertmanager) -> Result<Facts<Routing>> {
        let configuration = configuration::of(alertmanager).await?;
        let mut routing = Routing::default();
        let mut text = Vec::new();
        if let Some(labels) = &self.labels {
            routing.matched = matched(&configuration, labels);
            routing.inhibit_rules = rules(&configuration, Some(labels));
            text.push(routing.matched_text(labels));
        } else if self.view == View::Tree {
            routing.routes = configuration.root.all().into_iter().map(route_row).collect();
            text.push(configuration.root.tree());
        }
        if self.labels.is_none() && self.view == View::Tree {
            routing.inhibit_rules = rules(&configuration, None);
        }
        if !routing.inhibit_rules.is_empty() {
            let title = if self.labels.is_some() { "It may be inhibited" } else { "Inhibition" };
            text.push(format!("{title}:\n{}", routing.inhibit_rules.join("\n")));
        }
        if self.labels.is_none() || self.view == View::Receivers {
            routing.receivers = receivers(&configuration);
            text.push(routing.receivers_text());
        }
        if self.view == View::Full {
            let yaml = yaml::emit(&configuration.masked);
            text.push(format!("Configuration:\n{yaml}"));
            routing.configuration = Some(yaml);
        }
        Ok(Facts::new(routing).text(text.join("\n\n")))
    }
}

impl Routing {
    fn matched_text(&self, labels: &Labels) -> String {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let mut text = format!(
            "An alert with {} goes to:",
            if labels.is_empty() { "no labels".into() } else { labels.join(", ") }
        );
        for (place, matched) in self.matched.iter().enumerate() {
            let Matched { receiver, integrations, way, group, remarks } = matched;
            let integrations = if integrations.is_empty() { "tells nobody" } else { integrations };
            let group: Vec<_> = group.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
            let group = if group.is_empty() { String::new() } else { format!("\n   group: {}", group.join(" ")) };
            text.push_str(&format!(
                "\n{}. {receiver} ({integrations})\n   by: {}{group}\n   {}",
                place + 1,
                way.join(" → "),
                remarks.join(", ")
            ));
        }
        text
    }

    fn receivers_text(&self) -> String {
        let lines = self.receivers.iter().map(|ReceiverRow { name, integrations, routes }| {
            let integrations = if integrations.is_empty() { "tells nobody" } else { integrations };
            match routes {
                0 => format!("{name}: {integrations}; no route leads to it"),
                1 => format!("{name}: {integrations}"),
                _ => format!("{name}: {integrations}; {routes} routes"),
            }
        });
        format!("Receivers:\n{}", lines.collect::<Vec<_>>().join("\n"))
    }
}

fn matched(configuration: &Configuration, labels: &Labels) -> Vec<Matched> {
    let paths = configuration.root.paths(labels);
    paths
        .iter()
        .filter_map(|path| Some((path, path.last()?)))
        .map(|(path, last)| Matched {
            receiver: last.settings.receiver.clone(),
            integrations: configuration.integrations(&last.settings.receiver),
            way: way_down(path),
            group: group(last, labels),
            remarks: last.settings.remarks(None),
        })
        .collect()
}

fn way_down(path: &Path<'_>) -> Vec<String> {
    if path.len() == 1 { vec![way(path)] } else { path[1..].iter().map(|route| route.name()).collect() }
}

/// The labels of the group that an alert falls into; those it lacks are not part of it.
fn group(route: &Route, labels: &Labels) -> Labels {
    let by = &route.settings.group_by;
    let all = by.iter().any(|name| name == "...");
    labels
        .iter()
        .filter(|(name, _)| all || by.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn rules(configuration: &Configuration, labels: Option<&Labels>) -> Vec<String> {
    let rules = configuration.inhibit_rules.iter();
    rules.filter(|rule| labels.is_none_or(|labels| rule.may_mute(labels))).map(InhibitRule::in_words).collect()
}

fn receivers(configuration: &Configuration) -> Vec<ReceiverRow> {
    let routes = configuration.root.all();
    configuration
        .receivers
        .iter()
        .map(|receiver| ReceiverRow {
            name: receiver.name.clone(),
            integrations: configuration.integrations(&receiver.name),
            routes: routes.iter().filter(|(_, route)| route.settings.receiver == receiver.name).count(),
        })
        .collect()
}

fn route_row((depth, route): (usize, &Route)) -> RouteRow {
    let settings = route.settings.clone();
    RouteRow {
        depth,
        matchers: route.matchers.iter().map(matchers::Matcher::to_string).collect(),
        receiver: settings.receiver,
        continues: route.continues,
        group_by: settings.group_by,
        group_wait: settings.group_wait,
        group_interval: settings.group_interval,
        repeat_interval: settings.repeat_interval,
        mute_time_intervals: settings.mute_time_intervals,
        active_time_intervals: settings.active_time_intervals,
    }
}
