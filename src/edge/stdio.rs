//! One local client over standard input and output: a message a line.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Edge, Shared, reply};
use crate::auth::Recognised;
use crate::call::{Context, Event, Outbox, Scope};
use crate::caller::Caller;
use crate::changes::Change;
use crate::error::Error;
use crate::mcp::envelope::{self, Envelope, Id, Message};
use crate::mcp::{Fault, Request, RequestMeta, Revision};
use crate::session::{Heard, MOST_RUNNING, Outgoing, Session, Signal};

/// Requests that are being answered, with what cancels them.
type Running = Arc<Mutex<HashMap<Id, CancellationToken>>>;

/// One client.
struct Conversation {
    edge: Shared,
    caller: Arc<Caller>,
    /// Lines to the client.
    lines: mpsc::Sender<Bytes>,
    /// The session of a client that began with `initialize`.
    session: Option<Session>,
    running: Running,
    /// What answers them.
    answers: TaskTracker,
}

/// Serves a client until its input ends.
///
/// # Errors
/// What reading or writing says.
pub async fn serve(
    edge: Arc<Edge>,
    caller: Caller,
    input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin + Send + 'static,
) -> std::io::Result<()> {
    let (lines, mut to_write) = mpsc::channel::<Bytes>(64);
    let writer = tokio::spawn(async move {
        while let Some(line) = to_write.recv().await {
            output.write_all(&line).await?;
            output.write_all(b"\n").await?;
            output.flush().await?;
        }
        Ok::<_, std::io::Error>(())
    });
    let most = edge.config.most_body_bytes;
    let mut conversation = Conversation {
        edge,
        caller: Arc::new(caller),
        lines,
        session: None,
        running: Arc::default(),
        answers: TaskTracker::new(),
    };
    let mut reader = BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = tokio::select! {
            read = read_line(&mut reader, &mut line, most) => read?,
            () = conversation.edge.draining.cancelled() => {
                conversation.finish().await;
                break;
            }
        };
        match read {
            Line::End => break,
            Line::TooLong => {
                let fault = Fault::invalid_request(format!("the line is longer than {most} bytes"));
                conversation.send(envelope::error(None, &fault)).await;
            }
            Line::Whole => conversation.take(Bytes::copy_from_slice(line.trim_ascii())).await,
        }
    }
    conversation.end().await;
    drop(conversation);
    writer.await.map_err(std::io::Error::other)?
}

enum Line {
    Whole,
    TooLong,
    End,
}

/// Reads a line of at most `most` bytes; a longer one is passed over.
async fn read_line(
    reader: &mut (impl AsyncBufReadExt + Unpin),
    line: &mut Vec<u8>,
    most: usize,
) -> std::io::Result<Line> {
    let mut too_long = false;
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return Ok(if line.is_empty() && !too_long { Line::End } else { Line::Whole });
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = &available[..end.unwrap_or(available.len())];
        too_long |= line.len() + part.len() > most;
        if too_long {
            line.clear();
        } else {
            line.extend_from_slice(part);
        }
        let used = end.map_or(available.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(if too_long { Line::TooLong } else { Line::Whole });
        }
    }
}

impl Conversation {
    async fn send(&self, line: Bytes) {
        let _ = self.lines.send(line).await;
    }

    fn context(&self) -> Context {
        let recognised = Recognised { caller: self.caller.clone(), until: None };
        self.edge.context(recognised, Arc::new(Scope::default()), &HeaderMap::new())
    }

    async fn take(&mut self, line: Bytes) {
        if line.is_empty() {
            return;
        }
        match envelope::parse(&line) {
            Ok(Envelope::Single(message)) => self.take_message(message).await,
            Ok(Envelope::Batch(items)) => {
                for item in items {
                    match item {
                        Ok(message) if self.session.as_ref().is_some_and(|s| s.revision == Revision::V2025_03_26) => {
                            Box::pin(self.take_message(message)).await;
                        }
                        Ok(_) => {
                            let fault = Fault::invalid_request("batches belong to 2025-03-26; send one message a line");
                            return self.send(envelope::error(None, &fault)).await;
                        }
                        Err((id, fault)) => self.send(envelope::error(id.as_ref(), &fault)).await,
                    }
                }
            }
            Err((id, fault)) => self.send(envelope::error(id.as_ref(), &fault)).await,
        }
    }

