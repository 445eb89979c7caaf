//! 2025-03-26 to 2025-11-25: sessions, streams that can be taken up again, batches.

mod post;
mod stream;

use std::future::Future;
use std::pin::Pin;

use axum::response::Response;
use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::mpsc;

pub(super) use stream::open;

use super::super::{Edge, Shared, reply};
use super::{Accepts, header};
use crate::call::Context;
use crate::error::Error;
use crate::mcp::envelope::{self, Id, Message};
use crate::mcp::{Fault, Revision};
use crate::session::Session;

/// How long a client should wait before it comes back, in milliseconds.
const RETRY: u64 = 1_000;

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
    let requests = vec![id.clone()];
    let run = Box::pin(async move {
        let answer = sessions.answer(&within, &id, &method, &params, context, &sink).await;
        answer.into_iter().collect()
    });
    let posted = post::Posted { session, requests, batch: false, accepts };
    post::answer(edge, posted, run, outgoing).await
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
    let mut requests = Vec::new();
    for item in items {
        match item {
            Ok(Message::Request { id, method, params }) => {
                let (sessions, within, context, sink) =
                    (edge.sessions.clone(), session.clone(), context.clone(), sink.clone());
                let context = Context { cancelled: tokio_util::sync::CancellationToken::new(), ..context };
                requests.push(id.clone());
                answers.push(Box::pin(async move {
                    if method == "initialize" {
                        let fault = Fault::invalid_request("`initialize` stands alone, not in a batch");
                        return Some(envelope::error(Some(&id), &fault));
                    }
                    sessions.answer(&within, &id, &method, &params, context, &sink).await
                }));
            }
            Ok(Message::Notification { method, params }) => notify(edge, &session, &method, &params).await,
            Ok(Message::Response { id, result }) => {
                if let Err(error) = edge.sessions.take_answer(&session, &id, result).await {
                    tracing::warn!(%error, "an answer of a client is lost");
                }
            }
            Err((id, fault)) => answers.push(Box::pin(async move { Some(envelope::error(id.as_ref(), &fault)) })),
        }
    }
    drop(sink);
    if answers.is_empty() {
        return reply::empty(StatusCode::ACCEPTED);
    }
    let run = Box::pin(async move { join_all(answers).await.into_iter().flatten().collect() });
    let posted = post::Posted { session, requests, batch: true, accepts };
    post::answer(edge.clone(), posted, run, outgoing).await
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
        Ok(session) => match edge.sessions.take_answer(&session, id, result).await {
            Ok(()) => reply::empty(StatusCode::ACCEPTED),
            // It can be sent again.
            Err(error) => reply::error(error),
        },
        Err(refusal) => refusal,
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
