//! Streamable HTTP, both eras on one path: one POST, and a JSON or an SSE reply.

mod legacy;
mod modern;

use axum::extract::{Path, RawQuery, Request, State};
use axum::response::Response;
use http::header::ACCEPT;
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::{Shared, enter, is_json, limit, reply};
use crate::call::Context;
use crate::error::Error;
use crate::limits::Refusal;
use crate::mcp::envelope::{self, Envelope, Message};
use crate::mcp::{Fault, RequestMeta, Revision};

/// What kinds of reply a client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Accepts {
    json: bool,
    events: bool,
}

impl Accepts {
    /// A client that does not say takes both, as the protocol asks of all.
    fn new(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).peekable();
        if values.peek().is_none() {
            return Self { json: true, events: true };
        }
        let mut accepts = Self { json: false, events: false };
        for kind in values.flat_map(|value| value.split(',')) {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            accepts.json |= ["*/*", "application/*", "application/json"].iter().any(|k| kind.eq_ignore_ascii_case(k));
            accepts.events |= ["*/*", "text/*", "text/event-stream"].iter().any(|k| kind.eq_ignore_ascii_case(k));
        }
        accepts
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// `POST`: a message of either era.
pub(super) async fn post(
    State(edge): State<Shared>,
    service: Option<Path<String>>,
    query: RawQuery,
    request: Request,
) -> Response {
    let (Parts { headers, .. }, body) = request.into_parts();
    let mut context = match enter(&edge, service, query, &headers) {
        Ok(context) => context,
        Err(refusal) => return refusal,
    };
    if !is_json(&headers) {
        let fault = Fault::invalid_request("the body must be JSON, and say so: `Content-Type: application/json`");
        return reply::json(StatusCode::UNSUPPORTED_MEDIA_TYPE, envelope::error(None, &fault));
    }
    let accepts = Accepts::new(&headers);
    if !accepts.json && !accepts.events {
        let fault = Fault::invalid_request("send `Accept: application/json, text/event-stream`");
        return reply::json(StatusCode::NOT_ACCEPTABLE, envelope::error(None, &fault));
    }
    let body = match edge.body(body).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let message = match envelope::parse(&body) {
        Ok(message) => message,
        Err((id, fault)) => return reply::json(fault.status, envelope::error(id.as_ref(), &fault)),
    };
    let requests = match &message {
        Envelope::Single(message) => std::slice::from_ref(message).iter().filter_map(Message::request).collect(),
        Envelope::Batch(items) => items.iter().flatten().filter_map(Message::request).collect::<Vec<_>>(),
    };
    let standing = match limit::admit(&edge, requests, &mut context).await {
        Ok(standing) => standing,
        Err(refusal) => return refuse(&message, refusal, &headers),
    };
    let mut response = match message {
        Envelope::Single(message) => answer(edge, message, context, &headers, accepts).await,
        Envelope::Batch(items) => legacy::batch(&edge, items, context, &headers, accepts).await,
    };
    limit::tell(standing, response.headers_mut());
    response
}

/// The answer to whoever is over a limit, in the form of its era.
fn refuse(message: &Envelope, refusal: Refusal, headers: &HeaderMap) -> Response {
    let Envelope::Single(Message::Request { id, method, params }) = message else { return limit::refuse(refusal) };
    let modern = method != "initialize" && is_modern(RequestMeta::read(params).as_ref(), method, headers);
    let revision = if modern { Revision::V2026_07_28 } else { Revision::NEWEST_LEGACY };
    let mut response = reply::fault(Some(id), &Error::from(refusal).into(), revision);
    limit::tell(refusal.standing, response.headers_mut());
    response
}

/// Answers one message.
async fn answer(edge: Shared, message: Message, context: Context, headers: &HeaderMap, accepts: Accepts) -> Response {
    match message {
        Message::Request { id, method, params } if method == "initialize" => {
            if is_handshake(&params) {
                return legacy::initialize(&edge, &id, &params, &context).await;
            }
            if RequestMeta::read(&params).is_some_and(|meta| meta.is_modern()) {
                return reply::fault(Some(&id), &Fault::method_not_found(&method), Revision::V2026_07_28);
            }
            let fault = Fault::invalid_params("params: `initialize` takes `protocolVersion` and `capabilities`");
            reply::fault(Some(&id), &fault, Revision::NEWEST_LEGACY)
        }
        Message::Request { id, method, params } => {
            let meta = RequestMeta::read(&params);
            if is_modern(meta.as_ref(), &method, headers) {
                let request = modern::Incoming { id, method, params, meta };
                return modern::answer(edge, request, context, headers, accepts).await;
            }
            legacy::request(edge, id, method, params, context, headers, accepts).await
        }
        Message::Notification { method, params } => {
            legacy::notification(&edge, &method, &params, &context, headers).await
        }
        Message::Response { id, result } => legacy::response(&edge, &id, result, &context, headers).await,
    }
}

/// Whether an `initialize` is the handshake of the older revisions, whatever version it asks for.
fn is_handshake(params: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params {
        protocol_version: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Params>(params).is_ok_and(|params| params.protocol_version.is_some())
}

/// Tells the eras apart. Traffic of both may come over one connection, and with headers of the other.
fn is_modern(meta: Option<&RequestMeta>, method: &str, headers: &HeaderMap) -> bool {
    let older = |version: &str| Revision::named(version).is_some_and(|revision| !revision.is_modern());
    meta.is_some_and(RequestMeta::is_modern)
        || method == "server/discover"
        || header(headers, "mcp-protocol-version").is_some_and(|version| !older(version))
            && header(headers, "mcp-session-id").is_none()
}

/// `GET`: the stream of an older session.
pub(super) async fn get(
    State(edge): State<Shared>,
    service: Option<Path<String>>,
    query: RawQuery,
    request: Request,
) -> Response {
    match enter(&edge, service, query, request.headers()) {
        Ok(context) => legacy::open(edge, context, request.headers()).await,
        Err(refusal) => refusal,
    }
}

/// `DELETE`: the end of an older session.
pub(super) async fn delete(
    State(edge): State<Shared>,
    service: Option<Path<String>>,
    query: RawQuery,
    request: Request,
) -> Response {
    match enter(&edge, service, query, request.headers()) {
        Ok(context) => legacy::end(&edge, &context, request.headers()).await,
        Err(refusal) => refusal,
    }
}
