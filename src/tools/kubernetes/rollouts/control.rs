//! Undoing, pausing and resuming rollouts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::change::diff;
use super::super::state::watch::LONGEST_WAIT;
use super::revisions::{self, choose};
use super::workload::{Workload, drift};
use crate::backends::Kubernetes;
use crate::error::{Error, Result};
use crate::toolkit::{Facts, Permission, Policy, Tool};

/// Undoes, pauses or resumes a rollout.
///
/// `kubernetes_get_rollout` with view `history` lists the revisions and what each would change. Only Deployments can be
/// paused.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct ControlRollout {
    /// What to do.
    action: Action,
    /// Deployment, `StatefulSet` or `DaemonSet`.
    kind: String,
    /// Name of the workload.
    name: String,
    /// Name of the cluster; needed when several are configured.
    cluster: Option<String>,
    /// Namespace of the workload.
    namespace: String,
    /// Undo to this revision; 0 is the one before the current one.
    #[serde(default)]
    #[schemars(range(min = 0))]
    revision: i64,
    /// Wait until the rollout is done, at most five minutes.
    #[serde(default)]
    wait: bool,
    /// Only show what would change; change nothing.
    #[serde(default)]
    dry_run: bool,
    /// Plan of a dry run to carry out; refused where another revision is current since.
    plan: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Action {
    Undo,
    Pause,
    Resume,
}

/// What became of a rollout.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct Controlled {
    /// What was done, or would be.
    outcome: String,
    workload: String,
    /// The revision that was current.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_revision: Option<i64>,
    /// The revision whose pod template it has after that.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_revision: Option<i64>,
    /// The change of the pod template, as unified diff.
    #[serde(skip_serializing_if = "String::is_empty")]
    diff: String,
    /// How the wait ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<String>,
}

impl Tool for ControlRollout {
    const NAME: &str = "kubernetes_control_rollout";
    const POLICY: Policy = Policy::write(Permission::ClusterWrite).longest(360).may_be_task();
    type Backend = Kubernetes;
    type Output = Facts<Controlled>;

    async fn call(self, cluster: &Kubernetes) -> Result<Facts<Controlled>> {
        if self.revision != 0 && self.action != Action::Undo {
            return Err(Error::BadArguments("revision: is for action `undo`".into()));
        }
        let workload = Workload::find(cluster, &self.kind, &self.namespace, &self.name).await?;
        match self.action {
            Action::Undo => self.undo(cluster, &workload).await,
            Action::Pause => self.pause(cluster, &workload, true).await,
            Action::Resume => self.pause(cluster, &workload, false).await,
        }
    }
}

impl ControlRollout {
    async fn undo(&self, cluster: &Kubernetes, workload: &Workload) -> Result<Facts<Controlled>> {
        if workload.is_paused() {
            return Err(Error::BadArguments(format!(
                "{} is paused, and a paused one cannot be undone; resume it first with action `resume`",
                workload.label()
            )));
        }
        let all = revisions::all(cluster, workload).await?;
        let current = all.iter().find(|revision| revision.current).map(|revision| revision.number);
        if let Some(plan) = &cluster.context.inputs.plan
            && plan["current"].as_i64() != current
        {
            return Err(Error::BadArguments(
                "plan: nothing was changed, since another revision is current by now; make another one with dry_run"
                    .into(),
            ));
        }
        let planned = cluster.context.inputs.plan.as_ref().and_then(|plan| plan["revision"].as_i64());
        let chosen = choose(&all, planned.unwrap_or(self.revision))?;
        let (media_type, patch) = revisions::patch(cluster, workload, chosen).await?;
        let (after, warnings) = workload.patch(cluster, media_type, &patch, self.dry_run).await?;
        let template = |object: &Value| revisions::tidy(object["spec"]["template"].clone());
        let diff =
            diff::unified("pod template", Some(&template(&workload.object)), Some(&template(&after)), diff::CONTEXT);
        let outcome = match (self.dry_run, diff.is_empty()) {
            (_, true) => format!("nothing changes: it has the pod template of revision {} already", chosen.number),
            (true, false) => "dry run: nothing was changed".into(),
            (false, false) => format!("undone, back to revision {}", chosen.number),
        };
        let controlled = Controlled {
            outcome,
            workload: workload.label(),
            from_revision: current,
            to_revision: Some(chosen.number),
            diff,
            rollout: None,
        };
        let planned = json!({"current": current, "revision": chosen.number});
        let answer = self.answer(cluster, workload, controlled).await?;
        Ok(answer.notes(warnings).notes(drift(&workload.object)).planned(planned))
    }

    async fn pause(&self, cluster: &Kubernetes, workload: &Workload, paused: bool) -> Result<Facts<Controlled>> {
        if workload.kind.kind != "Deployment" {
            return Err(Error::BadArguments(format!(
                "kind: a {} cannot be paused; only Deployments can. `kubernetes_patch_resource` with \
                 spec.updateStrategy.rollingUpdate.partition holds back the pods of a StatefulSet",
                workload.kind.kind
            )));
        }
        if paused && self.wait {
            return Err(Error::BadArguments("wait: a paused rollout never ends; leave it out".into()));
        }
        let patch = json!({"spec": {"paused": paused}});
        let (_, warnings) = workload.patch(cluster, "application/merge-patch+json", &patch, self.dry_run).await?;
        let word = if paused { "paused" } else { "resumed" };
        let outcome = match (workload.is_paused() == paused, self.dry_run) {
            (true, _) => format!("nothing changes: it is {word} already"),
            (false, true) => "dry run: nothing was changed".into(),
            (false, false) => word.to_owned(),
        };
        let controlled = Controlled { outcome, workload: workload.label(), ..Controlled::default() };
        let answer = self.answer(cluster, workload, controlled).await?;
        Ok(answer.notes(warnings).notes(drift(&workload.object)))
    }

    async fn answer(
        &self,
        cluster: &Kubernetes,
        workload: &Workload,
        mut controlled: Controlled,
    ) -> Result<Facts<Controlled>> {
        let mut is_late = false;
        if self.wait && !self.dry_run {
            let waited = workload.wait(cluster, LONGEST_WAIT).await?;
            is_late = !waited.is_met();
            controlled.rollout = Some(waited.told());
        }
        let mut text = format!("{}: {}", workload.label(), controlled.outcome);
        if let (Some(from), Some(to)) = (controlled.from_revision, controlled.to_revision) {
            text.push_str(&format!("\nrevision {from} -> that of revision {to}"));
        }
        if let Some(rollout) = &controlled.rollout {
            text.push_str(&format!("\nrollout: {rollout}"));
        }
        if !controlled.diff.is_empty() {
            text.push_str(&format!("\n{}", controlled.diff));
        }
        Ok(Facts::new(controlled).text(text).failed(is_late))
    }
}
