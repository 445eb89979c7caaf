//! HTTP in, HTTP out; and standard input and output.

mod address;
mod connection;
mod events;
mod limit;
mod lingering;
mod origin;
mod probes;
mod reply;
mod server;
mod sse;
mod stdio;
mod streamable;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use events::Frame;
pub use server::Server;
pub use stdio::serve as serve_stdio;

use crate::auth::{Authenticator, Recognised};
use crate::call::{Context, Outbox, Scope, Trace};
use crate::error::Error;
use crate::limits::Limits;
use crate::mcp::{Engine, Fault, envelope, is_plain, is_traceparent};
use crate::secrets::Signer;
use crate::session::{Sessions, Streams};
use crate::store;
use crate::telemetry::metrics;

/// The longest that anything may run; tools have shorter limits of their own.
const LONGEST_CALL: Duration = Duration::from_secs(3600);

/// How the server is reached.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on. Any address but loopback needs authentication.
    pub listen: String,
    /// Host names that clients use; needed where a browser could be led here under another name.
    pub hosts: Vec<String>,
    /// Origins of web pages that may use the server, for example `https://chat.example.org`.
    pub origins: Vec<String>,
    /// Networks of the proxies in front of this server, for example `10.0.0.0/8`: only what they say of a client's address
    /// (`X-Forwarded-For`) is believed.
    pub trusted_proxies: Vec<String>,
    /// Bytes of one request.
    #[schemars(range(min = 1))]
    pub most_body_bytes: usize,
    /// Bytes of all headers of one request.
    #[schemars(range(min = 1))]
    pub most_header_bytes: usize,
    /// Connections at a time; more wait to be accepted.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub most_connections: usize,
    /// Seconds for a client to send the headers of a request, counted from the end of the one before.
    #[schemars(range(min = 1, max = 86_400))]
    pub header_timeout_seconds: u64,
    /// Seconds for a client to send a body, and to take what is sent to it.
    #[schemars(range(min = 1, max = 86_400))]
    pub body_timeout_seconds: u64,
    /// Seconds that new requests are still taken when the server ends, while `/readyz` says that it does: as long as the
    /// load balancer needs to see it.
    #[schemars(range(max = 86_400))]
    pub drain_delay_seconds: u64,
    /// Seconds that running calls get when the server ends.
    #[schemars(range(max = 86_400))]
    pub drain_seconds: u64,
}

/// Everything that a request can touch.
#[derive(Debug)]
pub struct Edge {
    /// Answers requests.
    pub engine: Arc<Engine>,
    /// Sessions of the older revisions.
    pub sessions: Sessions,
    /// Streams of the older revisions.
    pub streams: Streams,
    /// Recognises callers.
    pub authenticator: Authenticator,
    /// How much callers may ask for.
    pub limits: Limits,
    /// Signs what clients hold for us.
    pub signer: Arc<Signer>,
    /// What replicas share.
    pub store: store::Shared,
    /// Whether it is ready while the store is away.
    pub ready_without_store: bool,
    /// Set when the server is asked to end: from then on it is not ready.
    pub draining: CancellationToken,
    /// Set when it takes no new requests any more: open streams go on elsewhere.
    pub closing: CancellationToken,
    /// Calls that go on without the connection they came by.
    pub calls: TaskTracker,
    /// How the server is reached.
    pub config: Config,
}

type Shared = Arc<Edge>;

impl Edge {
    /// The circumstances of a request.
    fn context(&self, recognised: Recognised, scope: Arc<Scope>, headers: &HeaderMap) -> Context {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let parent = header("traceparent").filter(|parent| is_traceparent(parent));
        let state = header("tracestate").filter(|state| parent.is_some() && is_plain(state));
        Context {
            caller: recognised.caller,
            until: recognised.until,
            scope,
            deadline: Instant::now() + LONGEST_CALL,
            now: jiff::Timestamp::now(),
            trace: Trace { parent: parent.map(str::to_owned), state: state.map(str::to_owned) },
            client: crate::call::Client::default(),
            outbox: Outbox::default(),
            cancelled: CancellationToken::new(),
            inputs: crate::call::Inputs::default(),
            signer: self.signer.clone(),
            place: None,
        }
    }

