//! What Alertmanager's API v2 sends and takes (github.com/prometheus/alertmanager, api/v2/openapi.yaml).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::backends::Alertmanager;
use crate::backends::rest::Request;
use crate::error::{Error, Result};

/// Label names and values.
pub(super) type Labels = BTreeMap<String, String>;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Alert {
    pub(super) labels: Labels,
    #[serde(default)]
    pub(super) annotations: Labels,
    pub(super) starts_at: Timestamp,
    pub(super) fingerprint: String,
    #[serde(default)]
    pub(super) receivers: Vec<Receiver>,
    pub(super) status: Status,
    #[serde(default, rename = "generatorURL")]
    pub(super) generator_url: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Receiver {
    pub(super) name: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) state: AlertState,
    /// Ids of silences.
    #[serde(default)]
    pub(super) silenced_by: Vec<String>,
    /// Fingerprints of alerts.
    #[serde(default)]
    pub(super) inhibited_by: Vec<String>,
    /// Names of time intervals (from 0.28).
    #[serde(default)]
    pub(super) muted_by: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AlertState {
    Unprocessed,
    Active,
    Suppressed,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Group {
    pub(super) labels: Labels,
    pub(super) receiver: Receiver,
    pub(super) alerts: Vec<Alert>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Silence {
    pub(super) id: String,
    pub(super) status: SilenceStatus,
    pub(super) matchers: Vec<Matcher>,
    pub(super) starts_at: Timestamp,
    pub(super) ends_at: Timestamp,
    pub(super) created_by: String,
    pub(super) comment: String,
    /// From 0.34; kept when a silence is changed.
    #[serde(default)]
    pub(super) annotations: Labels,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct SilenceStatus {
    pub(super) state: SilenceState,
}

/// What a silence does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum SilenceState {
    Active,
    Pending,
    Expired,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Matcher {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) is_regex: bool,
    #[serde(default = "yes")]
    pub(super) is_equal: bool,
}

fn yes() -> bool {
    true
}

/// A silence to create or, with an id, to change.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewSilence {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    pub(super) matchers: Vec<Matcher>,
    pub(super) starts_at: Timestamp,
    pub(super) ends_at: Timestamp,
    pub(super) created_by: String,
    pub(super) comment: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: Labels,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct SilenceId {
    #[serde(rename = "silenceID")]
    pub(super) id: String,
}

/// An alert to raise.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewAlert {
    pub(super) labels: Labels,
    pub(super) annotations: Labels,
    pub(super) starts_at: Timestamp,
    pub(super) ends_at: Timestamp,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServerStatus {
    pub(super) cluster: Cluster,
    pub(super) version_info: VersionInfo,
    pub(super) config: Config,
    /// When it started.
    pub(super) uptime: Timestamp,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Cluster {
    pub(super) status: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) peers: Vec<Peer>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) address: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct VersionInfo {
    pub(super) version: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Config {
    /// The configuration in use, as YAML, credentials as `<secret>`.
    pub(super) original: String,
}

/// Which alerts to ask for.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct AlertQuery {
    pub(super) active: bool,
    pub(super) silenced: bool,
    pub(super) inhibited: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unprocessed: Option<bool>,
    /// Only known where groups are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) muted: Option<bool>,
    pub(super) filter: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) receiver: Option<String>,
}

impl AlertQuery {
    /// All alerts that these matchers mean, whatever mutes them.
    pub(super) fn all(matchers: &[super::matchers::Matcher]) -> Self {
        Self {
            active: true,
            silenced: true,
            inhibited: true,
            unprocessed: Some(true),
            filter: matchers.iter().map(ToString::to_string).collect(),
            ..Self::default()
        }
    }
}

pub(super) async fn alerts(alertmanager: &Alertmanager, query: &AlertQuery) -> Result<Vec<Alert>> {
    alertmanager.ask(Request::get("api/v2/alerts").query(query)?).await
}

pub(super) async fn status(alertmanager: &Alertmanager) -> Result<ServerStatus> {
    alertmanager.ask(Request::get("api/v2/status")).await
}

/// One silence, in whatever state it is.
pub(super) async fn silence(alertmanager: &Alertmanager, id: &str) -> Result<Silence> {
    if !is_uuid(id) {
        return Err(Error::BadArguments(format!(
            "id: `{}` is not the id of a silence, which looks like 0c1b64a5-1f0c-4d0f-8f8e-2f1e35a2b3c4; \
             `alertmanager_list_silences` shows them",
            id.escape_debug()
        )));
    }
    let found = alertmanager.ask(Request::get("api/v2/silence").segment(id)).await;
    found.map_err(|error| match error {
        Error::Backend { status: 404, backend, .. } => Error::NotFound(format!(
            "{backend} has no silence `{id}`; `alertmanager_list_silences` shows those there are, with \
             `state` `expired` also those that ended lately"
        )),
        other => other,
    })
}

fn is_uuid(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.concat().chars().all(|c| c.is_ascii_hexdigit())
}
