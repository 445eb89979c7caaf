//! What was said of objects, and what containers said themselves.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::model::Event;
use super::trouble::shortened;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Refused, Request};
use crate::error::Result;
use crate::tools::ages::at;

/// Lines of a log that are shown.
const TAIL: &str = "15";

/// Bytes of a log that are read.
const MOST_BYTES: &str = "16384";

/// An event in one line.
pub(super) fn line(event: &Event, cluster: &Kubernetes) -> String {
    let last = event.last().map(at).unwrap_or_default();
    let times = if event.count() > 1 { format!(" ({} times)", event.count()) } else { String::new() };
    let message = shortened(&cluster.redact_text(&event.message), 200);
    let object = format!("{} {}", event.involved_object.kind, event.involved_object.name);
    format!("{last} {} {} {object}: {message}{times}", event.level, event.reason)
}

/// The events since a moment about some objects (kind and name), the newest first.
pub(super) async fn events(
    cluster: &Kubernetes,
    namespace: Option<&str>,
    subjects: &[(String, String)],
    start: Timestamp,
) -> Result<Vec<Event>, Refused> {
    let kinds = cluster.kinds().await?;
    let Some(kind) = kinds.built_in("", "events") else { return Ok(Vec::new()) };
    let mut request = Request::get(kind.path(namespace)?);
    if let [(kind, name)] = subjects {
        request = request.query("fieldSelector", format!("involvedObject.kind={kind},involvedObject.name={name}"));
    }
    let mut found: Vec<Event> = cluster.list_with_secrets(request).await?;
    found.retain(|event| {
        let about = |(kind, name): &(String, String)| {
            *kind == event.involved_object.kind && *name == event.involved_object.name
        };
        event.last().is_none_or(|last| last >= start) && subjects.iter().any(about)
    });
    found.sort_by_key(|event| std::cmp::Reverse(event.last()));
    Ok(found)
}

/// The end of a container's log.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LogTail {
    pub(super) pod: String,
    pub(super) container: String,
    /// Whether it is that of the container before its last restart.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) previous: bool,
    pub(super) tail: String,
}

/// The end of what a container said, before its last restart where that is kept.
pub(super) async fn log(
    cluster: &Kubernetes,
    namespace: &str,
    pod: &str,
    container: &str,
    restarted: bool,
) -> Result<LogTail, Refused> {
    let kinds = cluster.kinds().await?;
    let kind = kinds.find("pods")?;
    let path = format!("{}/log", kind.object_path(Some(namespace), pod)?);
    let ask = async |previous: bool| -> Result<LogTail, Refused> {
        let request = Request::get(path.clone())
            .query("container", container)
            .query("tailLines", TAIL)
            .query("limitBytes", MOST_BYTES)
            .query_some("previous", previous.then_some("true"));
        let body = cluster.cluster().send(&request, &cluster.context).await?;
        let source = format!("{namespace}/{pod}/{container}");
        let tail = cluster.redact_lines(source, body).await?.join("\n").trim_end().to_owned();
        Ok(LogTail { pod: pod.to_owned(), container: container.to_owned(), previous, tail })
    };
    if restarted && let Ok(tail) = ask(true).await {
        return Ok(tail);
    }
    ask(false).await
}
