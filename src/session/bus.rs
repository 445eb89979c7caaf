//! Words between replicas that serve the same session.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Sessions;
use crate::error::Result;
use crate::mcp::envelope::Id;
use crate::store::{Shared, Subscription, listen_again};

/// Something that concerns whoever serves a session at the moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// The client answered the request of ours with this id; the answer is in the store.
    Answered(String),
    /// The client withdrew a request.
    Withdrawn(Id),
    /// A newer stream took over; those with lower numbers close.
    Taken(u64),
    /// The list of followed resources is another one.
    Resubscribed,
    /// The session is over.
    Ended,
}

/// What comes over the bus.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// A signal.
    Signal(Signal),
    /// Some may have been missed: whoever listens looks at the state again.
    Gap,
}

/// Signals of one session, as they come.
#[derive(Debug)]
pub struct Signals {
    store: Shared,
    channel: String,
    /// None while nothing can be heard.
    subscription: Option<Subscription>,
}

impl Signals {
    /// The next signal. Where the store was away, it listens again as soon as it can.
    pub async fn next(&mut self) -> Heard {
        loop {
            let Some(subscription) = &mut self.subscription else {
                self.subscription = Some(listen_again(&self.store, &self.channel).await);
                return Heard::Gap;
            };
            let Some(message) = subscription.next().await else {
                self.subscription = None;
                continue;
            };
            match serde_json::from_slice(&message) {
                Ok(signal) => return Heard::Signal(signal),
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
        let subscription = self.store.subscribe(&channel(id)).await?;
        Ok(Signals { store: self.store.clone(), channel: channel(id), subscription: Some(subscription) })
    }

    /// Listens to the signals of a session, now or as soon as the store is there.
    pub(super) async fn signals_at_last(&self, id: &str) -> Signals {
        let subscription = self.store.subscribe(&channel(id)).await.ok();
        Signals { store: self.store.clone(), channel: channel(id), subscription }
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
