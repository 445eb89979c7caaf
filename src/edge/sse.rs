//! The two-endpoint transport of 2024-11-05: a stream that is opened first, and messages that are posted beside it.

use axum::body::Body;
use axum::extract::{OriginalUri, Path, RawQuery, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::sync::mpsc;

use super::events::{self, Frame};
use super::{Shared, enter, is_json, limit, reply};
use crate::call::Context;
use crate::changes::Change;
use crate::error::{Error, Result};
use crate::mcp::Fault;
use crate::mcp::envelope::{self, Envelope, Id, Message};
use crate::session::{Heard, Outgoing, Session, Signal};

/// `GET`: opens the stream; its first event says where to post.
pub(super) async fn open(
    State(edge): State<Shared>,
    service: Option<Path<String>>,
    uri: OriginalUri,
    query: RawQuery,
    headers: HeaderMap,
) -> Response {
    let context = match enter(&edge, service, query, &headers) {
        Ok(context) => context,
        Err(refusal) => return refusal,
    };
    match begin(edge, context, uri.path(), uri.query()).await {
        Ok(response) => response,
        Err(error) => reply::error(error),
    }
}

async fn begin(edge: Shared, context: Context, path: &str, query: Option<&str>) -> Result<Response> {
    let session = edge.sessions.reserve(&context.caller).await?;
    let mut messages = edge.sessions.outbound(&session.id).await?;
    let mut signals = edge.sessions.signals(&session.id).await?;
    let mut listener = edge.engine.changes().listen().await?;
    let (frames, receiver) = events::frames(edge.write_timeout());
    let endpoint = if path == "/sse" { "/messages".to_owned() } else { format!("{path}/message") };
    // What narrows the stream narrows what is posted beside it.
    let toolsets: String = query
        .into_iter()
        .flat_map(|query| url::form_urlencoded::parse(query.as_bytes()))
        .filter(|(name, _)| name == "toolsets")
        .flat_map(|(_, names)| {
            ["&toolsets=".to_owned(), url::form_urlencoded::byte_serialize(names.as_bytes()).collect()]
        })
        .collect();
    tokio::spawn(async move {
        let data = format!("{endpoint}?sessionId={}{toolsets}", session.id).into();
        let mut open = frames.send(Frame { event: Some("endpoint"), data, ..Frame::default() }).await;
        let mut wanted = edge.engine.lists_and([]);
        let mut touch = tokio::time::interval(std::time::Duration::from_secs(600));
        let expired = context.expired();
        tokio::pin!(expired);
        while open {
            let message = tokio::select! {
                message = messages.next() => message,
                heard = listener.next() => {
                    for (method, params) in wanted.told(heard).iter().filter_map(Change::notification) {
                        let message = envelope::notification(method, &params);
                        open = open && frames.send(Frame { event: Some("message"), ..Frame::message(message) }).await;
                    }
                    continue;
                }
                heard = signals.next() => match heard {
                    Heard::Signal(Signal::Resubscribed) | Heard::Gap => {
                        if let Ok(Some(session)) = edge.sessions.find(&session.id, &context.caller).await {
                            wanted = edge.engine.lists_and(session.subscriptions);
                        }
                        continue;
                    }
                    Heard::Signal(Signal::Ended) => None,
                    Heard::Signal(_) => continue,
                },
                _ = touch.tick() => {
                    // Whoever holds the stream keeps the session alive.
                    let _ = edge.sessions.find(&session.id, &context.caller).await;
                    continue;
                }
                () = frames.closed() => None,
                () = &mut expired => None,
                () = edge.closing.cancelled() => None,
            };
            open = match message {
                // Somebody only wants to know whether the stream is open.
                Some(message) if message.is_empty() => true,
                Some(message) => frames.send(Frame { event: Some("message"), ..Frame::message(message) }).await,
                None => false,
            };
        }
        if let Err(error) = edge.sessions.end(&session).await {
            tracing::debug!(%error, "a session ends by itself later");
        }
    });
    Ok(events::response(receiver, "sse"))
}

/// `POST`: a message; its answer comes over the stream, whichever replica holds it.
pub(super) async fn message(
    State(edge): State<Shared>,
    service: Option<Path<String>>,
    query: RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let id = query.0.as_deref().and_then(|query| {
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "sessionId")
            .map(|(_, id)| id.into_owned())
    });
    let context = match enter(&edge, service, query, &headers) {
        Ok(context) => context,
        Err(refusal) => return refusal,
    };
    if !is_json(&headers) {
        return reply::empty(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let Some(id) = id else {
        return reply::error(Error::BadArguments("the query names no `sessionId`; open the stream first".into()));
    };
    let session = match edge.sessions.find(&id, &context.caller).await {
        Ok(Some(session)) => session,
        Ok(None) => return gone(),
        Err(error) => return reply::error(error),
    };
    match edge.sessions.send_out(&session.id, Bytes::new()).await {
        Ok(true) => {}
        Ok(false) => return gone(),
        Err(error) => return reply::error(error),
    }
    let body = match edge.body(body).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let message = match envelope::parse(&body) {
        Ok(Envelope::Single(message)) => message,
        Ok(Envelope::Batch(_)) => {
            let fault = Fault::invalid_request("this transport takes one message at a time");
            return reply::json(StatusCode::BAD_REQUEST, envelope::error(None, &fault));
        }
        Err((id, fault)) => return reply::json(fault.status, envelope::error(id.as_ref(), &fault)),
    };
    take(edge, session, message, context).await;
    reply::empty(StatusCode::ACCEPTED)
}

fn gone() -> Response {
    reply::error(Error::NotFound("there is no such session with an open stream: open the stream again".into()))
}

async fn take(edge: Shared, session: Session, message: Message, context: Context) {
    match message {
        Message::Request { id, method, params } => {
            let calls = edge.calls.clone();
            calls.spawn(async move { answer(&edge, &session, &id, &method, &params, context).await });
        }
        Message::Notification { method, params } => {
            if let Err(error) = edge.sessions.take_notification(&session, &method, &params).await {
                tracing::warn!(%error, "a notification of a client is lost");
            }
        }
        Message::Response { id, result } => {
            if let Err(error) = edge.sessions.take_answer(&session, &id, result).await {
                tracing::warn!(%error, "an answer of a client is lost");
            }
        }
    }
}

async fn answer(edge: &Shared, session: &Session, id: &Id, method: &str, params: &Bytes, mut context: Context) {
    let send = async |message: Bytes| {
        if let Err(error) = edge.sessions.send_out(&session.id, message).await {
            tracing::warn!(%error, "a message cannot be sent");
        }
    };
    if let Err(refusal) = limit::admit(edge, [(method, params)], &mut context).await {
        let fault = Fault::from(Error::from(refusal));
        return send(envelope::error(Some(id), &fault)).await;
    }
    if method == "initialize" {
        let answer = match edge.sessions.begin_in(session, params, &context.caller).await {
            Ok(result) => envelope::result(id, result.to_string().as_bytes()),
            Err(fault) => envelope::error(Some(id), &fault),
        };
        send(answer).await;
        return;
    }
    let (sink, mut outgoing) = mpsc::channel(64);
    let run = edge.sessions.answer(session, id, method, params, context, &sink);
    tokio::pin!(run);
    let answer = loop {
        tokio::select! {
            biased;
            Some(message) = outgoing.recv() => if let Outgoing::Message(message) = message { send(message).await },
            answer = &mut run => break answer,
        }
    };
    while let Ok(message) = outgoing.try_recv() {
        if let Outgoing::Message(message) = message {
            send(message).await;
        }
    }
    if let Some(answer) = answer {
        send(answer).await;
    }
}
