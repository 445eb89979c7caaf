//! Setting the number of replicas.

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::change::server_side::strict;
use super::super::model::label;
use super::super::selector::{Labels, Selector};
use super::super::state::until::Until;
use super::super::state::watch::Wish;
use super::workload::{drift, object};
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Kind, Refused, Request};
use crate::error::{Error, Result};
use crate::toolkit::{Facts, Permission, Policy, Tool};

/// Tries where others change the object at the same moment.
const TRIES: usize = 3;

/// Sets the replica count of anything scalable, custom resources too.
///
/// Warns where an autoscaler sets the count itself. Scaling to zero needs a plan from a dry run.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct ScaleResource {
    /// Any kind with a `scale` subresource, for example `deploy` or `statefulset`.
    kind: String,
    /// Name of the object.
    name: String,
    /// Name of the cluster; needed when several are configured.
    cluster: Option<String>,
    /// Namespace of the object.
    namespace: String,
    /// How many replicas are wanted.
    replicas: u32,
    /// Refuse unless this many are wanted now.
    current_replicas: Option<u32>,
    /// Wait until they are ready, at most five minutes.
    #[serde(default)]
    wait: bool,
    /// Only show what would change; change nothing.
    #[serde(default)]
    dry_run: bool,
    /// Plan of a dry run to carry out; refused where the count has changed since.
    plan: Option<String>,
}

/// Replicas before and after.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Scaled {
    /// What was done, or would be.
    outcome: String,
    object: String,
    before: i64,
    after: i64,
    /// How many are ready, as far as the object says.
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<i64>,
    /// How the wait ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    waited: Option<String>,
}

impl Tool for ScaleResource {
    const NAME: &str = "kubernetes_scale_resource";
    const POLICY: Policy = Policy::write(Permission::ClusterWrite).idempotent().longest(360).may_be_task();
    const REPLACES: &[&str] = &["kubernetes_scale_resource"];
    type Backend = Kubernetes;
    type Output = Facts<Scaled>;

    async fn call(self, cluster: &Kubernetes) -> Result<Facts<Scaled>> {
        let kind = cluster.kind(&self.kind).await?;
        if !kind.namespaced || !kind.subresources.iter().any(|part| part == "scale") {
            return Err(Error::BadArguments(format!(
                "kind: a {} has no replicas to set; scalable are for example Deployments, StatefulSets and ReplicaSets",
                kind.kind
            )));
        }
        if self.replicas == 0 && !self.dry_run && cluster.context.inputs.plan.is_none() {
            return Err(Error::BadArguments(
                "plan: scaling to zero stops all pods, so it needs one: call with dry_run first, and then with the plan that \
                 it answers with"
                    .into(),
            ));
        }
        let target = object(cluster, &kind, &self.namespace, &self.name).await?;
        let (before, after) = self.set(cluster, &kind).await?;
        let notes = self.interferes(cluster, &kind, &target).await;
        let waited = if self.wait && !self.dry_run { Some(self.until_ready(cluster, &kind).await?) } else { None };
        let seen = match &waited {
            Some(_) => object(cluster, &kind, &self.namespace, &self.name).await.ok(),
            None => Some(target),
        };
        let ready = seen.as_ref().and_then(|now| now.pointer("/status/readyReplicas").and_then(Value::as_i64));
        let outcome = match (self.dry_run, before == after) {
            (_, true) => "nothing changes: it is so already",
            (true, false) => "dry run: nothing was changed",
            (false, false) => "scaled",
        };
        let (told, is_late) = waited.map_or((None, false), |(told, is_late)| (Some(told), is_late));
        let label = label(&kind.kind, Some(&self.namespace), &self.name);
        let mut text = format!("{label}: {outcome}: {before} -> {after} replicas");
        if let Some(ready) = ready {
            text.push_str(&format!(", {ready} ready"));
        }
        if let Some(told) = &told {
            text.push_str(&format!("; {told}"));
        }
        let scaled = Scaled { outcome: outcome.into(), object: label, before, after, ready, waited: told };
        Ok(Facts::new(scaled).text(text).notes(notes).failed(is_late).planned(json!({"before": before})))
    }
}

