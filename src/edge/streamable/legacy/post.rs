//! The reply to a POST: JSON for what is done soon, else a stream that can be taken up again.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use futures_util::poll;
use http::StatusCode;
use tokio::sync::{mpsc, oneshot};

use super::super::Accepts;
use super::RETRY;
use crate::edge::events::{self, Frame, Frames};
use crate::edge::{Shared, reply};
use crate::error::Error;
use crate::mcp::Revision;
use crate::mcp::envelope::Id;
use crate::session::{Outgoing, Session, Streams};

/// After so long without an answer a stream is opened, which the client can take up again if it breaks.
const PATIENCE: Duration = Duration::from_millis(250);

/// How often it is said that a call still runs: more often than that is forgotten.
const KEEP_INTERVAL: Duration = Duration::from_secs(300);

/// The responses of a POST: one, or those of a batch.
pub(super) type Run = Pin<Box<dyn Future<Output = Vec<Bytes>> + Send>>;

/// What was posted.
pub(super) struct Posted {
    pub(super) session: Session,
    /// The requests that want an answer.
    pub(super) requests: Vec<Id>,
    pub(super) batch: bool,
    pub(super) accepts: Accepts,
}

/// Answers with JSON what is done soon and says nothing before; opens a stream for everything else.
///
/// The call goes on when the connection breaks: that is no cancellation in these revisions.
pub(super) async fn answer(
    edge: Shared,
    posted: Posted,
    mut run: Run,
    mut outgoing: mpsc::Receiver<Outgoing>,
) -> Response {
    let Posted { session, requests, batch, accepts } = posted;
    let mut done = match poll!(&mut run) {
        Poll::Ready(answers) => Some(answers),
        Poll::Pending => None,
    };
    let mut first = outgoing.try_recv().ok().filter(|_| accepts.events);
    if accepts.json
        && first.is_none()
        && let Some(answers) = done.take()
    {
        return as_json(&answers, batch);
    }
    let (tell, told) = oneshot::channel();
    let calls = edge.calls.clone();
    calls.spawn(async move {
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
        let (frames, receiver) = events::frames(edge.write_timeout());
        let _ = tell.send(First::Stream(receiver));
        Writer { edge, session, stream: Streams::fresh(), last: 0, frames: Some(frames) }
            .write(requests, first, outgoing, run, done)
            .await;
    });
    match told.await {
        Ok(First::Done(answers)) => as_json(&answers, batch),
        Ok(First::Stream(frames)) => events::response(frames, "call"),
        Err(_) => reply::error(Error::internal("a call ended without an answer")),
    }
}

/// What the first moments of a call turned out to be.
enum First {
    Done(Vec<Bytes>),
    Stream(mpsc::Receiver<Frame>),
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
    /// The number of the last event.
    last: u64,
    /// None when the client is not there (any more).
    frames: Option<Frames>,
}

impl Writer {
    async fn write(
        mut self,
        requests: Vec<Id>,
        first: Option<Outgoing>,
        mut outgoing: mpsc::Receiver<Outgoing>,
        mut run: Run,
        mut done: Option<Vec<Bytes>>,
    ) {
        let call = match self.edge.streams.begin(&self.session, &self.stream, requests).await {
            Ok(call) => Some(call),
            Err(error) => {
                tracing::warn!(%error, "a stream cannot be taken up again");
                None
            }
        };
        // An id to come back with, before anything else happens.
        self.invite().await;
        if let Some(outgoing) = first {
            self.pass_on(outgoing).await;
        }
        let closing = self.edge.closing.clone();
        let mut keep = tokio::time::interval(KEEP_INTERVAL);
        keep.reset();
        while done.is_none() {
            tokio::select! {
                biased;
                Some(message) = outgoing.recv() => self.pass_on(message).await,
                answers = &mut run => done = Some(answers),
                // The client goes on elsewhere, while the call goes on here.
                () = closing.cancelled(), if self.can_be_handed_over() => {
                    self.invite().await;
                    self.frames = None;
                }
                _ = keep.tick() => if let Err(error) = self.edge.streams.keep(&self.session, &self.stream).await {
                    tracing::warn!(%error, "it may be forgotten that a call runs here");
                }
            }
        }
        while let Ok(message) = outgoing.try_recv() {
            self.pass_on(message).await;
        }
        let answers = done.unwrap_or_default();
        let count = answers.len();
        let ours = match &call {
            // Where nobody can say, nobody can have taken it away.
            Some(call) => self.edge.streams.finish(&self.session, &self.stream, call).await.unwrap_or(true),
            None => true,
        };
        for (place, answer) in answers.into_iter().enumerate() {
            if ours {
                self.event(answer, place + 1 == count).await;
            } else {
                // Others were told that this replica is gone. Whoever stayed gets what it waited for.
                self.send(Frame::message(answer)).await;
            }
        }
        if self.frames.is_some()
            && let Err(error) = self.edge.streams.written(&self.session, &self.stream).await
        {
            tracing::warn!(%error, "a stream is kept longer than needed");
        }
    }

    async fn pass_on(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Message(message) => self.event(message, false).await,
            // The client comes back for the rest, so it needs an id to come back with.
            Outgoing::Close if self.is_polled() => self.frames = None,
            Outgoing::Close => {}
        }
    }

    /// Whether the client comes back when its stream ends, as 2025-11-25 asks of it.
    fn is_polled(&self) -> bool {
        self.session.revision >= Revision::V2025_11_25
    }

    /// Whether there is a client that can find the rest elsewhere.
    fn can_be_handed_over(&self) -> bool {
        self.frames.is_some() && self.is_polled() && self.edge.store.is_shared()
    }

    /// Gives the client an id to come back with, and the time to wait before.
    async fn invite(&mut self) {
        if self.is_polled() {
            let id = self.edge.streams.event_id(&self.session, &self.stream, self.last);
            self.send(Frame { id: Some(id), retry: Some(RETRY), ..Frame::default() }).await;
        }
    }

    async fn event(&mut self, message: Bytes, last: bool) {
        let id = match self.edge.streams.append(&self.session, &self.stream, &message, last).await {
            Ok(number) => {
                self.last = number;
                Some(self.edge.streams.event_id(&self.session, &self.stream, number))
            }
            Err(error) => {
                tracing::warn!(%error, "an event cannot be kept");
                None
            }
        };
        self.send(Frame { id, ..Frame::message(message) }).await;
    }

    async fn send(&mut self, frame: Frame) {
        if let Some(frames) = &self.frames
            && !frames.send(frame).await
        {
            self.frames = None;
        }
    }
}
