//! Restarting a workload.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::state::watch::Waited;
use super::workload::Workload;
use crate::backends::Kubernetes;
use crate::error::{Error, Result};
use crate::toolkit::args::Limit;
use crate::toolkit::{Facts, Permission, Policy, Tool};

/// Where `kubectl rollout restart` notes the moment, which makes the pods new.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

/// Restarts a workload by rolling its pods.
///
/// As its update strategy says, so a healthy workload stays available.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct RestartWorkload {
    /// Deployment, `StatefulSet` or `DaemonSet`.
    kind: String,
    /// Name of the workload.
    name: String,
    /// Name of the cluster; needed when several are configured.
    cluster: Option<String>,
    /// Namespace of the workload.
    namespace: String,
    /// Wait until the rollout is done.
    #[serde(default)]
    wait: bool,
    /// How long to wait, in seconds; at most 3600.
    #[serde(default)]
    timeout_seconds: Limit<300, 3600>,
    /// Only try it; change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// A restart.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Restarted {
    /// What was done, or would be.
    outcome: String,
    workload: String,
    /// The moment that its pods carry.
    restarted_at: String,
    /// How the wait ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<String>,
}

impl Tool for RestartWorkload {
    const NAME: &str = "kubernetes_restart_workload";
    const POLICY: Policy = Policy::write(Permission::ClusterWrite).longest(3660).may_be_task();
    const REPLACES: &[&str] = &["kubernetes_restart_workload"];
    type Backend = Kubernetes;
    type Output = Facts<Restarted>;

    async fn call(self, cluster: &Kubernetes) -> Result<Facts<Restarted>> {
        let workload = Workload::find(cluster, &self.kind, &self.namespace, &self.name).await?;
        if workload.is_paused() {
            return Err(Error::BadArguments(format!(
                "{} is paused, so nothing would restart; resume it with `kubernetes_control_rollout` first",
                workload.label()
            )));
        }
        let moment = format!("{:.0}", cluster.context.now);
        let patch = json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED: moment}}}}});
        let sent = workload.patch(cluster, "application/strategic-merge-patch+json", &patch, self.dry_run).await;
        let (_, warnings) = sent?;
        let by_hand = workload.text("/spec/updateStrategy/type") == "OnDelete";
        let waited = if self.wait && !self.dry_run && !by_hand {
            let seconds = u64::try_from(self.timeout_seconds.get()).unwrap_or(u64::MAX);
            Some(workload.wait(cluster, Duration::from_secs(seconds)).await?)
        } else {
            None
        };
        let outcome = if self.dry_run { "dry run: nothing was changed" } else { "restarted" };
        let rollout = waited.as_ref().map(Waited::told);
        let told = rollout.as_ref().map_or(String::new(), |told| format!("; {told}"));
        let text = format!("{}: {outcome} at {moment}{told}", workload.label());
        let restarted =
            Restarted { outcome: outcome.into(), workload: workload.label(), restarted_at: moment, rollout };
        let answer =
            Facts::new(restarted).text(text).notes(warnings).failed(waited.is_some_and(|waited| !waited.is_met()));
        if by_hand {
            return Ok(answer.note("Its strategy OnDelete replaces a pod only when it is deleted."));
        }
        Ok(answer)
    }
}
