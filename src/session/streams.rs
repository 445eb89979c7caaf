//! Event streams that a client can come back to: numbered events, replay, and who holds the stream.

use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::Session;
use crate::error::Result;
use crate::secrets::{Signer, random_token};
use crate::store::{Shared, Subscription};

/// The stream of everything that belongs to no request.
pub const GET_STREAM: &str = "get";

/// Events that a stream keeps for a client that comes back.
const KEPT: usize = 256;

/// How long it keeps them after the last one.
const LIFETIME: Duration = Duration::from_secs(600);

/// How long it keeps them once all were written to a client that stayed: the last ones may still be lost on the way.
const WRITTEN_LIFETIME: Duration = Duration::from_secs(10);

/// How long a session's own stream keeps them, and its numbers: longer than the pause between two looks at it.
const SESSION_LIFETIME: Duration = Duration::from_secs(3600);

/// Keeps the events of streams.
#[derive(Clone, Debug)]
pub struct Streams {
    store: Shared,
    signer: std::sync::Arc<Signer>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the stream.
    pub number: u64,
    /// A JSON-RPC message.
    pub message: Bytes,
    /// Whether the stream ends with it.
    pub last: bool,
}

impl Streams {
    /// Streams in this store.
    #[must_use]
    pub fn new(store: Shared, signer: std::sync::Arc<Signer>) -> Self {
        Self { store, signer }
    }

    /// A name for a new stream.
    #[must_use]
    pub fn fresh() -> String {
        random_token("")
    }

    /// Adds an event, and tells those who follow the stream.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn append(&self, session: &Session, stream: &str, message: &Bytes, last: bool) -> Result<u64> {
        let mut entry = BytesMut::with_capacity(message.len() + 1);
        entry.put_u8(u8::from(last));
        entry.put_slice(message);
        let entry = entry.freeze();
        let key = key(session, stream);
        let lifetime = if stream == GET_STREAM { SESSION_LIFETIME } else { LIFETIME };
        let number = self.store.append(&key, entry.clone(), KEPT, lifetime).await?;
        let mut told = BytesMut::with_capacity(entry.len() + 8);
        told.put_u64(number);
        told.put_slice(&entry);
        self.store.publish(&key, told.freeze()).await?;
        Ok(number)
    }

    /// Keeps a stream only for a moment more, since all of it was written to its client.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn written(&self, session: &Session, stream: &str) -> Result<()> {
        self.store.touch(&key(session, stream), WRITTEN_LIFETIME).await?;
        Ok(())
    }

    /// The events after a place, and the ones to come.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn follow(&self, session: &Session, stream: &str, after: u64) -> Result<Option<(Vec<Entry>, Follower)>> {
        let key = key(session, stream);
        // Listening comes first, so that nothing falls between.
        let subscription = self.store.subscribe(&key).await?;
        let Some(kept) = self.store.read(&key, after).await? else {
            // Nothing was sent yet, as right after the first, empty event.
            return Ok((after == 0).then(|| (Vec::new(), Follower { subscription, last: 0 })));
        };
        let entries: Vec<Entry> = kept.into_iter().filter_map(|(number, bytes)| entry(number, &bytes)).collect();
        let last = entries.last().map_or(after, |entry| entry.number);
        Ok(Some((entries, Follower { subscription, last })))
    }

    /// The id of an event: opaque, and of no use in any other session.
    #[must_use]
    pub fn event_id(&self, session: &Session, stream: &str, number: u64) -> String {
        // It is good as long as the event is kept, and the same whenever the event is sent.
        let content = format!("{number}:{stream}");
        self.signer.seal(&["event", &session.owner, &session.id], content.as_bytes(), i64::MAX)
    }

    /// The stream and the place that an event id stands for, if it is of this session.
    #[must_use]
    pub fn place(&self, session: &Session, event_id: &str) -> Option<(String, u64)> {
        let bound = ["event", session.owner.as_str(), session.id.as_str()];
        let content = self.signer.open(&bound, event_id, 0).ok()?;
        let content = String::from_utf8(content).ok()?;
        let (number, stream) = content.split_once(':')?;
        Some((stream.to_owned(), number.parse().ok()?))
    }

    /// Takes a number for the session's one open stream; the highest holds it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn take_hold(&self, session: &Session) -> Result<u64> {
        self.store.append(&holders(session), Bytes::new(), 1, SESSION_LIFETIME).await
    }

    /// Keeps the numbers of a session's own stream while somebody holds it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn keep_hold(&self, session: &Session) -> Result<()> {
        self.store.touch(&holders(session), SESSION_LIFETIME).await?;
        self.store.touch(&key(session, GET_STREAM), SESSION_LIFETIME).await?;
        Ok(())
    }
}

/// Forgets a session's own stream, which nobody can come back to when the session is over.
///
/// # Errors
/// Those of the store.
pub(super) async fn forget(store: &Shared, session: &Session) -> Result<()> {
    store.remove(&holders(session)).await?;
    store.remove(&key(session, GET_STREAM)).await?;
    Ok(())
}

/// Events to come.
#[derive(Debug)]
pub struct Follower {
    subscription: Subscription,
    last: u64,
}

impl Follower {
    /// The next event; none when the follower was cut off.
    pub async fn next(&mut self) -> Option<Entry> {
        loop {
            let told = self.subscription.next().await?;
            let (number, rest) = told.split_at_checked(8)?;
            let number = u64::from_be_bytes(number.try_into().ok()?);
            if number > self.last {
                self.last = number;
                return entry(number, rest);
            }
        }
    }
}

fn entry(number: u64, bytes: &[u8]) -> Option<Entry> {
    let (last, message) = bytes.split_first()?;
    Some(Entry { number, message: Bytes::copy_from_slice(message), last: *last == 1 })
}

fn holders(session: &Session) -> String {
    format!("holders:{{{}}}", session.id)
}

fn key(session: &Session, stream: &str) -> String {
    format!("stream:{{{}}}:{stream}", session.id)
}
