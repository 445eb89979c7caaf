//! What happened: events, those of one object and all it owns too.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::args::check_namespace;
use super::super::family::{Member, Reach, dependents};
use super::super::model::Event;
use super::super::nearby;
use crate::answers::Row;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Kind, Refused, Request};
use crate::error::{Error, Result};
use crate::toolkit::args::{Cursor, Instances, Limit, MaxTokens, Moment};
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool};
use crate::tools::ages;

/// Levels below an object whose events are shown.
const LEVELS: usize = 6;

/// Shows recent events, newest first; those of one object and everything it owns, with `kind` and `name`.
///
/// Only warnings, unless `type` says otherwise. Use `kubernetes_get_resource` for the state that they led to.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct GetEvents {
    /// Kind of the object; without `name`, of all objects of the kind.
    kind: Option<String>,
    /// Name of the object.
    name: Option<String>,
    /// Include events of objects that it owns.
    #[serde(default = "yes")]
    children: bool,
    /// One cluster by name, several, or `"*"` for all.
    cluster: Option<Instances>,
    /// Only this namespace; all that may be listed when absent.
    namespace: Option<String>,
    /// Field selector, for example `source=kubelet`.
    fields: Option<String>,
    /// Which events.
    #[serde(default, rename = "type")]
    level: Level,
    /// Reason, for example `FailedScheduling`.
    reason: Option<String>,
    /// From when on: RFC 3339, or relative to now.
    #[serde(default = "Moment::an_hour_ago")]
    start: Moment,
    /// `table` folds repeats of a reason; `full` shows each event.
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

