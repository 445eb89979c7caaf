//! Why one object is not well.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::args::check_namespace;
use super::evidence::LogTail;
use super::examination::Examination;
use super::read;
use super::trouble::Severity;
use crate::backends::Kubernetes;
use crate::error::{Error, Result};
use crate::toolkit::args::{MaxTokens, Moment};
use crate::toolkit::{Facts, Permission, Policy, Tool};
use crate::tools::ages::at;

/// Explains why one object is not well, with evidence.
///
/// Each finding names the field or event it comes from and what to do next. A workload is followed to its pods, a pod to
/// its node, claims and configuration, an Ingress to its services. Use `kubernetes_get_unhealthy_resources` to find what is
/// broken, and `kubernetes_check_service` for the way to a service.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct DiagnoseResource {
    /// Kind, for example `Pod`, `deploy`, `Job`, `Node`, `pvc`, `Service` or `Ingress`.
    kind: String,
    /// Name of the object.
    name: String,
    /// Name of the cluster; needed when several are configured.
    cluster: Option<String>,
    /// Namespace of the object; needed for kinds that lie in one.
    namespace: Option<String>,
    /// Only events after this: RFC 3339 or relative, for example `now-1h`.
    #[serde(default = "Moment::an_hour_ago")]
    start: Moment,
    /// Include the ends of the logs of failing containers.
    #[serde(default = "yes")]
    logs: bool,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

fn yes() -> bool {
    true
}

/// Why an object is not well.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Diagnosis {
    /// The worst of it, in a sentence.
    verdict: String,
    /// Worst first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Finding>,
    /// Conditions of the object, as it has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<String>,
    /// How containers ended last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    last_terminations: Vec<String>,
    /// What was changed last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    recent_changes: Vec<String>,
    /// The newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<String>,
    /// Ends of the logs of failing containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logs: Vec<LogTail>,
}

/// Something that is wrong.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// One word for it.
    pub(super) problem: String,
    /// Kind and name of what has it.
    pub(super) object: String,
    /// A sentence.
    pub(super) what: String,
    /// The field or event that says so.
    pub(super) evidence: String,
    /// When it began, as far as is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<String>,
    /// What to do.
    pub(super) next: String,
}

impl Tool for DiagnoseResource {
    const NAME: &str = "kubernetes_diagnose_resource";
    const POLICY: Policy = Policy::read(Permission::ClusterRead).by_default();
    const REPLACES: &[&str] = &["kubernetes_analyze_issue"];
    type Backend = Kubernetes;
    type Output = Facts<Diagnosis>;

    async fn call(self, cluster: &Kubernetes) -> Result<Facts<Diagnosis>> {
        let kind = cluster.kind(&self.kind).await?;
        check_namespace(&kind, self.namespace.as_deref())?;
        let now = cluster.context.now;
        let start = self.start.when(now);
        if start > now {
            return Err(Error::BadArguments(format!(
                "start: `{}` is in the future; give for example now-1h",
                self.start
            )));
        }
        let object: Value = read::object(cluster, &kind, self.namespace.as_deref(), &self.name).await?;
        let mut examination = Examination::new(cluster, self.namespace.as_deref());
        examination.object(&kind, &object).await?;
        let events = examination.events(start).await;
        let logs = if self.logs { examination.logs().await } else { Vec::new() };
        Ok(self.diagnosis(&kind.kind, examination, events, logs, start))
    }
}

impl DiagnoseResource {
    fn diagnosis(
        &self,
        kind: &str,
        mut examination: Examination<'_>,
        events: Vec<String>,
        logs: Vec<LogTail>,
        start: Timestamp,
    ) -> Facts<Diagnosis> {
        examination.findings.sort_by_key(|finding| finding.severity);
        let verdict = verdict(&examination.findings).unwrap_or_else(|| {
            format!("{kind} {} is well, as far as its fields and events since {} say", self.name, at(start))
        });
        let mut facts = Facts::new(Diagnosis {
            verdict,
            findings: examination.findings,
            conditions: examination.conditions,
            last_terminations: examination.terminations,
            recent_changes: examination.changes,
            events,
            logs,
        });
        for note in examination.notes {
            facts = facts.note(note);
        }
        facts
    }
}

/// The worst finding; where something else has one too, that may be the cause.
fn verdict(findings: &[Finding]) -> Option<String> {
    let told = |finding: &Finding| format!("{}: {}: {}", finding.object, finding.problem, finding.what);
    let mut troubles = findings.iter().filter(|finding| finding.severity != Severity::Info);
    let worst = troubles.next()?;
    let cause = troubles.find(|finding| finding.object != worst.object);
    Some(match cause {
        Some(cause) => format!("{}; see {}", told(worst), told(cause)),
        None => told(worst),
    })
}
