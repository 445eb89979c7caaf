//! What changed, told to every replica.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Result;
use crate::store::{Numbered, Shared, Subscription, listen_again};

/// The log of all changes, and the channel that they are told over.
const LOG: &str = "changes";

/// Changes that are kept for those who were away for a moment.
const KEPT: usize = 128;

/// How long they are kept after the last one.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Between two tries to read what was missed.
const PAUSE: Duration = Duration::from_secs(1);

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// The list of resources.
    Resources,
    /// What is in a resource.
    Resource(String),
    /// How far a task is.
    Task(String),
}

impl Change {
    /// The notification that tells of it; that of a task needs its record.
    #[must_use]
    pub fn notification(&self) -> Option<(&'static str, Value)> {
        match self {
            Self::Tools => Some(("notifications/tools/list_changed", json!({}))),
            Self::Prompts => Some(("notifications/prompts/list_changed", json!({}))),
            Self::Resources => Some(("notifications/resources/list_changed", json!({}))),
            Self::Resource(uri) => Some(("notifications/resources/updated", json!({ "uri": uri }))),
            Self::Task(_) => None,
        }
    }
}

/// Carries changes to every replica.
#[derive(Clone, Debug)]
pub struct Changes {
    store: Shared,
}

impl Changes {
    /// Changes over this store.
    #[must_use]
    pub fn new(store: Shared) -> Self {
        Self { store }
    }

    /// Tells of a change. Nobody waits for it: where the store is away, it is lost and logged.
    pub async fn tell(&self, change: &Change) {
        if let Err(error) = self.try_tell(change).await {
            tracing::warn!(%error, "a change cannot be told");
        }
    }

    async fn try_tell(&self, change: &Change) -> Result<()> {
        let message: Bytes = serde_json::to_vec(change).expect("a change has a JSON form").into();
        let number = self.store.append(LOG, message.clone(), KEPT, LIFETIME).await?;
        let mut told = BytesMut::with_capacity(message.len() + 8);
        told.put_u64(number);
        told.put_slice(&message);
        self.store.publish(LOG, told.freeze()).await?;
        Ok(())
    }

    /// Listens to all changes from now on.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn listen(&self) -> Result<Listener> {
        let subscription = self.store.subscribe(LOG).await?;
        let last = self.store.end(LOG).await?;
        Ok(Listener::new(self.store.clone(), subscription, last))
    }

    /// Listens to all changes after a number that a listener was at before.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn listen_after(&self, number: u64) -> Result<Listener> {
        let subscription = self.store.subscribe(LOG).await?;
        let mut listener = Listener::new(self.store.clone(), subscription, number);
        listener.catch_up().await?;
        Ok(listener)
    }
}

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A change.
    Change(Change),
    /// More changed than is kept: it may have been anything.
    Anything,
}

/// Changes, as they happen, and those that were missed while the store was away.
#[derive(Debug)]
pub struct Listener {
    store: Shared,
    subscription: Subscription,
    last: u64,
    missed: VecDeque<(u64, Heard)>,
    /// It has not looked yet at what happened while it could not listen.
    behind: bool,
}

impl Listener {
    fn new(store: Shared, subscription: Subscription, last: u64) -> Self {
        Self { store, subscription, last, missed: VecDeque::new(), behind: false }
    }

    /// The number of the last change that was heard.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The next change.
    pub async fn next(&mut self) -> Heard {
        loop {
            if self.behind {
                match self.catch_up().await {
                    Ok(()) => self.behind = false,
                    Err(error) => {
                        tracing::debug!(%error, "what was missed cannot be read yet");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                continue;
            }
            if let Some((number, heard)) = self.missed.pop_front() {
                self.last = number;
                return heard;
            }
            let Some(told) = self.subscription.next().await else {
                self.behind = true;
                self.subscription = listen_again(&self.store, LOG).await;
                continue;
            };
            if let Some((number, change)) = numbered(&told)
                && number > self.last
            {
                self.last = number;
                return Heard::Change(change);
            }
        }
    }

    /// Takes up what happened after the last change that was heard.
    async fn catch_up(&mut self) -> Result<()> {
        let end = self.store.end(LOG).await?;
        // Numbers begin anew where the store has lost its content.
        let after = if end < self.last { 0 } else { self.last };
        let entries = self.store.read(LOG, after).await?.unwrap_or_default();
        self.last = after;
        if entries.first().is_some_and(|(first, _)| *first > after + 1) {
            self.missed.push_back((end, Heard::Anything));
            return Ok(());
        }
        let change =
            |(number, message): Numbered| Some((number, Heard::Change(serde_json::from_slice(&message).ok()?)));
        self.missed.extend(entries.into_iter().filter_map(change));
        Ok(())
    }
}

fn numbered(told: &[u8]) -> Option<(u64, Change)> {
    let (number, message) = told.split_at_checked(8)?;
    Some((u64::from_be_bytes(number.try_into().ok()?), serde_json::from_slice(message).ok()?))
}
