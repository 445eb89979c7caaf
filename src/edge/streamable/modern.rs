//! 2026-07-28: a request that stands for itself; its stream ends with its response.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use futures_util::poll;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use tokio::sync::mpsc;

use super::super::events::{self, Frame, Frames};
use super::super::{Edge, Shared, reply};
use super::{Accepts, header};
use crate::call::{Context, Event, Outbox};
use crate::mcp::envelope::{self, Id};
use crate::mcp::{Fault, Request, RequestMeta, Revision};

/// After so long without an answer a stream is opened, so that comments can keep the connection alive.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request as it came in.
pub(super) struct Incoming {
    pub(super) id: Id,
    pub(super) method: String,
    pub(super) params: Bytes,
    pub(super) meta: Option<RequestMeta>,
}

type Run = Pin<Box<dyn Future<Output = Bytes> + Send>>;

/// Answers a request, once all that it must carry is there and agrees.
pub(super) async fn answer(
    edge: Shared,
    incoming: Incoming,
    mut context: Context,
    headers: &HeaderMap,
    accepts: Accepts,
) -> Response {
    let Incoming { id, method, params, meta } = incoming;
    let mut meta = meta.unwrap_or_default();
    if let Err(fault) = check(&edge, &method, &params, &mut meta, &mut context, headers) {
        return reply::fault(Some(&id), &fault, Revision::V2026_07_28);
    }
    if method == "subscriptions/listen" {
        return listen(edge, id, &params, context).await;
    }
    let (outbox, mut events) = Outbox::new(meta.progress_token.take());
    context.outbox = outbox;
    let request = Request { method, params, revision: Revision::V2026_07_28 };
    let engine = edge.engine.clone();
    let mut run = Box::pin(async move {
        let outcome = engine.call(&request, context).await;
        outcome.map(|outcome| reply::result(&engine, outcome))
    });
    let mut outcome = match poll!(&mut run) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    };
    // The first message decides: an answer is JSON with its status, anything before it opens a stream.
    let mut first = None;
    if accepts.events {
        if outcome.is_none() {
            tokio::select! {
                biased;
                event = events.recv() => first = event,
                finished = &mut run => outcome = Some(finished),
                () = tokio::time::sleep(PATIENCE) => {}
            }
        }
        first = first.or_else(|| events.try_recv().ok());
    } else if outcome.is_none() {
        outcome = Some(run.as_mut().await);
    }
    match outcome {
        Some(Ok(result)) if first.is_none() && accepts.json => {
            reply::json(StatusCode::OK, envelope::result(&id, &result))
        }
        Some(Err(fault)) if first.is_none() => reply::fault(Some(&id), &fault, Revision::V2026_07_28),
        finished => {
            let run: Run = Box::pin(async move {
                let outcome = match finished {
                    Some(outcome) => outcome,
                    None => run.await,
                };
                match outcome {
                    Ok(result) => envelope::result(&id, &result),
                    Err(fault) => envelope::error(Some(&id), &fault),
                }
            });
            stream(&edge, first, events, run)
        }
    }
}

/// The checks, in the order that clients and the conformance suite rely on.
fn check(
    edge: &Shared,
    method: &str,
    params: &Bytes,
    meta: &mut RequestMeta,
    context: &mut Context,
    headers: &HeaderMap,
) -> Result<(), Fault> {
    let version = meta.version()?;
    match header(headers, "mcp-protocol-version") {
        Some(given) if given == version => {}
        Some(_) => return Err(Fault::header_mismatch("the header `MCP-Protocol-Version` differs from `_meta`")),
        None => return Err(Fault::header_mismatch("the header `MCP-Protocol-Version` is missing")),
    }
    if Revision::named(version).is_none_or(|revision| !revision.is_modern()) {
        return Err(Fault::unsupported_version(version));
    }
    meta.apply(context)?;
    edge.engine.check_headers(method, params, context, |name| headers.get(name).map(http::HeaderValue::as_bytes))
}

/// Sends what the call says, and then its response. A client that closes the stream cancels the call.
fn stream(edge: &Edge, first: Option<Event>, mut events: mpsc::Receiver<Event>, mut run: Run) -> Response {
    let (frames, receiver) = events::frames(edge.write_timeout());
    tokio::spawn(async move {
        if let Some(event) = first
            && !send(&frames, event).await
        {
            return;
        }
        let response = loop {
            tokio::select! {
                biased;
                Some(event) = events.recv() => if !send(&frames, event).await { return },
                response = &mut run => break response,
                () = frames.closed() => return,
            }
        };
        while let Ok(event) = events.try_recv() {
            if !send(&frames, event).await {
                return;
            }
        }
        frames.send(Frame::message(response)).await;
    });
    events::response(receiver, "call")
}

async fn send(frames: &Frames, event: Event) -> bool {
    match event {
        Event::Notification { method, params } => {
            frames.send(Frame::message(envelope::notification(method, &params))).await
        }
        // Streams of this revision cannot be taken up again, so they stay open.
        Event::CloseStream => true,
    }
}

/// `subscriptions/listen`: changes, until the client goes, its credentials end, or the server does.
async fn listen(edge: Shared, id: Id, params: &Bytes, context: Context) -> Response {
    let marker = json!(id);
    let (wanted, mut listener, acknowledgement) = match edge.engine.listen(params, &marker, &context).await {
        Ok(begun) => begun,
        Err(fault) => return reply::fault(Some(&id), &fault, Revision::V2026_07_28),
    };
    let (frames, receiver) = events::frames(edge.write_timeout());
    let first = envelope::notification("notifications/subscriptions/acknowledged", &acknowledgement);
    tokio::spawn(async move {
        if !frames.send(Frame::message(first)).await {
            return;
        }
        let expired = context.expired();
        tokio::pin!(expired);
        loop {
            let heard = tokio::select! {
                heard = listener.next() => heard,
                () = &mut expired => break,
                () = edge.closing.cancelled() => break,
                () = frames.closed() => return,
            };
            for change in wanted.told(heard) {
                if let Some((method, params)) = edge.engine.marked(&change, &marker, &context).await
                    && !frames.send(Frame::message(envelope::notification(method, &params))).await
                {
                    return;
                }
            }
        }
        let end = envelope::result(&id, &edge.engine.end_of_listening(&marker));
        frames.send(Frame::message(end)).await;
    });
    events::response(receiver, "listen")
}
