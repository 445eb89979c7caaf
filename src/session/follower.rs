//! Events to come of a stream that broke, for as long as somebody lives who will write them.

use std::collections::VecDeque;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::presence::LOOK;
use super::streams::{entry, key};
use super::{Entry, Session, Streams};
use crate::error::{Error, Result};
use crate::mcp::Fault;
use crate::mcp::envelope;
use crate::store::{Subscription, listen_again};

/// Follows one stream.
#[derive(Debug)]
pub struct Follower {
    streams: Streams,
    session: Session,
    stream: String,
    subscription: Subscription,
    last: u64,
    pub(super) missed: VecDeque<Entry>,
    /// It has not looked yet at what was written while it could not listen.
    behind: bool,
    /// The replica that runs the call did not say that it lives when it was looked at last.
    suspected: bool,
    look: Interval,
}

impl Follower {
    pub(super) fn new(
        streams: Streams,
        session: Session,
        stream: String,
        subscription: Subscription,
        last: u64,
    ) -> Self {
        let mut look = interval_at(Instant::now() + LOOK, LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (missed, behind, suspected) = (VecDeque::new(), false, false);
        Self { streams, session, stream, subscription, last, missed, behind, suspected, look }
    }

    /// The number of the last event.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The next event; none when there will be no more.
    pub async fn next(&mut self) -> Option<Entry> {
        loop {
            if self.behind && self.catch_up().await.is_ok() {
                self.behind = false;
            }
            if let Some(entry) = self.missed.pop_front() {
                self.last = entry.number;
                return Some(entry);
            }
            tokio::select! {
                told = self.subscription.next() => {
                    let Some(told) = told else {
                        self.behind = true;
                        self.subscription = listen_again(&self.streams.store, &key(&self.session, &self.stream)).await;
                        continue;
                    };
                    let (number, rest) = told.split_at_checked(8)?;
                    let number = u64::from_be_bytes(number.try_into().ok()?);
                    if number > self.last {
                        self.last = number;
                        return entry(number, rest);
                    }
                }
                _ = self.look.tick() => match self.somebody_writes().await {
                    Ok(true) => {}
                    Ok(false) => return None,
                    // While the store is away nobody can say.
                    Err(error) => tracing::debug!(%error, "it is not known whether a call still runs"),
                }
            }
        }
    }

    /// Takes up what was written after the last event.
    pub(super) async fn catch_up(&mut self) -> Result<()> {
        let kept = self.streams.store.read(&key(&self.session, &self.stream), self.last).await?.unwrap_or_default();
        self.missed = kept.into_iter().filter_map(|(number, bytes)| entry(number, &bytes)).collect();
        Ok(())
    }

    /// Whether there will be more events. Ends the call of a replica that died: with an error, in its place.
    async fn somebody_writes(&mut self) -> Result<bool> {
        let presence = self.streams.presence.clone();
        let Some(call) = presence.find(&self.session, &self.stream).await? else {
            self.catch_up().await?;
            return Ok(!self.missed.is_empty());
        };
        if presence.lives(&call).await? {
            self.suspected = false;
            return Ok(true);
        }
        if !std::mem::replace(&mut self.suspected, true) {
            return Ok(true);
        }
        if presence.give_up(&self.session, &self.stream, &call).await? {
            tracing::warn!("a call is lost with the replica that ran it");
            let fault = Fault::from(Error::Unavailable(
                "the replica that ran this call is gone, and how far it came is not known: look before you call again"
                    .into(),
            ));
            for (place, id) in call.requests.iter().enumerate() {
                let answer = envelope::error(Some(id), &fault);
                let last = place + 1 == call.requests.len();
                self.streams.append(&self.session, &self.stream, &answer, last).await?;
            }
        }
        self.behind = true;
        Ok(true)
    }
}
