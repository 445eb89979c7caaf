//! One cluster: its credentials, the client that all calls share, and the kinds it serves.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{RETRY_AFTER, WARNING};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::connect::{Connection, address, innermost};
use super::kinds::{Groups, Kinds};
use super::places::{LongPlace, LongPlaces};
use super::request::Request;
use super::status::{Refused, Status};
use super::watch_cache::{self, WatchCache};
use crate::answers::clean;
use crate::answers::redact::without_credentials;
use crate::backends::body::Gathered;
use crate::backends::breaker::{Breaker, Turns};
use crate::call::Context;
use crate::error::{Code, Error, Result};
use crate::telemetry::metrics;

/// How long what a cluster serves is taken to stay the same.
const KINDS_FRESH_FOR: Duration = Duration::from_mins(5);

/// How often it is looked for a kind that was not known.
const KINDS_LOOKED_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Accepts aggregated discovery.
const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// The pause before a read is tried again; the API server may name a longer one.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest pause that the API server gets.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long it is waited for a place for a watch or a log.
const PATIENCE: Duration = Duration::from_secs(3);

/// Tries of a read in all.
const TRIES: u32 = 3;

/// Bytes of a failure that are read.
const LARGEST_STATUS: usize = 1 << 20;

/// How to reach one cluster: with a kubeconfig, or from inside with the service account of the pod.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// File with address and credentials; without one, the service account that a pod of the cluster has.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the file; its current one when absent.
    pub context: Option<String>,
    /// Seconds for one request, retries included; watches and logs may take as long as their call.
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_seconds: u64,
    /// Requests at the same time; more wait.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub most_concurrent: usize,
    /// Bytes of one answer.
    #[schemars(range(min = 1))]
    pub most_bytes: usize,
    /// Lists that are asked for again and again, answered from a watch.
    pub watch_cache: watch_cache::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            timeout_seconds: 30,
            most_concurrent: 64,
            most_bytes: 64 << 20,
            watch_cache: watch_cache::Config::default(),
        }
    }
}

/// One cluster, shared by all calls.
pub struct Cluster {
    pub(super) name: String,
    pub(super) config: Config,
    address: String,
    pub(super) client: Connection,
    kinds: Mutex<Option<(Instant, Arc<Kinds>)>>,
    /// Held by who reads the kinds.
    reading_kinds: tokio::sync::Mutex<()>,
    places: Semaphore,
    long_places: LongPlaces,
    breaker: Breaker,
    watch_cache: WatchCache,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("name", &self.name).field("address", &self.address).finish_non_exhaustive()
    }
}

impl Cluster {
    /// A cluster by the name that calls use; connects to nothing.
    ///
    /// # Errors
    /// Every mistake in its configuration, as key within it and a sentence.
    pub fn new(name: &str, config: &Config, turns: Turns) -> Result<Self, Vec<(String, String)>> {
        let address = match &config.kubeconfig {
            Some(_) => address(config).map_err(|(key, mistake)| vec![(key.to_owned(), mistake)])?,
            None if config.context.is_some() => {
                let mistake = "needs a `kubeconfig`, since contexts are in such a file".to_owned();
                return Err(vec![("context".into(), mistake)]);
            }
            None => "https://kubernetes.default.svc".into(),
        };
        Ok(Self {
            name: name.to_owned(),
            config: config.clone(),
            address,
            client: Connection::default(),
            kinds: Mutex::default(),
            reading_kinds: tokio::sync::Mutex::default(),
            places: Semaphore::new(config.most_concurrent.max(1)),
            long_places: LongPlaces::new(config.most_concurrent, PATIENCE),
            breaker: Breaker::new(5, Duration::from_secs(10), turns),
            watch_cache: WatchCache::new(&config.watch_cache),
        })
    }

    /// The name that calls use.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address, which has no credentials in it.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Bytes that one answer may have.
    pub(super) fn most_bytes(&self) -> usize {
        self.config.most_bytes
    }

    /// Its lists that watches keep up to date.
    pub(super) fn watch_cache(&self) -> &WatchCache {
        &self.watch_cache
    }

    /// Why it is left alone, while it is.
    #[must_use]
    pub fn left_alone(&self) -> Option<String> {
        self.breaker.open()
    }

