//! The circumstances of one call: who, until when, and the way back to the client while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::secrets::Signer;

pub use crate::input::{Asked, InputRequest};

/// The shortest time between two progress notifications of one call.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// What a heavy call holds of the places for such calls, until nobody works on it any more.
pub type Place = Arc<[OwnedSemaphorePermit; 2]>;

/// Everything a tool, prompt or resource may know of the call it serves.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who calls.
    pub caller: Arc<Caller>,
    /// When the credentials end that the call came with; a stream does not outlive them.
    pub until: Option<jiff::Timestamp>,
    /// What part of the catalogue it asked for.
    pub scope: Arc<Scope>,
    /// When the answer is no longer of use.
    pub deadline: Instant,
    /// The moment that relative times such as `now-1h` count from.
    pub now: jiff::Timestamp,
    /// The trace this call belongs to, handed on to backends.
    pub trace: Trace,
    /// What the client can do and wants to hear.
    pub client: Client,
    /// Notifications to the client while the call runs.
    pub outbox: Outbox,
    /// Set when the client withdraws the request or the server ends.
    pub cancelled: CancellationToken,
    /// What the client brought along when it was asked before.
    pub inputs: Inputs,
    /// Signs what the client is to hand back.
    pub signer: Arc<Signer>,
    /// The place of a heavy call.
    pub place: Option<Place>,
}

impl Context {
    /// A context without a client that listens: for command line use and tests.
    #[must_use]
    pub fn detached(caller: Arc<Caller>, timeout: Duration) -> Self {
        Self {
            caller,
            until: None,
            scope: Arc::default(),
            deadline: Instant::now() + timeout,
            now: jiff::Timestamp::now(),
            trace: Trace::default(),
            client: Client::default(),
            outbox: Outbox::default(),
            cancelled: CancellationToken::new(),
            inputs: Inputs::default(),
            signer: Arc::new(Signer::random()),
            place: None,
        }
    }

    /// The time left until the deadline; zero when it has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Waits until the credentials end that the call came with.
    pub async fn expired(&self) {
        let Some(until) = self.until else { return std::future::pending().await };
        loop {
            let left = until.duration_since(jiff::Timestamp::now());
            let Ok(left) = Duration::try_from(left) else { return };
            if left.is_zero() {
                return;
            }
            // The clock that credentials go by may be set.
            tokio::time::sleep(left.min(Duration::from_secs(60))).await;
        }
    }

    /// The client's answer to `request` under `key`, an object; anything else is no answer.
    ///
    /// The first time there is none, and the call ends with [`Error::InputRequired`]; the client is asked, and the call
    /// is made again with its answer. So everything before this line runs twice and must change nothing.
    ///
    /// # Errors
    /// [`Error::InputRequired`] while the answer is missing.
    pub fn ask(&self, key: &str, request: InputRequest) -> Result<&Value> {
        self.inputs.responses.get(key).filter(|answer| answer.is_object()).ok_or_else(|| {
            Error::InputRequired(Box::new(Asked { requests: [(key.to_owned(), request)].into(), state: None }))
        })
    }

    /// Sends a log message to a client that asked for messages of this level.
    pub fn log(&self, level: LogLevel, logger: &str, data: &Value) {
        if self.client.log_level.is_some_and(|lowest| level >= lowest) {
            self.outbox.notify("notifications/message", json!({"level": level, "logger": logger, "data": data}));
        }
    }
}

/// W3C trace context, as it came with the request.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// `traceparent` (W3C Trace Context §3.2), already checked for its form.
    pub parent: Option<String>,
    /// `tracestate`.
    pub state: Option<String>,
}

/// What the client of a call declared about itself.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Its `ClientCapabilities`.
    pub capabilities: Arc<Map<String, Value>>,
    /// The least severe level of log messages it wants; none means no messages.
    pub log_level: Option<LogLevel>,
}

