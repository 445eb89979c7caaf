//! Something that is not as it should be.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How bad it is, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum Severity {
    /// Something does not work at all.
    Critical,
    /// Something works less well, or soon will.
    Warning,
    /// Worth knowing.
    Info,
}

/// One trouble, and where it is seen.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) severity: Severity,
    /// One word for it, as Kubernetes says it where it has one.
    pub(super) problem: String,
    pub(super) since: Option<Timestamp>,
    /// A sentence.
    pub(super) what: String,
    /// The field or event that says so.
    pub(super) evidence: String,
    /// What to do.
    pub(super) next: String,
}

/// The beginning of a text, in one line.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