    /// The kinds it serves, as they were at most five minutes ago; older ones while somebody else reads them again.
    ///
    /// # Errors
    /// Those of [`Cluster::send`].
    pub async fn kinds(&self, context: &Context) -> Result<Arc<Kinds>> {
        match self.known_kinds() {
            Some((read, kinds)) if read.elapsed() < KINDS_FRESH_FOR || self.reading_kinds.try_lock().is_err() => {
                Ok(kinds)
            }
            _ => self.kinds_since(KINDS_FRESH_FOR, context).await,
        }
    }

    /// The kinds it serves, read again unless that was done a moment ago: for a kind that is not among them.
    ///
    /// # Errors
    /// Those of [`Cluster::send`].
    pub async fn kinds_again(&self, context: &Context) -> Result<Arc<Kinds>> {
        self.kinds_since(KINDS_LOOKED_AGAIN_AFTER, context).await
    }

    /// The kinds as they were when they were last read.
    fn known_kinds(&self) -> Option<(Instant, Arc<Kinds>)> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The kinds as they were at most so long ago; calls that need them read again wait for the first one to do so.
    async fn kinds_since(&self, age: Duration, context: &Context) -> Result<Arc<Kinds>> {
        let started = Instant::now();
        let deadline = self.deadline(started, context);
        let read = async {
            let _reading = self.reading_kinds.lock().await;
            match self.known_kinds() {
                Some((read, kinds)) if read.elapsed() < age => Ok(kinds),
                _ => self.read_kinds(context).await,
            }
        };
        let outcome = tokio::time::timeout_at(deadline.into(), read).await;
        outcome.unwrap_or_else(|_| Err(self.too_slow(started, deadline).into()))
    }

    async fn read_kinds(&self, context: &Context) -> Result<Arc<Kinds>> {
        let read = Instant::now();
        let groups = async |path: &str| -> Result<Groups> {
            let body = self.send(&Request::get(path).accept(DISCOVERY), context).await?;
            serde_json::from_slice(&body).map_err(|error| self.unexpected(&error))
        };
        let (core, others) = futures_util::future::try_join(groups("/api"), groups("/apis")).await?;
        let kinds = Arc::new(Kinds::new([core, others]));
        *self.kinds.lock().unwrap_or_else(PoisonError::into_inner) = Some((read, kinds.clone()));
        Ok(kinds)
    }

    /// When a request that began then has to be answered.
    fn deadline(&self, started: Instant, context: &Context) -> Instant {
        context.deadline.min(started + Duration::from_secs(self.config.timeout_seconds))
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// What the API server says, [`Error::Unavailable`] where it cannot be reached, [`Error::TimedOut`] at the deadline,
    /// [`Error::BadArguments`] where the answer is too large.
    pub async fn send(&self, request: &Request, context: &Context) -> Result<Bytes, Refused> {
        self.send_warned(request, context).await.map(|(body, _)| body)
    }

    /// Sends a request, and reads the whole answer and what the API server warns of.
    ///
    /// # Errors
    /// Those of [`Cluster::send`].
    pub async fn send_warned(&self, request: &Request, context: &Context) -> Result<(Bytes, Vec<String>), Refused> {
        let started = Instant::now();
        let deadline = self.deadline(started, context);
        let sent = AtomicBool::new(false);
        let read = async {
            let _place = self.place().await?;
            let response = self.answered(request, context, deadline, &sent).await?;
            let warnings = response.headers().get_all(WARNING).iter().filter_map(warning).collect();
            Ok((self.read(response.into_body(), self.config.most_bytes).await?, warnings))
        };
        let outcome = tokio::time::timeout_at(deadline.into(), read).await;
        let mut result = outcome.unwrap_or_else(|_| Err(self.too_slow(started, deadline)));
        if let Err(Refused::Error(error @ (Error::Unavailable(_) | Error::TimedOut(_)))) = &result
            && sent.load(Ordering::Relaxed)
            && request.takes_effect()
        {
            let message = format!(
                "it is not known whether this was done ({error}); look at it with `kubernetes_get_resource` before trying again"
            );
            result = Err(Refused::Unknown(match error {
                Error::TimedOut(_) => Error::TimedOut(message),
                _ => Error::Unavailable(message),
            }));
        }
        self.record(request, started, &result);
        result
    }

    /// Sends a request and hands out the answer as it comes, until the call ends.
    ///
    /// # Errors
    /// Those of [`Cluster::send`], as far as they are known when the answer begins.
    pub async fn stream(&self, request: &Request, context: &Context) -> Result<Streamed<'_>, Refused> {
        let started = Instant::now();
        let deadline = self.deadline(started, context);
        let opened = async {
            let place = self.long_places.take(&self.name, context.caller.identity()).await?;
            let response = self.answered(request, context, deadline, &AtomicBool::new(false)).await?;
            Ok((response, place))
        };
        let outcome = tokio::time::timeout_at(deadline.into(), opened).await;
        let result = outcome.unwrap_or_else(|_| Err(self.too_slow(started, deadline)));
        self.record(request, started, &result);
        let (response, place) = result?;
        Ok(Streamed { cluster: self, body: response.into_body(), _place: place })
    }

