//! JSON over HTTP: credentials, deadline, retry, breaker, size cap, and one clear error for every failure.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use url::Url;

use super::breaker::{Breaker, Turns};
use crate::answers::clean;
use crate::call::Context;
use crate::error::{Code, Error, Result};
use crate::secrets::Secret;
use crate::telemetry::metrics;

/// The pause before the first retry; it doubles from one to the next.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause that a backend may ask for (`Retry-After`) and get.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Bodies larger than this are read as JSON away from the threads that serve requests.
const LARGE_BODY: usize = 256 * 1024;

/// Characters of a backend's own error message that are shown.
const LONGEST_MESSAGE: usize = 600;

/// How to reach one instance of a backend.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Base address, `http://` or `https://`, with a path prefix where there is one.
    pub url: String,
    /// User name of HTTP basic authentication.
    pub username: String,
    /// Password of HTTP basic authentication.
    pub password: Secret,
    /// Bearer token.
    pub token: Secret,
    /// More headers for every request, for example `X-Scope-OrgID`.
    pub headers: BTreeMap<String, Secret>,
    /// File with the PEM certificates of the authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// File with the PEM client certificate and its key.
    pub client_certificate_file: Option<PathBuf>,
    /// Accept any certificate. Only for tests: whoever is on the way can read and change everything.
    pub insecure_skip_verify: bool,
    /// Seconds for one call of a tool, retries included.
    pub timeout_seconds: u64,
    /// Seconds to connect.
    pub connect_timeout_seconds: u64,
    /// Retries of a read that failed on the way.
    pub retries: u32,
    /// Calls at the same time; more wait.
    pub most_concurrent: usize,
    /// Bytes of one answer, after decompression.
    pub most_bytes: usize,
    /// Failures in a row after which the instance is left alone for a while.
    pub breaker_failures: u32,
    /// Seconds that it is left alone.
    pub breaker_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            username: String::new(),
            password: Secret::default(),
            token: Secret::default(),
            headers: BTreeMap::new(),
            ca_file: None,
            client_certificate_file: None,
            insecure_skip_verify: false,
            timeout_seconds: 30,
            connect_timeout_seconds: 5,
            retries: 2,
            most_concurrent: 64,
            most_bytes: 32 * 1024 * 1024,
            breaker_failures: 5,
            breaker_seconds: 10,
        }
    }
}

/// How a backend words its own errors: its message, if this body is one.
pub type Dialect = fn(&[u8]) -> Option<String>;

/// A client for one instance of a backend, shared by all calls.
#[derive(Debug)]
pub struct Rest {
    name: String,
    base: Url,
    client: reqwest::Client,
    headers: HeaderMap,
    /// What must not come back in an error message.
    secrets: Vec<String>,
    timeout: Duration,
    retries: u32,
    most_bytes: usize,
    places: Semaphore,
    breaker: Breaker,
    dialect: Dialect,
}

/// One request to a backend.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    segments: Vec<String>,
    query: String,
    body: Option<(&'static str, Bytes)>,
    safe: bool,
}

impl Request {
    /// Reads something. `path` is constant text; anything else goes through [`Request::segment`].
    #[must_use]
    pub fn get(path: &'static str) -> Self {
        Self::new(Method::GET, path, true)
    }

    /// Changes something by `POST`; never sent twice.
    #[must_use]
    pub fn post(path: &'static str) -> Self {
        Self::new(Method::POST, path, false)
    }

    /// Reads something by `POST`, as query APIs do.
    #[must_use]
    pub fn read_by_post(path: &'static str) -> Self {
        Self::new(Method::POST, path, true)
    }

    /// Removes something; never sent twice.
    #[must_use]
    pub fn delete(path: &'static str) -> Self {
        Self::new(Method::DELETE, path, false)
    }

    fn new(method: Method, path: &'static str, safe: bool) -> Self {
        let segments = path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
        Self { method, segments, query: String::new(), body: None, safe }
    }

    /// Adds a path segment, percent-encoded: it cannot leave its place.
    #[must_use]
    pub fn segment(mut self, segment: &str) -> Self {
        self.segments.push(segment.to_owned());
        self
    }

    /// Adds query parameters; lists repeat their key.
    ///
    /// # Errors
    /// [`Error::Internal`] where a value has no query form.
    pub fn query(mut self, parameters: &impl Serialize) -> Result<Self> {
        let query = serde_html_form::to_string(parameters).map_err(Error::internal)?;
        if !query.is_empty() {
            if !self.query.is_empty() {
                self.query.push('&');
            }
            self.query.push_str(&query);
        }
        Ok(self)
    }