    /// The body of a request, if it comes in time and is not too large.
    async fn body(&self, body: Body) -> Result<Bytes, Response> {
        let limit = self.config.most_body_bytes;
        let deadline = Duration::from_secs(self.config.body_timeout_seconds);
        match tokio::time::timeout(deadline, read_body(body, limit)).await {
            Ok(Ok(Some(body))) => Ok(body),
            Ok(Ok(None)) => {
                let fault = Fault::invalid_request(format!("the body is larger than {limit} bytes"));
                Err(reply::json(StatusCode::PAYLOAD_TOO_LARGE, envelope::error(None, &fault)))
            }
            Ok(Err(_)) => {
                let fault = Fault::invalid_request("the body broke off, or is not framed as its headers say");
                Err(reply::json(StatusCode::BAD_REQUEST, envelope::error(None, &fault)))
            }
            Err(_) => {
                let fault = Fault::invalid_request(format!("the body was not there within {} s", deadline.as_secs()));
                Err(reply::json(StatusCode::REQUEST_TIMEOUT, envelope::error(None, &fault)))
            }
        }
    }

    /// How long a client may take to take what is sent to it.
    fn write_timeout(&self) -> Duration {
        Duration::from_secs(self.config.body_timeout_seconds)
    }
}

/// Reads a body of at most `limit` bytes; none when it is larger.
async fn read_body(mut body: Body, limit: usize) -> Result<Option<Bytes>, axum::Error> {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        length += data.len();
        if length > limit {
            // Read on for a while: a client that is still sending would not see the answer.
            if length > limit.saturating_mul(4) {
                return Ok(None);
            }
            continue;
        }
        match (first.is_empty(), more.is_empty()) {
            (true, _) => first = data,
            (false, true) => {
                more.extend_from_slice(&first);
                more.extend_from_slice(&data);
            }
            (false, false) => more.extend_from_slice(&data),
        }
    }
    if length > limit {
        return Ok(None);
    }
    Ok(Some(if more.is_empty() { first } else { more.freeze() }))
}

/// All routes.
fn routes(edge: Shared) -> Router {
    let streamable = || post(streamable::post).get(streamable::get).delete(streamable::delete);
    Router::new()
        .route("/mcp", streamable())
        .route("/mcp/{service}", streamable())
        .route("/sse", get(sse::open))
        .route("/messages", post(sse::message))
        // The paths that clients of the product before this one have in their configuration.
        .route("/api/{service}/streamable-http", streamable())
        .route("/api/{service}/sse", get(sse::open))
        .route("/api/{service}/sse/message", post(sse::message))
        .route("/livez", get(probes::livez))
        .route("/readyz", get(probes::readyz))
        .route("/metrics", get(metrics_for_callers))
        .fallback(async || reply::error(Error::NotFound("there is nothing here; the MCP endpoint is /mcp".into())))
        .method_not_allowed_fallback(async || reply::empty(StatusCode::METHOD_NOT_ALLOWED))
        .with_state(edge)
}

/// Metrics name tools and backends, so they are for callers where there is authentication.
async fn metrics_for_callers(State(edge): State<Shared>, headers: HeaderMap) -> Response {
    match edge.authenticator.caller(&headers) {
        Ok(_) => probes::text().await,
        Err(error) => reply::error(error),
    }
}

