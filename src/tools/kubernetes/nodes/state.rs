//! Nodes and the pods on them, as far as these tools look.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::super::quantity;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Refused, Request};
use crate::error::{Error, Result};

/// Nodes named where one is not known.
const MOST_NAMED: usize = 10;

/// What all objects have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::tools::kubernetes) struct Metadata {
    pub(in crate::tools::kubernetes) name: String,
    pub(in crate::tools::kubernetes) namespace: String,
    pub(super) uid: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) owner_references: Vec<Owner>,
    pub(super) creation_timestamp: Option<Timestamp>,
    pub(super) deletion_timestamp: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) controller: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::tools::kubernetes) struct Node {
    pub(in crate::tools::kubernetes) metadata: Metadata,
    pub(super) spec: NodeSpec,
    pub(super) status: NodeStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeSpec {
    pub(super) unschedulable: bool,
    pub(super) taints: Vec<Taint>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Taint {
    key: String,
    value: String,
    effect: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NodeStatus {
    pub(super) capacity: BTreeMap<String, String>,
    pub(super) allocatable: BTreeMap<String, String>,
    pub(super) conditions: Vec<Condition>,
    pub(super) addresses: Vec<Address>,
    pub(super) node_info: NodeInfo,
    pub(super) images: Vec<Image>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) last_heartbeat_time: Option<Timestamp>,
    pub(super) last_transition_time: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Address {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) address: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct NodeInfo {
    pub(super) kubelet_version: String,
    pub(super) os_image: String,
    pub(super) kernel_version: String,
    pub(super) container_runtime_version: String,
    pub(super) architecture: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Image {
    pub(super) names: Vec<String>,
    pub(super) size_bytes: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::tools::kubernetes) struct Pod {
    pub(in crate::tools::kubernetes) metadata: Metadata,
    pub(super) spec: PodSpec,
    pub(in crate::tools::kubernetes) status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) node_name: String,
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    overhead: BTreeMap<String, String>,
    pub(super) volumes: Vec<Volume>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Container {
    resources: Resources,
    restart_policy: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Resources {
    requests: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Volume {
    pub(super) empty_dir: Option<serde_json::Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::tools::kubernetes) struct PodStatus {
    pub(in crate::tools::kubernetes) phase: String,
    pub(in crate::tools::kubernetes) reason: String,
    pub(in crate::tools::kubernetes) container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::tools::kubernetes) struct ContainerStatus {
    pub(in crate::tools::kubernetes) ready: bool,
    pub(in crate::tools::kubernetes) state: ContainerState,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::tools::kubernetes) struct ContainerState {
    pub(in crate::tools::kubernetes) waiting: Option<Waiting>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::tools::kubernetes) struct Waiting {
    pub(in crate::tools::kubernetes) reason: String,
}

impl Taint {
    pub(super) fn text(&self) -> String {
        let value = if self.value.is_empty() { String::new() } else { format!("={}", self.value) };
        format!("{}{value}:{}", self.key, self.effect)
    }
}

impl Node {
    /// Its condition of this type.
    pub(super) fn condition(&self, kind: &str) -> Option<&Condition> {
        self.status.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// Whether it is ready: `yes`, `no`, or `unknown` where it does not report.
    pub(in crate::tools::kubernetes) fn ready(&self) -> &'static str {
        match self.condition("Ready").map(|ready| ready.status.as_str()) {
            Some("True") => "yes",
            Some("False") => "no",
            _ => "unknown",
        }
    }

    /// Whether it takes no new pods.
    pub(in crate::tools::kubernetes) fn is_cordoned(&self) -> bool {
        self.spec.unschedulable
    }

    /// What pods on it may ask for in all, for example of `cpu`.
    pub(in crate::tools::kubernetes) fn allocatable(&self, resource: &str) -> f64 {
        amount(&self.status.allocatable, resource)
    }

    /// Conditions that tell of trouble: not ready, or any other that is true.
    pub(super) fn troubles(&self) -> Vec<String> {
        let is_bad = |condition: &&Condition| match condition.kind.as_str() {
            "Ready" => condition.status != "True",
            _ => condition.status == "True",
        };
        let text = |condition: &Condition| match condition.message.as_str() {
            "" => format!("{} ({})", condition.kind, condition.reason),
            message => format!("{}: {message}", condition.kind),
        };
        self.status.conditions.iter().filter(is_bad).map(text).collect()
    }
}

impl Pod {
    /// Whether it still takes room on its node.
    pub(in crate::tools::kubernetes) fn is_alive(&self) -> bool {
        !matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Namespace and name.
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.metadata.namespace, self.metadata.name)
    }

    /// Who makes it again when it is gone.
    pub(super) fn controller(&self) -> Option<&Owner> {
        self.metadata.owner_references.iter().find(|owner| owner.controller)
    }

    /// What it asks for, as the scheduler counts: its containers, or what its start needs where that is more.
    pub(in crate::tools::kubernetes) fn requested(&self, resource: &str) -> f64 {
        let of = |container: &Container| amount(&container.resources.requests, resource);
        let mut running = 0.0;
        let mut starting = 0.0_f64;
        for container in &self.spec.init_containers {
            if container.restart_policy == "Always" {
                running += of(container);
                starting = starting.max(running);
            } else {
                starting = starting.max(running + of(container));
            }
        }
        running += self.spec.containers.iter().map(of).sum::<f64>();
        running.max(starting) + amount(&self.spec.overhead, resource)
    }

    /// Whether it lies on this node and takes room there.
    pub(in crate::tools::kubernetes) fn is_placed(&self) -> bool {
        !self.spec.node_name.is_empty() && self.is_alive()
    }
}

fn amount(amounts: &BTreeMap<String, String>, resource: &str) -> f64 {
    amounts.get(resource).and_then(|amount| quantity::parse(amount)).unwrap_or(0.0)
}

/// The path of a node. Nothing but the name of one passes: through longer ones, the API server would reach other ports.
pub(super) fn node_path(name: &str) -> Result<String> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    if !name.bytes().all(is_plain) || !name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return Err(Error::BadArguments(format!(
            "name: `{}` is not the name of a node; `kubernetes_get_node_status` lists them",
            name.escape_debug()
        )));
    }
    Ok(format!("/api/v1/nodes/{name}"))
}

/// One node.
pub(super) async fn node(name: &str, cluster: &Kubernetes) -> Result<Node> {
    match cluster.get(Request::get(node_path(name)?)).await {
        Err(Refused::Status(status)) if status.code == 404 => Err(unknown(name, cluster).await),
        other => Ok(other?),
    }
}

/// All pods on one node, or those of them with these labels.
pub(super) async fn pods_on(name: &str, labels: Option<&str>, cluster: &Kubernetes) -> Result<Vec<Pod>, Refused> {
    let request = Request::get("/api/v1/pods").query("fieldSelector", format!("spec.nodeName={name}"));
    cluster.list(request.query_some("labelSelector", labels)).await
}

/// Says which nodes there are instead.
pub(super) async fn unknown(name: &str, cluster: &Kubernetes) -> Error {
    let place = format!("kubernetes/{} has no node `{name}`", cluster.name());
    let nodes = cluster.list::<Node>(Request::get("/api/v1/nodes")).await.unwrap_or_default();
    let mut names: Vec<String> = nodes.into_iter().map(|node| node.metadata.name).collect();
    let first = name.split(['-', '.']).next().unwrap_or_default();
    names.sort_by_key(|known| !known.starts_with(first));
    let more = names.len().saturating_sub(MOST_NAMED);
    names.truncate(MOST_NAMED);
    Error::NotFound(match (names.as_slice(), more) {
        ([], _) => format!("{place}; `kubernetes_get_node_status` lists them"),
        (names, 0) => format!("{place}; there are {}", names.join(", ")),
        (names, more) => {
            format!("{place}; there are {} and {more} more, which `kubernetes_get_node_status` lists", names.join(", "))
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_asks_for_what_its_start_needs_where_that_is_more() {
        let pod = |spec| serde_json::from_value::<Pod>(json!({ "spec": spec })).unwrap();
        let container = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        let plain = pod(json!({"containers": [container("100m"), container("1")], "overhead": {"cpu": "50m"}}));
        assert!((plain.requested("cpu") - 1.15).abs() < 1e-9);
        let start = pod(json!({"containers": [container("100m")], "initContainers": [container("2")]}));
        assert!((start.requested("cpu") - 2.0).abs() < 1e-9);
        let mut sidecar = container("300m");
        sidecar["restartPolicy"] = "Always".into();
        let beside = pod(json!({"containers": [container("100m")], "initContainers": [sidecar, container("200m")]}));
        assert!((beside.requested("cpu") - 0.5).abs() < 1e-9);
    }

    #[test]
    fn only_names_of_nodes_become_paths() {
        assert_eq!(node_path("ip-10-0-0-1.eu.internal").unwrap(), "/api/v1/nodes/ip-10-0-0-1.eu.internal");
        for name in ["", "..", "http:node-a:22", "node-a:22", "a/b", "a%2f", "-a", "A"] {
            node_path(name).unwrap_err();
        }
    }
}
