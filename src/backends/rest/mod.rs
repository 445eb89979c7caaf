//! JSON over HTTP: credentials, deadline, retry, breaker, size cap, and one clear error for every failure.

mod config;
mod request;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use url::Url;

pub use config::{Config, client_builder};
pub use request::Request;

use self::config::Parts;
use super::body::Gathered;
use super::breaker::{Breaker, Turns};
use crate::answers::clean;
use crate::call::Context;
use crate::error::{Code, Error, Result};
use crate::telemetry::metrics;

/// The pause before the first retry; it doubles from one to the next.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause that a backend may ask for (`Retry-After`) and get.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Bodies larger than this are read as JSON away from the threads that serve requests.
const LARGE_BODY: usize = 256 * 1024;

/// Characters of a backend's own error message that are shown.
const LONGEST_MESSAGE: usize = 600;

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
    /// Every mistake in the configuration, as key within the instance and a sentence.
    pub fn new(name: String, config: &Config, dialect: Dialect, turns: Turns) -> Result<Self, Vec<(String, String)>> {
        let Parts { base, headers, client } = config.parts()?;
        Ok(Self {
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
        })
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

    /// Sends a request that is made of the caller's arguments, and reads the answer as JSON.
    ///
    /// # Errors
    /// Those of [`Rest::json`]; what the backend rejects is [`Error::BadArguments`] in its own words.
    pub async fn ask<T: DeserializeOwned + Send + 'static>(&self, request: Request, context: &Context) -> Result<T> {
        self.json(request, context).await.map_err(|error| match error {
            Error::Backend { status: 400 | 422, message, backend } => {
                Error::BadArguments(format!("{backend} refuses it: {message}"))
            }
            other => other,
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
        let mut body = Gathered::default();
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
            body.push(&chunk);
        }
        Ok(body.whole())
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

/// Half of the pause to the whole of it, by chance, so that many callers do not come back at once.
pub(super) fn jittered(pause: Duration) -> Duration {
    let mut byte = [0; 1];
    let _ = getrandom::fill(&mut byte);
    pause.mul_f64(0.5 + f64::from(byte[0]) / 510.0)
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3); the date form is rare and counts as none.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// What a failure means that the backend did not explain, and what to do about it.
fn explain(status: StatusCode, redirected: bool, body: &[u8]) -> String {
    let (meaning, next) = match status.as_u16() {
        401 => ("the credentials configured for it are missing or wrong", "an operator sets them under `backends`"),
        403 => {
            ("the credentials configured for it do not allow this", "an operator can give it others under `backends`")
        }
        404 => ("it has no such path", "check the base address and its version"),
        429 => ("it takes no more for now", "try again in a while, or ask for less"),
        _ if redirected => ("it redirects elsewhere", "configure the address it points to"),
        502..=504 => ("", "it may be starting, overloaded or down: try again in a while"),
        500.. => ("", "try again; its own log may say more"),
        _ => ("", "check the base address and its version"),
    };
    let said = String::from_utf8_lossy(&body[..body.len().min(4 * LONGEST_MESSAGE)]);
    let said = shorten(if said.trim_start().starts_with('<') { "" } else { said.trim() });
    let what = match (meaning, said.as_str()) {
        ("", "") => "it gave no reason".to_owned(),
        ("", _) => said,
        (_, "") => meaning.to_owned(),
        (..) => format!("{meaning} ({said})"),
    };
    format!("{what}; {next}")
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
