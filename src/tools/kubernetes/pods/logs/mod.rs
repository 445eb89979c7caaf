//! Logs of containers, filtered while they stream.

mod lines;
mod reading;
mod sources;

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use jiff::Timestamp;
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use self::lines::{Line, collapsed, fitting};
use self::reading::{Filter, Log, read};
use self::sources::{Chosen, Source};
use crate::answers::{Answer, tokens};
use crate::backends::Kubernetes;
use crate::error::{Error, Result};
use crate::toolkit::args::{Cursor, Limit, MaxTokens, Moment};
use crate::toolkit::{Output, Permission, Policy, Tool};
use crate::tools::{ages, patterns};

/// Logs that are read at the same time.
const AT_ONCE: usize = 8;

/// Containers that are read at most.
const MOST_SOURCES: usize = 100;

/// Bytes of lines that are kept in all.
const MOST_KEPT: usize = 8 << 20;

/// Reads logs of a pod, workload or selector, filtered while streaming.
///
/// The newest lines of all containers come in the order of their times; the cursor leads to older ones. Give one of
/// `pod`, `workload` and `labels`. `grep` looks through the whole log, and `tail` counts the lines that it finds.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::tools::kubernetes) struct GetPodLogs {
    /// One pod; or use `workload` or `labels`.
    pod: Option<String>,
    /// Kind/name, for example `deployment/checkout`.
    workload: Option<String>,
    /// Label selector, for example `app=web,tier!=cache`.
    labels: Option<String>,
    /// Name of the cluster; needed when several are configured.
    cluster: Option<String>,
    /// Namespace of the object.
    namespace: String,
    /// Names of containers; all but init and ephemeral ones when absent, which `"*"` adds.
    #[serde(default)]
    container: Vec<String>,
    /// Logs of the containers as they ran before their last restart.
    #[serde(default)]
    previous: bool,
    /// Only lines from this moment on: RFC 3339 or relative, for example `now-15m`.
    start: Option<Moment>,
    /// Only lines up to this moment: RFC 3339 or relative.
    end: Option<Moment>,
    /// Newest lines of each container, at most 5000.
    #[serde(default)]
    tail: Limit<200, 5_000>,
    /// Keep lines matching this regular expression; `(?i)` in front ignores case.
    grep: Option<String>,
    /// Drop lines matching this regular expression.
    exclude: Option<String>,
    /// Lines around each match, at most 50.
    #[serde(default)]
    context: u32,
    /// Show the time of each line.
    #[serde(default)]
    timestamps: bool,
    /// Fold repeated lines into one with a count.
    #[serde(default = "yes")]
    collapse: bool,
    /// Pods read at most.
    #[serde(default)]
    pods: Limit<10, 100>,
    /// Position from the previous answer: leads to older lines.
    cursor: Option<Cursor>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

const fn yes() -> bool {
    true
}

/// Lines of several logs in one order.
#[derive(Debug)]
pub(in crate::tools::kubernetes) struct Logs {
    sources: Vec<Value>,
    heading: String,
    lines: Vec<String>,
    next: Option<String>,
    notes: Vec<String>,
}

impl Output for Logs {
    fn schema(_: &str) -> Option<Map<String, Value>> {
        let text = |words: &str| json!({"type": "string", "description": words});
        let count = |words: &str| json!({"type": "integer", "description": words});
        let schema = json!({
            "type": "object",
            "properties": {
                "sources": {"type": "array", "items": {"type": "object", "properties": {
                    "source": text("What its lines begin with, where there are several."),
                    "pod": text("Its pod."),
                    "container": text("Its container."),
                    "read": count("Lines that were read."),
                    "matched": count("Lines of them that fit."),
                    "dropped": count("Lines of those that are older than the ones kept."),
                    "last": text("The time of the last line read.")
                }}},
                "lines": {"type": "array", "items": {"type": "string"}, "description": "The lines, oldest first."},
                "notes": {"type": "array", "items": {"type": "string"}, "description": "Warnings, and what was left out."},
                "cursor": text("Repeat the call with it for older lines."),
                "whole": text("Resource with the whole answer.")
            }
        });
        match schema {
            Value::Object(schema) => Some(schema),
            _ => None,
        }
    }