    async fn take_message(&mut self, message: Message) {
        match message {
            Message::Request { id, method, params } if method == "initialize" => self.initialize(&id, &params).await,
            Message::Request { id, method, params } => self.answer(id, method, params).await,
            Message::Notification { method, params } => self.notify(&method, &params).await,
            Message::Response { id, result } => {
                if let Some(session) = &self.session
                    && let Err(error) = self.edge.sessions.take_answer(session, &id, result).await
                {
                    tracing::warn!(%error, "an answer of the client is lost");
                }
            }
        }
    }

    async fn initialize(&mut self, id: &Id, params: &Bytes) {
        let answer = match self.edge.sessions.begin(params, &self.caller).await {
            Ok((session, result)) => {
                tokio::spawn(follow(self.edge.clone(), session.clone(), self.caller.clone(), self.lines.downgrade()));
                self.session = Some(session);
                envelope::result(id, result.to_string().as_bytes())
            }
            Err(fault) => envelope::error(Some(id), &fault),
        };
        self.send(answer).await;
    }

    async fn answer(&mut self, id: Id, method: String, params: Bytes) {
        let meta = RequestMeta::read(&params);
        let modern = meta.as_ref().is_some_and(RequestMeta::is_modern) || method == "server/discover";
        let cancelled = match self.begin(&id) {
            Ok(cancelled) => cancelled,
            Err(fault) => return self.send(envelope::error(Some(&id), &fault)).await,
        };
        let (edge, lines, running) = (self.edge.clone(), self.lines.clone(), self.running.clone());
        let mut context = self.context();
        context.cancelled = cancelled;
        let withdrawn = context.cancelled.clone();
        let session = match (&self.session, modern) {
            (_, true) => None,
            (Some(session), false) => {
                // What was set since then stands in the store.
                let found = edge.sessions.find(&session.id, &self.caller).await.ok().flatten();
                Some(found.unwrap_or_else(|| session.clone()))
            }
            (None, false) => {
                running.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                let fault = Fault::invalid_meta(
                    "neither a session nor a revision is named: begin with `initialize`, or send `_meta` as 2026-07-28 asks",
                );
                return self.send(envelope::error(Some(&id), &fault)).await;
            }
        };
        self.answers.spawn(async move {
            let answer = match session {
                Some(session) => in_session(&edge, &session, &id, &method, &params, context, &lines).await,
                None => alone(&edge, &id, method, params, meta.unwrap_or_default(), context, &lines).await,
            };
            running.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            if let Some(answer) = answer.filter(|_| !withdrawn.is_cancelled()) {
                let _ = lines.send(answer).await;
            }
        });
    }

    /// Notes a request, and returns what cancels it.
    fn begin(&self, id: &Id) -> Result<CancellationToken, Fault> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.contains_key(id) {
            return Err(Fault::invalid_request("a request with this id is still running: give each its own"));
        }
        if running.len() >= MOST_RUNNING {
            return Err(Error::TooManyCalls { retry_after: Duration::from_secs(1) }.into());
        }
        let cancelled = CancellationToken::new();
        running.insert(id.clone(), cancelled.clone());
        Ok(cancelled)
    }

    async fn notify(&self, method: &str, params: &Bytes) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Cancelled {
            request_id: Id,
        }
        if method == "notifications/cancelled"
            && let Ok(Cancelled { request_id }) = serde_json::from_slice(params)
        {
            let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(cancelled) = running.get(&request_id) {
                cancelled.cancel();
            }
        }
        if let Some(session) = &self.session
            && let Err(error) = self.edge.sessions.take_notification(session, method, params).await
        {
            tracing::warn!(%error, "a notification of the client is lost");
        }
    }

    /// Lets running calls finish, for a while.
    async fn finish(&self) {
        self.answers.close();
        let grace = Duration::from_secs(self.edge.config.drain_seconds);
        if tokio::time::timeout(grace, self.answers.wait()).await.is_err() {
            tracing::warn!(grace_seconds = grace.as_secs(), "calls were cut off: they took longer than the grace");
        }
    }

    async fn end(&mut self) {
        for cancelled in self.running.lock().unwrap_or_else(PoisonError::into_inner).values() {
            cancelled.cancel();
        }
        if let Some(session) = self.session.take() {
            let _ = self.edge.sessions.end(&session).await;
        }
    }
}

