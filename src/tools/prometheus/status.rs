//! The server itself: version, configuration, health, snapshots.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::times;
use crate::answers::redact::redact;
use crate::backends::Prometheus;
use crate::backends::rest::{Request, shorten};
use crate::error::{Error, Result};
use crate::toolkit::args::{Instances, MaxTokens};
use crate::toolkit::{Entry, Facts, FanOut, Permission, Policy, Tool, fan_out, tool};
use crate::yaml;

pub(super) const TOOLS: &[Entry] = &[fan_out::<GetStatus>(), tool::<CreateSnapshot>()];

/// Shows version, runtime, flags, configuration, replay and its own alarms.
///
/// Passwords and tokens of the configuration come out as fingerprints: equal ones are equal.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct GetStatus {
    /// One Prometheus by name, several, or `"*"` for all.
    instance: Option<Instances>,
    /// What to show. `wal` is how far it has read its log at start, `notifications` what it complains of itself.
    #[serde(default = "build_and_runtime")]
    parts: Vec<Part>,
    /// Part of a flag, feature or configuration line, in any case: only lines with it, and those above them.
    query: Option<String>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

fn build_and_runtime() -> Vec<Part> {
    vec![Part::Build, Part::Runtime]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Part {
    Build,
    Runtime,
    Flags,
    Config,
    Wal,
    Features,
    Alertmanagers,
    Notifications,
    Blocks,
}

/// The parts asked for.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
struct Status {
    /// `yes`, or how far it is with reading its log.
    ready: String,
    #[serde(flatten)]
    parts: Map<String, Value>,
}

impl Tool for GetStatus {
    const NAME: &str = "prometheus_get_status";
    const POLICY: Policy = Policy::read(Permission::MetricsRead).cached(30).light();
    const REPLACES: &[&str] =
        &["prometheus_get_wal_replay_status", "prometheus_get_server_info", "prometheus_get_runtime_info"];
    type Backend = Prometheus;
    type Output = Facts<Status>;

    async fn call(self, prometheus: &Prometheus) -> Result<Facts<Status>> {
        let mut wanted = self.parts.clone();
        wanted.dedup();
        let query = self.query.as_deref().unwrap_or_default().to_lowercase();
        let (ready, parts) =
            tokio::join!(readiness(prometheus), join_all(wanted.iter().map(|part| part.read(prometheus, &query))));
        let mut status = Status { ready, parts: Map::new() };
        let mut notes = Vec::new();
        let mut failure = None;
        for (part, read) in wanted.iter().zip(parts) {
            match read {
                Ok(value) => {
                    status.parts.insert(part.name().into(), value);
                }
                Err(Error::Backend { status: 404 | 405 | 501, .. }) => {
                    notes.push(format!("{} has no part `{}`{}.", prometheus.rest().name(), part.name(), part.since()));
                }
                Err(error) => {
                    notes.push(format!("`{}` is missing: {error}", part.name()));
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) if status.parts.is_empty() && status.ready.starts_with("unknown") => Err(error),
            _ => Ok(notes.into_iter().fold(Facts::new(status), Facts::note)),
        }
    }
}

impl FanOut for GetStatus {}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Runtime => "runtime",
            Self::Flags => "flags",
            Self::Config => "config",
            Self::Wal => "wal",
            Self::Features => "features",
            Self::Alertmanagers => "alertmanagers",
            Self::Notifications => "notifications",
            Self::Blocks => "blocks",
        }
    }

    /// Which version brought it.
    fn since(self) -> &'static str {
        match self {
            Self::Features => "; Prometheus has it from 3.9",
            Self::Notifications => "; Prometheus has it from 3.0",
            Self::Blocks => "; Prometheus has it from 3.6",
            _ => "",
        }
    }

    async fn read(self, prometheus: &Prometheus, query: &str) -> Result<Value> {
        match self {
            Self::Build => pass_on(prometheus, "api/v1/status/buildinfo").await,
            Self::Runtime => pass_on(prometheus, "api/v1/status/runtimeinfo").await,
            Self::Flags => flags(prometheus, query).await,
            Self::Config => config(prometheus, query).await,
            Self::Wal => replay(prometheus).await.map(|replay| replay.in_words().into()),
            Self::Features => features(prometheus, query).await,
            Self::Alertmanagers => alertmanagers(prometheus).await,
            Self::Notifications => notifications(prometheus).await,
            Self::Blocks => blocks(prometheus).await,
        }
    }
}

async fn ask<T: DeserializeOwned + Send + 'static>(prometheus: &Prometheus, path: &'static str) -> Result<T> {
    Ok(prometheus.ask::<T>(Request::get(path)).await?.data)
}

/// An answer as it is, but for secrets.
async fn pass_on(prometheus: &Prometheus, path: &'static str) -> Result<Value> {
    let mut value: Value = ask(prometheus, path).await?;
    redact(&mut value, &prometheus.context.signer);
    Ok(value)
}