    fn into_answer(self) -> Result<Answer> {
        let body = if self.lines.is_empty() { "No lines.".to_owned() } else { self.lines.join("\n") };
        Ok(Answer {
            text: Some(format!("{}\n\n{body}", self.heading)),
            facts: Some(json!({"sources": self.sources, "lines": self.lines})),
            next: self.next,
            notes: self.notes,
            ..Answer::default()
        })
    }
}

/// Where the lines of one source go on towards older ones: the time of the oldest line shown, and how many of that very
/// time were shown.
type Places = BTreeMap<String, Option<(i64, usize)>>;

impl Tool for GetPodLogs {
    const NAME: &str = "kubernetes_get_pod_logs";
    const POLICY: Policy = Policy::read(Permission::LogsRead).by_default();
    const REPLACES: &[&str] = &["kubernetes_get_pod_logs"];
    type Backend = Kubernetes;
    type Output = Logs;

    async fn call(self, cluster: &Kubernetes) -> Result<Logs> {
        let filter = self.filter(cluster)?;
        let places: Option<Places> = match &cluster.context.inputs.resume {
            Some(resume) => Some(serde_json::from_str(resume).map_err(Error::internal)?),
            None => None,
        };
        let Chosen { mut sources, mut notes } = sources::choose(&self, cluster).await?;
        if sources.len() > MOST_SOURCES {
            notes.push(format!(
                "{} of {} containers were read; name some with `container`.",
                MOST_SOURCES,
                sources.len()
            ));
            sources.truncate(MOST_SOURCES);
        }
        if let Some(places) = &places {
            sources.retain(|source| places.contains_key(&source.key()));
        }
        let reads = sources.iter().map(|source| {
            let place = places.as_ref().and_then(|places| places.get(&source.key()).copied().flatten());
            read(source, filter.clone().before(place, sources.len()), self.previous, &self.namespace, cluster)
        });
        let reads: Vec<Result<Log>> =
            futures_util::stream::iter(reads.collect::<Vec<_>>()).buffered(AT_ONCE).collect().await;
        let mut logs = Vec::with_capacity(sources.len());
        let mut failures = Vec::new();
        for (source, log) in sources.iter().zip(reads) {
            match log {
                Ok(log) => logs.push((source, log)),
                Err(error) => failures.push((source, error)),
            }
        }
        if logs.is_empty() && !failures.is_empty() {
            return Err(failures.swap_remove(0).1);
        }
        notes.extend(failures.iter().map(|(source, error)| format!("{}: {error}.", source.full_name())));
        self.answer(logs, notes, places)
    }
}

impl GetPodLogs {
    fn filter(&self, cluster: &Kubernetes) -> Result<Filter> {
        let now = cluster.context.now;
        let when = |moment: Option<Moment>| moment.map(|moment| moment.when(now));
        let (start, end) = (when(self.start), when(self.end));
        if let (Some(start), Some(end)) = (start, end)
            && start > end
        {
            return Err(Error::BadArguments(format!("end: {end} is before start, {start}")));
        }
        if self.context > 50 {
            return Err(Error::BadArguments(format!("context: {} lines are too many; give at most 50", self.context)));
        }
        Ok(Filter {
            start,
            end,
            grep: pattern("grep", self.grep.as_deref())?,
            exclude: pattern("exclude", self.exclude.as_deref())?,
            context: self.context as usize,
            keep: self.tail.get(),
            bytes: MOST_KEPT,
            place: None,
        })
    }

