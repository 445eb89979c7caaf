//! Where a page ended, as signed text that works on any replica and only for its caller.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::secrets::{Signer, hex};

/// How long a cursor is good for, in seconds.
const LIFETIME: i64 = 3600;

/// Arguments that choose the part of an answer, not its content.
const PAGING: [&str; 3] = ["cursor", "limit", "max_tokens"];

/// A place in the rows of an earlier answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Rows already shown.
    #[serde(rename = "o")]
    pub offset: usize,
    /// Rows in the parts before this one, where the tool reads part by part.
    #[serde(rename = "b", default, skip_serializing_if = "is_zero")]
    pub before: usize,
    /// Where this part begins, in the words of the tool.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// The moment that `now` meant in the first call, so that all pages look at the same time (Unix milliseconds).
    #[serde(rename = "n")]
    pub now: i64,
    /// The whole answer, while the store keeps it.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Place {
    /// The cursor text for this caller, tool and arguments.
    #[must_use]
    pub fn seal(&self, signer: &Signer, identity: &str, tool: &str, digest: &str, now: i64) -> String {
        let content = serde_json::to_vec(self).expect("numbers and text");
        signer.seal(&["cursor", identity, tool, digest], &content, now + LIFETIME)
    }

    /// The place that a cursor text stands for.
    ///
    /// # Errors
    /// [`Error::BadArguments`] when it is not ours, expired, or belongs to another caller, tool or other arguments.
    pub fn open(signer: &Signer, identity: &str, tool: &str, digest: &str, text: &str, now: i64) -> Result<Self> {
        let wrong = || {
            Error::BadArguments(
                "cursor: not valid for this call; a cursor is good for an hour, for the caller and the arguments it was \
                 made for. Repeat the call without `cursor`."
                    .into(),
            )
        };
        let content = signer.open(&["cursor", identity, tool, digest], text, now).map_err(|_| wrong())?;
        serde_json::from_slice(&content).map_err(|_| wrong())
    }
}

/// A digest of the arguments in canonical form, without those that choose the page.
#[must_use]
pub fn digest(arguments: &Map<String, Value>) -> String {
    let mut hash = Sha256::new();
    let mut names: Vec<_> = arguments.keys().filter(|name| !PAGING.contains(&name.as_str())).collect();
    names.sort();
    for name in names {
        canonical(&mut hash, &Value::String(name.clone()));
        canonical(&mut hash, &arguments[name]);
    }
    hex(&hash.finalize())
}

fn canonical(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut names: Vec<_> = map.keys().collect();
            names.sort();
            hash.update(b"{");
            for name in names {
                canonical(hash, &Value::String(name.clone()));
                canonical(hash, &map[name]);
            }
            hash.update(b"}");
        }
        Value::Array(items) => {
            hash.update(b"[");
            for item in items {
                canonical(hash, item);
            }
            hash.update(b"]");
        }
        other => {
            hash.update(other.to_string());
            hash.update(b",");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_digest_knows_neither_the_order_of_arguments_nor_the_page() {
        let digest = |value: Value| digest(value.as_object().unwrap());
        let one = digest(json!({"query": "up", "labels": {"a": 1, "b": 2}, "limit": 5}));
        assert_eq!(one, digest(json!({"labels": {"b": 2, "a": 1}, "query": "up", "cursor": "x"})));
        assert_ne!(one, digest(json!({"labels": {"b": 2, "a": 2}, "query": "up"})));
        assert_ne!(digest(json!({"a": ["b", "c"]})), digest(json!({"a": ["bc"]})));
    }
}
