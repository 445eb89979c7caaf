//! About this server itself: its tools, and the systems behind it.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::call::Context;
use crate::caller::Effect;
use crate::error::{Error, Result};
use crate::toolkit::args::Limit;
use crate::toolkit::{
    Described, Entry, Facts, Forward, Listing, Permission, Policy, Surroundings, Tool, Topic, forward, schema, tool,
};

/// Toolsets about the server.
pub(super) const TOPICS: &[Topic] = &[Topic { name: "server", tools: TOOLS }];

const TOOLS: &[Entry] = &[tool::<Search>(), tool::<Describe>(), forward::<Call>(), tool::<ListBackends>()];

/// How long one backend may take to answer a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Tools that one call may describe.
const MOST_DESCRIBED: usize = 10;

/// Finds tools by what they do, also those not listed.
///
/// Call one with `tools_call`, or by its own name.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Search {
    /// What you want to do, for example `silence an alert`.
    query: String,
    /// Only this service, for example `prometheus`.
    service: Option<String>,
    /// Only tools of this effect.
    effect: Option<Effect>,
    /// Rows per page, at most 50.
    #[serde(default)]
    limit: Limit<8, 50>,
}

/// A tool that fits.
#[derive(Debug, Serialize, JsonSchema)]
struct Hit {
    name: &'static str,
    effect: &'static str,
    purpose: String,
    service: &'static str,
    /// Whether the client sees it in its list, or how to get it there.
    listed: String,
}

impl Tool for Search {
    const NAME: &str = "tools_search";
    const POLICY: Policy = Policy::read(Permission::AnyCaller).light().by_default();
    type Backend = (Surroundings, Context);
    type Output = Listing<Hit>;

    async fn call(self, (surroundings, context): &(Surroundings, Context)) -> Result<Listing<Hit>> {
        let words = words(&self.query);
        if words.is_empty() {
            return Err(Error::BadArguments("query: say in a few words what you want to do".into()));
        }
        let mut found: Vec<(u32, &Described)> = surroundings
            .catalogue
            .reachable(context)
            .filter(|tool| self.service.as_deref().is_none_or(|service| service == tool.service))
            .filter(|tool| self.effect.is_none_or(|effect| effect == tool.entry.policy.effect))
            .map(|tool| (score(tool, &words), tool))
            .filter(|(score, _)| *score > 0)
            .collect();
        found.sort_by_key(|(score, tool)| (std::cmp::Reverse(*score), tool.entry.name));
        // What meets a word by chance is noise beside what was meant.
        let best = found.first().map_or(0, |(score, _)| *score);
        found.retain(|(score, _)| score * 5 >= best);
        let rows: Vec<Hit> = found.into_iter().map(|(_, tool)| hit(tool, context)).collect();
        if rows.is_empty() {
            let services: Vec<&str> = surroundings.backends.configured().map(|(name, _)| name).collect();
            return Ok(Listing::new(rows).note(format!(
                "No tool fits. Configured services: {}. Tools that change things are found only by callers who may use \
                 them.",
                if services.is_empty() { "none".into() } else { services.join(", ") }
            )));
        }
        Ok(Listing::new(rows))
    }
}

fn hit(tool: &Described, context: &Context) -> Hit {
    let listed = if crate::toolkit::is_listed(tool, context) {
        "yes".to_owned()
    } else {
        format!("with toolset {}", tool.topic)
    };
    Hit {
        name: tool.entry.name,
        effect: tool.entry.policy.effect.label(),
        purpose: tool.purpose().to_owned(),
        service: tool.service,
        listed,
    }
}

/// Words that say nothing about what a tool does.
const FILLERS: [&str; 20] = [
    "a", "an", "the", "of", "to", "in", "on", "for", "and", "or", "with", "is", "are", "what", "which", "how", "do",
    "i", "my", "all",
];

/// The telling words of a text, without endings: `silences` and `silenced` mean `silenc`.
fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty() && !FILLERS.contains(word))
        .map(stem)
        .collect()
}

fn stem(word: &str) -> String {
    for ending in ["ing", "ies", "es", "ed", "s", "e", "y"] {
        if let Some(stem) = word.strip_suffix(ending)
            && stem.len() >= 3
        {
            return stem.to_owned();
        }
    }
    word.to_owned()
}

/// How well a tool fits: its name counts most, then its purpose, then the rest; older names count as its own.
fn score(tool: &Described, wanted: &[String]) -> u32 {
    let names = [tool.entry.name].iter().chain(tool.entry.replaces).flat_map(|name| words(name)).collect::<Vec<_>>();
    let purpose = words(tool.purpose());
    let rest: Vec<String> = words(&tool.description)
        .into_iter()
        .chain(tool.arguments().flat_map(|(name, schema)| {
            let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
            words(name).into_iter().chain(words(description)).collect::<Vec<_>>()
        }))
        .collect();
    let mut total = 0;
    let mut met = 0;
    for word in wanted {
        let found = [(&names, 6), (&purpose, 4), (&rest, 1)].into_iter().map(|(words, weight)| {
            if words.contains(word) {
                2 * weight
            } else if words.iter().any(|other| other.starts_with(word.as_str()) && word.len() >= 3) {
                weight
            } else {
                0
            }
        });
        let best: u32 = found.sum();
        met += u32::from(best > 0);
        total += best;
    }
    // A tool that meets every word comes before one that meets a single word often.
    total * met
}

/// Shows full arguments and policy of named tools.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Describe {
    /// One to ten names, as `tools_search` shows them.
    names: Vec<String>,
}