/// How far the log written before the last stop has been read back.
#[derive(Debug, Deserialize)]
struct Replay {
    min: u64,
    max: u64,
    current: u64,
}

impl Replay {
    fn in_words(&self) -> String {
        let (done, all) = (self.current.saturating_sub(self.min), self.max.saturating_sub(self.min));
        if self.current >= self.max {
            format!("read back, up to segment {}", self.max)
        } else {
            format!("reading back segment {done} of {all}")
        }
    }
}

async fn replay(prometheus: &Prometheus) -> Result<Replay> {
    ask(prometheus, "api/v1/status/walreplay").await
}

/// Whether it serves; if not, why.
async fn readiness(prometheus: &Prometheus) -> String {
    match prometheus.rest().send(Request::get("-/ready"), &prometheus.context).await {
        Ok(_) => "yes".into(),
        Err(Error::Backend { status: 503, message, .. }) => match replay(prometheus).await {
            Ok(replay) => format!("no, {}", replay.in_words()),
            Err(_) => format!("no: {message}"),
        },
        Err(error) => format!("unknown: {error}"),
    }
}

async fn flags(prometheus: &Prometheus, query: &str) -> Result<Value> {
    let flags: BTreeMap<String, String> = ask(prometheus, "api/v1/status/flags").await?;
    let fits = |name: &str, value: &str| format!("{name}={value}").to_lowercase().contains(query);
    let chosen = flags.into_iter().filter(|(name, value)| fits(name, value)).map(|(name, value)| (name, value.into()));
    let mut value = Value::Object(chosen.collect());
    redact(&mut value, &prometheus.context.signer);
    Ok(value)
}

/// Whether the server was started to keep exemplars; none if it does not tell.
pub(super) async fn exemplars_are_kept(prometheus: &Prometheus) -> Option<bool> {
    let flags: BTreeMap<String, String> = ask(prometheus, "api/v1/status/flags").await.ok()?;
    Some(flags.get("enable-feature")?.contains("exemplar-storage"))
}

async fn config(prometheus: &Prometheus, query: &str) -> Result<Value> {
    #[derive(Deserialize)]
    struct Config {
        yaml: String,
    }
    let config: Config = ask(prometheus, "api/v1/status/config").await?;
    // Text that cannot be read cannot be searched for secrets, so it is not shown.
    let (mut value, _) = yaml::parse(&config.yaml)
        .map_err(|mistake| Error::Unavailable(format!("its configuration cannot be read here: {mistake}")))?;
    redact(&mut value, &prometheus.context.signer);
    Ok(lines_with(&yaml::emit(&value), query).into())
}

/// The lines that contain the text (in lower case), and those they stand under.
fn lines_with(text: &str, query: &str) -> String {
    if query.is_empty() {
        return text.to_owned();
    }
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
    let mut above: Vec<(usize, &str)> = Vec::new();
    let mut shown = Vec::new();
    for line in text.lines() {
        // What began a list item stays above the item's other lines, so that one sees whose they are.
        let starts_item = line.trim_start().starts_with('-');
        let depth = if starts_item { line.len() - line.trim_start().len() } else { indent(line) };
        above.retain(|(known, other)| {
            *known < depth || (*known < indent(line) && !starts_item && other.trim_start().starts_with('-'))
        });
        if line.to_lowercase().contains(query) {
            shown.extend(above.drain(..).map(|(_, line)| line));
            shown.push(line);
            continue;
        }
        above.push((depth, line));
    }
    shown.join("\n")
}

/// What is switched on and off, by topic.
async fn features(prometheus: &Prometheus, query: &str) -> Result<Value> {
    let topics: BTreeMap<String, BTreeMap<String, bool>> = ask(prometheus, "api/v1/features").await?;
    let mut shown = Map::new();
    for (topic, features) in topics {
        let of = |on: bool| -> Vec<Value> {
            let fits = |name: &str| format!("{topic} {name}").to_lowercase().contains(query);
            features
                .iter()
                .filter(|(name, is)| **is == on && fits(name))
                .map(|(name, _)| name.as_str().into())
                .collect()
        };
        let mut states = Map::new();
        for (state, names) in [("on", of(true)), ("off", of(false))] {
            if !names.is_empty() {
                states.insert(state.into(), names.into());
            }
        }
        if !states.is_empty() {
            shown.insert(topic.clone(), states.into());
        }
    }
    Ok(shown.into())
}

async fn alertmanagers(prometheus: &Prometheus) -> Result<Value> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Alertmanagers {
        #[serde(default, deserialize_with = "super::null_is_empty")]
        active_alertmanagers: Vec<Known>,
        #[serde(default, deserialize_with = "super::null_is_empty")]
        dropped_alertmanagers: Vec<Known>,
    }
    #[derive(Deserialize)]
    struct Known {
        url: String,
    }
    let known: Alertmanagers = ask(prometheus, "api/v1/alertmanagers").await?;
    let urls = |known: Vec<Known>| known.into_iter().map(|known| Value::String(known.url)).collect::<Vec<_>>();
    let mut value =
        serde_json::json!({"used": urls(known.active_alertmanagers), "dropped": urls(known.dropped_alertmanagers)});
    if value["used"] == serde_json::json!([]) {
        value["used"] = "none: alerts reach nobody".into();
    }
    redact(&mut value, &prometheus.context.signer);
    Ok(value)
}