    fn answer(&self, logs: Vec<(&Source, Log)>, mut notes: Vec<String>, places: Option<Places>) -> Result<Logs> {
        let labels = sources::labels(&logs.iter().map(|(source, _)| *source).collect::<Vec<_>>());
        let mut described = Vec::new();
        let mut heading = Vec::new();
        let mut lines: Vec<Line> = Vec::new();
        let mut older = Vec::new();
        for (place, ((source, log), label)) in logs.into_iter().zip(&labels).enumerate() {
            let mut facts = Map::new();
            if !label.is_empty() {
                facts.insert("source".into(), label.as_str().into());
            }
            facts.insert("pod".into(), source.pod.as_str().into());
            facts.insert("container".into(), source.container.as_str().into());
            facts.insert("read".into(), log.read.into());
            facts.insert("matched".into(), log.matched.into());
            facts.insert("dropped".into(), log.dropped.into());
            facts.extend(log.last.map(|last| ("last".to_owned(), Value::String(ages::at(last)))));
            heading.push(summary(source, label, &log));
            notes.extend(log.notes.iter().map(|note| format!("{}: {note}", source.full_name())));
            described.push(Value::Object(facts));
            older.push((source.key(), log.has_older));
            lines.extend(log.lines.into_iter().map(|(at, text)| Line { source: place, at, text, count: 1, shown: 0 }));
        }
        lines.sort_by_key(|line| (line.at, line.source));
        let heading = heading.join("\n");
        let spent =
            200 + tokens(&heading) + 30 * described.len() + notes.iter().map(|note| tokens(note)).sum::<usize>();
        let room = self.max_tokens.get().saturating_sub(spent).max(100);
        let folded = if self.collapse { collapsed(lines) } else { lines };
        let write = |line: &Line| line.write(&labels[line.source], self.timestamps);
        let shown = fitting(&folded, room, write);
        let left: usize = folded[..folded.len() - shown.len()].iter().map(|line| line.count).sum();
        if left > 0 {
            notes.insert(0, format!("{left} older lines are left out for room; the cursor leads to them."));
        }
        let next = next(&folded, shown.len(), &older, places)?;
        Ok(Logs { sources: described, heading, lines: shown, next, notes })
    }
}

/// Where older lines are, if there are any.
fn next(lines: &[Line], shown: usize, older: &[(String, bool)], before: Option<Places>) -> Result<Option<String>> {
    let mut places = Places::new();
    let (left, shown) = lines.split_at(lines.len() - shown);
    let mut any = false;
    for (source, (key, has_older)) in older.iter().enumerate() {
        let is_left = left.iter().any(|line| line.source == source);
        if !is_left && !has_older {
            continue;
        }
        any = true;
        let oldest = shown.iter().find(|line| line.source == source);
        let earlier = before.as_ref().and_then(|places| places.get(key).copied().flatten());
        places.insert(
            key.clone(),
            match oldest {
                Some(oldest) => {
                    let at = nanoseconds(oldest.at);
                    let same = shown.iter().filter(|line| line.source == source).map(|line| line.at_the(oldest.at));
                    let known = earlier.filter(|(time, _)| *time == at).map_or(0, |(_, count)| count);
                    Some((at, same.sum::<usize>() + known))
                }
                None => earlier,
            },
        );
    }
    if any { serde_json::to_string(&places).map(Some).map_err(Error::internal) } else { Ok(None) }
}

fn nanoseconds(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX)
}

fn pattern(argument: &str, text: Option<&str>) -> Result<Option<Regex>> {
    text.map(|text| patterns::pattern(argument, text, true)).transpose()
}

fn summary(source: &Source, label: &str, log: &Log) -> String {
    let mut text = if label.is_empty() { String::new() } else { format!("{label} = ") };
    text.push_str(&format!("{}: {} lines read", source.full_name(), log.read));
    if log.matched != log.read {
        text.push_str(&format!(", {} fit", log.matched));
    }
    if log.dropped > 0 {
        text.push_str(&format!(", {} older ones dropped", log.dropped));
    }
    if let Some(last) = log.last {
        text.push_str(&format!(", last {}", ages::at(last)));
    }
    text
}