    /// Sends parameters as a form; lists repeat their key.
    ///
    /// # Errors
    /// [`Error::Internal`] where a value has no form.
    pub fn form(mut self, parameters: &impl Serialize) -> Result<Self> {
        let form = serde_html_form::to_string(parameters).map_err(Error::internal)?;
        self.body = Some(("application/x-www-form-urlencoded", form.into()));
        Ok(self)
    }

    /// Sends a JSON body.
    ///
    /// # Errors
    /// [`Error::Internal`] where a value has no JSON form.
    pub fn json(mut self, body: &impl Serialize) -> Result<Self> {
        self.body = Some(("application/json", serde_json::to_vec(body).map_err(Error::internal)?.into()));
        Ok(self)
    }
}

/// Why one attempt failed.
enum Failure {
    /// It may succeed if it is made again, perhaps only after a pause that the backend named.
    Passing(Error, Option<Duration>),
    /// It will not.
    Final(Error),
}

impl Rest {
    /// A client for the instance `name`, for example `prometheus/main`.
    ///
    /// # Errors
    /// A sentence for each mistake in the configuration.
    pub fn new(name: String, config: &Config, dialect: Dialect, turns: Turns) -> Result<Self, Vec<String>> {
        let mut mistakes = Vec::new();
        let base = config.base().map_err(|mistake| mistakes.push(mistake)).ok();
        let headers = config.all_headers().map_err(|mistake| mistakes.push(mistake)).ok();
        let client = config.client().map_err(|mistake| mistakes.push(mistake)).ok();
        match (base, headers, client) {
            (Some(base), Some(headers), Some(client)) => Ok(Self {
                breaker: Breaker::new(config.breaker_failures, Duration::from_secs(config.breaker_seconds), turns),
                name,
                base,
                client,
                headers,
                secrets: config.secrets(),
                timeout: Duration::from_secs(config.timeout_seconds),
                retries: config.retries,
                most_bytes: config.most_bytes,
                places: Semaphore::new(config.most_concurrent.max(1)),
                dialect,
            }),
            _ => Err(mistakes),
        }
    }

    /// Service and instance, for example `prometheus/main`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why it is left alone, while it is.
    #[must_use]
    pub fn left_alone(&self) -> Option<String> {
        self.breaker.open()
    }