    /// A place among the requests at the same time.
    pub(super) async fn place(&self) -> Result<SemaphorePermit<'_>> {
        self.places.acquire().await.map_err(Error::internal)
    }

    pub(super) async fn respond(
        &self,
        request: &Request,
        context: &Context,
        deadline: Instant,
    ) -> Result<(Response<Body>, SemaphorePermit<'_>), Refused> {
        let place = self.place().await?;
        Ok((self.answered(request, context, deadline, &AtomicBool::new(false)).await?, place))
    }

    /// Sends a request until it is answered; reads are tried again. Notes whether it may have reached the API server.
    async fn answered(
        &self,
        request: &Request,
        context: &Context,
        deadline: Instant,
        was_sent: &AtomicBool,
    ) -> Result<Response<Body>, Refused> {
        let mut client = self.client().await?;
        let mut tries = 0;
        let mut has_renewed = false;
        loop {
            if let Err((reason, wait)) = self.breaker.allow() {
                let wait = wait.as_secs() + 1;
                return Err(Error::Unavailable(format!(
                    "kubernetes/{} is not answering ({reason}); it is tried again in {wait} s",
                    self.name
                ))
                .into());
            }
            tries += 1;
            was_sent.store(true, Ordering::Relaxed);
            let sent = client.send(request.http(context)?).await;
            let (refused, pause) = match sent {
                Ok(response) if response.status().is_success() => {
                    self.breaker.succeeded();
                    return Ok(response);
                }
                Ok(response) => {
                    self.breaker.succeeded();
                    let code = response.status();
                    let asked = retry_after(response.headers());
                    let status = self.status(response, context).await;
                    if code == StatusCode::UNAUTHORIZED && !has_renewed && self.forget_client() {
                        has_renewed = true;
                        client = self.client().await?;
                        continue;
                    }
                    let pause = Duration::from_secs(status.details.retry_after_seconds.max(asked));
                    let pause = pause.clamp(PAUSE, LONGEST_PAUSE);
                    let passing = matches!(
                        code,
                        StatusCode::TOO_MANY_REQUESTS
                            | StatusCode::SERVICE_UNAVAILABLE
                            | StatusCode::BAD_GATEWAY
                            | StatusCode::GATEWAY_TIMEOUT
                    );
                    (Refused::Status(Box::new(status)), passing.then_some(pause))
                }
                Err(error) => {
                    was_sent.store(!is_not_connected(&error), Ordering::Relaxed);
                    (self.unreachable(&error).into(), Some(PAUSE))
                }
            };
            match pause {
                Some(pause) if request.method == Method::GET && tries < TRIES && Instant::now() + pause < deadline => {
                    tokio::time::sleep(pause).await;
                }
                _ => return Err(refused),
            }
        }
    }

    async fn status(&self, response: Response<Body>, context: &Context) -> Status {
        let code = response.status().as_u16();
        let body = self.read(response.into_body(), LARGEST_STATUS).await.unwrap_or_default();
        Status::said(&body, &self.name, code, &context.signer)
    }

    async fn read(&self, mut body: Body, most: usize) -> Result<Bytes> {
        let mut read = Gathered::default();
        while let Some(frame) = body.frame().await {
            let Ok(part) = frame.map_err(|error| self.unreachable(&error))?.into_data() else { continue };
            if read.len() + part.len() > most {
                return Err(Error::BadArguments(format!(
                    "kubernetes/{} answers with more than {} MiB; ask for less: one namespace, labels, fields, a smaller \
                     limit. An operator can raise `most_bytes`.",
                    self.name,
                    most >> 20
                )));
            }
            read.push(&part);
        }
        Ok(read.whole())
    }

    /// An answer that is not what the API promises.
    pub(super) fn unexpected(&self, error: &serde_json::Error) -> Error {
        Error::Backend {
            backend: format!("kubernetes/{}", self.name),
            status: 200,
            // The error itself may show a value of the answer.
            message: format!(
                "the answer is not what its API promises (line {}, column {}); is {} an API server?",
                error.line(),
                error.column(),
                self.address
            ),
        }
    }

    /// A connection that broke, or could not be made.
    pub(super) fn unreachable(&self, error: &kube::Error) -> Error {
        self.breaker.failed(&reason_of(error));
        self.broken(error)
    }

    /// A connection that broke through no fault of the API server.
    pub(super) fn broken(&self, error: &kube::Error) -> Error {
        let reason = reason_of(error);
        Error::Unavailable(format!(
            "kubernetes/{} cannot be reached at {}: {reason}; `server_list_backends` shows what can",
            self.name, self.address
        ))
    }

    pub(super) fn too_slow(&self, started: Instant, deadline: Instant) -> Refused {
        let seconds = deadline.duration_since(started).as_secs_f32().ceil();
        Error::TimedOut(format!("kubernetes/{} did not answer within {seconds} s; ask for less", self.name)).into()
    }

    pub(super) fn record<T>(&self, request: &Request, started: Instant, result: &Result<T, Refused>) {
        if request.changes() {
            self.watch_cache.changed();
        }
        let name = format!("kubernetes/{}", self.name);
        let label = match result {
            Ok(_) => "ok",
            Err(Refused::Status(_)) => Code::Backend.label(),
            Err(Refused::Error(error) | Refused::Unknown(error)) => error.code().label(),
        };
        metrics::BACKEND_REQUESTS.with_label_values(&[name.as_str(), label]).inc();
        metrics::BACKEND_SECONDS.with_label_values(&[name.as_str()]).observe(started.elapsed().as_secs_f64());
        tracing::debug!(
            backend.name = name,
            http.method = %request.method,
            http.path = request.path,
            backend.outcome = label,
            duration_ms = started.elapsed().as_millis(),
            "backend request"
        );
    }
}

