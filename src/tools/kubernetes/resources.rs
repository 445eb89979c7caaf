//! Objects of clusters as resources.

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use crate::call::Context;
use crate::error::{Error, Result};
use crate::toolkit::{Contents, Listed, Reader, Resource, Surroundings, instance_names, matches};
use crate::tools::resources::column;

const TEMPLATE: &str = "kubernetes://{cluster}/{namespace}/{kind}/{name}";

/// Stands for the namespace of kinds that have none.
const NO_NAMESPACE: &str = "-";

/// The tool that reads them: with its rights, its redaction and its limits.
const TOOL: &str = "kubernetes_get_resource";

/// `kubernetes://{cluster}/{namespace}/{kind}/{name}`.
#[derive(Debug)]
pub(in crate::tools) struct Objects;

#[async_trait]
impl Resource for Objects {
    fn service(&self) -> Option<&'static str> {
        Some("kubernetes")
    }

    fn listed(&self, surroundings: &Surroundings) -> Vec<Listed> {
        if !surroundings.backends.has("kubernetes") {
            return Vec::new();
        }
        vec![Listed {
            uri: TEMPLATE.into(),
            name: "Object",
            description: "An object of a cluster as YAML, without secrets; `-` as the namespace of kinds that have none.",
            mime_type: "application/yaml",
        }]
    }

    async fn read(&self, uri: &str, reader: &dyn Reader, context: &Context) -> Result<Option<Contents>> {
        let Some(variables) = matches(TEMPLATE, uri) else { return Ok(None) };
        let [(_, cluster), (_, namespace), (_, kind), (_, name)] = variables.as_slice() else { return Ok(None) };
        let mut arguments = arguments(json!({"cluster": cluster, "kind": kind, "names": [name], "view": "yaml"}));
        if namespace != NO_NAMESPACE {
            arguments.insert("namespace".into(), namespace.clone().into());
        }
        let answer = reader.read(TOOL, arguments, context).await?;
        let answer =
            answer.ok_or_else(|| Error::NotFound("there is no such resource, or it is not yours to read".into()))?;
        let text = answer.whole().get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Some(Contents::Text { mime_type: "application/yaml".into(), text }))
    }

    async fn complete(&self, variable: &str, _: &str, reader: &dyn Reader, context: &Context) -> Result<Vec<String>> {
        complete(variable, reader, context).await
    }
}

/// Names of clusters, namespaces, kinds and objects, as far as what was chosen before tells which; none where the caller
/// may not see them.
pub(in crate::tools) async fn complete(argument: &str, reader: &dyn Reader, context: &Context) -> Result<Vec<String>> {
    let chosen = |name: &str| context.inputs.chosen.get(name).cloned();
    let surroundings = reader.surroundings();
    let mut listed = arguments(json!({"limit": 500}));
    listed.extend(chosen("cluster").map(|cluster| ("cluster".to_owned(), cluster.into())));
    match argument {
        "cluster" | "clusters" => return Ok(instance_names("kubernetes", surroundings, context)),
        "kind" => return kinds(chosen("cluster"), chosen("namespace"), surroundings, context).await,
        "namespace" => {
            listed.insert("kind".into(), "namespaces".into());
        }
        "name" | "service" => {
            let kind = if argument == "service" { Some("services".to_owned()) } else { chosen("kind") };
            let Some(kind) = kind else { return Ok(Vec::new()) };
            listed.insert("kind".into(), kind.into());
            let namespace = chosen("namespace").filter(|namespace| namespace != NO_NAMESPACE);
            listed.extend(namespace.map(|namespace| ("namespace".to_owned(), namespace.into())));
        }
        _ => return Ok(Vec::new()),
    }
    // What was chosen may be mistaken, and half a name is no mistake yet.
    let mut names = column("name", "kubernetes_list_resources", listed, reader, context).await.unwrap_or_default();
    names.sort();
    names.dedup();
    Ok(names)
}

async fn kinds(
    cluster: Option<String>,
    namespace: Option<String>,
    surroundings: &Surroundings,
    context: &Context,
) -> Result<Vec<String>> {
    if surroundings.catalogue.find(TOOL, context).is_none() {
        return Ok(Vec::new());
    }
    let Ok(cluster) = surroundings.backends.kubernetes(cluster.as_deref(), context) else { return Ok(Vec::new()) };
    let Ok(kinds) = cluster.kinds().await else { return Ok(Vec::new()) };
    let is_in_place = |namespaced: bool| match namespace.as_deref() {
        None => true,
        Some(namespace) => namespaced == (namespace != NO_NAMESPACE),
    };
    let wanted = kinds.iter().filter(|kind| kind.preferred && kind.can("get") && is_in_place(kind.namespaced));
    Ok(wanted.map(crate::backends::kubernetes::Kind::full_name).collect())
}

fn arguments(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}
