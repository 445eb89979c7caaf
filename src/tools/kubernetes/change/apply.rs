//! Applying manifests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::model::label;
use super::super::state::until::Until;
use super::super::state::watch::Wish;
use super::diff::CONTEXT;
use super::manifests::{self, Manifest};
use super::server_side::{self, Conflict, Effect, Way, failure};
use crate::backends::Kubernetes;
use crate::backends::kubernetes::Refused;
use crate::error::{Error, Result};
use crate::toolkit::args::MaxTokens;
use crate::toolkit::{Facts, Permission, Policy, Tool};

/// Applies YAML to a cluster, by server-side apply.
///
/// Every object is tried first, so nothing is changed when one of them is refused. Use `kubernetes_diff_manifests` to
/// compare clusters, and `kubernetes_patch_resource` to change a part of one object.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Apply {
    /// YAML or JSON, one or many documents; at most 100 objects.
    manifests: String,
    /// Name of the cluster; needed when several are configured.
    cluster: Option<String>,
    /// Namespace of objects that name none.
    namespace: Option<String>,
    /// Fail if an object exists; allows `generateName`.
    #[serde(default)]
    create_only: bool,
    /// Take fields that other managers own.
    #[serde(default)]
    force_conflicts: bool,
    /// Wait until all objects are ready, at most five minutes.
    #[serde(default)]
    wait: bool,
    /// Only show what would change; change nothing.
    #[serde(default)]
    dry_run: bool,
    /// Plan of a dry run to carry out; refused where an object has moved on since.
    plan: Option<String>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// What was applied, or would be.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Applied {
    /// What was done, or would be.
    outcome: String,
    /// The objects, in the order in which they are applied.
    rows: Vec<Change>,
}

/// What became of one object.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Change {
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    /// `created`, `configured`, `unchanged`, `conflict`, `failed`, `unknown` or `not applied`.
    outcome: String,
    /// The fields that change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<String>,
    /// Fields that others own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conflicts: Vec<Conflict>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    /// Whether it is ready, where that was waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

impl Change {
    pub(super) fn new(manifest: &Manifest, effect: &Effect) -> Self {
        let made = effect.after.as_ref().and_then(|after| after.pointer("/metadata/name")?.as_str().map(str::to_owned));
        Self {
            kind: manifest.kind.kind.clone(),
            namespace: manifest.namespace.clone(),
            name: made.unwrap_or_else(|| manifest.name.clone()),
            outcome: effect.outcome().to_owned(),
            fields: effect.fields(),
            conflicts: effect.conflicts.clone(),
            failure: effect.failure.clone(),
            state: None,
        }
    }

    /// Whether there is nothing to tell.
    pub(super) fn is_quiet(&self) -> bool {
        self.outcome == "unchanged" && self.conflicts.is_empty()
    }

    /// One line.
    pub(super) fn line(&self) -> String {
        let mut line = format!("{}: {}", label(&self.kind, self.namespace.as_deref(), &self.name), self.outcome);
        if !self.fields.is_empty() {
            line.push_str(&format!(" ({})", self.fields.join(", ")));
        }
        if !self.conflicts.is_empty() {
            line.push_str(&format!("; {}", server_side::told(&self.conflicts)));
        }
        for more in self.failure.iter().chain(&self.state) {
            line.push_str(&format!("; {more}"));
        }
        line
    }
}

impl Tool for Apply {
    const NAME: &str = "kubernetes_apply";
    const POLICY: Policy = Policy::write(Permission::ClusterWrite).idempotent().longest(360).may_be_task();
    const REPLACES: &[&str] = &["kubernetes_create_resource"];
    type Backend = Kubernetes;
    type Output = Facts<Applied>;

    async fn call(self, cluster: &Kubernetes) -> Result<Facts<Applied>> {
        let manifests = manifests::read(cluster, &self.manifests, self.namespace.as_deref(), self.create_only).await?;
        let way = Way { create_only: self.create_only, force: self.force_conflicts, past_conflicts: false };
        let effects = server_side::try_all(cluster, &manifests, way).await?;
        if let Some(plan) = &cluster.context.inputs.plan {
            check_plan(plan, &manifests, &effects)?;
        }
        let is_refused = |effect: &Effect| effect.failure.is_some() || effect.outcome() == "conflict";
        if effects.iter().any(is_refused) {
            return Ok(Self::refused(&manifests, &effects));
        }
        if self.dry_run {
            Ok(shown(&manifests, &effects))
        } else {
            self.carry_out(cluster, &manifests, effects, way).await
        }
    }
}

impl Apply {
    fn refused(manifests: &[Manifest], effects: &[Effect]) -> Facts<Applied> {
        let mut rows: Vec<_> = manifests.iter().zip(effects).map(|(one, effect)| Change::new(one, effect)).collect();
        for row in &mut rows {
            if row.failure.is_none() && row.outcome != "conflict" {
                row.outcome = "not applied".into();
                row.fields.clear();
            }
        }
        let has_conflicts = effects.iter().any(|effect| !effect.conflicts.is_empty());
        let answer = answer("nothing was applied, since something is refused", rows, &[]).failed(true);
        if has_conflicts {
            return answer.note(
                "Others own fields that these manifests set. Leave the fields out, change them where their owner does, or \
                 take them over with force_conflicts.",
            );
        }
        answer
    }