/// What happens to every request, from the outside in.
async fn handle(
    edge: &Edge,
    rules: &origin::Rules,
    router: Router,
    client: IpAddr,
    request: Request<Body>,
) -> Response {
    use tower::ServiceExt as _;

    let origin = request.headers().get(ORIGIN).cloned();
    let route = route_label(request.uri().path());
    // Probes come from wherever the platform asks; everything else must mean this server, before it costs anything.
    let probe = matches!(route, "/livez" | "/readyz");
    let checked = if probe { Ok(()) } else { rules.check(request.headers(), request.uri()) };
    let checked = checked.and_then(|()| origin::check_framing(request.headers()));
    let mut response = match checked {
        Err(refusal) => {
            let body = envelope::error(None, &Fault::invalid_request(refusal.reason));
            reply::json(refusal.status, body)
        }
        Ok(()) if request.method() == Method::OPTIONS && origin.is_some() => {
            let mut response = reply::empty(StatusCode::NO_CONTENT);
            origin::preflight(response.headers_mut());
            response
        }
        Ok(()) => router.oneshot(request).await.unwrap_or_else(|never| match never {}).into_response(),
    };
    // Right credentials are never held up by the wrong ones of others who come from the same address.
    if response.status() == StatusCode::UNAUTHORIZED
        && let Err(refusal) = edge.limits.failed(client).await
    {
        response = limit::refuse(refusal);
    }
    let allowed = origin.filter(|_| response.status() != StatusCode::FORBIDDEN);
    origin::finish(response.headers_mut(), allowed);
    if edge.draining.is_cancelled() {
        // The next request goes to another replica.
        response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    }
    metrics::HTTP_RESPONSES.with_label_values(&[route, response.status().as_str()]).inc();
    response
}

/// The route of a path, for metrics: never the path itself, which callers choose.
fn route_label(path: &str) -> &'static str {
    match path {
        "/mcp" => "/mcp",
        "/livez" => "/livez",
        "/readyz" => "/readyz",
        "/metrics" => "/metrics",
        "/sse" | "/messages" => "/sse",
        _ if path.starts_with("/mcp/") => "/mcp/{service}",
        _ if path.starts_with("/api/") => "/api/{service}",
        _ => "other",
    }
}

/// The part of the catalogue that a request is about.
fn scope(
    edge: &Edge,
    service: Option<&str>,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Arc<Scope>, &'static str> {
    let service = service.filter(|service| *service != "aggregate");
    let known = |service: &str| {
        edge.engine.dispatch().surroundings().catalogue.all().iter().any(|tool| tool.service == service)
    };
    if service.is_some_and(|service| !known(service)) {
        return Err("there is no such service here, or nothing of it is configured; /mcp has all that is");
    }
    let in_query = query.into_iter().flat_map(|query| url::form_urlencoded::parse(query.as_bytes()));
    let in_query: Vec<_> = in_query.filter(|(name, _)| name == "toolsets").map(|(_, names)| names).collect();
    let given = if in_query.is_empty() { every(headers, "x-mcp-toolsets").collect() } else { in_query };
    let toolsets = (!given.is_empty()).then(|| {
        let names = given.iter().flat_map(|names| names.split(',')).map(|name| name.trim().to_lowercase());
        let mut names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
        names.sort();
        names.dedup();
        names
    });
    let topics = || edge.engine.dispatch().surroundings().catalogue.all();
    let is_toolset = |name: &String| {
        matches!(name.as_str(), "all" | "default")
            || topics().iter().any(|tool| tool.service == name || tool.topic == name)
    };
    if toolsets.as_ref().is_some_and(|names| !names.iter().any(is_toolset)) {
        return Err("none of these toolsets is there; a toolset is a service, a topic such as `prometheus/query`, \
                    `default` or `all`");
    }
    let readonly = every(headers, "x-mcp-readonly").any(|values| values.split(',').any(is_true));
    Ok(Arc::new(Scope { service: service.map(str::to_owned), toolsets, readonly }))
}

/// Every value of a header, which may come several times.
fn every<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
    headers.get_all(name).into_iter().map(|value| String::from_utf8_lossy(value.as_bytes()))
}

/// Whether a value means yes; what is not known to mean no does.
fn is_true(value: &str) -> bool {
    let value = value.trim();
    !["", "0", "false"].iter().any(|no| value.eq_ignore_ascii_case(no))
}

/// What every endpoint of the protocol begins with: who calls, and what part of the catalogue is meant.
fn enter(
    edge: &Edge,
    service: Option<Path<String>>,
    RawQuery(query): RawQuery,
    headers: &HeaderMap,
) -> Result<Context, Response> {
    let recognised = edge.authenticator.caller(headers).map_err(reply::error)?;
    let service = service.as_ref().map(|Path(service)| service.as_str());
    let scope = scope(edge, service, query.as_deref(), headers)
        .map_err(|message| reply::error(Error::NotFound(message.into())))?;
    Ok(edge.context(recognised, scope, headers))
}

/// Whether the body says that it is JSON.
fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    })
}
