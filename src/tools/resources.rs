//! What can be read by its URI, besides what each backend adds.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use crate::call::Context;
use crate::error::{Error, Result};
use crate::toolkit::{Contents, Listed, Reader, Resource, Surroundings, instance_names, matches};

/// Resources about the server itself.
pub(super) fn resources() -> Vec<Arc<dyn Resource>> {
    let mut resources: Vec<Arc<dyn Resource>> = vec![Arc::new(Tools), Arc::new(Backends), Arc::new(Results)];
    resources.extend(BY_TOOL.iter().map(|family| Arc::new(*family) as Arc<dyn Resource>));
    resources
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

    async fn read(&self, uri: &str, reader: &dyn Reader, context: &Context) -> Result<Option<Contents>> {
        let surroundings = reader.surroundings();
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
        Ok(Some(Contents::json(&tool.json())))
    }

    async fn complete(&self, _: &str, _: &str, reader: &dyn Reader, context: &Context) -> Result<Vec<String>> {
        Ok(reader.surroundings().catalogue.reachable(context).map(|tool| tool.entry.name.to_owned()).collect())
    }
}

/// The resource that changes when a backend begins or stops to fail.
pub const BACKENDS: &str = "backends://all";

/// `backends://all`.
#[derive(Debug)]
struct Backends;

#[async_trait]
impl Resource for Backends {
    fn listed(&self, _: &Surroundings) -> Vec<Listed> {
        vec![Listed {
            uri: BACKENDS.into(),
            name: "Backends",
            description: "Configured clusters and instances, without credentials, and which of them keep failing; can be followed.",
            mime_type: "application/json",
        }]
    }

    async fn read(&self, uri: &str, reader: &dyn Reader, context: &Context) -> Result<Option<Contents>> {
        let surroundings = reader.surroundings();
        // Another endpoint serves another part of the systems, but this is about them and not about a tool of it.
        let anywhere = Context { scope: std::sync::Arc::default(), ..context.clone() };
        if uri != BACKENDS || surroundings.catalogue.find("server_list_backends", &anywhere).is_none() {
            return Ok(None);
        }
        let mut backends = Vec::new();
        let asked = context.scope.service.as_deref();
        for (service, instances) in surroundings.backends.configured() {
            if asked.is_some_and(|asked| asked != service) {
                continue;
            }
            for (name, client) in instances.clients() {
                let mut backend = json!({
                    "service": service,
                    "name": name,
                    "address": client.address(),
                    "default": instances.default_name() == Some(name),
                });
                if let Some(reason) = client.left_alone() {
                    backend["failing"] = reason.into();
                }
                backends.push(backend);
            }
        }
        Ok(Some(Contents::json(&backends)))
    }

    fn is_watched(&self, uri: &str) -> bool {
        uri == BACKENDS
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

    async fn read(&self, uri: &str, reader: &dyn Reader, context: &Context) -> Result<Option<Contents>> {
        let surroundings = reader.surroundings();
        let Some(variables) = matches(RESULT_TEMPLATE, uri) else { return Ok(None) };
        let found = surroundings.wholes.find(&variables[0].1, &context.caller.identity()).await?;
        let answer = found.ok_or_else(|| Error::NotFound("there is no such result (any more)".into()))?;
        Ok(Some(Contents::json(&answer.whole())))
    }
}

/// What a tool reads, under a URI: with the rights, the redaction and the limits of that tool.
#[derive(Clone, Copy, Debug)]
struct ByTool {
    template: &'static str,
    name: &'static str,
    description: &'static str,
    service: &'static str,
    /// The values of the template's last variable, where they are few.
    views: &'static [&'static str],
    /// The tool and its arguments for the value of the last variable.
    call: fn(&str) -> Option<(&'static str, Value)>,
}

const BY_TOOL: &[ByTool] = &[
    ByTool {
        template: "prometheus://{instance}/metrics/{name}",
        name: "Metric",
        description: "Type, unit, help and series of a metric.",
        service: "prometheus",
        views: &[],
        call: |name| Some(("prometheus_search_metrics", json!({"query": format!("/^{}$/", regex::escape(name))}))),
    },
    ByTool {
        template: "prometheus://{instance}/{view}",
        name: "Prometheus",
        description: "Targets, rules, alerts or labels of a Prometheus.",
        service: "prometheus",
        views: &["targets", "rules", "alerts", "labels"],
        call: |view| match view {
            "targets" => Some(("prometheus_list_targets", json!({}))),
            "rules" => Some(("prometheus_list_rules", json!({}))),
            "alerts" => Some(("prometheus_list_alerts", json!({}))),
            "labels" => Some(("prometheus_get_labels", json!({}))),
            _ => None,
        },
    },
    ByTool {
        template: "alertmanager://{instance}/{view}",
        name: "Routing",
        description: "Route tree and receivers of an Alertmanager, without credentials.",
        service: "alertmanager",
        views: &["routing"],
        call: |view| (view == "routing").then(|| ("alertmanager_get_routing", json!({"view": "full"}))),
    },
];

#[async_trait]
impl Resource for ByTool {
    fn service(&self) -> Option<&'static str> {
        Some(self.service)
    }

    fn listed(&self, surroundings: &Surroundings) -> Vec<Listed> {
        if !surroundings.backends.has(self.service) {
            return Vec::new();
        }
        vec![Listed {
            uri: self.template.into(),
            name: self.name,
            description: self.description,
            mime_type: "application/json",
        }]
    }

    async fn read(&self, uri: &str, reader: &dyn Reader, context: &Context) -> Result<Option<Contents>> {
        let Some(variables) = matches(self.template, uri) else { return Ok(None) };
        let [(_, instance), (_, last)] = variables.as_slice() else { return Ok(None) };
        let Some((tool, Value::Object(mut arguments))) = (self.call)(last) else { return Ok(None) };
        arguments.insert("instance".into(), instance.clone().into());
        let answer = reader.read(tool, arguments, context).await?;
        let answer =
            answer.ok_or_else(|| Error::NotFound("there is no such resource, or it is not yours to read".into()))?;
        Ok(Some(Contents::json(&answer.whole())))
    }

    async fn complete(
        &self,
        variable: &str,
        typed: &str,
        reader: &dyn Reader,
        context: &Context,
    ) -> Result<Vec<String>> {
        Ok(match variable {
            "instance" => instance_names(self.service, reader.surroundings(), context),
            "name" => metric_names(typed, reader, context).await?,
            _ => self.views.iter().map(|view| (*view).to_owned()).collect(),
        })
    }
}

/// Names of metrics that contain what was typed, of the default instance.
pub(super) async fn metric_names(typed: &str, reader: &dyn Reader, context: &Context) -> Result<Vec<String>> {
    let arguments = Map::from_iter([("query".to_owned(), typed.into())]);
    column("metric", "prometheus_search_metrics", arguments, reader, context).await
}

/// The texts in one column of what a tool answers; none where it cannot be called.
pub(super) async fn column(
    name: &str,
    tool: &str,
    arguments: Map<String, Value>,
    reader: &dyn Reader,
    context: &Context,
) -> Result<Vec<String>> {
    let answer = reader.read(tool, arguments, context).await?;
    let rows = answer.and_then(|answer| answer.rows).unwrap_or_default();
    Ok(rows.iter().filter_map(|row| row.get(name)?.as_str().map(str::to_owned)).collect())
}
