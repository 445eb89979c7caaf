//! Words between replicas that serve the same session.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Sessions;
use crate::error::Result;
use crate::mcp::envelope::Id;
use crate::store::Subscription;

/// Something that concerns whoever serves a session at the moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// The client answered a request of ours.
    Answered {
        /// The id of our request.
        id: String,
        /// Its result, or the error instead.
        result: Result<Value, Value>,
    },
    /// The client withdrew a request.
    Withdrawn(Id),
    /// A newer stream took over; those with lower numbers close.
    Taken(u64),
    /// The list of followed resources is another one.
    Resubscribed,
    /// The session is over.
    Ended,
}

/// Signals of one session, as they come.
#[derive(Debug)]
pub struct Signals {
    subscription: Subscription,
}

impl Signals {
    /// The next signal; none when the subscription was cut off.
    pub async fn next(&mut self) -> Option<Signal> {
        loop {
            let message = self.subscription.next().await?;
            match serde_json::from_slice(&message) {
                Ok(signal) => return Some(signal),
                Err(error) => tracing::warn!(%error, "a signal cannot be read"),
            }
        }
    }
}

impl Sessions {
    /// Listens to the signals of a session from now on.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn signals(&self, id: &str) -> Result<Signals> {
        Ok(Signals { subscription: self.store.subscribe(&channel(id)).await? })
    }

    /// Sends a signal, and says whether anybody heard it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn signal(&self, id: &str, signal: &Signal) -> Result<bool> {
        let message = serde_json::to_vec(signal).expect("a signal has a JSON form");
        self.store.publish(&channel(id), message.into()).await
    }
}

impl Sessions {
    /// Listens to the messages for the one stream of a session (the two-endpoint transport).
    ///
    /// # Errors
    /// Those of the store.
    pub async fn outbound(&self, id: &str) -> Result<Subscription> {
        self.store.subscribe(&outbound(id)).await
    }

    /// Sends a message to the one stream of a session, and says whether somebody holds it. An empty one only asks that.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn send_out(&self, id: &str, message: Bytes) -> Result<bool> {
        self.store.publish(&outbound(id), message).await
    }
}

fn outbound(id: &str) -> String {
    format!("outbound:{{{id}}}")
}

fn channel(id: &str) -> String {
    format!("signals:{{{id}}}")
}
