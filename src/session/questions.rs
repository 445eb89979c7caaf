//! Requests of ours to a client, and its answers, which may reach any replica.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::{Session, Sessions, Signal};
use crate::error::{Error, Result};
use crate::mcp::envelope::Id;
use crate::store::Condition;

/// How long an answer is waited for, and kept.
const LIFETIME: Duration = Duration::from_secs(900);

impl Sessions {
    /// Lets a question be answered, once.
    pub(super) async fn open_question(&self, session: &Session, question: &str) -> Result<()> {
        self.store.put(&key(session, question), Bytes::new(), LIFETIME, Condition::Always).await?;
        Ok(())
    }

    /// Keeps the client's answer to a request of ours, and tells whoever waits for it. An answer that nobody asked for, or
    /// that is there already, is passed over.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn take_answer(&self, session: &Session, id: &Id, result: Result<Bytes, Bytes>) -> Result<()> {
        let Id::Text(question) = id else { return Ok(()) };
        let value = |bytes: Bytes| serde_json::from_slice::<Value>(&bytes).unwrap_or_default();
        let answer = serde_json::to_vec(&result.map(value).map_err(value)).map_err(Error::internal)?;
        let key = key(session, question);
        if self.store.put(&key, answer.into(), LIFETIME, Condition::Is(Bytes::new())).await? {
            self.signal(&session.id, &Signal::Answered(question.clone())).await?;
        }
        Ok(())
    }

    /// The answer to a question, if it is there; it is taken away.
    pub(super) async fn answer_to(&self, session: &Session, question: &str) -> Result<Option<Result<Value, Value>>> {
        let key = key(session, question);
        let Some(answer) = self.store.get(&key).await?.filter(|answer| !answer.is_empty()) else { return Ok(None) };
        self.store.remove(&key).await?;
        Ok(Some(serde_json::from_slice(&answer).map_err(Error::internal)?))
    }
}

fn key(session: &Session, question: &str) -> String {
    format!("question:{{{}}}:{question}", session.id)
}
