//! What clients are told of limits: `RateLimit`, `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers) and
//! `Retry-After`.

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::{Edge, reply};
use crate::call::Context;
use crate::error::Error;
use crate::limits::{Refusal, Standing};

/// Takes what requests cost, and keeps a place where they are heavy.
pub(super) async fn admit<'a>(
    edge: &Edge,
    requests: impl IntoIterator<Item = (&'a str, &'a Bytes)>,
    context: &mut Context,
) -> Result<Option<Standing>, Refusal> {
    let requests = requests.into_iter();
    let costs: Vec<_> = requests.filter_map(|(method, params)| edge.engine.cost(method, params, context)).collect();
    if costs.is_empty() {
        return Ok(None);
    }
    // A call without a place costs nothing.
    context.place = edge.limits.enter(&context.caller, &costs)?;
    edge.limits.take(&context.caller, &costs).await
}

/// The answer to whoever is over a limit, outside of any request of the protocol.
pub(super) fn refuse(refusal: Refusal) -> Response {
    let mut response = reply::error(Error::from(refusal));
    tell(refusal.standing, response.headers_mut());
    response
}

/// Tells a client how it stands.
pub(super) fn tell(standing: Option<Standing>, headers: &mut HeaderMap) {
    let Some(Standing { limit, rate, remaining, reset }) = standing else { return };
    let window = rate.time(rate.burst).as_millis().div_ceil(1000);
    let fields = [
        ("ratelimit-policy", format!("\"{limit}\";q={};w={window}", rate.burst)),
        ("ratelimit", format!("\"{limit}\";r={remaining};t={}", reset.as_secs())),
    ];
    for (name, field) in fields {
        if let Ok(value) = HeaderValue::try_from(field) {
            headers.insert(name, value);
        }
    }
}