impl Client {
    /// Whether the client declared a capability, for example `["elicitation", "url"]`.
    ///
    /// An `elicitation` without modes means form mode (MCP, client/elicitation).
    #[must_use]
    pub fn can(&self, path: &[&str]) -> bool {
        let Some(first) = path.first().and_then(|name| self.capabilities.get(*name)) else { return false };
        if path == ["elicitation", "form"] {
            return first.get("form").is_some() || first.get("url").is_none();
        }
        path[1..].iter().try_fold(first, |value, name| value.get(*name)).is_some()
    }
}

/// Severity of a log message to the client (RFC 5424 §6.2.1), least severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of RFC 5424")]
pub enum LogLevel {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

/// Something for the client besides the answer.
#[derive(Clone, Debug)]
pub enum Event {
    /// A JSON-RPC notification.
    Notification {
        /// Its method.
        method: &'static str,
        /// Its parameters.
        params: Value,
    },
    /// The stream may be closed now; a client of the older revisions fetches the rest by `Last-Event-ID`.
    CloseStream,
}

/// The way of notifications to the client. Without a listening client everything sent is dropped.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    sender: Option<mpsc::Sender<Event>>,
    progress: Option<Arc<Progress>>,
}

#[derive(Debug)]
struct Progress {
    token: Value,
    started: Instant,
    /// Milliseconds after `started` of the last notification, plus one.
    last: AtomicU64,
}

impl Outbox {
    /// An outbox with its receiving end, and the client's progress token if it gave one.
    #[must_use]
    pub fn new(progress_token: Option<Value>) -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(64);
        let progress =
            progress_token.map(|token| Arc::new(Progress { token, started: Instant::now(), last: AtomicU64::new(0) }));
        (Self { sender: Some(sender), progress }, receiver)
    }

    /// Sends a notification. A client too slow to take it loses it: the answer matters more.
    pub fn notify(&self, method: &'static str, params: Value) {
        if let Some(sender) = &self.sender {
            let _ = sender.try_send(Event::Notification { method, params });
        }
    }

    /// Lets the client of an older revision go on without an open stream.
    pub fn close_stream(&self) {
        if let Some(sender) = &self.sender {
            let _ = sender.try_send(Event::CloseStream);
        }
    }

    /// Reports progress: `done` must grow from one report to the next, of `total` if that is known.
    pub fn progress(&self, done: f64, total: Option<f64>, message: &str) {
        let Some(progress) = &self.progress else { return };
        let now = u64::try_from(progress.started.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let last = progress.last.load(Ordering::Relaxed);
        let finished = total.is_some_and(|total| done >= total);
        if last != 0 && !finished && now < last + u64::try_from(PROGRESS_INTERVAL.as_millis()).unwrap_or(0) {
            return;
        }
        progress.last.store(now, Ordering::Relaxed);
        let mut params = json!({"progressToken": progress.token, "progress": done, "message": message});
        if let Some(total) = total {
            params["total"] = json!(total);
        }
        self.notify("notifications/progress", params);
    }
}

/// What a client brought along with the retry of a call that asked for input.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Its answers, by the key of the request.
    pub responses: BTreeMap<String, Value>,
    /// The state that the earlier attempt left with it, already checked for its signature.
    pub state: Option<Value>,
    /// Where an earlier page of this call ended, in the words of its tool (`Answer::next`).
    pub resume: Option<String>,
    /// What the plan that is carried out held fast (`Answer::planned`); none without a plan.
    pub plan: Option<Value>,
    /// Of a completion: what stands in other arguments already.
    pub chosen: BTreeMap<String, String>,
}

/// The part of the catalogue that a request is about: the endpoint's path, its query and its headers narrow it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Only this service, as in `/mcp/prometheus`.
    pub service: Option<String>,
    /// Only these toolsets, sorted; the default toolset is listed when absent.
    pub toolsets: Option<Vec<String>>,
    /// Only what reads.
    pub readonly: bool,
}