/// An answer as it comes.
#[derive(Debug)]
pub struct Streamed<'a> {
    cluster: &'a Cluster,
    body: Body,
    _place: LongPlace,
}

impl Streamed<'_> {
    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the connection breaks.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(part) = frame.map_err(|error| self.cluster.unreachable(&error))?.into_data() {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }
}

/// Why a connection broke.
fn reason_of(error: &kube::Error) -> String {
    without_credentials(&innermost(error)).into_owned()
}

/// Seconds that the answer asks to wait (RFC 9110 §10.2.3); zero where it says none, or names a moment.
fn retry_after(headers: &HeaderMap) -> u64 {
    headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok()).unwrap_or_default()
}

/// Whether there was not even a connection that a request could have gone over.
fn is_not_connected(error: &kube::Error) -> bool {
    let mut error: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(one) = error {
        if let Some(client) = one.downcast_ref::<hyper_util::client::legacy::Error>() {
            return client.is_connect();
        }
        error = one.source();
    }
    false
}

/// The text of a warning such as `299 - "spec.x is deprecated"` (RFC 7234 §5.5).
fn warning(header: &HeaderValue) -> Option<String> {
    let text = header.to_str().ok()?;
    let (_, quoted) = text.split_once('"')?;
    let text = quoted.strip_suffix('"').unwrap_or(quoted).replace("\\\"", "\"").replace("\\\\", "\\");
    Some(without_credentials(&clean(&text)).into_owned())
}
