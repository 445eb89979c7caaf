//! The shared home of the store: Redis, or what speaks its protocol.

mod config;
mod link;
mod listeners;
mod servers;
mod wire;

use std::future::Future;
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::{Cmd, ErrorKind, RedisError, RedisResult, Script};

pub use config::Config;

use self::link::Link;
use self::listeners::Listeners;
use self::servers::{Connection, Servers, within};
use super::{Condition, Numbered, Rate, Store, Subscription, Taken, check_size};
use crate::error::{Error, Result};
use crate::telemetry::metrics;

/// Puts a value where the key has exactly the one that is expected.
static PUT_WHERE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("put_where.lua")));

/// Adds to a log.
static APPEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("append.lua")));

/// Reads the end of a log.
static READ: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("read.lua")));

/// Takes units of a rate.
static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("take.lua")));

/// All state in Redis, shared by every replica with the same prefix.
///
/// Nobody connects before the first command.
#[derive(Debug)]
pub struct Redis {
    servers: Servers,
    prefix: String,
    link: OnceLock<Link>,
    listeners: OnceLock<Listeners>,
}

impl Redis {
    /// The store that a configuration describes.
    ///
    /// # Errors
    /// Every mistake, as the key within the section and a sentence.
    pub fn new(config: &Config) -> Result<Self, Vec<(String, String)>> {
        // The process has one provider of cryptography; whoever comes second finds it there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let servers = config.servers()?;
        Ok(Self { servers, prefix: config.prefix.clone(), link: OnceLock::new(), listeners: OnceLock::new() })
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Runs one command within its deadline. It is never repeated: it may have been carried out although it failed.
    async fn run<T, F>(&self, command: impl FnOnce(Connection) -> F) -> Result<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let link = self.link.get_or_init(|| Link::new(self.servers.clone()));
        let done = within(self.servers.deadline(), async { command(link.connection().await?).await }).await;
        done.map_err(|error| {
            link.doubt(&error);
            failed(&error)
        })
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        self.run(|mut connection| async move { command.query_async(&mut connection).await }).await
    }
}

/// What a caller is told. The cause is for the log: it may name hosts.
fn failed(error: &RedisError) -> Error {
    metrics::STORE_FAILURES.inc();
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension => tracing::warn!(%error, "the store refused a command"),
        _ => tracing::debug!(%error, "a command failed"),
    }
    if error.code() == Some("OOM") {
        return Error::Unavailable("the shared store is full: give it more memory, or use fewer sessions".into());
    }
    match error.kind() {
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Error::internal(error.clone()),
        _ => Error::Unavailable("the shared store does not answer at the moment; try again in a few seconds".into()),
    }
}

/// Redis counts in whole milliseconds, and takes none as a mistake.
fn milliseconds(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX / 2).max(1)
}

#[async_trait]
impl Store for Redis {
    fn is_shared(&self) -> bool {
        true
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let value: Option<Vec<u8>> = self.ask(redis::cmd("GET").arg(self.key(key))).await?;
        Ok(value.map(Bytes::from))
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration, condition: Condition) -> Result<bool> {
        check_size(&value)?;
        let (key, ttl) = (self.key(key), milliseconds(ttl));
        let value = value.as_ref();
        let done: redis::Value = match condition {
            Condition::Always => self.ask(redis::cmd("SET").arg(key).arg(value).arg("PX").arg(ttl)).await?,
            Condition::Absent => self.ask(redis::cmd("SET").arg(key).arg(value).arg("NX").arg("PX").arg(ttl)).await?,
            Condition::Is(expected) => {
                let mut put = PUT_WHERE.key(key);
                put.arg(expected.as_ref()).arg(value).arg(ttl);
                self.run(|mut connection| async move { put.invoke_async(&mut connection).await }).await?
            }
        };
        Ok(matches!(done, redis::Value::Okay | redis::Value::Int(1)))
    }

    async fn renew(&self, key: &str, ttl: Duration) -> Result<Option<Bytes>> {
        let value: Option<Vec<u8>> =
            self.ask(redis::cmd("GETEX").arg(self.key(key)).arg("PX").arg(milliseconds(ttl))).await?;
        Ok(value.map(Bytes::from))
    }

    async fn touch(&self, key: &str, ttl: Duration) -> Result<bool> {
        self.ask(redis::cmd("PEXPIRE").arg(self.key(key)).arg(milliseconds(ttl))).await
    }

    async fn remove(&self, key: &str) -> Result<bool> {
        self.ask(redis::cmd("DEL").arg(self.key(key))).await
    }

    async fn append(&self, key: &str, entry: Bytes, keep: usize, ttl: Duration) -> Result<u64> {
        check_size(&entry)?;
        let mut append = APPEND.key(self.key(key));
        append.arg(entry.as_ref()).arg(keep.max(1)).arg(milliseconds(ttl));
        self.run(|mut connection| async move { append.invoke_async(&mut connection).await }).await
    }

    async fn read(&self, key: &str, after: u64) -> Result<Option<Vec<Numbered>>> {
        let mut read = READ.key(self.key(key));
        read.arg(after);
        let found: Option<(u64, Vec<Vec<u8>>)> =
            self.run(|mut connection| async move { read.invoke_async(&mut connection).await }).await?;
        Ok(found.map(|(first, entries)| (first..).zip(entries.into_iter().map(Bytes::from)).collect()))
    }

    async fn end(&self, key: &str) -> Result<u64> {
        let last: Option<u64> = self.ask(redis::cmd("LINDEX").arg(self.key(key)).arg(0)).await?;
        Ok(last.unwrap_or_default())
    }

    async fn take(&self, key: &str, rate: Rate, units: u32, ahead: Duration) -> Result<Taken> {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX / 2);
        let mut take = TAKE.key(self.key(key));
        take.arg(micros(rate.time(units))).arg(micros(rate.time(rate.burst))).arg(micros(ahead));
        let (granted, wait, full): (bool, u64, u64) =
            self.run(|mut connection| async move { take.invoke_async(&mut connection).await }).await?;
        Ok(Taken { granted, wait: Duration::from_micros(wait), full: Duration::from_micros(full) })
    }

    async fn publish(&self, channel: &str, message: Bytes) -> Result<bool> {
        check_size(&message)?;
        let heard: u64 = self
            .ask(
                redis::cmd(if self.servers.is_cluster() { "SPUBLISH" } else { "PUBLISH" })
                    .arg(self.key(channel))
                    .arg(message.as_ref()),
            )
            .await?;
        Ok(heard > 0)
    }

    async fn subscribe(&self, channel: &str) -> Result<Subscription> {
        let listeners = self.listeners.get_or_init(|| Listeners::new(self.servers.clone()));
        let listening = listeners.listen(self.key(channel));
        within(self.servers.deadline(), listening).await.map_err(|error| failed(&error))
    }
}
