//! 2025-03-26 to 2025-11-25: sessions, streams that can be taken up again, batches.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::poll;
use http::header::ALLOW;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::{mpsc, oneshot};

use super::super::events::{self, Frame};
use super::super::{Edge, Shared, reply};
use super::{Accepts, header};
use crate::call::Context;
use crate::changes::{Change, Listener};
use crate::error::Error;
use crate::mcp::envelope::{self, Id, Message};
use crate::mcp::{Fault, Revision, Wanted};
use crate::session::{Entry, GET_STREAM, Outgoing, Session, Signal, Signals, Streams};

/// After so long without an answer a stream is opened, which the client can take up again if it breaks.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long a client should wait before it comes back, in milliseconds.
const RETRY: u64 = 1_000;

/// How often an open stream keeps its session alive.
const TOUCH_INTERVAL: Duration = Duration::from_secs(600);

/// The responses of a POST: one, or those of a batch.
type Run = Pin<Box<dyn Future<Output = Vec<Bytes>> + Send>>;

/// `initialize`: begins a session.
pub(super) async fn initialize(edge: &Edge, id: &Id, params: &Bytes, context: &Context) -> Response {
    match edge.sessions.begin(params, &context.caller).await {
        Ok((session, result)) => {
            let mut response = reply::json(StatusCode::OK, envelope::result(id, result.to_string().as_bytes()));
            if let Ok(value) = HeaderValue::try_from(&session.id) {
                response.headers_mut().insert("mcp-session-id", value);
            }
            response
        }
        Err(fault) if fault.code == -32602 => reply::fault(Some(id), &fault, Revision::NEWEST_LEGACY),
        Err(fault) => {
            let error = Error::Unavailable(format!("no session can be begun now: {}", fault.message));
            reply::error(error)
        }
    }
}

/// The session of a request: the one its header names, if it is the caller's and speaks the revision it says.
async fn session(edge: &Edge, id: Option<&Id>, context: &Context, headers: &HeaderMap) -> Result<Session, Response> {
    let refuse = |status: StatusCode, message: &str| {
        Err(reply::json(status, envelope::error(id, &Fault::invalid_request(message))))
    };
    let Some(name) = header(headers, "mcp-session-id") else {
        if header(headers, "mcp-protocol-version") == Some("2026-07-28") {
            return refuse(
                StatusCode::BAD_REQUEST,
                "2026-07-28 takes one request or notification at a time, and no responses",
            );
        }
        return refuse(
            StatusCode::BAD_REQUEST,
            "neither a session nor a revision is named: begin with `initialize` and send the header `Mcp-Session-Id`, or \
             send `_meta` as 2026-07-28 asks",
        );
    };
    let session = match edge.sessions.find(name, &context.caller).await {
        Ok(Some(session)) => session,
        Ok(None) => {
            return refuse(StatusCode::NOT_FOUND, "there is no such session (any more): begin with `initialize`");
        }
        Err(error) => return Err(reply::error(error)),
    };
    match header(headers, "mcp-protocol-version") {
        None => Ok(session),
        Some(version) if Revision::named(version).is_some_and(|revision| !revision.is_modern()) => Ok(session),
        Some(_) => refuse(StatusCode::BAD_REQUEST, "the header `MCP-Protocol-Version` names no revision of sessions"),
    }
}

/// A request in a session.
pub(super) async fn request(
    edge: Shared,
    id: Id,
    method: String,
    params: Bytes,
    context: Context,
    headers: &HeaderMap,
    accepts: Accepts,
) -> Response {
    let session = match session(&edge, Some(&id), &context, headers).await {
        Ok(session) => session,
        Err(refusal) => return refusal,
    };
    let session = if accepts.events { session } else { session.without_questions() };
    let (sink, outgoing) = mpsc::channel(64);
    let (sessions, within) = (edge.sessions.clone(), session.clone());
    let run = Box::pin(async move {
        let answer = sessions.answer(&within, &id, &method, &params, context, &sink).await;
        answer.into_iter().collect()
    });
    reply_to_post(edge, session, run, outgoing, false, accepts).await
}