impl ScaleResource {
    /// Sets the count; what it was, and what it is.
    async fn set(&self, cluster: &Kubernetes, kind: &Kind) -> Result<(i64, i64)> {
        let path = format!("{}/scale", kind.object_path(Some(&self.namespace), &self.name)?);
        let planned = cluster.context.inputs.plan.as_ref().and_then(|plan| plan["before"].as_i64());
        let mut tries = 0;
        loop {
            tries += 1;
            let scale: Value = cluster.get(Request::get(path.clone())).await?;
            let before = scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
            for (argument, wanted) in [("current_replicas", self.current_replicas.map(i64::from)), ("plan", planned)] {
                if wanted.is_some_and(|wanted| wanted != before) {
                    return Err(Error::BadArguments(format!(
                        "{argument}: nothing was changed, since {before} replicas are wanted now; look at it again"
                    )));
                }
            }
            let mut patch = json!({"spec": {"replicas": self.replicas}});
            if self.current_replicas.is_some() || planned.is_some() {
                patch["metadata"] = json!({"resourceVersion": scale["metadata"]["resourceVersion"]});
            }
            let request = strict(Request::get(path.clone()), self.dry_run);
            match cluster.change::<Value>(Method::PATCH, request, "application/merge-patch+json", &patch).await {
                Ok(scale) => {
                    let after = scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
                    return Ok((before, after));
                }
                Err(Refused::Status(status)) if status.code == 409 && tries < TRIES => {}
                Err(refused) => return Err(refused.into()),
            }
        }
    }

    async fn until_ready(&self, cluster: &Kubernetes, kind: &Kind) -> Result<(String, bool)> {
        let waited = Wish::one(kind, Some(&self.namespace), &self.name, Until::Ready).wait(cluster).await?;
        Ok((waited.told(), !waited.is_met()))
    }

    /// What sets the count too, or needs more pods than this.
    async fn interferes(&self, cluster: &Kubernetes, kind: &Kind, target: &Value) -> Vec<String> {
        let mut notes: Vec<String> = drift(target).into_iter().collect();
        let labels = &target["spec"]["template"]["metadata"]["labels"];
        for scaler in self.others(cluster, "horizontalpodautoscalers.autoscaling", &mut notes).await {
            let scaled = &scaler["spec"]["scaleTargetRef"];
            if scaled["kind"] == kind.kind && scaled["name"] == self.name {
                let least = scaler["spec"]["minReplicas"].as_i64().unwrap_or(1);
                let name = scaler["metadata"]["name"].as_str().unwrap_or_default();
                let effect = if self.replicas == 0 {
                    "stops scaling while the count is zero"
                } else {
                    "will set the count again"
                };
                notes.push(format!(
                    "The HorizontalPodAutoscaler `{name}` owns this count ({least} to {}) and {effect}; change its limits \
                     instead.",
                    scaler["spec"]["maxReplicas"]
                ));
            }
        }
        for budget in self.others(cluster, "poddisruptionbudgets.policy", &mut notes).await {
            let needed = budget["spec"]["minAvailable"].as_i64().unwrap_or(0);
            if needed >= i64::from(self.replicas) && needed > 0 && selects(&budget["spec"]["selector"], labels) {
                let name = budget["metadata"]["name"].as_str().unwrap_or_default();
                notes.push(format!(
                    "The PodDisruptionBudget `{name}` wants {needed} pods available, so none of {} could be moved.",
                    self.replicas
                ));
            }
        }
        notes
    }

    /// Objects of another kind in the namespace, as far as they can be seen: the count is set, whether they can or not.
    async fn others(&self, cluster: &Kubernetes, kind: &str, notes: &mut Vec<String>) -> Vec<Value> {
        let Ok(kind) = cluster.kind(kind).await else { return Vec::new() };
        let listed = match kind.path(Some(&self.namespace)) {
            Ok(path) => cluster.list(Request::get(path)).await,
            Err(error) => Err(error.into()),
        };
        listed.unwrap_or_else(|refused: Refused| {
            let why = match refused.code() {
                Some(403) => "they may not be listed".to_owned(),
                _ => Error::from(refused).to_string(),
            };
            notes.push(format!("Whether a {} interferes is not known: {why}.", kind.kind));
            Vec::new()
        })
    }
}

/// Whether the selector of a budget takes these labels; one without any wish takes all.
fn selects(selector: &Value, labels: &Value) -> bool {
    let (Some(selector), Ok(labels)) = (Selector::of(selector), Labels::deserialize(labels)) else { return false };
    selector.selects(&labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_select_by_expressions_too() {
        let labels = json!({"app": "web"});
        let within = |values: Value| json!({"matchExpressions": [{"key": "app", "operator": "In", "values": values}]});
        assert!(selects(&within(json!(["web", "api"])), &labels));
        assert!(!selects(&within(json!(["api"])), &labels));
        assert!(selects(&json!({"matchLabels": {"app": "web"}}), &labels));
        // As policy/v1 takes it: none selects nothing, an empty one everything.
        assert!(selects(&json!({}), &labels));
        assert!(!selects(&Value::Null, &labels));
    }
}
