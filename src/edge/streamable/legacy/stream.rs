//! The streams of a GET: what belongs to no request, and streams that broke.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::response::Response;
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
use crate::mcp::{Fault, Revision};
use crate::session::{Follower, GET_STREAM, Heard, Session, Signal, Signals};

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
        Ok(Some(follower)) => resume(edge, session, stream, follower, context),
        Ok(None) => gone(),
        Err(error) => reply::error(error),
    }
}

/// Goes on with a stream that broke: what was missed, and then what comes.
fn resume(edge: Shared, session: Session, stream: String, mut follower: Follower, context: Context) -> Response {
    let (frames, receiver) = events::frames(edge.write_timeout());
    tokio::spawn(async move {
        let expired = context.expired();
        tokio::pin!(expired);
        loop {
            let entry = tokio::select! {
                entry = follower.next() => entry,
                () = frames.closed() => None,
                () = &mut expired => None,
                () = edge.closing.cancelled() => {
                    let id = edge.streams.event_id(&session, &stream, follower.last());
                    frames.send(Frame { id: Some(id), retry: Some(RETRY), ..Frame::default() }).await;
                    return;
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
    let changes = edge.engine.changes();
    let listener = match after {
        Some(after) => changes.listen_after(after).await?,
        None => changes.listen().await?,
    };
    let number = edge.streams.take_hold(&session).await?;
    edge.sessions.signal(&session.id, &Signal::Taken(number)).await?;
    let (frames, receiver) = events::frames(edge.write_timeout());
    let holder = Holder { edge, session, number, context, frames };
    tokio::spawn(holder.hold(signals, listener));
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
    async fn hold(mut self, mut signals: Signals, mut listener: Listener) {
        let mut wanted = self.edge.engine.lists_and(self.session.subscriptions.clone());
        let mut touch = tokio::time::interval(TOUCH_INTERVAL);
        if !self.invite(listener.last()).await {
            return;
        }
        let context = self.context.clone();
        let expired = context.expired();
        tokio::pin!(expired);
        loop {
            tokio::select! {
                // What is wanted comes before what happens.
                biased;
                heard = signals.next() => match heard {
                    Heard::Signal(Signal::Taken(number)) if number > self.number => return,
                    Heard::Signal(Signal::Ended) => return,
                    Heard::Gap if self.was_taken().await => return,
                    Heard::Signal(Signal::Resubscribed) | Heard::Gap => match self.refresh().await {
                        Some(subscriptions) => wanted = self.edge.engine.lists_and(subscriptions),
                        None => return,
                    },
                    Heard::Signal(_) => {}
                },
                heard = listener.next() => for change in wanted.told(heard) {
                    if !self.tell(listener.last(), &change).await {
                        return;
                    }
                },
                _ = touch.tick() => if self.refresh().await.is_none() { return },
                () = self.frames.closed() => return,
                () = &mut expired => return,
                () = self.edge.closing.cancelled() => {
                    self.invite(listener.last()).await;
                    return;
                }
            }
        }
    }

    /// Gives the client an id to come back with, and the time to wait before, as 2025-11-25 does.
    async fn invite(&self, number: u64) -> bool {
        if self.session.revision < Revision::V2025_11_25 {
            return true;
        }
        let id = self.edge.streams.event_id(&self.session, GET_STREAM, number);
        self.frames.send(Frame { id: Some(id), retry: Some(RETRY), ..Frame::default() }).await
    }

    /// Whether a newer stream took over while nothing could be heard.
    async fn was_taken(&self) -> bool {
        self.edge.streams.holder(&self.session).await.is_ok_and(|number| number > self.number)
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

    async fn tell(&self, number: u64, change: &Change) -> bool {
        let Some((method, params)) = change.notification() else { return true };
        let id = self.edge.streams.event_id(&self.session, GET_STREAM, number);
        let message = envelope::notification(method, &params);
        self.frames.send(Frame { id: Some(id), ..Frame::message(message) }).await
    }
}
