//! Answers that were cut, kept whole for a while: `results://{id}`, and the pages after the first.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Answer, Row};
use crate::error::{Error, Result};
use crate::secrets::random_token;
use crate::store::{Condition, Shared};

/// How long an answer is kept.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Bytes of the largest answer that is kept.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// Keeps whole answers in the store, each for its caller only.
#[derive(Clone, Debug)]
pub struct Wholes {
    store: Shared,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    owner: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<Vec<Row>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    facts: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

impl Wholes {
    /// Keeps answers in this store.
    #[must_use]
    pub fn new(store: Shared) -> Self {
        Self { store }
    }

    /// Keeps an answer for its caller and returns its id; none where it is too large, or the store does not take it.
    pub async fn keep(&self, answer: &Answer, owner: &str) -> Option<String> {
        let kept = Kept {
            owner: owner.to_owned(),
            rows: answer.rows.clone(),
            total: answer.total,
            next: answer.next.clone(),
            facts: answer.facts.clone(),
            text: answer.text.clone(),
            notes: answer.notes.clone(),
        };
        let bytes = serde_json::to_vec(&kept).ok().filter(|bytes| bytes.len() <= MOST_BYTES)?;
        let id = random_token("");
        match self.store.put(&key(&id), bytes.into(), LIFETIME, Condition::Always).await {
            Ok(_) => Some(id),
            Err(error) => {
                tracing::warn!(%error, "an answer cannot be kept");
                None
            }
        }
    }

    /// The answer of this id, if it is still there and belongs to the caller.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn find(&self, id: &str, owner: &str) -> Result<Option<Answer>> {
        let Some(bytes) = self.store.get(&key(id)).await? else { return Ok(None) };
        let kept: Kept = serde_json::from_slice(&bytes).map_err(Error::internal)?;
        if kept.owner != owner {
            return Ok(None);
        }
        Ok(Some(Answer {
            rows: kept.rows,
            total: kept.total,
            next: kept.next,
            facts: kept.facts,
            text: kept.text,
            notes: kept.notes,
            ..Answer::default()
        }))
    }
}

fn key(id: &str) -> String {
    format!("result:{id}")
}
