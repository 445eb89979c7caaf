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
use crate::session::{Outgoing, Session, Streams};

/// After so long without an answer a stream is opened, which the client can take up again if it breaks.
const PATIENCE: Duration = Duration::from_millis(250);

/// The responses of a POST: one, or those of a batch.
pub(super) type Run = Pin<Box<dyn Future<Output = Vec<Bytes>> + Send>>;

/// Answers with JSON what is done soon and says nothing before; opens a stream for everything else.
///
/// The call goes on when the connection breaks: that is no cancellation in these revisions.
pub(super) async fn answer(
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
    let mut first = outgoing.try_recv().ok().filter(|_| accepts.events);
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
        let (frames, receiver) = events::frames(edge.write_timeout());
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
    /// None when the client is not there (any more).
    frames: Option<Frames>,
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
            && !frames.send(frame).await
        {
            self.frames = None;
        }
    }
}
