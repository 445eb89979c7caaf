//! Keeping new pods off a node.

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::model::{Node, Taint};
use super::find::{Pod, node, node_path, pods_on};
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Refused, Request};
use crate::error::Result;
use crate::toolkit::{Facts, Permission, Policy, Tool};

/// Makes a node unschedulable, or schedulable again.
///
/// Pods that run there stay; `kubernetes_drain_node` moves them away.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct CordonNode {
    /// The node, as `kubernetes_get_node_status` lists it.
    name: String,
    /// The cluster by name; needed when several are configured.
    cluster: Option<String>,
    /// Make it schedulable again.
    #[serde(default)]
    uncordon: bool,
    /// Only show what would change; the API server checks it, and nothing changes.
    #[serde(default)]
    dry_run: bool,
}

/// A node before and after.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Cordoned {
    /// What was done, or would be.
    outcome: String,
    node: String,
    /// What changes in the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
    schedulable_before: bool,
    schedulable_after: bool,
    /// Pods that run there, and stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pods: Option<usize>,
    /// Taints that keep pods away too.
    taints: Vec<String>,
}

impl Tool for CordonNode {
    const NAME: &str = "kubernetes_cordon_node";
    const POLICY: Policy = Policy::write(Permission::NodesWrite).idempotent();
    const REPLACES: &[&str] = &["kubernetes_uncordon_node"];
    type Backend = Kubernetes;
    type Output = Facts<Cordoned>;

    async fn call(self, cluster: &Kubernetes) -> Result<Facts<Cordoned>> {
        let before: Node = node(&self.name, cluster).await?;
        let is_change = before.is_cordoned() == self.uncordon;
        let after = if is_change {
            set_cordoned(&self.name, !self.uncordon, self.dry_run, cluster).await?
        } else {
            before.clone()
        };
        let pods = match pods_on(&self.name, None, cluster).await {
            Ok(pods) => Some(pods.iter().filter(|pod| Pod::is_alive(pod)).count()),
            // That the node is changed is to be told all the same.
            Err(_) => None,
        };
        let done = if self.uncordon { "schedulable again" } else { "cordoned" };
        let outcome = match (is_change, self.dry_run) {
            (false, _) if self.uncordon => "nothing to do: it is schedulable".into(),
            (false, _) => "nothing to do: it is cordoned already".into(),
            (true, true) => format!("dry run: nothing was changed; it would be {done}"),
            (true, false) => done.to_owned(),
        };
        Ok(Facts::new(Cordoned {
            outcome,
            node: self.name,
            diff: is_change.then(|| format!("spec.unschedulable: {} -> {}", before.is_cordoned(), after.is_cordoned())),
            schedulable_before: !before.is_cordoned(),
            schedulable_after: !after.is_cordoned(),
            pods,
            taints: after.spec.taints.iter().map(Taint::text).collect(),
        }))
    }
}

/// Cordons a node or ends that; returns it as it is then, or would be.
pub(super) async fn set_cordoned(
    name: &str,
    cordoned: bool,
    dry_run: bool,
    cluster: &Kubernetes,
) -> Result<Node, Refused> {
    let request = Request::get(node_path(name)?).query_some("dryRun", dry_run.then_some("All"));
    let body = json!({"spec": {"unschedulable": cordoned}});
    cluster.change(Method::PATCH, request, "application/strategic-merge-patch+json", &body).await
}