/// Several messages at once, which only 2025-03-26 knows.
pub(super) async fn batch(
    edge: &Shared,
    items: Vec<Result<Message, (Option<Id>, Fault)>>,
    context: Context,
    headers: &HeaderMap,
    accepts: Accepts,
) -> Response {
    let session = match session(edge, None, &context, headers).await {
        Ok(session) => session,
        Err(refusal) => return refusal,
    };
    if session.revision != Revision::V2025_03_26 {
        let fault = Fault::invalid_request("batches belong to 2025-03-26; send one message at a time");
        return reply::json(StatusCode::BAD_REQUEST, envelope::error(None, &fault));
    }
    let session = if accepts.events { session } else { session.without_questions() };
    let (sink, outgoing) = mpsc::channel(64);
    let mut answers: Vec<Pin<Box<dyn Future<Output = Option<Bytes>> + Send>>> = Vec::new();
    for item in items {
        match item {
            Ok(Message::Request { id, method, params }) => {
                let (sessions, within, context, sink) =
                    (edge.sessions.clone(), session.clone(), context.clone(), sink.clone());
                let context = Context { cancelled: tokio_util::sync::CancellationToken::new(), ..context };
                answers.push(Box::pin(async move {
                    if method == "initialize" {
                        let fault = Fault::invalid_request("`initialize` stands alone, not in a batch");
                        return Some(envelope::error(Some(&id), &fault));
                    }
                    sessions.answer(&within, &id, &method, &params, context, &sink).await
                }));
            }
            Ok(Message::Notification { method, params }) => notify(edge, &session, &method, &params).await,
            Ok(Message::Response { id, result }) => take_answer(edge, &session, &id, result).await,
            Err((id, fault)) => answers.push(Box::pin(async move { Some(envelope::error(id.as_ref(), &fault)) })),
        }
    }
    drop(sink);
    if answers.is_empty() {
        return reply::empty(StatusCode::ACCEPTED);
    }
    let run = Box::pin(async move { join_all(answers).await.into_iter().flatten().collect() });
    reply_to_post(edge.clone(), session, run, outgoing, true, accepts).await
}

/// What the first moments of a call turned out to be.
enum First {
    Done(Vec<Bytes>),
    Stream(mpsc::Receiver<Frame>),
}

/// Answers with JSON what is done soon and says nothing before; opens a stream for everything else.
///
/// The call goes on when the connection breaks: that is no cancellation in these revisions.
async fn reply_to_post(
    edge: Shared,
    session: Session,
    mut run: Run,
    mut outgoing: mpsc::Receiver<Outgoing>,
    batch: bool,
    accepts: Accepts,
) -> Response {
    let mut done = match poll!(&mut run) {
        Poll::Ready(answers) => Some(answers),
        Poll::Pending => None,
    };
    let mut first = outgoing.try_recv().ok();
    if accepts.json
        && first.is_none()
        && let Some(answers) = done.take()
    {
        return as_json(&answers, batch);
    }
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        if accepts.events && first.is_none() && done.is_none() {
            tokio::select! {
                biased;
                message = outgoing.recv() => first = message,
                answers = &mut run => done = Some(answers),
                () = tokio::time::sleep(PATIENCE) => {}
            }
        }
        // Whoever takes JSON only gets nothing before the answer.
        while done.is_none() && !accepts.events {
            tokio::select! {
                biased;
                Some(_) = outgoing.recv() => {}
                answers = &mut run => done = Some(answers),
            }
        }
        if first.is_none() {
            first = outgoing.try_recv().ok().filter(|_| accepts.events);
        }
        if first.is_none()
            && accepts.json
            && let Some(answers) = done.take()
        {
            let _ = tell.send(First::Done(answers));
            return;
        }
        let (frames, receiver) = mpsc::channel(16);
        let _ = tell.send(First::Stream(receiver));
        Writer { edge, session, stream: Streams::fresh(), frames: Some(frames) }
            .write(first, outgoing, run, done)
            .await;
    });
    match told.await {
        Ok(First::Done(answers)) => as_json(&answers, batch),
        Ok(First::Stream(frames)) => events::response(frames, "call"),
        Err(_) => reply::error(Error::internal("a call ended without an answer")),
    }
}

