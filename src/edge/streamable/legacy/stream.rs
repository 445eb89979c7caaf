//! The streams of a GET: what belongs to no request, and streams that broke.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::super::{Accepts, header};
use super::{RETRY, session};
use crate::call::Context;
use crate::changes::{Change, Listener};
use crate::edge::events::{self, Frame, Frames};
use crate::edge::{Shared, reply};
use crate::error::Error;
use crate::mcp::envelope;
use crate::mcp::{Fault, Revision, Wanted};
use crate::session::{Entry, Follower, GET_STREAM, Session, Signal, Signals};

/// How often an open stream keeps its session alive.
const TOUCH_INTERVAL: Duration = Duration::from_secs(600);

/// `GET`: the stream of what belongs to no request, or one that broke.
pub(in crate::edge::streamable) async fn open(edge: Shared, context: Context, headers: &HeaderMap) -> Response {
    if header(headers, "mcp-session-id").is_none() {
        let mut refusal = reply::empty(StatusCode::METHOD_NOT_ALLOWED);
        // RFC 9110 §15.5.6.
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return refusal;
    }
    if !Accepts::new(headers).events {
        return reply::empty(StatusCode::NOT_ACCEPTABLE);
    }
    let session = match session(&edge, None, &context, headers).await {
        Ok(session) => session,
        Err(refusal) => return refusal,
    };
    let gone = || {
        let fault = Fault::invalid_request("there is no such event in this session (any more)");
        reply::json(StatusCode::NOT_FOUND, envelope::error(None, &fault))
    };
    let (stream, after) = match header(headers, "last-event-id") {
        None => (GET_STREAM.to_owned(), None),
        Some(id) => match edge.streams.place(&session, id) {
            Some((stream, number)) => (stream, Some(number)),
            None => return gone(),
        },
    };
    if stream == GET_STREAM {
        return match hold(edge, session, after, context).await {
            Ok(response) => response,
            Err(error) => reply::error(error),
        };
    }
    match edge.streams.follow(&session, &stream, after.unwrap_or(0)).await {
        Ok(Some((entries, follower))) => resume(edge, session, stream, entries, follower, context),
        Ok(None) => gone(),
        Err(error) => reply::error(error),
    }
}

/// Goes on with a stream that broke: what was missed, and then what comes.
fn resume(
    edge: Shared,
    session: Session,
    stream: String,
    entries: Vec<Entry>,
    mut follower: Follower,
    context: Context,
) -> Response {
    let (frames, receiver) = events::frames(edge.write_timeout());
    tokio::spawn(async move {
        let mut missed = entries.into_iter();
        let expired = context.expired();
        tokio::pin!(expired);
        loop {
            let entry = if let Some(entry) = missed.next() {
                Some(entry)
            } else {
                tokio::select! {
                    entry = follower.next() => entry,
                    () = frames.closed() => None,
                    () = &mut expired => None,
                    () = edge.draining.cancelled() => None,
                }
            };
            let Some(entry) = entry else { return };
            let id = edge.streams.event_id(&session, &stream, entry.number);
            if !frames.send(Frame { id: Some(id), ..Frame::message(entry.message) }).await {
                return;
            }
            if entry.last {
                if let Err(error) = edge.streams.written(&session, &stream).await {
                    tracing::warn!(%error, "a stream is kept longer than needed");
                }
                return;
            }
        }
    });
    events::response(receiver, "resumed")
}

/// Holds the one stream of a session that belongs to no request. The newest holder wins, so that each message goes out
/// once.
async fn hold(edge: Shared, session: Session, after: Option<u64>, context: Context) -> Result<Response, Error> {
    let signals = edge.sessions.signals(&session.id).await?;
    let listener = edge.engine.changes().listen().await?;
    let number = edge.streams.take_hold(&session).await?;
    edge.sessions.signal(&session.id, &Signal::Taken(number)).await?;
    let missed = match after {
        Some(after) => edge.streams.follow(&session, GET_STREAM, after).await?.map(|(entries, _)| entries),
        None => None,
    };
    let (frames, receiver) = events::frames(edge.write_timeout());
    let holder = Holder { edge, session, number, context, frames };
    tokio::spawn(holder.hold(missed.unwrap_or_default(), signals, listener));
    Ok(events::response(receiver, "session"))
}

struct Holder {
    edge: Shared,
    session: Session,
    number: u64,
    context: Context,
    frames: Frames,
}

impl Holder {
    async fn hold(mut self, missed: Vec<Entry>, mut signals: Signals, mut listener: Listener) {
        let mut wanted = Wanted::lists_and(self.session.subscriptions.clone());
        let mut touch = tokio::time::interval(TOUCH_INTERVAL);
        let first = self.edge.streams.event_id(&self.session, GET_STREAM, 0);
        let frame = Frame { id: Some(first), retry: Some(RETRY), ..Frame::default() };
        if self.session.revision >= Revision::V2025_11_25 && !self.frames.send(frame).await {
            return;
        }
        for entry in missed {
            if !self.send(entry.number, entry.message).await {
                return;
            }
        }
        let context = self.context.clone();
        let expired = context.expired();
        tokio::pin!(expired);
        loop {
            tokio::select! {
                change = listener.next() => {
                    let Some(change) = change else { return };
                    if wanted.includes(&change) && !self.tell(&change).await {
                        return;
                    }
                }
                signal = signals.next() => match signal {
                    Some(Signal::Taken(number)) if number > self.number => return,
                    Some(Signal::Ended) | None => return,
                    Some(Signal::Resubscribed) => match self.refresh().await {
                        Some(subscriptions) => wanted = Wanted::lists_and(subscriptions),
                        None => return,
                    },
                    Some(_) => {}
                },
                _ = touch.tick() => if self.refresh().await.is_none() { return },
                () = self.frames.closed() => return,
                () = &mut expired => return,
                () = self.edge.draining.cancelled() => return,
            }
        }
    }

    /// Looks at the session again, which keeps it alive; none when it is over.
    async fn refresh(&mut self) -> Option<BTreeSet<String>> {
        let found = self.edge.sessions.find(&self.session.id, &self.context.caller).await;
        if let Err(error) = self.edge.streams.keep_hold(&self.session).await {
            tracing::warn!(%error, "the numbers of a stream cannot be kept");
        }
        match found {
            Ok(Some(session)) => {
                self.session = session;
                Some(self.session.subscriptions.clone())
            }
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, "a session cannot be looked at");
                Some(self.session.subscriptions.clone())
            }
        }
    }

    async fn tell(&self, change: &Change) -> bool {
        let Some((method, params)) = change.notification() else { return true };
        let message = envelope::notification(method, &params);
        match self.edge.streams.append(&self.session, GET_STREAM, &message, false).await {
            Ok(number) => self.send(number, message).await,
            Err(error) => {
                tracing::warn!(%error, "an event cannot be kept");
                self.frames.send(Frame::message(message)).await
            }
        }
    }

    async fn send(&self, number: u64, message: Bytes) -> bool {
        let id = self.edge.streams.event_id(&self.session, GET_STREAM, number);
        self.frames.send(Frame { id: Some(id), ..Frame::message(message) }).await
    }
}
