//! The protocol, stateless: a request in, an outcome out.

mod completion;
mod discover;
pub mod envelope;
mod era;
mod fault;
mod input;
mod modern;
mod prompts;
mod resources;
mod subscriptions;
mod tasks;
mod tools;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

pub use discover::Capabilities;
pub use era::Revision;
pub use fault::Fault;
pub use modern::{RequestMeta, is_plain, is_traceparent};
pub use subscriptions::Wanted;
pub use tasks::Tasks;

use crate::call::{Asked, Context};
use crate::changes::Changes;
use crate::dispatch::Dispatch;
use crate::error::{Error, Result};
use crate::toolkit::{Cost, PromptEntry, Resource};

/// Keys of `_meta` that 2026-07-28 reserves (basic/index).
pub mod meta {
    /// The revision a request speaks.
    pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    /// What its client can do.
    pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    /// The least severe log messages it wants.
    pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    /// Who answers.
    pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
    /// The listen request that a message belongs to.
    pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
}

/// How a server names itself.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `Implementation` of the protocol: name, title, version.
    pub implementation: Value,
    /// What a model should know before it uses the server.
    pub instructions: String,
}

/// What a server offers besides tools.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// Prompts, in the order of lists.
    pub prompts: Vec<PromptEntry>,
    /// Resources, in the order of lists.
    pub resources: Vec<Arc<dyn Resource>>,
    /// Whether tools, prompts and resources come and go while the server runs.
    pub changing: bool,
    /// Whether it sends log messages to clients that want them.
    pub logging: bool,
}

/// A request of a client, whatever way it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The parameters: a JSON object as text, or nothing.
    pub params: Bytes,
    /// The revision it speaks.
    pub revision: Revision,
}

/// How a request ended.
#[derive(Debug)]
pub enum Outcome {
    /// With a result: a JSON object as text.
    Complete(Bytes),
    /// With questions that must be answered first.
    InputRequired {
        /// The result that asks, as 2026-07-28 words it.
        result: Map<String, Value>,
        /// The questions.
        asked: Box<Asked>,
    },
    /// With a task that goes on.
    Task(Map<String, Value>),
}

/// Answers requests.
#[derive(Debug)]
pub struct Engine {
    identity: Identity,
    offer: Offer,
    dispatch: Arc<Dispatch>,
    tasks: Tasks,
    lists: tools::Lists,
}

impl Engine {
    /// An engine over these tools, prompts and resources.
    #[must_use]
    pub fn new(identity: Identity, mut offer: Offer, dispatch: Arc<Dispatch>, tasks: Tasks) -> Self {
        let backends = &dispatch.surroundings().backends;
        offer
            .prompts
            .retain(|prompt| prompt.services.is_empty() || prompt.services.iter().any(|name| backends.has(name)));
        Self { identity, offer, tasks, dispatch, lists: tools::Lists::default() }
    }