fn as_json(answers: &[Bytes], batch: bool) -> Response {
    match answers {
        // The client withdrew it, and waits for nothing.
        [] => reply::empty(StatusCode::ACCEPTED),
        [answer] if !batch => reply::json(StatusCode::OK, answer.clone()),
        answers => {
            let mut array = vec![b'['];
            for (place, answer) in answers.iter().enumerate() {
                if place > 0 {
                    array.push(b',');
                }
                array.extend_from_slice(answer);
            }
            array.push(b']');
            reply::json(StatusCode::OK, array.into())
        }
    }
}

/// Writes a stream to its client, and into the store for the case that the client has to come back.
struct Writer {
    edge: Shared,
    session: Session,
    stream: String,
    /// None when the client is not there (any more).
    frames: Option<mpsc::Sender<Frame>>,
}

impl Writer {
    async fn write(
        mut self,
        first: Option<Outgoing>,
        mut outgoing: mpsc::Receiver<Outgoing>,
        mut run: Run,
        mut done: Option<Vec<Bytes>>,
    ) {
        if self.session.revision >= Revision::V2025_11_25 {
            // An id to come back with, before anything else happens.
            let id = self.edge.streams.event_id(&self.session, &self.stream, 0);
            self.send(Frame { id: Some(id), retry: Some(RETRY), ..Frame::default() }).await;
        }
        if let Some(outgoing) = first {
            self.pass_on(outgoing).await;
        }
        while done.is_none() {
            tokio::select! {
                biased;
                Some(message) = outgoing.recv() => self.pass_on(message).await,
                answers = &mut run => done = Some(answers),
            }
        }
        while let Ok(message) = outgoing.try_recv() {
            self.pass_on(message).await;
        }
        let answers = done.unwrap_or_default();
        let count = answers.len();
        for (place, answer) in answers.into_iter().enumerate() {
            self.event(answer, place + 1 == count).await;
        }
    }

    async fn pass_on(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Message(message) => self.event(message, false).await,
            // The client comes back for the rest, so it needs an id to come back with.
            Outgoing::Close if self.session.revision >= Revision::V2025_11_25 => self.frames = None,
            Outgoing::Close => {}
        }
    }

    async fn event(&mut self, message: Bytes, last: bool) {
        let id = match self.edge.streams.append(&self.session, &self.stream, &message, last).await {
            Ok(number) => Some(self.edge.streams.event_id(&self.session, &self.stream, number)),
            Err(error) => {
                tracing::warn!(%error, "an event cannot be kept");
                None
            }
        };
        self.send(Frame { id, ..Frame::message(message) }).await;
    }

    async fn send(&mut self, frame: Frame) {
        if let Some(frames) = &self.frames
            && frames.send(frame).await.is_err()
        {
            self.frames = None;
        }
    }
}

/// A notification: of a session, or of a client that needs none.
pub(super) async fn notification(
    edge: &Edge,
    method: &str,
    params: &Bytes,
    context: &Context,
    headers: &HeaderMap,
) -> Response {
    if header(headers, "mcp-session-id").is_none() && header(headers, "mcp-protocol-version") == Some("2026-07-28") {
        // Clients of 2026-07-28 cancel by closing the stream; there is nothing else they notify of.
        return reply::empty(StatusCode::ACCEPTED);
    }
    match session(edge, None, context, headers).await {
        Ok(session) => {
            notify(edge, &session, method, params).await;
            reply::empty(StatusCode::ACCEPTED)
        }
        Err(refusal) => refusal,
    }
}