    /// The base address, which never has credentials in it.
    #[must_use]
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Sends a request and reads the answer as JSON.
    ///
    /// # Errors
    /// Those of [`Rest::send`], and [`Error::Backend`] where the answer is not the JSON expected.
    pub async fn json<T: DeserializeOwned + Send + 'static>(&self, request: Request, context: &Context) -> Result<T> {
        let body = self.send(request, context).await?;
        let is_page = body.trim_ascii_start().starts_with(b"<");
        let parsed = if body.len() > LARGE_BODY {
            tokio::task::spawn_blocking(move || serde_json::from_slice(&body)).await.map_err(Error::internal)?
        } else {
            serde_json::from_slice(&body)
        };
        parsed.map_err(|error| {
            tracing::debug!(backend.name = self.name, %error, "unexpected body");
            let message = if is_page {
                "it sends a web page where its API has JSON: a login stands before it, or the address is wrong".into()
            } else {
                format!("the body is not what its API promises ({error}); check the address and its version")
            };
            self.refused(StatusCode::OK, message)
        })
    }

    /// Sends a request and returns the body of a successful answer.
    ///
    /// # Errors
    /// [`Error::Backend`] for a failure that the backend reports, [`Error::Unavailable`] where it cannot be reached,
    /// [`Error::TimedOut`] at the deadline, [`Error::BadArguments`] where the answer is too large.
    pub async fn send(&self, request: Request, context: &Context) -> Result<Bytes> {
        let started = Instant::now();
        let deadline = context.deadline.min(started + self.timeout);
        // Waiting for a place of ours says nothing about the backend.
        let Ok(place) = tokio::time::timeout_at(deadline.into(), self.places.acquire()).await else {
            metrics::BACKEND_REQUESTS.with_label_values(&[self.name.as_str(), Code::TooManyCalls.label()]).inc();
            return Err(Error::TooManyCalls { retry_after: self.timeout });
        };
        let _place = place.map_err(Error::internal)?;
        let outcome = tokio::time::timeout_at(deadline.into(), self.send_until(&request, context, deadline)).await;
        let result = outcome.unwrap_or_else(|_| {
            if started.elapsed() >= self.timeout {
                self.breaker.failed("no answer in time");
            }
            Err(Error::TimedOut(format!(
                "{} did not answer within {} s; ask for less, or raise its `timeout_seconds`",
                self.name,
                deadline.duration_since(started).as_secs_f32().ceil()
            )))
        });
        let label = result.as_ref().err().map_or("ok", |error| error.code().label());
        metrics::BACKEND_REQUESTS.with_label_values(&[self.name.as_str(), label]).inc();
        metrics::BACKEND_SECONDS.with_label_values(&[self.name.as_str()]).observe(started.elapsed().as_secs_f64());
        tracing::debug!(
            backend.name = self.name,
            http.method = %request.method,
            http.path = request.segments.join("/"),
            backend.outcome = label,
            duration_ms = started.elapsed().as_millis(),
            "backend request"
        );
        result
    }

    async fn send_until(&self, request: &Request, context: &Context, deadline: Instant) -> Result<Bytes> {
        let mut attempt = 0;
        loop {
            if let Err((reason, wait)) = self.breaker.allow() {
                return Err(Error::Unavailable(format!(
                    "{} is not answering ({reason}); it is tried again in {} s",
                    self.name,
                    wait.as_secs() + 1
                )));
            }
            let (error, asked) = match self.attempt(request, context).await {
                Ok(body) => return Ok(body),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(error, asked)) => (error, asked),
            };
            let pause =
                asked.map_or_else(|| jittered(FIRST_PAUSE * 2_u32.pow(attempt.min(6))), |p| p.min(LONGEST_PAUSE));
            let in_time = Instant::now() + pause < deadline;
            if !request.safe || attempt >= self.retries || !in_time {
                return Err(error);
            }
            attempt += 1;
            tracing::debug!(backend.name = self.name, attempt, %error, "retrying");
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&self, request: &Request, context: &Context) -> Result<Bytes, Failure> {
        let mut builder = self.client.request(request.method.clone(), self.url(request)).headers(self.headers.clone());
        if let Some(parent) = &context.trace.parent {
            builder = builder.header("traceparent", parent);
            if let Some(state) = &context.trace.state {
                builder = builder.header("tracestate", state);
            }
        }
        if let Some((content_type, body)) = &request.body {
            builder = builder.header(CONTENT_TYPE, *content_type).body(body.clone());
        }
        let response = builder.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let asked = retry_after(response.headers());
        let redirected = status.is_redirection();
        let body = self.read_body(response).await?;
        if status.is_success() {
            self.breaker.succeeded();
            return Ok(body);
        }
        let own = (self.dialect)(&body);
        let says_so_itself = own.is_some();
        let message = own.unwrap_or_else(|| explain(status, redirected, &body));
        let error = self.refused(status, message);
        let passing = match status {
            StatusCode::TOO_MANY_REQUESTS => true,
            // A backend that explains itself would say the same again.
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => !says_so_itself,
            _ => false,
        };
        if status.is_server_error() && !says_so_itself {
            self.breaker.failed(&format!("it answered {status}"));
        } else {
            self.breaker.succeeded();
        }
        Err(if passing { Failure::Passing(error, asked) } else { Failure::Final(error) })
    }

    async fn read_body(&self, mut response: reqwest::Response) -> Result<Bytes, Failure> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + chunk.len() > self.most_bytes {
                self.breaker.succeeded();
                return Err(Failure::Final(Error::BadArguments(format!(
                    "{} answers with more than {} MiB; ask for less: more matchers, a shorter range, an aggregation, a \
                     smaller limit. An operator can raise `most_bytes`.",
                    self.name,
                    self.most_bytes >> 20
                ))));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    fn url(&self, request: &Request) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&request.segments);
        }
        if !request.query.is_empty() {
            url.set_query(Some(&request.query));
        }
        url
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let reason = if error.is_timeout() { "no connection in time".to_owned() } else { innermost(error) };
        self.breaker.failed(&reason);
        Failure::Passing(
            Error::Unavailable(format!(
                "{} cannot be reached at {}: {reason}; `server_list_backends` shows what can",
                self.name,
                self.address()
            )),
            None,
        )
    }

    /// Proxies that explain themselves may repeat what they were sent.
    fn refused(&self, status: StatusCode, mut message: String) -> Error {
        for secret in &self.secrets {
            message = message.replace(secret, "…");
        }
        Error::Backend { backend: self.name.clone(), status: status.as_u16(), message }
    }
}

