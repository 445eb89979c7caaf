//! What replicas share, behind one trait. In the embedded home it is lost with its process; in Redis it outlives all of them.

mod memory;
mod rate;
mod redis;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::error::{Error, Result};

pub use self::memory::Memory;
pub use self::rate::{Rate, Taken};
pub use self::redis::{Config as RedisConfig, Redis};

/// The store, as every part holds it.
pub type Shared = Arc<dyn Store>;

/// Bytes of the largest value, entry or message.
pub const MOST_VALUE_BYTES: usize = 8 * 1024 * 1024;

/// Messages that may wait for one listener before it is cut off.
const BACKLOG: usize = 256;

/// Between two tries to listen, while the store is away.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);

/// What replicas share.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Bytes that sessions, streams and kept answers may take in this process. Not for Redis, which has its own `maxmemory`.
    #[schemars(range(min = 1))]
    pub most_bytes: usize,
    /// Where several replicas keep it together: Redis 6.2 or newer, or what speaks its protocol. Needs `signing_key`.
    pub redis: RedisConfig,
}

impl Config {
    /// The store that is configured, which nobody connects to before it is used.
    ///
    /// # Errors
    /// Every mistake, as the key within the section and a sentence.
    pub fn open(&self) -> Result<Shared, Vec<(String, String)>> {
        if !self.redis.is_on() {
            return Ok(Arc::new(Memory::new(self.most_bytes)));
        }
        let inside = |(key, message)| (format!("redis.{key}"), message);
        let redis = Redis::new(&self.redis).map_err(|mistakes| mistakes.into_iter().map(inside).collect::<Vec<_>>())?;
        Ok(Arc::new(redis))
    }
}

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
/// Every key expires, and is either a value or a log. A failure may come after the change was made. A channel delivers to those who listen at the moment, and to nobody else.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Whether other processes see what is in it.
    fn is_shared(&self) -> bool;

    /// The value of a key, if it has one that did not expire.
    async fn get(&self, key: &str) -> Result<Option<Bytes>>;

    /// Sets a value for `ttl`, and says whether the condition held.
    async fn put(&self, key: &str, value: Bytes, ttl: Duration, condition: Condition) -> Result<bool>;

    /// The value of a key, which then lives for another `ttl`.
    async fn renew(&self, key: &str, ttl: Duration) -> Result<Option<Bytes>>;

    /// Lets a value or log live for another `ttl`, and says whether it was there.
    async fn touch(&self, key: &str, ttl: Duration) -> Result<bool>;

    /// Removes a value or log, and says whether it was there.
    async fn remove(&self, key: &str) -> Result<bool>;

    /// Adds to the end of a log, which keeps its last `keep` entries and lives for `ttl` from now.
    async fn append(&self, key: &str, entry: Bytes, keep: usize, ttl: Duration) -> Result<u64>;

    /// The entries of a log after number `after`, oldest first; none where there is no such log.
    async fn read(&self, key: &str, after: u64) -> Result<Option<Vec<Numbered>>>;

    /// The number of the last entry of a log; 0 where there is no such log.
    async fn end(&self, key: &str) -> Result<u64>;

    /// Takes units of a rate, all or none. Those that come within `ahead` can be taken before they are there: whoever takes
    /// them waits before using them.
    async fn take(&self, key: &str, rate: Rate, units: u32, ahead: Duration) -> Result<Taken>;

    /// Sends a message to all who listen to the channel now, and says whether anybody does.
    async fn publish(&self, channel: &str, message: Bytes) -> Result<bool>;

    /// Listens to a channel until the subscription is dropped.
    ///
    /// When this returns, every later message arrives. A listener that falls far behind is cut off, and so are
    /// all when messages may have been missed: the subscription ends, and the listener must look at the state again.
    async fn subscribe(&self, channel: &str) -> Result<Subscription>;
}

/// Messages of one channel, in order.
#[derive(Debug)]
pub struct Subscription {
    messages: mpsc::Receiver<Bytes>,
}

impl Subscription {
    fn new(messages: mpsc::Receiver<Bytes>) -> Self {
        Self { messages }
    }

    /// The next message; none when the subscription was cut off.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.messages.recv().await
    }
}

/// Listens to a channel as soon as the store is there (again).
pub async fn listen_again(store: &Shared, channel: &str) -> Subscription {
    loop {
        match store.subscribe(channel).await {
            Ok(subscription) => return subscription,
            Err(error) => tracing::debug!(%error, "nothing can be heard at the moment"),
        }
        tokio::time::sleep(LISTEN_PAUSE).await;
    }
}

/// Refuses what is too large for any home.
fn check_size(value: &Bytes) -> Result<()> {
    if value.len() <= MOST_VALUE_BYTES {
        return Ok(());
    }
    Err(Error::Unavailable(format!("{} bytes are more than the store takes at once ({MOST_VALUE_BYTES})", value.len())))
}