    /// What came and went, for those who listen.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.dispatch.surroundings().changes
    }

    /// What brings calls to tools.
    #[must_use]
    pub fn dispatch(&self) -> &Arc<Dispatch> {
        &self.dispatch
    }

    /// Whether a method exists in a revision, so that a server can refuse others before it looks further.
    #[must_use]
    pub fn knows(&self, method: &str, revision: Revision) -> bool {
        match method {
            "tools/list" | "tools/call" | "resources/list" | "resources/templates/list" | "resources/read" => true,
            "prompts/list" | "prompts/get" => !self.offer.prompts.is_empty(),
            "completion/complete" => revision >= Revision::V2025_03_26 || !self.offer.prompts.is_empty(),
            "server/discover" | "subscriptions/listen" | "tasks/get" | "tasks/update" | "tasks/cancel" => {
                revision.is_modern()
            }
            _ => false,
        }
    }

    /// How much work a request makes; none for one that only asks whether the server is there.
    #[must_use]
    pub fn cost(&self, method: &str, params: &Bytes, context: &Context) -> Option<Cost> {
        match method {
            "ping" => None,
            "tools/call" => Some(self.cost_of_call(params, context)),
            _ => Some(Cost::Light),
        }
    }

    /// Answers a request.
    ///
    /// # Errors
    /// A protocol error: the method or its parameters are wrong. Failures of tools are results.
    pub async fn call(&self, request: &Request, context: Context) -> Result<Outcome, Fault> {
        let result = self.route(request, context).await;
        let outcome = match &result {
            Ok(Outcome::Complete(_)) => "complete",
            Ok(Outcome::InputRequired { .. }) => "input_required",
            Ok(Outcome::Task(_)) => "task",
            Err(_) => "error",
        };
        // Only methods that exist become a label.
        let method = if self.knows(&request.method, request.revision) { request.method.as_str() } else { "unknown" };
        crate::telemetry::metrics::REQUESTS.with_label_values(&[method, request.revision.era(), outcome]).inc();
        result
    }

    async fn route(&self, request: &Request, context: Context) -> Result<Outcome, Fault> {
        if !self.knows(&request.method, request.revision) {
            return Err(Fault::method_not_found(&request.method));
        }
        match request.method.as_str() {
            "tools/list" => self.list_tools(request, &context),
            "tools/call" => self.call_tool(request, context).await,
            "prompts/list" => self.list_prompts(request, &context),
            "prompts/get" => self.get_prompt(request, context),
            "resources/list" => self.list_resources(request, &context, false),
            "resources/templates/list" => self.list_resources(request, &context, true),
            "resources/read" => self.read_resource(request, &context).await,
            "completion/complete" => self.complete_argument(request, &context).await,
            "server/discover" => Ok(self.complete(request.revision, self.discover())),
            "tasks/get" => self.get_task(request, &context).await,
            "tasks/update" => self.update_task(request, &context).await,
            "tasks/cancel" => self.cancel_task(request, &context).await,
            other => Err(Fault::method_not_found(other)),
        }
    }

    /// A complete result in the form of its revision.
    fn complete(&self, revision: Revision, result: Map<String, Value>) -> Outcome {
        Outcome::Complete(self.encode(revision, "complete", &result))
    }

    /// A result as text. 2026-07-28 wants its kind, and who answers.
    pub(crate) fn encode(&self, revision: Revision, kind: &str, result: &Map<String, Value>) -> Bytes {
        let mut text = Vec::with_capacity(1024);
        let written = if revision.is_modern() {
            let implementation = &self.identity.implementation;
            serde_json::to_writer(&mut text, &Signed { kind, result, implementation })
        } else {
            serde_json::to_writer(&mut text, result)
        };
        written.expect("JSON values have a JSON form");
        text.into()
    }
}

/// A result with its kind in front, and who answers at its end.
struct Signed<'a> {
    kind: &'a str,
    result: &'a Map<String, Value>,
    implementation: &'a Value,
}

impl Serialize for Signed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("resultType", self.kind)?;
        for (name, value) in self.result.iter().filter(|(name, _)| *name != "_meta") {
            map.serialize_entry(name, value)?;
        }
        let own = self.result.get("_meta").and_then(Value::as_object).into_iter().flatten();
        let own = own.map(|(name, value)| (name.as_str(), value));
        let meta: BTreeMap<_, _> = own.chain([(meta::SERVER_INFO, self.implementation)]).collect();
        map.serialize_entry("_meta", &meta)?;
        map.end()
    }
}

/// Says how long a list may be kept, and by whom: what a caller may see is for that caller only.
fn cacheable(revision: Revision, result: &mut Map<String, Value>, milliseconds: u64) {
    if revision.is_modern() {
        result.insert("ttlMs".into(), milliseconds.into());
        result.insert("cacheScope".into(), "private".into());
    }
}

/// Parameters of a known form.
fn read<T: DeserializeOwned>(params: &Bytes) -> Result<T, Fault> {
    let params: &[u8] = if params.is_empty() { b"{}" } else { params };
    serde_json::from_slice(params).map_err(|error| Fault::invalid_params(format!("params: {error}")))
}

/// Lists come in one page, so no cursor was ever given out.
fn refuse_cursor(params: &Bytes) -> Result<(), Fault> {
    #[derive(Deserialize)]
    struct Paged {
        cursor: Option<Value>,
    }
    match read::<Paged>(params)?.cursor {
        None => Ok(()),
        Some(_) => Err(Fault::invalid_params("cursor: not one of ours; the list comes in one page")),
    }
}

/// A name that is not known, as an error shows it.
fn quoted(name: &str) -> String {
    let short: String = name.chars().take(80).collect();
    format!("`{}`", short.escape_debug())
}

/// A failure outside of a tool.
fn fault(error: Error) -> Fault {
    match error {
        Error::NotFound(message) => Fault::invalid_params(message),
        other => other.into(),
    }
}