impl Config {
    fn base(&self) -> Result<Url, String> {
        let wrong = |what: &str| format!("url: `{}` {what}", self.url);
        let url = Url::parse(&self.url).map_err(|error| wrong(&format!("is not an address: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(wrong("does not begin with http:// or https:// and a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("url: has credentials in it; set `username` and `password` instead".into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has a query or a fragment"));
        }
        Ok(url)
    }

    fn all_headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name).map_err(|_| format!("headers.{name}: not a header name"))?;
            headers.insert(name.clone(), hidden(value.reveal()).ok_or(format!("headers.{name}: not a header value"))?);
        }
        let authorization = match (self.token.is_empty(), self.username.is_empty()) {
            (false, false) => return Err("token: give either `token` or `username` and `password`".into()),
            (false, true) => format!("Bearer {}", self.token.reveal()),
            (true, false) => {
                use base64::Engine as _;
                let pair = format!("{}:{}", self.username, self.password.reveal());
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
            }
            (true, true) => return Ok(headers),
        };
        headers.insert(AUTHORIZATION, hidden(&authorization).ok_or("token: has characters that no header can carry")?);
        Ok(headers)
    }

    /// Credentials as they are written, and as they are sent.
    fn secrets(&self) -> Vec<String> {
        use base64::Engine as _;
        let pair = format!("{}:{}", self.username, self.password.reveal());
        let values = [&self.password, &self.token].into_iter().chain(self.headers.values());
        let mut secrets: Vec<String> = values.map(|value| value.reveal().to_owned()).collect();
        secrets.push(if self.username.is_empty() {
            String::new()
        } else {
            base64::engine::general_purpose::STANDARD.encode(pair)
        });
        // A tenant named `a` is no secret, and hiding it would leave nothing to read.
        secrets.retain(|secret| secret.len() >= 6);
        secrets
    }

    fn client(&self) -> Result<reqwest::Client, String> {
        let read = |key: &str, file: &PathBuf| {
            std::fs::read(file).map_err(|error| format!("{key}: cannot read {}: {error}", file.display()))
        };
        let mut builder = client_builder(Duration::from_secs(self.connect_timeout_seconds))
            .pool_max_idle_per_host(self.most_concurrent)
            .tls_danger_accept_invalid_certs(self.insecure_skip_verify);
        if let Some(file) = &self.ca_file {
            let certificates = reqwest::Certificate::from_pem_bundle(&read("ca_file", file)?)
                .map_err(|_| format!("ca_file: {} holds no PEM certificates", file.display()))?;
            if certificates.is_empty() {
                return Err(format!("ca_file: {} holds no PEM certificates", file.display()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        if let Some(file) = &self.client_certificate_file {
            let identity = reqwest::Identity::from_pem(&read("client_certificate_file", file)?).map_err(|_| {
                format!("client_certificate_file: {} does not hold a PEM certificate and its key", file.display())
            })?;
            builder = builder.identity(identity);
        }
        builder.build().map_err(|error| format!("url: no client can be made: {}", innermost(&error)))
    }
}

/// The one place where HTTP clients are made: no redirects, no proxies of the environment, no Nagle delay.
#[expect(clippy::disallowed_methods, reason = "the door that the lint points to")]
pub fn client_builder(connect_timeout: Duration) -> reqwest::ClientBuilder {
    // The process has one provider of cryptography; whoever comes second finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("cloud-native-mcp/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(Duration::from_secs(60))
}

fn hidden(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Half of the pause to the whole of it, by chance, so that many callers do not come back at once.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [0; 1];
    let _ = getrandom::fill(&mut byte);
    pause.mul_f64(0.5 + f64::from(byte[0]) / 510.0)
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3); the date form is rare and counts as none.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn explain(status: StatusCode, redirected: bool, body: &[u8]) -> String {
    let said = String::from_utf8_lossy(&body[..body.len().min(4 * LONGEST_MESSAGE)]);
    let said = said.trim();
    let hint = match status.as_u16() {
        401 => "the credentials configured for it are missing or wrong",
        403 => "the credentials configured for it do not allow this",
        404 => "it has no such path; check the base address and its version",
        _ if redirected => "it redirects elsewhere; configure the address it points to",
        _ if said.is_empty() => "it gave no reason",
        _ => "",
    };
    let said = if said.starts_with('<') { "" } else { said };
    let text = match (hint.is_empty(), said.is_empty()) {
        (false, false) => format!("{hint} ({said})"),
        (false, true) => hint.to_owned(),
        (true, _) => said.to_owned(),
    };
    shorten(&text)
}

/// A backend's own words, made safe and short.
#[must_use]
pub fn shorten(text: &str) -> String {
    let text = clean(text);
    if text.chars().count() <= LONGEST_MESSAGE {
        return text.into_owned();
    }
    text.chars().take(LONGEST_MESSAGE).chain(['…']).collect()
}

/// The innermost cause: the outer ones repeat the address, which may hold what is not to be shown.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

/// A client shared by the handles of one instance.
pub type Shared = Arc<Rest>;