    async fn carry_out(
        &self,
        cluster: &Kubernetes,
        manifests: &[Manifest],
        mut effects: Vec<Effect>,
        way: Way,
    ) -> Result<Facts<Applied>> {
        let mut rows = Vec::with_capacity(manifests.len());
        let mut has_failed = false;
        let is_planned = cluster.context.inputs.plan.is_some();
        for (manifest, effect) in manifests.iter().zip(&mut effects) {
            if has_failed {
                rows.push(Change { outcome: "not applied".into(), ..Change::new(manifest, effect) });
                continue;
            }
            let mut is_unknown = false;
            let version = is_planned.then(|| effect.version());
            match server_side::send(cluster, manifest, way, version.as_ref(), false).await {
                Ok((after, warnings)) => {
                    (effect.after, effect.warnings, effect.unchecked) = (Some(after), warnings, false);
                }
                Err(Refused::Error(error)) if rows.is_empty() => return Err(error),
                Err(refused) => {
                    is_unknown = matches!(refused, Refused::Unknown(_));
                    effect.failure = Some(failure(refused));
                    has_failed = true;
                }
            }
            let mut row = Change::new(manifest, effect);
            if is_unknown {
                row.outcome = "unknown".into();
            }
            rows.push(row);
        }
        if self.wait && !has_failed {
            has_failed = wait(cluster, manifests, &mut rows).await?;
        }
        let outcome = if has_failed { "not all of it succeeded" } else { "applied" };
        Ok(answer(outcome, rows, &effects).failed(has_failed))
    }
}

/// Waits for all objects; whether one did not become ready.
async fn wait(cluster: &Kubernetes, manifests: &[Manifest], rows: &mut [Change]) -> Result<bool> {
    let waits = manifests.iter().zip(rows.iter()).map(async |(manifest, row)| {
        Wish::one(&manifest.kind, manifest.namespace.as_deref(), &row.name, Until::Ready).wait(cluster).await
    });
    let waited = futures_util::future::try_join_all(waits).await?;
    let mut is_late = false;
    for (row, waited) in rows.iter_mut().zip(waited) {
        is_late |= !waited.is_met();
        row.state = Some(waited.told());
    }
    Ok(is_late)
}

/// What would be, with the versions that a plan holds fast.
fn shown(manifests: &[Manifest], effects: &[Effect]) -> Facts<Applied> {
    let rows: Vec<_> = manifests.iter().zip(effects).map(|(one, effect)| Change::new(one, effect)).collect();
    let diffs = manifests.iter().zip(effects).map(|(one, effect)| effect.diff(&one.label(), CONTEXT));
    let diffs: Vec<_> = diffs.filter(|diff| !diff.is_empty()).collect();
    let versions: Map<String, Value> =
        manifests.iter().zip(effects).map(|(one, effect)| (one.label(), effect.version())).collect();
    let unchecked = manifests.iter().zip(effects).filter(|(_, effect)| effect.unchecked);
    let unchecked: Vec<_> = unchecked.map(|(one, _)| one.label()).collect();
    let mut answer = answer("dry run: nothing was changed", rows, effects);
    if !diffs.is_empty() {
        answer = answer.more_text(&diffs.join("\n"));
    }
    if !unchecked.is_empty() {
        answer = answer.note(format!("Not tried, since their namespace is yet to be made: {}.", unchecked.join(", ")));
    }
    answer.planned(Value::Object(versions))
}

fn answer(outcome: &str, rows: Vec<Change>, effects: &[Effect]) -> Facts<Applied> {
    let lines: Vec<_> = rows.iter().map(Change::line).collect();
    let text = format!("{outcome}\n{}\n", lines.join("\n"));
    let mut warnings: Vec<String> = effects
        .iter()
        .flat_map(|effect| &effect.warnings)
        .map(|text| format!("The API server warns: {text}"))
        .collect();
    warnings.sort();
    warnings.dedup();
    Facts::new(Applied { outcome: outcome.to_owned(), rows }).text(text).notes(warnings)
}

/// Refuses where an object is not as the plan showed it.
fn check_plan(plan: &Value, manifests: &[Manifest], effects: &[Effect]) -> Result<()> {
    let moved = manifests.iter().zip(effects).filter(|(one, effect)| plan[one.label()] != effect.version());
    let moved: Vec<_> = moved.map(|(one, _)| one.label()).collect();
    if moved.is_empty() {
        return Ok(());
    }
    Err(Error::BadArguments(format!(
        "plan: nothing was applied, since these have changed after it was made: {}. Make another one with dry_run",
        moved.join(", ")
    )))
}
