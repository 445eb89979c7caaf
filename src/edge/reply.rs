//! Answers of the edge: status, headers, body.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use crate::error::Error;
use crate::mcp::envelope::{self, Id};
use crate::mcp::{Engine, Fault, Outcome, Revision};

/// A JSON body.
pub(super) fn json(status: StatusCode, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Plain text.
pub(super) fn text(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// No body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A protocol error. 2026-07-28 gives each its status; older clients read 404 as "the session is gone", and many of them
/// never tell whoever waits for an answer of any other 4xx (python-sdk, issue 3091).
pub(super) fn fault(id: Option<&Id>, fault: &Fault, revision: Revision) -> Response {
    let status = match fault.status {
        StatusCode::NOT_FOUND | StatusCode::TOO_MANY_REQUESTS if !revision.is_modern() => StatusCode::OK,
        status => status,
    };
    let mut response = json(status, envelope::error(id, fault));
    if let Some(wait) = fault.retry_after {
        response.headers_mut().insert(RETRY_AFTER, wait.as_secs().max(1).into());
    }
    response
}

/// The result of a request of 2026-07-28.
pub(super) fn result(engine: &Engine, outcome: Outcome) -> Bytes {
    match outcome {
        Outcome::Complete(result) => result,
        Outcome::InputRequired { result, .. } => engine.encode(Revision::V2026_07_28, "input_required", &result),
        Outcome::Task(result) => engine.encode(Revision::V2026_07_28, "task", &result),
    }
}

/// A failure before there was a message.
pub(super) fn error(error: Error) -> Response {
    let status = error.code().http();
    let retry = match &error {
        Error::TooManyCalls { retry_after } => Some(retry_after.as_secs().max(1)),
        Error::Unavailable(_) => Some(1),
        _ => None,
    };
    let mut response = json(status, envelope::error(None, &Fault::from(error)));
    if status == StatusCode::UNAUTHORIZED {
        // RFC 6750 §3.
        let challenge = HeaderValue::from_static("Bearer realm=\"cloud-native-mcp\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = retry {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}