async fn notify(edge: &Edge, session: &Session, method: &str, params: &Bytes) {
    if let Err(error) = edge.sessions.take_notification(session, method, params).await {
        tracing::warn!(%error, "a notification of a client is lost");
    }
}

/// The client's answer to a request of ours, for whichever replica waits for it.
pub(super) async fn response(
    edge: &Edge,
    id: &Id,
    result: Result<Bytes, Bytes>,
    context: &Context,
    headers: &HeaderMap,
) -> Response {
    match session(edge, None, context, headers).await {
        Ok(session) => {
            take_answer(edge, &session, id, result).await;
            reply::empty(StatusCode::ACCEPTED)
        }
        Err(refusal) => refusal,
    }
}

async fn take_answer(edge: &Edge, session: &Session, id: &Id, result: Result<Bytes, Bytes>) {
    if let Err(error) = edge.sessions.take_answer(session, id, result).await {
        tracing::warn!(%error, "an answer of a client is lost");
    }
}

/// `DELETE`: ends a session.
pub(super) async fn end(edge: &Edge, context: &Context, headers: &HeaderMap) -> Response {
    let session = match session(edge, None, context, headers).await {
        Ok(session) => session,
        Err(refusal) => return refusal,
    };
    match edge.sessions.end(&session).await {
        Ok(()) => reply::empty(StatusCode::NO_CONTENT),
        Err(error) => reply::error(error),
    }
}

/// `GET`: the stream of what belongs to no request, or one that broke.
pub(super) async fn stream(edge: Shared, context: Context, headers: &HeaderMap) -> Response {
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
        Ok(Some((entries, follower))) => resume(edge, session, stream, entries, follower),
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
    mut follower: crate::session::Follower,
) -> Response {
    let (frames, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        let mut missed = entries.into_iter();
        loop {
            let entry = if let Some(entry) = missed.next() {
                Some(entry)
            } else {
                tokio::select! {
                    entry = follower.next() => entry,
                    () = frames.closed() => None,
                    () = edge.draining.cancelled() => None,
                }
            };
            let Some(entry) = entry else { return };
            let id = edge.streams.event_id(&session, &stream, entry.number);
            if frames.send(Frame { id: Some(id), ..Frame::message(entry.message) }).await.is_err() || entry.last {
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
    let (frames, receiver) = mpsc::channel(16);
    let holder = Holder { edge, session, number, context, frames };
    tokio::spawn(holder.hold(missed.unwrap_or_default(), signals, listener));
    Ok(events::response(receiver, "session"))
}

struct Holder {
    edge: Shared,
    session: Session,
    number: u64,
    context: Context,
    frames: mpsc::Sender<Frame>,
}

impl Holder {
    async fn hold(mut self, missed: Vec<Entry>, mut signals: Signals, mut listener: Listener) {
        let mut wanted = Wanted::lists_and(self.session.subscriptions.clone());
        let mut touch = tokio::time::interval(TOUCH_INTERVAL);
        let first = self.edge.streams.event_id(&self.session, GET_STREAM, 0);
        let frame = Frame { id: Some(first), retry: Some(RETRY), ..Frame::default() };
        if self.session.revision >= Revision::V2025_11_25 && self.frames.send(frame).await.is_err() {
            return;
        }
        for entry in missed {
            if !self.send(entry.number, entry.message).await {
                return;
            }
        }
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
                () = self.edge.draining.cancelled() => return,
            }
        }
    }

    /// Looks at the session again, which keeps it alive; none when it is over.
    async fn refresh(&mut self) -> Option<std::collections::BTreeSet<String>> {
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
                self.frames.send(Frame::message(message)).await.is_ok()
            }
        }
    }

    async fn send(&self, number: u64, message: Bytes) -> bool {
        let id = self.edge.streams.event_id(&self.session, GET_STREAM, number);
        self.frames.send(Frame { id: Some(id), ..Frame::message(message) }).await.is_ok()
    }
}
