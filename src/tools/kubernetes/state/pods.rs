//! What keeps a pod from being ready.

use serde_json::Value;

use super::super::model::condition::{self, Condition};
use super::super::pointer;
use super::Verdict;

pub(super) fn ready(pod: &Value, phase: &str, conditions: &[Condition]) -> Verdict {
    if condition::find(conditions, "Ready").is_some_and(|ready| ready.is("True")) {
        return Verdict::Met("it is ready".into());
    }
    let why = trouble(pod).unwrap_or_else(|| format!("it is {}", if phase.is_empty() { "new" } else { phase }));
    match phase {
        "Succeeded" => Verdict::Failed("it has ended, and does not become ready again".into()),
        "Failed" => Verdict::Failed(format!("it has failed: {why}")),
        _ if waits_for(pod, "InvalidImageName") => Verdict::Failed(why),
        _ => Verdict::Waiting(why),
    }
}

fn statuses(pod: &Value) -> impl Iterator<Item = &Value> {
    ["/status/initContainerStatuses", "/status/containerStatuses"].into_iter().flat_map(|list| pointer::list(pod, list))
}

fn waits_for(pod: &Value, reason: &str) -> bool {
    statuses(pod).any(|status| status.pointer("/state/waiting/reason").and_then(Value::as_str) == Some(reason))
}

/// Why a pod is not ready: a container that waits or ended badly, no node, or what its condition says.
pub(in crate::tools::kubernetes) fn trouble(pod: &Value) -> Option<String> {
    let text = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    for status in statuses(pod) {
        let name = text(status, "/name").unwrap_or_default();
        if let Some(reason) = text(status, "/state/waiting/reason")
            && !matches!(reason.as_str(), "ContainerCreating" | "PodInitializing")
        {
            let more = text(status, "/state/waiting/message").map_or(String::new(), |message| format!(": {message}"));
            return Some(format!("container {name} waits: {reason}{more}"));
        }
        if let Some(code) = status.pointer("/state/terminated/exitCode").and_then(Value::as_i64)
            && code != 0
        {
            let reason = text(status, "/state/terminated/reason").unwrap_or_default();
            return Some(format!("container {name} ended with {code} ({reason})"));
        }
    }
    let conditions = condition::of(pod);
    ["PodScheduled", "Initialized", "Ready"]
        .iter()
        .filter_map(|name| condition::find(&conditions, name))
        .find(|condition| condition.is("False"))
        .map(Condition::told)
}
