//! Secrets in objects and texts of a cluster, replaced by keyed fingerprints: whether one changed can still be told.

mod hidden;
mod keys;
mod lines;
mod names;
mod objects;
mod options;
mod place;
mod refusals;
mod text;
mod value;

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

pub use hidden::Hidden;
pub use lines::LineRedactor;
pub use objects::LAST_APPLIED;
pub(super) use objects::{redact, redact_cell};
pub(super) use refusals::redact_refusal;
pub use text::redact_text;

/// `hidden-` and the digits of a fingerprint.
fn is_fingerprint(text: &str) -> bool {
    text.strip_prefix("hidden-").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A fingerprint within a text.
static FINGERPRINT: LazyLock<Regex> = LazyLock::new(|| Regex::new("hidden-[0-9a-f]{8}").expect("a pattern of ours"));

/// Whether a fingerprint stands somewhere in a value, where a secret was before.
#[must_use]
pub fn has_fingerprint(value: &Value) -> bool {
    match value {
        Value::String(text) => FINGERPRINT.is_match(text),
        Value::Array(items) => items.iter().any(has_fingerprint),
        Value::Object(map) => map.values().any(has_fingerprint),
        _ => false,
    }
}

/// A text with the digits of its fingerprints gone.
#[cfg(test)]
fn plain(text: &str) -> String {
    Regex::new("hidden-[0-9a-f]+").unwrap().replace_all(text, "***").into_owned()
}
