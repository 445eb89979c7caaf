//! Is it alive, is it ready, what did it do.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::{Shared, reply};
use crate::telemetry::metrics;

/// `GET /livez`: the process serves requests.
pub(super) async fn livez() -> Response {
    reply::text(StatusCode::OK, "ok\n")
}

/// `GET /readyz`: it should get new requests. Backends do not count: those that are away are named in answers. Whether the
/// store counts is for the operator to say; the body tells how it is.
pub(super) async fn readyz(State(edge): State<Shared>) -> Response {
    let store = edge.store.get("ready").await;
    let draining = edge.draining.is_cancelled();
    let ready = (store.is_ok() || edge.ready_without_store) && !draining;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": ready,
        "draining": draining,
        "store": if store.is_ok() { "ok" } else { "unavailable" },
    });
    reply::json(status, body.to_string().into())
}

/// `GET /metrics`: Prometheus text format 0.0.4.
pub(super) async fn text() -> Response {
    let mut response = reply::text(StatusCode::OK, metrics::text());
    let format = http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, format);
    response
}
