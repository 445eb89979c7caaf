//! How nodes are.

use std::collections::BTreeMap;

use futures_util::future::{join, join_all};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::model::{Image, Node as AnyNode, Object, Taint};
use super::super::quantity::{bytes, percent, processors};
use super::find::{Pod, node, node_path, pods_on};
use crate::answers::Row;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Refused, Request};
use crate::error::{Error, Result};
use crate::toolkit::args::{Cursor, Instances, Limit, MaxTokens};
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool};
use crate::tools::ages;

/// What stands for a part that cannot be read.
const UNKNOWN: &str = "unknown";

/// Nodes that are shown in full at a time.
const MOST_WHOLE: usize = 10;

/// Images and pods of one node that are shown.
const MOST_IMAGES: usize = 10;
const MOST_PODS: usize = 100;

/// Shows node conditions, taints, allocation and what runs there.
///
/// Requested shares are what pods ask for of what the node can give. Use `kubernetes_drain_node` to empty one.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct GetNodeStatus {
    /// One node by its name; all when absent.
    name: Option<String>,
    /// One cluster by name, several, or `"*"` for all.
    cluster: Option<Instances>,
    /// Label selector, for example `topology.kubernetes.io/zone=a`.
    labels: Option<String>,
    /// `full` adds pods, images and figures of the kubelet, for at most 10 nodes.
    #[serde(default)]
    view: View,
    /// Rows per page, at most 500.
    #[serde(default)]
    limit: Limit<50, 500>,
    /// Position from the previous answer.
    cursor: Option<Cursor>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum View {
    #[default]
    Table,
    Full,
}

/// A node with its images, which are shown.
type Node = AnyNode<Vec<Image>>;

type Lease = Object<LeaseSpec>;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LeaseSpec {
    renew_time: Option<Timestamp>,
}

impl FanOut for GetNodeStatus {}

impl Tool for GetNodeStatus {
    const NAME: &str = "kubernetes_get_node_status";
    const POLICY: Policy = Policy::read(Permission::ClusterRead).cached(10);
    const REPLACES: &[&str] = &["kubernetes_get_node_conditions"];
    type Backend = Kubernetes;
    type Output = Listing<Row>;

    async fn call(self, cluster: &Kubernetes) -> Result<Listing<Row>> {
        let mut nodes = self.nodes(cluster).await?;
        nodes.sort_by(|one, other| {
            let key = |node: &Node| (node.troubles().is_empty(), node.metadata.name.clone());
            key(one).cmp(&key(other))
        });
        let (pods, beats) = join(self.pods(cluster), self.heartbeats(cluster)).await;
        let mut notes = Vec::new();
        let pods = readable("pods", pods, &mut notes)?;
        let beats = readable("heartbeats in leases", beats, &mut notes)?.unwrap_or_default();
        let rows = nodes.iter().map(|node| row(node, pods.as_deref(), &beats, cluster.context.now)).collect();
        let mut listing = Listing::new(rows).ordered(worst_first);
        listing.notes = notes;
        if nodes.is_empty() {
            listing.notes.push("No node fits; leave `labels` out to see all.".into());
        }
        if self.view == View::Full {
            let whole = nodes.iter().take(MOST_WHOLE);
            let details = join_all(whole.map(|node| details(node, pods.as_deref(), cluster))).await;
            for (name, details) in details {
                listing = listing.fact(&name, details);
            }
            if nodes.len() > MOST_WHOLE {
                listing =
                    listing.note(format!("The first {MOST_WHOLE} nodes are shown in full; name one for another."));
            }
        }
        Ok(listing)
    }
}

impl GetNodeStatus {
    async fn nodes(&self, cluster: &Kubernetes) -> Result<Vec<Node>> {
        match &self.name {
            Some(_) if self.labels.is_some() => {
                Err(Error::BadArguments("labels: they choose among nodes; leave them out with `name`".into()))
            }
            Some(name) => Ok(vec![node(name, cluster).await?]),
            None => {
                let request = Request::get("/api/v1/nodes").query_some("labelSelector", self.labels.as_deref());
                Ok(cluster.list(request).await?)
            }
        }
    }

    async fn pods(&self, cluster: &Kubernetes) -> Result<Vec<Pod>, Refused> {
        match &self.name {
            Some(name) => pods_on(name, None, cluster).await,
            None => cluster.list(Request::get("/api/v1/pods").query("fieldSelector", "spec.nodeName!=")).await,
        }
    }

    async fn heartbeats(&self, cluster: &Kubernetes) -> Result<BTreeMap<String, Timestamp>, Refused> {
        let path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
        let leases: Vec<Lease> = match &self.name {
            Some(name) => match cluster.get(Request::get(format!("{path}/{name}"))).await {
                Ok(lease) => vec![lease],
                Err(Refused::Status(status)) if status.code == 404 => Vec::new(),
                Err(other) => return Err(other),
            },
            None => cluster.list(Request::get(path)).await?,
        };
        let beat = |lease: Lease| Some((lease.metadata.name, lease.spec.renew_time?));
        Ok(leases.into_iter().filter_map(beat).collect())
    }
}

/// What was read; nothing, with a note, where the API server refuses it. Anything else ends the call.
fn readable<T>(part: &str, read: Result<T, Refused>, notes: &mut Vec<String>) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(Refused::Status(status)) if status.code == 400 => Err(Refused::Status(status).into()),
        Err(Refused::Status(status)) => {
            notes.push(format!("Unknown: {part} ({}).", status.message));
            Ok(None)
        }
        Err(other) => Err(other.into()),
    }
}

