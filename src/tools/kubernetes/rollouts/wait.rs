//! Waiting for objects.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::args::{check_namespace, check_verb};
use super::super::state::until::Until;
use super::super::state::watch::Wish;
use crate::backends::Kubernetes;
use crate::error::{Error, Result};
use crate::toolkit::args::Limit;
use crate::toolkit::{Facts, Permission, Policy, Tool};

/// Waits until objects exist, are ready, complete or gone.
///
/// Ends at once where waiting cannot help: a Job has failed, a rollout is stuck or paused, a pod has ended.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct WaitForResource {
    /// Kind, plural, short name or plural.group, for example `deploy` or `certificates.cert-manager.io`.
    kind: String,
    /// Name of the object; or use labels.
    name: Option<String>,
    /// Label selector for several objects, for example `app=web,tier!=cache`.
    labels: Option<String>,
    /// Name of the cluster; needed when several are configured.
    cluster: Option<String>,
    /// Namespace of the objects; needed for kinds that lie in one.
    namespace: Option<String>,
    /// `exists`, `deleted`, `ready`, `rolled_out`, `complete`, a condition such as `Available=True`, or a JSONPath such as
    /// `.status.phase=Running`.
    #[serde(default = "ready")]
    until: String,
    /// How long to wait, in seconds; at most 3600.
    #[serde(default)]
    timeout_seconds: Limit<300, 3600>,
}

fn ready() -> String {
    "ready".into()
}

/// How a wait ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Outcome {
    /// `met`, `failed early` or `timed out`.
    outcome: &'static str,
    waited_seconds: f64,
    /// The objects as they were seen last, troubled ones first.
    objects: Vec<State>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct State {
    name: String,
    state: String,
}

impl Tool for WaitForResource {
    const NAME: &str = "kubernetes_wait_for_resource";
    const POLICY: Policy = Policy::read(Permission::ClusterRead).longest(3660).may_be_task();
    const REPLACES: &[&str] = &["kubernetes_wait_for_resource"];
    type Backend = Kubernetes;
    type Output = Facts<Outcome>;

    async fn call(self, cluster: &Kubernetes) -> Result<Facts<Outcome>> {
        let until = Until::parse(&self.until)?;
        let kind = cluster.kind(&self.kind).await?;
        check_verb(&kind, "watch")?;
        check_namespace(&kind, self.namespace.as_deref())?;
        let wrong = |mistake: String| Err(Error::BadArguments(mistake));
        if kind.namespaced && self.namespace.is_none() {
            return wrong(format!("namespace: needed, since each {} lies in one", kind.kind));
        }
        match (&self.name, &self.labels) {
            (None, None) => return wrong("name: say what to wait for, by name or by labels".into()),
            (Some(_), Some(_)) => return wrong("name: give a name or labels, not both".into()),
            (Some(name), None) => drop(kind.object_path(self.namespace.as_deref(), name)?),
            (None, Some(_)) => {}
        }
        if matches!(until, Until::RolledOut)
            && !["Deployment", "StatefulSet", "DaemonSet"].contains(&kind.kind.as_str())
        {
            return wrong(format!("until: a {} has no rollouts; wait until `ready`", kind.kind));
        }
        let seconds = u64::try_from(self.timeout_seconds.get()).unwrap_or(u64::MAX);
        let wish = Wish {
            kind: &kind,
            namespace: self.namespace.as_deref(),
            name: self.name.as_deref(),
            labels: self.labels.as_deref(),
            until,
            timeout: Duration::from_secs(seconds),
            is_after_change: false,
        };
        let waited = wish.wait(cluster).await?;
        let mut text = format!("{} after {} s", waited.ending.label(), waited.seconds);
        for (name, state) in &waited.states {
            text.push_str(&format!("\n{} {name}: {state}", kind.kind));
        }
        if waited.states.is_empty() {
            text.push_str("\nnothing was there");
        }
        let objects = waited.states.into_iter().map(|(name, state)| State { name, state }).collect();
        let outcome = Outcome { outcome: waited.ending.label(), waited_seconds: waited.seconds, objects };
        Ok(Facts::new(outcome).text(text))
    }
}
