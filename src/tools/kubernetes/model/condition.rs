//! Conditions, as the status of most objects has them.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::super::pointer;

/// One condition.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct Condition {
    #[serde(rename = "type")]
    pub(in super::super) kind: String,
    pub(in super::super) status: String,
    pub(in super::super) reason: String,
    pub(in super::super) message: String,
    pub(in super::super) observed_generation: Option<i64>,
    #[serde(deserialize_with = "time")]
    pub(in super::super) last_heartbeat_time: Option<Timestamp>,
    #[serde(deserialize_with = "time")]
    pub(in super::super) last_transition_time: Option<Timestamp>,
}

/// Reads a time. Conditions of custom objects may have anything in its place, and still say something.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_str().and_then(|text| text.parse().ok()))
}

impl Condition {
    pub(in super::super) fn is(&self, status: &str) -> bool {
        self.status.eq_ignore_ascii_case(status)
    }

    /// What it says, in words: `Ready is False (ContainersNotReady: …)`.
    pub(in super::super) fn told(&self) -> String {
        let why = match (self.reason.as_str(), self.message.as_str()) {
            ("", "") => String::new(),
            (reason, "") => format!(" ({reason})"),
            ("", message) => format!(" ({message})"),
            (reason, message) => format!(" ({reason}: {message})"),
        };
        format!("{} is {}{why}", self.kind, self.status)
    }
}

/// The conditions of an object.
pub(in super::super) fn of(object: &Value) -> Vec<Condition> {
    let list = pointer::list(object, "/status/conditions").iter();
    list.filter_map(|condition| Condition::deserialize(condition).ok()).collect()
}

/// The condition of this type.
pub(in super::super) fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind.eq_ignore_ascii_case(kind))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_condition_counts_whatever_stands_for_its_time() {
        let conditions = json!([
            {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"},
            {"type": "Synced", "status": "False", "reason": "Late", "lastTransitionTime": "soon", "lastHeartbeatTime": 3}
        ]);
        let found = of(&json!({"status": {"conditions": conditions}}));
        assert_eq!(found.len(), 2);
        assert!(find(&found, "ready").unwrap().last_transition_time.is_some());
        let synced = find(&found, "Synced").unwrap();
        assert_eq!((synced.told().as_str(), synced.last_transition_time), ("Synced is False (Late)", None));
    }
}
