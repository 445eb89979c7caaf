//! How far a rollout is, and its history.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::change::diff;
use super::super::model::condition;
use super::super::state::pods::trouble;
use super::super::state::rollout::{self, Stage};
use super::revisions::{self, Revision, choose};
use super::workload::{Workload, drift};
use crate::backends::Kubernetes;
use crate::backends::kubernetes::Request;
use crate::error::{Error, Result};
use crate::toolkit::args::MaxTokens;
use crate::toolkit::{Facts, Permission, Policy, Tool};

/// Pods that are named.
const MOST_PODS: usize = 20;

/// Judges a rollout, or lists its revisions and what changed.
///
/// By the rules of `kubectl rollout status`. Use `kubernetes_wait_for_resource` to wait for its end, and
/// `kubernetes_control_rollout` to undo, pause or resume it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct GetRollout {
    /// Deployment, `StatefulSet` or `DaemonSet`.
    kind: String,
    /// Name of the workload.
    name: String,
    /// Name of the cluster; needed when several are configured.
    cluster: Option<String>,
    /// Namespace of the workload.
    namespace: String,
    /// `status` judges; `history` lists the revisions.
    #[serde(default)]
    view: View,
    /// With `history`: shows what going back to this revision would change.
    revision: Option<i64>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum View {
    #[default]
    Status,
    History,
}

/// A rollout: its state, or its history.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct Shown {
    /// The workload.
    workload: String,
    /// `complete`, `progressing`, `stuck` or `paused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<Numbers>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<String>,
    /// Pods that hold it up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blocking: Vec<Blocking>,
    /// Its history, the newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    revisions: Vec<Row>,
    /// What going back would change, as unified diff of the pod template.
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
}

/// Pods of a workload.
#[derive(Debug, Serialize, JsonSchema)]
struct Numbers {
    wanted: i64,
    updated: i64,
    ready: i64,
    available: i64,
    all: i64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Blocking {
    pod: String,
    reason: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Row {
    revision: i64,
    current: bool,
    created: String,
    images: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
}

impl From<&Revision> for Row {
    fn from(revision: &Revision) -> Self {
        Self {
            revision: revision.number,
            current: revision.current,
            created: revision.created.clone(),
            images: revision.images.clone(),
            cause: revision.cause.clone(),
        }
    }
}

impl Tool for GetRollout {
    const NAME: &str = "kubernetes_get_rollout";
    const POLICY: Policy = Policy::read(Permission::ClusterRead).cached(3).by_default();
    const REPLACES: &[&str] = &["kubernetes_get_rollout_status"];
    type Backend = Kubernetes;
    type Output = Facts<Shown>;

    async fn call(self, cluster: &Kubernetes) -> Result<Facts<Shown>> {
        if self.revision.is_some() && self.view != View::History {
            return Err(Error::BadArguments("revision: is for view `history`".into()));
        }
        let workload = Workload::find(cluster, &self.kind, &self.namespace, &self.name).await?;
        match self.view {
            View::Status => status(cluster, &workload).await,
            View::History => self.history(cluster, &workload).await,
        }
    }
}

impl GetRollout {
    async fn history(&self, cluster: &Kubernetes, workload: &Workload) -> Result<Facts<Shown>> {
        let all = revisions::all(cluster, workload).await?;
        let mut text = format!("{}: {} revisions\n", workload.label(), all.len());
        for revision in &all {
            text.push_str(&line(revision));
        }
        let mut shown =
            Shown { workload: workload.label(), revisions: all.iter().map(Row::from).collect(), ..Shown::default() };
        if let Some(number) = self.revision {
            let chosen = choose(&all, number)?;
            let now = revisions::tidy(workload.object["spec"]["template"].clone());
            let diff = diff::unified(
                &format!("pod template, revision {}", chosen.number),
                Some(&now),
                Some(&chosen.template),
                diff::CONTEXT,
            );
            if diff.is_empty() {
                text.push_str(&format!("\nRevision {} is what it has now.", chosen.number));
            } else {
                text.push_str(&format!("\nGoing back to revision {} would change:\n{diff}", chosen.number));
            }
            shown.diff = Some(diff);
        }
        Ok(Facts::new(shown).text(text))
    }
}

fn line(revision: &Revision) -> String {
    let current = if revision.current { " (current)" } else { "" };
    let cause = revision.cause.as_ref().map_or(String::new(), |cause| format!("; {cause}"));
    format!("  {}{current}: {}, {}{cause}\n", revision.number, revision.created, revision.images.join(", "))
}

async fn status(cluster: &Kubernetes, workload: &Workload) -> Result<Facts<Shown>> {
    let rollout = rollout::judge(&workload.kind.kind, &workload.object)
        .ok_or_else(|| Error::internal("a workload without rules for its rollout"))?;
    let blocking = if rollout.stage == Stage::Complete { Vec::new() } else { blocking(cluster, workload).await? };
    let counts = rollout.counts;
    let images = revisions::images(&workload.object["spec"]["template"]);
    let mut lines = vec![
        format!("{}: {}: {}", workload.label(), rollout.stage.label(), rollout.reason),
        format!(
            "pods: {} wanted, {} updated, {} ready, {} available, {} in all",
            counts.wanted, counts.updated, counts.ready, counts.available, counts.all
        ),
        format!("images: {}", images.join(", ")),
    ];
    if !blocking.is_empty() {
        lines.push("pods that hold it up:".into());
    }
    lines.extend(blocking.iter().map(|one| format!("  {}: {}", one.pod, one.reason)));
    let conditions = condition::of(&workload.object);
    let failing = condition::find(&conditions, "ReplicaFailure").filter(|found| found.is("True"));
    if let Some(failing) = failing {
        lines.push(failing.told());
    }
    let shown = Shown {
        workload: workload.label(),
        status: Some(rollout.stage.label()),
        reason: Some(rollout.reason),
        counts: Some(Numbers {
            wanted: counts.wanted,
            updated: counts.updated,
            ready: counts.ready,
            available: counts.available,
            all: counts.all,
        }),
        images,
        blocking,
        ..Shown::default()
    };
    let answer = Facts::new(shown).text(lines.join("\n"));
    Ok(if workload.is_paused() { answer.notes(drift(&workload.object)) } else { answer })
}

/// The pods that are not ready, and why.
async fn blocking(cluster: &Kubernetes, workload: &Workload) -> Result<Vec<Blocking>> {
    let kind = cluster.kind("pods").await?;
    let request = Request::get(kind.path(Some(&workload.namespace))?).query("labelSelector", workload.selector());
    let pods: Vec<Value> = match cluster.list(request).await {
        Ok(pods) => pods,
        Err(refused) if refused.code() == Some(403) => return Ok(Vec::new()),
        Err(refused) => return Err(refused.into()),
    };
    let name = |pod: &Value| pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let found = pods.iter().filter_map(|pod| Some(Blocking { pod: name(pod), reason: trouble(pod)? }));
    Ok(found.take(MOST_PODS).collect())
}
