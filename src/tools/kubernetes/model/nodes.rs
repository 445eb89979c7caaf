//! Nodes.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::quantity;
use super::condition::{self, Condition};
use super::{Amounts, Object};

/// A node. Its images may be many, and are read only where their type is named.
pub(in super::super) type Node<Images = IgnoredAny> = Object<NodeSpec, NodeStatus<Images>>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct NodeSpec {
    pub(in super::super) unschedulable: bool,
    pub(in super::super) taints: Vec<Taint>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct Taint {
    pub(in super::super) key: String,
    value: String,
    effect: String,
    pub(in super::super) time_added: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct NodeStatus<Images> {
    pub(in super::super) capacity: Amounts,
    pub(in super::super) allocatable: Amounts,
    pub(in super::super) conditions: Vec<Condition>,
    pub(in super::super) addresses: Vec<Address>,
    pub(in super::super) node_info: NodeInfo,
    pub(in super::super) images: Images,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct Address {
    #[serde(rename = "type")]
    pub(in super::super) kind: String,
    pub(in super::super) address: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct NodeInfo {
    pub(in super::super) kubelet_version: String,
    pub(in super::super) os_image: String,
    pub(in super::super) kernel_version: String,
    pub(in super::super) container_runtime_version: String,
    pub(in super::super) architecture: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct Image {
    pub(in super::super) names: Vec<String>,
    /// Bytes.
    pub(in super::super) size_bytes: f64,
}

impl Taint {
    /// As kubectl writes it: `dedicated=shop:NoSchedule`.
    pub(in super::super) fn text(&self) -> String {
        let value = if self.value.is_empty() { String::new() } else { format!("={}", self.value) };
        format!("{}{value}:{}", self.key, self.effect)
    }
}

impl<Images> Node<Images> {
    /// Its condition of this type.
    pub(in super::super) fn condition(&self, kind: &str) -> Option<&Condition> {
        condition::find(&self.status.conditions, kind)
    }

    /// Whether it is ready: `yes`, `no`, or `unknown` where it does not report.
    pub(in super::super) fn ready(&self) -> &'static str {
        match self.condition("Ready").map(|ready| ready.status.as_str()) {
            Some("True") => "yes",
            Some("False") => "no",
            _ => "unknown",
        }
    }

    /// Whether it takes no new pods.
    pub(in super::super) fn is_cordoned(&self) -> bool {
        self.spec.unschedulable
    }

    /// What pods on it may ask for in all, for example of `cpu`.
    pub(in super::super) fn allocatable(&self, resource: &str) -> f64 {
        quantity::of(&self.status.allocatable, resource).unwrap_or(0.0)
    }

    /// Conditions that tell of trouble: not ready, or any other that is true.
    pub(in super::super) fn troubles(&self) -> Vec<String> {
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
