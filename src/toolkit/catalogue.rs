//! All tools that are switched on, and which of them a caller sees.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use wildmatch::WildMatch;

use super::{Entry, Kind, schema};
use crate::call::Context;
use crate::caller::Effect;
use crate::error::{Error, Result};
use crate::rights;

/// Tools that belong together, in one file: also a toolset of that name.
#[derive(Clone, Copy, Debug)]
pub struct Topic {
    /// `<service>/<topic>`, or just the service.
    pub name: &'static str,
    /// Its tools.
    pub tools: &'static [Entry],
}

impl Topic {
    /// The service it belongs to.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.name.split_once('/').map_or(self.name, |(service, _)| service)
    }
}

/// Which tools there are.
#[derive(Clone, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Switches {
    /// Tools that are on: names of services, toolsets or tools, with `*` for any text. A few need their full name here, as
    /// in `["*", prometheus_create_snapshot]`: docs/TOOLS.md marks them.
    pub on: Vec<String>,
    /// Tools that are off, even when a pattern of `on` matches.
    pub off: Vec<String>,
}

impl Switches {
    /// Every tool of these topics, the guarded ones too.
    #[must_use]
    pub fn everything(topics: &[Topic]) -> Self {
        let names = topics.iter().flat_map(|topic| topic.tools).map(|tool| tool.name.to_owned());
        Self { on: names.collect(), off: Vec::new() }
    }

    fn leave_on(&self, tool: &Described) -> bool {
        let matches = |patterns: &[String]| {
            patterns.iter().any(|pattern| {
                let pattern = WildMatch::new(pattern);
                [tool.entry.name, tool.topic, tool.service].iter().any(|name| pattern.matches(name))
            })
        };
        let named = self.on.iter().any(|name| name == tool.entry.name);
        (named || matches(&self.on) && !tool.entry.policy.permission.is_guarded()) && !matches(&self.off)
    }

    /// Patterns that match no tool of these topics, each under its key: typing errors, most likely.
    #[must_use]
    pub fn idle(&self, topics: &[Topic]) -> Vec<(String, &str)> {
        let known = |pattern: &WildMatch| {
            topics.iter().any(|topic| {
                pattern.matches(topic.name)
                    || pattern.matches(topic.service())
                    || topic.tools.iter().any(|tool| pattern.matches(tool.name))
            })
        };
        [("on", &self.on), ("off", &self.off)]
            .into_iter()
            .flat_map(|(key, patterns)| {
                patterns.iter().enumerate().map(move |(place, pattern)| (format!("{key}.{place}"), pattern.as_str()))
            })
            .filter(|(_, pattern)| !known(&WildMatch::new(pattern)))
            .collect()
    }
}

/// A tool with everything that is worked out once.
#[derive(Clone, Debug)]
pub struct Described {
    /// The tool.
    pub entry: Entry,
    /// Its toolset.
    pub topic: &'static str,
    /// Its service.
    pub service: &'static str,
    /// All of its doc comment.
    pub description: String,
    /// Schema of its arguments.
    pub schema: Map<String, Value>,
    /// Schema of its structured result.
    pub output_schema: Option<Map<String, Value>>,
    /// Arguments that clients mirror in a header `Mcp-Param-…`: where they are (RFC 6901), and the name.
    pub headers: Vec<(String, String)>,
}

impl Described {
    fn new(entry: Entry, topic: &Topic) -> Self {
        let mut schema = (entry.schema)();
        schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
        schema.insert("additionalProperties".into(), false.into());
        Self {
            entry,
            headers: schema::mirrored(&schema, ""),
            topic: topic.name,
            service: topic.service(),
            description: (entry.description)(),
            schema,
            output_schema: (entry.output_schema)(),
        }
    }

    /// The first sentence of its description.
    #[must_use]
    pub fn purpose(&self) -> &str {
        self.description.lines().next().unwrap_or_default()
    }

