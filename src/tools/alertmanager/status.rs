//! How the Alertmanagers are themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::configuration::Configuration;
use super::counters::Counters;
use super::{ages, api};
use crate::backends::Alertmanager;
use crate::backends::rest::Request;
use crate::error::Result;
use crate::toolkit::args::{Instances, MaxTokens};
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool};
use crate::yaml;

/// Shows version, uptime, cluster peers and notification failures.
///
/// Counts of notifications are since the start of the instance.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct GetStatus {
    /// Name of the instance, several names, or `"*"` for all.
    instance: Option<Instances>,
    /// `full` adds peers and configuration, credentials masked.
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
    Table,
    Full,
}

/// An instance.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StatusRow {
    version: String,
    /// Whether it says that it is ready to serve.
    ready: bool,
    /// How long it runs.
    up: String,
    /// State of its cluster: `ready`, `settling` or `disabled`.
    cluster: String,
    /// Members of the cluster, itself included.
    peers: usize,
    /// How many alerts there are in each state.
    #[serde(skip_serializing_if = "Option::is_none")]
    alerts: Option<String>,
    /// How many silences there are in each state.
    #[serde(skip_serializing_if = "Option::is_none")]
    silences: Option<String>,
    /// Notifications that failed, of all, by integration.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_notifications: Option<String>,
    /// Whether the configuration could be read when it was last loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<&'static str>,
    /// Its name in the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The members, as name and address.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<String>,
}

impl Tool for GetStatus {
    const NAME: &str = "alertmanager_get_status";
    const POLICY: Policy = Policy::read(Permission::AlertsRead).light().cached(30);
    const REPLACES: &[&str] = &["alertmanager_health_summary"];
    type Backend = Alertmanager;
    type Output = Listing<StatusRow>;

    async fn call(self, alertmanager: &Alertmanager) -> Result<Listing<StatusRow>> {
        let page = |path| alertmanager.rest().send(Request::get(path), &alertmanager.context);
        let (status, ready, metrics) = tokio::join!(api::status(alertmanager), page("-/ready"), page("metrics"));
        let status = status?;
        let counters = metrics.as_ref().map(|text| Counters::read(&String::from_utf8_lossy(text)));
        let counted = counters.as_ref().ok();
        let full = self.view == View::Full;
        let row = StatusRow {
            ready: ready.is_ok(),
            up: ages::between(status.uptime, alertmanager.context.now),
            peers: status.cluster.peers.len(),
            alerts: counted.map(|counters| by_state(counters, "alertmanager_alerts")),
            silences: counted.map(|counters| by_state(counters, "alertmanager_silences")),
            failed_notifications: counted.map(failed_notifications),
            configuration: counted
                .and_then(|counters| counters.sum("alertmanager_config_last_reload_successful"))
                .map(|good| if good > 0.0 { "loaded" } else { "could not be loaded; the one before is in use" }),
            version: status.version_info.version,
            cluster: status.cluster.status,
            name: full.then_some(status.cluster.name).filter(|name| !name.is_empty()),
            members: if full {
                status.cluster.peers.iter().map(|peer| format!("{} {}", peer.name, peer.address)).collect()
            } else {
                Vec::new()
            },
        };
        let mut listing = Listing::new(vec![row]);
        if full {
            let configuration = match Configuration::read(&status.config.original, &alertmanager.context.signer) {
                Ok(configuration) => yaml::emit(&configuration.masked),
                Err(reason) => format!("cannot be read: {reason}"),
            };
            listing = listing.fact("configuration", Value::String(configuration));
        }
        if let Err(error) = metrics {
            listing = listing.note(format!("Counts of alerts, silences and notifications are not known: {error}."));
        }
        Ok(listing)
    }
}

impl FanOut for GetStatus {}

/// Figures by state as text, without those that are zero: `12 active, 3 suppressed`.
fn by_state(counters: &Counters, name: &str) -> String {
    let states = counters.sum_by(name, "state");
    let words: Vec<_> =
        states.iter().filter(|(_, count)| **count > 0.0).map(|(state, count)| format!("{count} {state}")).collect();
    if words.is_empty() { "none".into() } else { words.join(", ") }
}

fn failed_notifications(counters: &Counters) -> String {
    let all = counters.sum_by("alertmanager_notifications_total", "integration");
    let failed = counters.sum_by("alertmanager_notifications_failed_total", "integration");
    let words: Vec<_> = failed
        .iter()
        .filter(|(_, failed)| **failed > 0.0)
        .map(|(integration, failed)| format!("{integration} {failed} of {}", all.get(integration).unwrap_or(failed)))
        .collect();
    if words.is_empty() { format!("none of {}", all.values().sum::<f64>()) } else { words.join(", ") }
}
