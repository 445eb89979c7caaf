//! What can be read by its URI, besides what each backend adds.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::call::Context;
use crate::error::{Error, Result};
use crate::toolkit::{Contents, Listed, Resource, Surroundings, matches};

/// Resources about the server itself.
pub(super) fn resources() -> Vec<Arc<dyn Resource>> {
    vec![Arc::new(Tools), Arc::new(Backends), Arc::new(Results)]
}

const TOOL_TEMPLATE: &str = "catalogue://tools/{name}";

/// `catalogue://tools` and one tool of it.
#[derive(Debug)]
struct Tools;

#[async_trait]
impl Resource for Tools {
    fn listed(&self, _: &Surroundings) -> Vec<Listed> {
        vec![
            Listed {
                uri: "catalogue://tools".into(),
                name: "Tools",
                description: "Tools that you may use: sentence, effect, toolset.",
                mime_type: "application/json",
            },
            Listed {
                uri: TOOL_TEMPLATE.into(),
                name: "Tool",
                description: "One tool: schema, policy, toolset.",
                mime_type: "application/json",
            },
        ]
    }

    async fn read(&self, uri: &str, surroundings: &Surroundings, context: &Context) -> Result<Option<Contents>> {
        if uri == "catalogue://tools" {
            let tools: Vec<Value> = surroundings
                .catalogue
                .reachable(context)
                .map(|tool| {
                    json!({
                        "name": tool.entry.name,
                        "purpose": tool.purpose(),
                        "effect": tool.entry.policy.effect,
                        "toolset": tool.topic,
                    })
                })
                .collect();
            return Ok(Some(Contents::json(&tools)));
        }
        let Some(variables) = matches(TOOL_TEMPLATE, uri) else { return Ok(None) };
        let name = &variables[0].1;
        let tool = surroundings
            .catalogue
            .find(name, context)
            .ok_or_else(|| Error::NotFound(format!("there is no tool `{}`", name.escape_debug())))?;
        Ok(Some(Contents::json(&json!({
            "name": tool.entry.name,
            "description": tool.description,
            "effect": tool.entry.policy.effect,
            "toolset": tool.topic,
            "inputSchema": tool.schema,
            "outputSchema": tool.output_schema,
        }))))
    }

    async fn complete(&self, _: &str, _: &str, surroundings: &Surroundings, context: &Context) -> Result<Vec<String>> {
        Ok(surroundings.catalogue.reachable(context).map(|tool| tool.entry.name.to_owned()).collect())
    }
}

/// `backends://all`.
#[derive(Debug)]
struct Backends;

#[async_trait]
impl Resource for Backends {
    fn listed(&self, _: &Surroundings) -> Vec<Listed> {
        vec![Listed {
            uri: "backends://all".into(),
            name: "Backends",
            description: "Configured clusters and instances, without credentials.",
            mime_type: "application/json",
        }]
    }

    async fn read(&self, uri: &str, surroundings: &Surroundings, _: &Context) -> Result<Option<Contents>> {
        if uri != "backends://all" {
            return Ok(None);
        }
        let backends: Vec<Value> = surroundings
            .backends
            .configured()
            .flat_map(|(service, instances)| {
                let default = instances.default_name().map(str::to_owned);
                instances.addresses().map(move |(name, address)| {
                    json!({"service": service, "name": name, "address": address, "default": default.as_deref() == Some(name)})
                }).collect::<Vec<_>>()
            })
            .collect();
        Ok(Some(Contents::json(&backends)))
    }
}

const RESULT_TEMPLATE: &str = "results://{id}";

/// `results://{id}`: answers that were cut, whole.
#[derive(Debug)]
struct Results;

#[async_trait]
impl Resource for Results {
    fn listed(&self, _: &Surroundings) -> Vec<Listed> {
        vec![Listed {
            uri: RESULT_TEMPLATE.into(),
            name: "Result",
            description: "The whole of an answer that was cut; for 15 minutes, for its caller only.",
            mime_type: "application/json",
        }]
    }

    async fn read(&self, uri: &str, surroundings: &Surroundings, context: &Context) -> Result<Option<Contents>> {
        let Some(variables) = matches(RESULT_TEMPLATE, uri) else { return Ok(None) };
        let found = surroundings.wholes.find(&variables[0].1, &context.caller.identity()).await?;
        let answer = found.ok_or_else(|| Error::NotFound("there is no such result (any more)".into()))?;
        let mut whole = serde_json::Map::new();
        if let Some(facts) = answer.facts {
            whole.insert("facts".into(), facts);
        }
        if let Some(text) = answer.text {
            whole.insert("text".into(), text.into());
        }
        if let Some(rows) = answer.rows {
            whole.insert("rows".into(), json!(rows));
        }
        if !answer.notes.is_empty() {
            whole.insert("notes".into(), answer.notes.into());
        }
        Ok(Some(Contents::json(&whole)))
    }
}