fn row(node: &Node, pods: Option<&[Pod]>, beats: &BTreeMap<String, Timestamp>, now: Timestamp) -> Row {
    let name = &node.metadata.name;
    let placed: Option<Vec<&Pod>> =
        pods.map(|pods| pods.iter().filter(|pod| pod.spec.node_name == *name && pod.is_alive()).collect());
    let requested = |resource: &str| match &placed {
        Some(pods) => percent(pods.iter().map(|pod| pod.requested(resource)).sum(), node.allocatable(resource)),
        None => UNKNOWN.into(),
    };
    let count = placed.as_ref().map_or(UNKNOWN.to_owned(), |pods| pods.len().to_string());
    let beat = beats.get(name).copied().max(node.condition("Ready").and_then(|ready| ready.last_heartbeat_time));
    let since = |moment: Option<Timestamp>| moment.map_or(Value::Null, |moment| ages::between(moment, now).into());
    let mut row = Row::new();
    let mut put = |name: &str, value: Value| row.insert(name.into(), value);
    put("node", json!(name));
    put("ready", node.ready().into());
    put("problems", json!(node.troubles()));
    put("schedulable", (!node.is_cordoned()).into());
    put("taints", node.spec.taints.iter().map(Taint::text).collect());
    put("pods", format!("{count}/{:.0}", node.allocatable("pods")).into());
    put("cpu_requested", requested("cpu"));
    put("memory_requested", requested("memory"));
    put("heartbeat", since(beat));
    put("age", since(node.metadata.creation_timestamp));
    put("kubelet", json!(node.status.node_info.kubelet_version));
    row
}

/// All that is known of one node.
async fn details(node: &Node, pods: Option<&[Pod]>, cluster: &Kubernetes) -> (String, Value) {
    let name = &node.metadata.name;
    let now = cluster.context.now;
    let info = &node.status.node_info;
    let mut details = Map::new();
    let addresses = node.status.addresses.iter().map(|one| (one.kind.clone(), json!(one.address)));
    details.insert("addresses".into(), Value::Object(addresses.collect()));
    details.insert(
        "system".into(),
        json!({
            "os": info.os_image, "kernel": info.kernel_version, "architecture": info.architecture,
            "runtime": info.container_runtime_version
        }),
    );
    details.insert("capacity".into(), json!(node.status.capacity));
    details.insert("allocatable".into(), json!(node.status.allocatable));
    let conditions = node.status.conditions.iter().map(|condition| {
        let since = condition.last_transition_time.map(|moment| ages::between(moment, now));
        json!({"type": condition.kind, "status": condition.status, "reason": condition.reason, "since": since})
    });
    details.insert("conditions".into(), conditions.collect());
    details.insert("kubelet_figures".into(), figures(name, cluster).await);
    let mut images: Vec<_> = node.status.images.iter().collect();
    images.sort_by(|one, other| other.size_bytes.total_cmp(&one.size_bytes));
    if !images.is_empty() {
        let total = images.iter().map(|image| image.size_bytes).sum();
        let largest = images
            .iter()
            .take(MOST_IMAGES)
            .map(|image| json!({"image": image.names.last(), "size": bytes(image.size_bytes)}));
        let largest: Value = largest.collect();
        details.insert("images".into(), json!({"count": images.len(), "size": bytes(total), "largest": largest}));
    }
    match pods {
        Some(pods) => {
            let mut own: Vec<_> = pods.iter().filter(|pod| pod.spec.node_name == *name).collect();
            own.sort_by(|one, other| other.requested("memory").total_cmp(&one.requested("memory")));
            let shown = own.iter().take(MOST_PODS).map(|pod| {
                json!({
                    "pod": pod.metadata.full_name(), "phase": pod.status.phase,
                    "cpu": processors(pod.requested("cpu")), "memory": bytes(pod.requested("memory"))
                })
            });
            details.insert("pods".into(), shown.collect());
            if own.len() > MOST_PODS {
                details.insert("more_pods".into(), json!(own.len() - MOST_PODS));
            }
        }
        None => {
            details.insert("pods".into(), UNKNOWN.into());
        }
    }
    (name.clone(), Value::Object(details))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Summary {
    node: NodeFigures,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NodeFigures {
    cpu: Processor,
    memory: Memory,
    fs: Disk,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Processor {
    usage_nano_cores: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Memory {
    working_set_bytes: Option<f64>,
    available_bytes: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Disk {
    used_bytes: Option<f64>,
    capacity_bytes: Option<f64>,
}

/// What the kubelet measures, or why that is not known.
async fn figures(name: &str, cluster: &Kubernetes) -> Value {
    let Ok(path) = node_path(name) else { return UNKNOWN.into() };
    match cluster.get::<Summary>(Request::get(format!("{path}/proxy/stats/summary"))).await {
        Ok(Summary { node }) => json!({
            "cpu": node.cpu.usage_nano_cores.map(|amount| processors(amount * 1e-9)),
            "memory": node.memory.working_set_bytes.map(bytes),
            "memory_available": node.memory.available_bytes.map(bytes),
            "disk_used": node.fs.used_bytes.map(bytes),
            "disk": node.fs.capacity_bytes.map(bytes),
        }),
        Err(Refused::Status(status)) => format!("{UNKNOWN}: the kubelet is asked and says {}", status.code).into(),
        Err(other) => format!("{UNKNOWN}: {}", Error::from(other)).into(),
    }
}

/// Nodes in trouble first, then by name.
fn worst_first(one: &Row, other: &Row) -> std::cmp::Ordering {
    let key = |row: &Row| {
        let is_well = row.get("problems").and_then(Value::as_array).is_none_or(Vec::is_empty);
        (is_well, row.get("node").and_then(Value::as_str).unwrap_or_default().to_owned())
    };
    key(one).cmp(&key(other))
}