async fn notifications(prometheus: &Prometheus) -> Result<Value> {
    #[derive(Deserialize)]
    struct Notification {
        text: String,
        date: String,
        active: bool,
    }
    let all: Vec<Notification> = ask(prometheus, "api/v1/notifications").await?;
    if all.is_empty() {
        return Ok("none".into());
    }
    Ok(all
        .into_iter()
        .map(|Notification { text, date, active }| {
            let since = times::from_text(&date).map(times::shown).unwrap_or_default();
            Value::String(format!("{}{} (since {since})", if active { "" } else { "over: " }, shorten(&text)))
        })
        .collect())
}

async fn blocks(prometheus: &Prometheus) -> Result<Value> {
    #[derive(Deserialize)]
    struct Blocks {
        #[serde(default, deserialize_with = "super::null_is_empty")]
        blocks: Vec<Block>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Block {
        ulid: String,
        min_time: i64,
        max_time: i64,
        #[serde(default)]
        stats: Stats,
        compaction: Compaction,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Stats {
        num_series: u64,
        num_samples: u64,
    }
    #[derive(Deserialize)]
    struct Compaction {
        level: u64,
        #[serde(default)]
        failed: bool,
    }
    let blocks: Blocks = ask(prometheus, "api/v1/status/tsdb/blocks").await?;
    let shown = |milliseconds| jiff::Timestamp::from_millisecond(milliseconds).map(times::shown).unwrap_or_default();
    let lines: Vec<Value> = blocks
        .blocks
        .into_iter()
        .map(|Block { ulid, min_time, max_time, stats, compaction }| {
            let failed = if compaction.failed { ", compaction failed" } else { "" };
            Value::String(format!(
                "{ulid}: {} to {}, {} series, {} samples, level {}{failed}",
                shown(min_time),
                shown(max_time),
                stats.num_series,
                stats.num_samples,
                compaction.level
            ))
        })
        .collect();
    Ok(if lines.is_empty() { "none yet: all data is still in memory".into() } else { lines.into() })
}

/// Takes a snapshot of the database on the server disk.
///
/// For backups: the files are hard links, so it costs little room at first. Nothing removes them but the operator.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct CreateSnapshot {
    /// Which Prometheus; needed when several are configured and none is the default.
    instance: Option<String>,
    /// Leave out data not yet compacted, mostly that of the last two hours.
    #[serde(default)]
    skip_head: bool,
}

/// Where the snapshot is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
struct Snapshot {
    name: String,
    /// Below the server's storage path.
    directory: String,
}

impl Tool for CreateSnapshot {
    const NAME: &str = "prometheus_create_snapshot";
    const POLICY: Policy = Policy::write(Permission::MetricsAdmin).heavy();
    const REPLACES: &[&str] = &["prometheus_create_snapshot"];
    type Backend = Prometheus;
    type Output = Facts<Snapshot>;

    async fn call(self, prometheus: &Prometheus) -> Result<Facts<Snapshot>> {
        #[derive(Serialize)]
        struct Parameters {
            skip_head: bool,
        }
        #[derive(Deserialize)]
        struct Taken {
            name: String,
        }
        let request = Request::post("api/v1/admin/tsdb/snapshot").query(&Parameters { skip_head: self.skip_head })?;
        let taken = prometheus.ask::<Taken>(request).await.map_err(|error| match error {
            Error::Backend { message, backend, .. } if message.contains("admin APIs disabled") => Error::Forbidden(format!(
                "{backend} takes no snapshots: its admin API is off; its operator turns it on with --web.enable-admin-api"
            )),
            other => other,
        })?;
        let name = taken.data.name;
        Ok(Facts::new(Snapshot { directory: format!("snapshots/{name}"), name }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shown_with_what_they_stand_under() {
        let text = "global:\n  interval: 15s\nscrape_configs:\n  - job_name: node\n    basic_auth:\n      username: ann\n  - job_name: api\n    tls:\n      ca: x\n";
        assert_eq!(
            lines_with(text, "username"),
            "scrape_configs:\n  - job_name: node\n    basic_auth:\n      username: ann"
        );
        assert_eq!(lines_with(text, "job_name"), "scrape_configs:\n  - job_name: node\n  - job_name: api");
        assert_eq!(lines_with(text, "nothing"), "");
        assert_eq!(lines_with(text, ""), text);
    }

    #[test]
    fn replay_is_told_in_words() {
        assert_eq!(Replay { min: 5, max: 15, current: 8 }.in_words(), "reading back segment 3 of 10");
        assert_eq!(Replay { min: 0, max: 3, current: 3 }.in_words(), "read back, up to segment 3");
    }
}
