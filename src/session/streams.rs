//! Event streams that a client can come back to: numbered events, replay, and who holds the stream.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::Session;
use super::follower::Follower;
use super::presence::{Call, Presence};
use crate::error::Result;
use crate::mcp::envelope::Id;
use crate::secrets::{Signer, random_token};
use crate::store::Shared;

/// The stream of everything that belongs to no request: the changes that a session wants to hear of, by their numbers.
pub const GET_STREAM: &str = "get";

/// Events that a stream keeps for a client that comes back.
const KEPT: usize = 256;

/// How long it keeps them after the last one.
const LIFETIME: Duration = Duration::from_secs(600);

/// How long it keeps them once all were written to a client that stayed: the last ones may still be lost on the way.
const WRITTEN_LIFETIME: Duration = Duration::from_secs(10);

/// How long it is known who holds a session's own stream: longer than the pause between two looks at it.
const SESSION_LIFETIME: Duration = Duration::from_secs(3600);

/// Keeps the events of streams.
#[derive(Clone, Debug)]
pub struct Streams {
    pub(super) store: Shared,
    signer: Arc<Signer>,
    pub(super) presence: Arc<Presence>,
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
    pub fn new(store: Shared, signer: Arc<Signer>) -> Self {
        Self { presence: Presence::new(store.clone()), store, signer }
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
        let number = self.store.append(&key, entry.clone(), KEPT, LIFETIME).await?;
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

    /// Says that a call for these requests runs here and writes into a stream.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn begin(&self, session: &Session, stream: &str, requests: Vec<Id>) -> Result<Call> {
        self.presence.begin(session, stream, requests).await
    }

    /// Says that the call of a stream still runs here.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn keep(&self, session: &Session, stream: &str) -> Result<()> {
        self.presence.keep(session, stream).await
    }

    /// Says that the call of a stream is about to be answered, and whether it is still this replica's to answer.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn finish(&self, session: &Session, stream: &str, call: &Call) -> Result<bool> {
        self.presence.finish(session, stream, call).await
    }

    /// Says that this replica is gone: calls that still run here will not be answered.
    pub async fn leave(&self) {
        self.presence.leave().await;
    }

    /// The events after a place, and the ones to come; none where nothing is kept and nothing will come.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn follow(&self, session: &Session, stream: &str, after: u64) -> Result<Option<Follower>> {
        // Listening comes first, so that nothing falls between; a call that has ended by now has written all it will.
        let subscription = self.store.subscribe(&key(session, stream)).await?;
        let call = self.presence.find(session, stream).await?;
        let mut follower = Follower::new(self.clone(), session.clone(), stream.to_owned(), subscription, after);
        follower.catch_up().await?;
        Ok((call.is_some() || !follower.missed.is_empty()).then_some(follower))
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

    /// The number of whoever took hold last.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn holder(&self, session: &Session) -> Result<u64> {
        self.store.end(&holders(session)).await
    }

    /// Keeps the numbers of a session's own stream while somebody holds it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn keep_hold(&self, session: &Session) -> Result<()> {
        self.store.touch(&holders(session), SESSION_LIFETIME).await?;
        Ok(())
    }
}

/// Forgets who held a session's own stream.
///
/// # Errors
/// Those of the store.
pub(super) async fn forget(store: &Shared, session: &Session) -> Result<()> {
    store.remove(&holders(session)).await?;
    Ok(())
}

pub(super) fn entry(number: u64, bytes: &[u8]) -> Option<Entry> {
    let (last, message) = bytes.split_first()?;
    Some(Entry { number, message: Bytes::copy_from_slice(message), last: *last == 1 })
}

fn holders(session: &Session) -> String {
    format!("holders:{{{}}}", session.id)
}

pub(super) fn key(session: &Session, stream: &str) -> String {
    format!("stream:{{{}}}:{stream}", session.id)
}