    /// All about it, as one value.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "name": self.entry.name,
            "description": self.description,
            "effect": self.entry.policy.effect,
            "toolset": self.topic,
            "inputSchema": self.schema,
            "outputSchema": self.output_schema,
        })
    }

    /// The arguments it knows.
    pub fn arguments(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.schema.get("properties").and_then(Value::as_object).into_iter().flatten()
    }

    /// Refuses arguments that it does not know.
    ///
    /// # Errors
    /// [`Error::BadArguments`] with the allowed names.
    pub fn check_names(&self, arguments: &Map<String, Value>) -> Result<()> {
        let properties = self.schema.get("properties").and_then(Value::as_object);
        let unknown: Vec<_> = arguments
            .keys()
            .filter(|name| !properties.is_some_and(|known| known.contains_key(*name)))
            .map(|name| format!("`{}`", name.escape_debug()))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let allowed: Vec<_> = self.arguments().map(|(name, _)| name.as_str()).collect();
        let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
        Err(Error::BadArguments(format!("unknown argument {}; allowed: {allowed}", unknown.join(", "))))
    }

    /// Whether its answers come page by page.
    #[must_use]
    pub fn has_pages(&self) -> bool {
        self.arguments().any(|(name, _)| name == "cursor")
    }

    /// The default of an argument that is a number.
    #[must_use]
    pub fn default_of(&self, argument: &str) -> Option<usize> {
        let schema = self.schema.get("properties")?.get(argument)?;
        usize::try_from(schema.get("default")?.as_u64()?).ok()
    }
}

/// All tools that are switched on and have a backend.
#[derive(Debug)]
pub struct Catalogue {
    tools: Vec<Described>,
    /// Tools of the product that are not here, and why.
    absent: HashMap<&'static str, String>,
    by_name: HashMap<&'static str, usize>,
}

impl Catalogue {
    /// The tools of `topics` that are switched on and whose service is among the `configured` ones.
    #[must_use]
    pub fn new(topics: &[Topic], switches: &Switches, configured: &dyn Fn(&str) -> bool) -> Self {
        let mut absent = HashMap::new();
        let mut tools = Vec::new();
        for topic in topics {
            for entry in topic.tools {
                let tool = Described::new(*entry, topic);
                if !switches.leave_on(&tool) {
                    absent.insert(entry.name, "is switched off here; an operator can name it in `tools.on`".to_owned());
                } else if let Some(service) = entry.service.filter(|service| !configured(service)) {
                    absent.insert(entry.name, format!("needs a {service}, and none is configured or was found here"));
                } else {
                    tools.push(tool);
                }
            }
        }
        let by_name = tools.iter().enumerate().map(|(place, tool)| (tool.entry.name, place)).collect();
        Self { tools, absent, by_name }
    }

    /// All tools, in the order of their topics.
    #[must_use]
    pub fn all(&self) -> &[Described] {
        &self.tools
    }

    /// Why a tool of the product is not here.
    #[must_use]
    pub fn absent(&self, name: &str) -> Option<&str> {
        self.absent.get(name).map(String::as_str)
    }

    /// A tool by its name, if the caller may see it from where it asks.
    #[must_use]
    pub fn find(&self, name: &str, context: &Context) -> Option<&Described> {
        self.by_name.get(name).map(|place| &self.tools[*place]).filter(|tool| is_reachable(tool, context))
    }

    /// The tools that the caller may call from where it asks.
    pub fn reachable<'a>(&'a self, context: &'a Context) -> impl Iterator<Item = &'a Described> {
        self.tools.iter().filter(move |tool| is_reachable(tool, context))
    }

    /// The tools that are listed for the caller: its toolsets, or the default one.
    pub fn listed<'a>(&'a self, context: &'a Context) -> impl Iterator<Item = &'a Described> {
        self.reachable(context).filter(move |tool| is_listed(tool, context))
    }
}

/// Whether a tool is listed for a caller that can reach it.
#[must_use]
pub(crate) fn is_listed(tool: &Described, context: &Context) -> bool {
    context.scope.toolsets.is_some() || context.scope.service.is_some() || tool.entry.policy.default_toolset
}

fn is_reachable(tool: &Described, context: &Context) -> bool {
    let scope = &context.scope;
    let in_service = scope.service.as_deref().is_none_or(|service| service == tool.service);
    let in_toolsets = scope.toolsets.as_ref().is_none_or(|toolsets| {
        toolsets.iter().any(|name| match name.as_str() {
            "all" => true,
            "default" => tool.entry.policy.default_toolset,
            name => name == tool.service || name == tool.topic,
        })
    });
    let reads = tool.entry.policy.effect == Effect::Read;
    in_service
        && in_toolsets
        && (reads || !scope.readonly)
        && rights::permits(&context.caller, tool.entry.policy.effect)
}

impl Described {
    /// Whether it stands for calls of other tools.
    #[must_use]
    pub fn forwards(&self) -> bool {
        matches!(self.entry.kind, Kind::Forward(_))
    }
}
