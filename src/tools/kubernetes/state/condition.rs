//! Conditions, as the status of most objects has them.

use serde::Deserialize;
use serde_json::Value;

/// One condition.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::tools::kubernetes) struct Condition {
    #[serde(rename = "type")]
    pub(in crate::tools::kubernetes) kind: String,
    pub(in crate::tools::kubernetes) status: String,
    pub(in crate::tools::kubernetes) reason: String,
    pub(in crate::tools::kubernetes) message: String,
    pub(in crate::tools::kubernetes) observed_generation: Option<i64>,
}

impl Condition {
    pub(in crate::tools::kubernetes) fn is(&self, status: &str) -> bool {
        self.status.eq_ignore_ascii_case(status)
    }

    /// What it says, in words: `Ready is False (ContainersNotReady: …)`.
    pub(in crate::tools::kubernetes) fn told(&self) -> String {
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
pub(in crate::tools::kubernetes) fn of(object: &Value) -> Vec<Condition> {
    let list = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|condition| Condition::deserialize(condition).ok()).collect()
}

/// The condition of this type.
pub(in crate::tools::kubernetes) fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind.eq_ignore_ascii_case(kind))
}
