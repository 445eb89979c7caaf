//! What changed, told to every replica.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Result;
use crate::store::{Shared, Subscription};

/// The channel that all changes go through.
const CHANNEL: &str = "changes";

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
        let message = serde_json::to_vec(change).expect("a change has a JSON form");
        if let Err(error) = self.store.publish(CHANNEL, message.into()).await {
            tracing::warn!(%error, "a change cannot be told");
        }
    }

    /// Listens to all changes from now on.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn listen(&self) -> Result<Listener> {
        Ok(Listener { subscription: self.store.subscribe(CHANNEL).await? })
    }
}

/// Changes, as they happen.
#[derive(Debug)]
pub struct Listener {
    subscription: Subscription,
}

impl Listener {
    /// The next change; none when the listener was cut off.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            let message = self.subscription.next().await?;
            if let Ok(change) = serde_json::from_slice(&message) {
                return Some(change);
            }
        }
    }
}