/// Tells a client that began with `initialize` of the changes it wants to hear of, as long as it is there.
async fn follow(edge: Shared, session: Session, caller: Arc<Caller>, lines: mpsc::WeakSender<Bytes>) {
    let (signals, changes) = (edge.sessions.signals(&session.id).await, edge.engine.changes().listen().await);
    let (Ok(mut signals), Ok(mut changes)) = (signals, changes) else { return };
    let mut wanted = edge.engine.lists_and([]);
    loop {
        tokio::select! {
            heard = changes.next() => for (method, params) in wanted.told(heard).iter().filter_map(Change::notification) {
                let Some(lines) = lines.upgrade() else { return };
                let _ = lines.send(envelope::notification(method, &params)).await;
            },
            heard = signals.next() => match heard {
                Heard::Signal(Signal::Resubscribed) | Heard::Gap => {
                    if let Ok(Some(session)) = edge.sessions.find(&session.id, &caller).await {
                        wanted = edge.engine.lists_and(session.subscriptions);
                    }
                }
                Heard::Signal(Signal::Ended) => return,
                Heard::Signal(_) => {}
            }
        }
    }
}

/// A request of a client that began with `initialize`.
async fn in_session(
    edge: &Edge,
    session: &Session,
    id: &Id,
    method: &str,
    params: &Bytes,
    context: Context,
    lines: &mpsc::Sender<Bytes>,
) -> Option<Bytes> {
    let (sink, mut outgoing) = mpsc::channel(64);
    let cancelled = context.cancelled.clone();
    let run = edge.sessions.answer(session, id, method, params, context, &sink);
    tokio::pin!(run);
    loop {
        tokio::select! {
            biased;
            Some(message) = outgoing.recv() => if let Outgoing::Message(message) = message {
                let _ = lines.send(message).await;
            },
            answer = &mut run => {
                while let Ok(Outgoing::Message(message)) = outgoing.try_recv() {
                    let _ = lines.send(message).await;
                }
                return answer;
            }
            () = cancelled.cancelled() => return None,
        }
    }
}

/// A request that stands for itself; there are no headers here to check it against.
async fn alone(
    edge: &Shared,
    id: &Id,
    method: String,
    params: Bytes,
    mut meta: RequestMeta,
    mut context: Context,
    lines: &mpsc::Sender<Bytes>,
) -> Option<Bytes> {
    let checked = meta.version().map(str::to_owned).and_then(|version| {
        match Revision::named(&version).filter(|revision| revision.is_modern()) {
            Some(_) => meta.apply(&mut context),
            None => Err(Fault::unsupported_version(&version)),
        }
    });
    if let Err(fault) = checked {
        return Some(envelope::error(Some(id), &fault));
    }
    if method == "subscriptions/listen" {
        return listen(edge, id, &params, &context, lines).await;
    }
    let (outbox, mut events) = Outbox::new(meta.progress_token.take());
    context.outbox = outbox;
    let cancelled = context.cancelled.clone();
    let request = Request { method, params, revision: Revision::V2026_07_28 };
    let run = edge.engine.call(&request, context);
    tokio::pin!(run);
    let outcome = loop {
        tokio::select! {
            biased;
            Some(event) = events.recv() => pass_on(event, lines).await,
            outcome = &mut run => break outcome,
            () = cancelled.cancelled() => return None,
        }
    };
    while let Ok(event) = events.try_recv() {
        pass_on(event, lines).await;
    }
    Some(match outcome {
        Ok(outcome) => envelope::result(id, &reply::result(&edge.engine, outcome)),
        Err(fault) => envelope::error(Some(id), &fault),
    })
}

async fn pass_on(event: Event, lines: &mpsc::Sender<Bytes>) {
    if let Event::Notification { method, params } = event {
        let _ = lines.send(envelope::notification(method, &params)).await;
    }
}

/// `subscriptions/listen`: changes, until the client withdraws it or the server ends, which is its result.
async fn listen(
    edge: &Shared,
    id: &Id,
    params: &Bytes,
    context: &Context,
    lines: &mpsc::Sender<Bytes>,
) -> Option<Bytes> {
    let marker: Value = json!(id);
    let (wanted, mut listener, acknowledgement) = match edge.engine.listen(params, &marker, context).await {
        Ok(begun) => begun,
        Err(fault) => return Some(envelope::error(Some(id), &fault)),
    };
    let first = envelope::notification("notifications/subscriptions/acknowledged", &acknowledgement);
    let _ = lines.send(first).await;
    loop {
        let heard = tokio::select! {
            heard = listener.next() => heard,
            () = edge.draining.cancelled() => {
                return Some(envelope::result(id, &edge.engine.end_of_listening(&marker)));
            }
            () = context.cancelled.cancelled() => return None,
        };
        for change in wanted.told(heard) {
            if let Some((method, params)) = edge.engine.marked(&change, &marker, context).await {
                let _ = lines.send(envelope::notification(method, &params)).await;
            }
        }
    }
}
