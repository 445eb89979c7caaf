//! What replicas share, behind one trait. In the embedded home it is lost with its process.

mod memory;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::error::Result;

pub use memory::Memory;

/// The store, as every part holds it.
pub type Shared = Arc<dyn Store>;

/// When a [`Store::put`] takes effect.
#[derive(Clone, Debug)]
pub enum Condition {
    /// In any case.
    Always,
    /// Only where the key has no value.
    Absent,
    /// Only where the key has exactly this value.
    Is(Bytes),
}

/// One entry of a log, with its place in it. The first entry of a log is number 1.
pub type Numbered = (u64, Bytes);

/// A few primitives on which sessions, streams, results and tasks are written once, for every home.
///
/// Every key expires. A channel delivers to those who listen at the moment, and to nobody else.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// The value of a key, if it has one that did not expire.
    async fn get(&self, key: &str) -> Result<Option<Bytes>>;

    /// Sets a value for `ttl`, and says whether the condition held.
    async fn put(&self, key: &str, value: Bytes, ttl: Duration, condition: Condition) -> Result<bool>;

    /// Lets a value or log live for another `ttl`, and says whether it was there.
    async fn touch(&self, key: &str, ttl: Duration) -> Result<bool>;

    /// Removes a value or log, and says whether it was there.
    async fn remove(&self, key: &str) -> Result<bool>;

    /// Adds to the end of a log, which keeps its last `keep` entries and lives for `ttl` from now.
    async fn append(&self, key: &str, entry: Bytes, keep: usize, ttl: Duration) -> Result<u64>;

    /// The entries of a log after number `after`, oldest first; none where there is no such log.
    async fn read(&self, key: &str, after: u64) -> Result<Option<Vec<Numbered>>>;

    /// Sends a message to all who listen to the channel now, and says how many those are.
    async fn publish(&self, channel: &str, message: Bytes) -> Result<usize>;

    /// Listens to a channel until the subscription is dropped.
    ///
    /// When this returns, every later message arrives. A listener that falls far behind is cut off: its subscription
    /// ends, and it must look at the state again.
    async fn subscribe(&self, channel: &str) -> Result<Subscription>;
}

/// Messages of one channel, in order.
#[derive(Debug)]
pub struct Subscription {
    messages: mpsc::Receiver<Bytes>,
}

impl Subscription {
    /// The next message; none when the subscription was cut off.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.messages.recv().await
    }
}