/// The tools asked for.
#[derive(Debug, Serialize, JsonSchema)]
struct Descriptions {
    tools: Vec<Description>,
}

/// All about one tool.
#[derive(Debug, Serialize, JsonSchema)]
struct Description {
    name: &'static str,
    description: String,
    effect: &'static str,
    permission: String,
    cost: String,
    toolset: &'static str,
    /// Whether several instances can be asked in one call.
    fan_out: bool,
    arguments: Map<String, Value>,
    /// A call, with the arguments that must be there.
    example: String,
}

impl Tool for Describe {
    const NAME: &str = "tools_describe";
    const POLICY: Policy = Policy::read(Permission::AnyCaller).light().by_default();
    type Backend = (Surroundings, Context);
    type Output = Facts<Descriptions>;

    async fn call(self, (surroundings, context): &(Surroundings, Context)) -> Result<Facts<Descriptions>> {
        if self.names.is_empty() || self.names.len() > MOST_DESCRIBED {
            return Err(Error::BadArguments(format!("names: give one to {MOST_DESCRIBED}")));
        }
        let mut tools = Vec::new();
        let mut missing = Vec::new();
        for name in &self.names {
            match surroundings.catalogue.find(name, context) {
                Some(tool) => tools.push(describe(tool)),
                None => missing.push(format!("`{}`", name.escape_debug())),
            }
        }
        let note = format!(
            "There is no {} here, or it is not yours to call; find tools with `tools_search`.",
            missing.join(", ")
        );
        match (tools.is_empty(), missing.is_empty()) {
            (true, _) => Err(Error::NotFound(note)),
            (false, true) => Ok(Facts::new(Descriptions { tools })),
            (false, false) => Ok(Facts::new(Descriptions { tools }).note(note)),
        }
    }
}

fn describe(tool: &Described) -> Description {
    let policy = &tool.entry.policy;
    Description {
        name: tool.entry.name,
        description: tool.description.clone(),
        effect: policy.effect.label(),
        permission: format!("{:?}", policy.permission),
        cost: format!("{:?}", policy.cost).to_lowercase(),
        toolset: tool.topic,
        fan_out: matches!(tool.entry.kind, crate::toolkit::Kind::FanOut(..)),
        arguments: tool.schema.clone(),
        example: example(tool),
    }
}

fn example(tool: &Described) -> String {
    let arguments: Vec<String> = schema::required(&tool.schema).map(|name| format!("{name}=…")).collect();
    format!("{} {}", tool.entry.name, arguments.join(" ")).trim_end().to_owned()
}

/// Calls a reading tool by name when the client lists only some.
///
/// Tools that change something are called under their own name, so that a confirmation says what will happen.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Call {
    /// The tool, as `tools_search` shows it.
    name: String,
    /// Its arguments, as `tools_describe` shows them.
    arguments: Map<String, Value>,
}

impl Forward for Call {
    const NAME: &str = "tools_call";
    const POLICY: Policy = Policy::read(Permission::AnyCaller).by_default();

    fn target(self) -> (String, Map<String, Value>) {
        (self.name, self.arguments)
    }
}

/// Lists configured clusters and instances, reachable and as whom.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct ListBackends {
    /// Only this service.
    service: Option<String>,
    /// Ask each backend whether it answers, and for its version.
    #[serde(default)]
    probe: bool,
}

/// One instance of a backend.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct Backend {
    service: &'static str,
    /// The name that calls use.
    name: String,
    /// Whether it is asked when a call names none.
    default: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reachable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<u64>,
    /// Without credentials.
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Tool for ListBackends {
    const NAME: &str = "server_list_backends";
    const POLICY: Policy = Policy::read(Permission::AnyCaller).light().cached(30).by_default();
    const REPLACES: &[&str] =
        &["helm_health_check", "grafana_test_connection", "prometheus_test_connection", "kibana_test_connection"];
    type Backend = (Surroundings, Context);
    type Output = Listing<Backend>;

    async fn call(self, (surroundings, context): &(Surroundings, Context)) -> Result<Listing<Backend>> {
        let configured = surroundings
            .backends
            .configured()
            .filter(|(service, _)| self.service.as_deref().is_none_or(|wanted| wanted == *service))
            .flat_map(|(service, instances)| {
                let default = instances.default_name();
                instances.addresses().map(move |(name, address)| Backend {
                    service,
                    name: name.to_owned(),
                    default: default == Some(name),
                    address: address.to_owned(),
                    ..Backend::default()
                })
            });
        let rows = if self.probe {
            join_all(configured.map(|backend| probe(backend, surroundings, context))).await
        } else {
            configured.collect()
        };
        let listing = Listing::new(rows);
        if listing.rows.is_empty() {
            return Ok(listing.note("No backend is configured; an operator adds them under `backends`."));
        }
        Ok(if self.probe { listing } else { listing.note("Ask with probe=true whether they answer.") })
    }
}

/// Asks a backend for its version, which proves address and credentials.
async fn probe(mut backend: Backend, surroundings: &Surroundings, context: &Context) -> Backend {
    let started = Instant::now();
    let context = Context { deadline: context.deadline.min(started + PROBE_TIMEOUT), ..context.clone() };
    let version = surroundings.backends.version(backend.service, &backend.name, &context).await;
    backend.latency_ms = u64::try_from(started.elapsed().as_millis()).ok();
    backend.reachable = Some(version.is_ok());
    match version {
        Ok(version) => backend.version = version,
        Err(error) => backend.error = Some(error.to_string()),
    }
    backend
}