fn yes() -> bool {
    true
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Level {
    #[default]
    Warning,
    Normal,
    All,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum View {
    #[default]
    Table,
    Full,
}

impl FanOut for GetEvents {}

impl Tool for GetEvents {
    const NAME: &str = "kubernetes_get_events";
    const POLICY: Policy = Policy::read(Permission::ClusterRead).cached(5).by_default();
    const REPLACES: &[&str] = &["kubernetes_get_recent_events", "kubernetes_get_events_detail"];
    type Backend = Kubernetes;
    type Output = Listing<Row>;

    async fn call(self, cluster: &Kubernetes) -> Result<Listing<Row>> {
        let mut notes = Vec::new();
        let about = self.about(cluster, &mut notes).await?;
        let mut fields: Vec<String> = self.fields.iter().cloned().collect();
        match self.level {
            Level::Warning => fields.push("type=Warning".into()),
            Level::Normal => fields.push("type=Normal".into()),
            Level::All => {}
        }
        fields.extend(self.reason.as_ref().map(|reason| format!("reason={reason}")));
        fields.extend(about.fields());
        let start = self.start.when(cluster.context.now);
        let namespace = self.namespace.as_deref();
        let mut events = read(cluster, namespace, &fields).await?;
        events.retain(|event| last(event) >= start && about.includes(event));
        if events.is_empty()
            && let About::Gone(kind, name) = &about
        {
            let missing = nearby::missing(cluster, kind, namespace, name).await;
            return Err(Error::NotFound(format!("{missing} Nor are there events of it")));
        }
        if events.is_empty() {
            notes.push(self.why_empty());
        }
        let happened = if self.view == View::Table { fold(events) } else { each(events) };
        let rows = happened.into_iter().map(|one| one.row(namespace.is_none(), self.view, cluster.context.now));
        let mut listing = Listing::new(rows.collect()).ordered(newest_first);
        listing.notes = notes;
        Ok(listing)
    }
}

/// What the events are about.
#[derive(Debug)]
enum About {
    Anything,
    Kind(String),
    Name(String),
    /// An object and what it owns: kind, namespace, name of each.
    Objects(HashSet<(String, String, String)>),
    /// An object that does not exist, though its events may.
    Gone(Arc<Kind>, String),
}

impl About {
    fn fields(&self) -> Vec<String> {
        let object =
            |kind: &str, name: &str| vec![format!("involvedObject.kind={kind}"), format!("involvedObject.name={name}")];
        match self {
            Self::Anything => Vec::new(),
            Self::Kind(kind) => vec![format!("involvedObject.kind={kind}")],
            Self::Name(name) => vec![format!("involvedObject.name={name}")],
            Self::Gone(kind, name) => object(&kind.kind, name),
            Self::Objects(objects) if objects.len() == 1 => {
                objects.iter().flat_map(|(kind, _, name)| object(kind, name)).collect()
            }
            Self::Objects(_) => Vec::new(),
        }
    }

    fn includes(&self, event: &Event) -> bool {
        let about = &event.involved_object;
        match self {
            Self::Objects(objects) => {
                objects.contains(&(about.kind.clone(), about.namespace.clone(), about.name.clone()))
            }
            _ => true,
        }
    }
}

impl GetEvents {
    async fn about(&self, cluster: &Kubernetes, notes: &mut Vec<String>) -> Result<About> {
        let Some(kind) = &self.kind else {
            return Ok(self.name.clone().map_or(About::Anything, About::Name));
        };
        let kind = cluster.kind(kind).await?;
        let Some(name) = &self.name else { return Ok(About::Kind(kind.kind.clone())) };
        check_namespace(&kind, self.namespace.as_deref())?;
        let root = match Member::read(cluster, &kind, self.namespace.as_deref(), name).await {
            Ok(root) => root,
            Err(refused) if refused.code() == Some(404) => {
                notes.push(format!("{}/{name} does not exist any more; these are its last events.", kind.kind));
                return Ok(About::Gone(kind, name.clone()));
            }
            Err(refused) => return Err(refused.into()),
        };
        let mut objects = HashSet::from([key(&root)]);
        if self.children {
            let owned = dependents(cluster, &root, LEVELS, Reach::Everything).await?;
            notes.extend(owned.notes);
            objects.extend(owned.members.iter().map(|dependent| key(&dependent.member)));
        }
        Ok(About::Objects(objects))
    }

    fn why_empty(&self) -> String {
        let what = match self.level {
            Level::Warning => "warnings",
            Level::Normal => "normal events",
            Level::All => "events",
        };
        let other = if self.level == Level::All { "" } else { "`type` \"all\" shows the others; " };
        format!(
            "No {what} since {}; {other}clusters keep events for an hour, unless they are told otherwise.",
            self.start
        )
    }
}

fn key(member: &Member) -> (String, String, String) {
    (member.kind.kind.clone(), member.namespace().unwrap_or_default().to_owned(), member.name().to_owned())
}

fn newest_first(one: &Row, other: &Row) -> Ordering {
    let at = |row: &Row| row.get("at").and_then(Value::as_str).unwrap_or_default().to_owned();
    at(other).cmp(&at(one))
}

/// The events of one object.
pub(super) async fn of(member: &Member, cluster: &Kubernetes) -> Result<Happened, Refused> {
    let fields =
        [format!("involvedObject.kind={}", member.kind.kind), format!("involvedObject.name={}", member.name())];
    let mut happened = fold(read(cluster, member.namespace(), &fields).await?);
    happened.sort_by_key(|one| std::cmp::Reverse(one.last));
    Ok(Happened(happened))
}

/// Events of one object, folded, newest first.
#[derive(Debug)]
pub(super) struct Happened(Vec<Folded>);

impl Happened {
    /// `2m ago Warning BackOff ×5: Back-off restarting failed container`.
    pub(super) fn lines(&self, most: usize, cluster: &Kubernetes) -> Vec<String> {
        self.0
            .iter()
            .take(most)
            .map(|one| {
                let times = if one.count > 1 { format!(" ×{}", one.count) } else { String::new() };
                let Event { level, reason, message, .. } = &one.event;
                let age = ages::between(one.last, cluster.context.now);
                format!("{age} ago {level} {reason}{times}: {}", message.trim())
            })
            .collect()
    }
}

async fn read(cluster: &Kubernetes, namespace: Option<&str>, fields: &[String]) -> Result<Vec<Event>, Refused> {
    let kinds = cluster.kinds().await?;
    let kind = kinds
        .built_in("", "events")
        .ok_or_else(|| Error::NotFound(format!("kubernetes/{} serves no events", cluster.name())))?;
    let fields = (!fields.is_empty()).then(|| fields.join(","));
    cluster.list(Request::get(kind.path(namespace)?).query_some("fieldSelector", fields)).await
}

/// When an event was seen last; long ago where that is not known.
fn last(event: &Event) -> Timestamp {
    event.last().unwrap_or_default()
}

/// Repeats of one reason, with the newest message.
#[derive(Debug)]
struct Folded {
    event: Event,
    first: Timestamp,
    last: Timestamp,
    count: u64,
}

impl Folded {
    fn new(event: Event) -> Self {
        Self { first: event.first().unwrap_or_default(), last: last(&event), count: event.count(), event }
    }

    fn row(self, has_namespace: bool, view: View, now: Timestamp) -> Row {
        let event = self.event;
        let mut row = Row::new();
        let mut put = |name: &str, value: Value| {
            row.insert(name.to_owned(), value);
        };
        put("last_seen", ages::between(self.last, now).into());
        put("type", event.level.clone().into());
        put("reason", event.reason.clone().into());
        let about = &event.involved_object;
        if has_namespace {
            put("namespace", about.namespace.clone().into());
        }
        put("object", format!("{}/{}", about.kind, about.name).into());
        put("message", event.message.trim().into());
        put("count", self.count.into());
        put("source", event.source().into());
        put("first_seen", ages::between(self.first, now).into());
        if view == View::Full {
            put("part", about.field_path.clone().into());
            put("host", event.source.host.clone().into());
            put("action", event.action.clone().into());
            put("event", event.metadata.name.clone().into());
        }
        put("at", ages::at(self.last).into());
        row
    }
}

fn each(events: Vec<Event>) -> Vec<Folded> {
    events.into_iter().map(Folded::new).collect()
}

fn fold(events: Vec<Event>) -> Vec<Folded> {
    let mut folded: Vec<Folded> = Vec::new();
    let mut places = HashMap::new();
    for one in each(events) {
        let Event { level, reason, involved_object: about, .. } = &one.event;
        let key = (about.kind.clone(), about.namespace.clone(), about.name.clone(), level.clone(), reason.clone());
        if let Some(known) = places.get(&key).and_then(|place: &usize| folded.get_mut(*place)) {
            known.count += one.count;
            known.first = known.first.min(one.first);
            if one.last > known.last {
                known.last = one.last;
                known.event = one.event;
            }
        } else {
            places.insert(key, folded.len());
            folded.push(one);
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn repeats_of_a_reason_are_one_with_the_newest_message() {
        let event = |message: &str, last: &str, count: u64| {
            let event = json!({
                "type": "Warning", "reason": "BackOff", "message": message, "count": count,
                "lastTimestamp": last, "firstTimestamp": "2026-01-02T11:00:00Z", "eventTime": null,
                "involvedObject": {"kind": "Pod", "name": "web", "namespace": "shop"}
            });
            serde_json::from_value::<Event>(event).unwrap()
        };
        let folded = fold(vec![event("new", "2026-01-02T11:59:00Z", 2), event("old", "2026-01-02T11:50:00Z", 3)]);
        assert_eq!(folded.len(), 1);
        assert_eq!((folded[0].count, folded[0].event.message.as_str()), (5, "new"));
    }
}
