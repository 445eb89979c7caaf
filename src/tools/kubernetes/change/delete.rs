//! Deleting objects.

use std::collections::BTreeMap;

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::args::{check_namespace, check_verb};
use super::super::model::label;
use super::super::pointer;
use super::super::state::until::Until;
use super::super::state::watch::Wish;
use super::dependents::Dependents;
use super::server_side::failure;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Kind, Refused, Request};
use crate::error::{Error, Result};
use crate::toolkit::args::Limit;
use crate::toolkit::{Facts, Permission, Policy, Tool};

/// Names in one call.
const MOST_NAMES: usize = 20;

/// Names of dependents that are shown for each kind.
const MOST_SHOWN: usize = 10;

/// What must be done before an object goes.
const FINALIZERS: &str = "/metadata/finalizers";

/// Deletes objects of one kind, by name or by label selector.
///
/// A dry run shows what goes with them; namespaces and custom resource definitions need one. To stop pods without
/// deleting their workload use `kubernetes_scale_resource`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct DeleteResource {
    /// Kind, plural, short name or plural.group, for example `deploy` or `certificates.cert-manager.io`.
    kind: String,
    /// One to twenty names.
    #[serde(default)]
    names: Vec<String>,
    /// Label selector instead of names, for example `app=web,tier!=cache`.
    labels: Option<String>,
    /// Name of the cluster; needed when several are configured.
    cluster: Option<String>,
    /// Namespace of the objects; needed for kinds that lie in one.
    namespace: Option<String>,
    /// What happens to dependents: deleted after the object, before it, or kept.
    #[serde(default)]
    propagation: Propagation,
    /// Seconds to end in, instead of those of the object; 0 kills.
    grace_period_seconds: Option<u32>,
    /// Refuse when a selector matches more.
    #[serde(default)]
    limit: Limit<20, 500>,
    /// Wait until they are gone, at most five minutes.
    #[serde(default)]
    wait: bool,
    /// Only show what would go; change nothing.
    #[serde(default)]
    dry_run: bool,
    /// Plan of a dry run to carry out: only what it showed is deleted.
    plan: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Propagation {
    #[default]
    Background,
    Foreground,
    Orphan,
}

impl Propagation {
    fn label(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Foreground => "Foreground",
            Self::Orphan => "Orphan",
        }
    }
}

/// What was deleted, or would be.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Deleted {
    /// What was done, or would be.
    outcome: String,
    rows: Vec<Target>,
    /// What goes with them (or stays, with `orphan`), by kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    dependents: BTreeMap<String, Vec<String>>,
}

/// What became of one object.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
struct Target {
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    /// `deleted`, `pending`, `missing`, `replaced`, `failed`, `unknown`, `not tried`, or `would be deleted`.
    outcome: String,
    /// What holds it until somebody removes it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    finalizers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    #[serde(skip)]
    uid: String,
}

impl Target {
    fn line(&self) -> String {
        let mut line = format!("{}: {}", label(&self.kind, self.namespace.as_deref(), &self.name), self.outcome);
        if !self.finalizers.is_empty() {
            line.push_str(&format!("; finalizers {}", self.finalizers.join(", ")));
        }
        if let Some(failure) = &self.failure {
            line.push_str(&format!("; {failure}"));
        }
        line
    }
}

impl Tool for DeleteResource {
    const NAME: &str = "kubernetes_delete_resource";
    const POLICY: Policy = Policy::destroy(Permission::ClusterWrite).idempotent().longest(360).may_be_task();
    const REPLACES: &[&str] = &["kubernetes_delete_resource"];
    type Backend = Kubernetes;
    type Output = Facts<Deleted>;

    async fn call(self, cluster: &Kubernetes) -> Result<Facts<Deleted>> {
        let kind = cluster.kind(&self.kind).await?;
        check_verb(&kind, "delete")?;
        check_namespace(&kind, self.namespace.as_deref())?;
        self.check(&kind)?;
        let plan = cluster.context.inputs.plan.as_ref();
        let is_grave = kind.is("", "namespaces") || kind.is("apiextensions.k8s.io", "customresourcedefinitions");
        if is_grave && !self.dry_run && plan.is_none() {
            return Err(Error::BadArguments(format!(
                "plan: a {} takes all that is in it along, so it needs one: call with dry_run first, and then with the plan \
                 that it answers with",
                kind.kind
            )));
        }
        let objects = self.find(cluster, &kind).await?;
        let mut targets = self.targets(&kind, &objects);
        if let Some(Value::Object(planned)) = plan {
            keep_to_plan(&mut targets, planned);
        }
        if self.dry_run {
            self.show(cluster, &kind, targets, &objects).await
        } else {
            self.carry_out(cluster, &kind, targets).await
        }
    }
}

impl DeleteResource {
    fn check(&self, kind: &Kind) -> Result<()> {
        let wrong = |mistake: String| Err(Error::BadArguments(mistake));
        if kind.namespaced && self.namespace.is_none() {
            return wrong(format!("namespace: needed, since each {} lies in one", kind.kind));
        }
        match (self.names.len(), self.labels.as_deref().map(str::trim)) {
            (0, None) => wrong("names: say what to delete, by names or by labels".into()),
            (0, Some("")) => wrong("labels: an empty selector would match everything; say what to delete".into()),
            (0, Some(_)) => Ok(()),
            (_, Some(_)) => wrong("names: give names or labels, not both".into()),
            (count, None) if count > MOST_NAMES => wrong(format!("names: {count}, at most {MOST_NAMES} at a time")),
            _ => Ok(()),
        }
    }

    /// The objects that are meant, as far as they are there.
    async fn find(&self, cluster: &Kubernetes, kind: &Kind) -> Result<Vec<Value>> {
        let namespace = self.namespace.as_deref();
        if let Some(labels) = &self.labels {
            let request = Request::get(kind.path(namespace)?).query("labelSelector", labels.clone());
            let found: Vec<Value> = cluster.list(request).await?;
            let limit = self.limit.get();
            if found.len() > limit {
                return Err(Error::BadArguments(format!(
                    "limit: {} {} match these labels, more than {limit}; narrow the selector or raise the limit",
                    found.len(),
                    kind.plural
                )));
            }
            return Ok(found);
        }
        let mut found = Vec::new();
        for name in &self.names {
            match cluster.object(kind, namespace, name).await {
                Ok(object) => found.push(object),
                Err(refused) if refused.code() == Some(404) => {}
                Err(refused) => return Err(refused.into()),
            }
        }
        Ok(found)
    }

    /// A row for each object, and for each name without one.
    fn targets(&self, kind: &Kind, objects: &[Value]) -> Vec<Target> {
        let target = |name: &str| Target {
            kind: kind.kind.clone(),
            namespace: self.namespace.clone(),
            name: name.to_owned(),
            ..Target::default()
        };
        let mut targets: Vec<_> = objects
            .iter()
            .map(|object| Target {
                uid: pointer::text(object, "/metadata/uid").to_owned(),
                finalizers: pointer::texts(object, FINALIZERS),
                ..target(pointer::text(object, "/metadata/name"))
            })
            .collect();
        for name in &self.names {
            if !targets.iter().any(|target| target.name == *name) {
                targets.push(Target { outcome: "missing".into(), ..target(name) });
            }
        }
        targets
    }

    async fn send(&self, cluster: &Kubernetes, kind: &Kind, target: &Target) -> Result<Value, Refused> {
        let mut options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions",
            "preconditions": {"uid": target.uid}, "propagationPolicy": self.propagation.label()
        });
        if let Some(seconds) = self.grace_period_seconds {
            options["gracePeriodSeconds"] = seconds.into();
        }
        if self.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        let request = Request::get(kind.object_path(self.namespace.as_deref(), &target.name)?);
        cluster.change(Method::DELETE, request, "application/json", &options).await
    }

    async fn show(
        &self,
        cluster: &Kubernetes,
        kind: &Kind,
        mut targets: Vec<Target>,
        objects: &[Value],
    ) -> Result<Facts<Deleted>> {
        for target in targets.iter_mut().filter(|target| target.outcome.is_empty()) {
            match self.send(cluster, kind, target).await {
                Ok(_) => target.outcome = "would be deleted".into(),
                Err(refused) => self.record(target, refused, false)?,
            }
        }
        let there: Vec<_> = targets
            .iter()
            .filter(|target| target.outcome == "would be deleted")
            .map(|target| (target.name.clone(), target.uid.clone()))
            .collect();
        let dependents = if there.is_empty() {
            Dependents::default()
        } else {
            Dependents::of(cluster, kind, self.namespace.as_deref(), &there, objects).await?
        };
        let planned: Map<String, Value> = there.into_iter().map(|(name, uid)| (name, uid.into())).collect();
        let mut answer = self.answer("dry run: nothing was changed", targets, &dependents.found);
        if !dependents.unseen.is_empty() {
            answer = answer.note(format!(
                "There may be more dependents: these could not be looked at: {}.",
                dependents.unseen.join(", ")
            ));
        }
        Ok(answer.planned(Value::Object(planned)))
    }

    async fn carry_out(&self, cluster: &Kubernetes, kind: &Kind, mut targets: Vec<Target>) -> Result<Facts<Deleted>> {
        let mut is_begun = false;
        let mut is_over = false;
        for target in targets.iter_mut().filter(|target| target.outcome.is_empty()) {
            if is_over {
                target.outcome = "not tried".into();
                continue;
            }
            match self.send(cluster, kind, target).await {
                // The object itself comes back where something is still to be done before it goes.
                Ok(answer) if pointer::text(&answer, "/metadata/deletionTimestamp").is_empty() => {
                    target.outcome = "deleted".into();
                    target.finalizers.clear();
                }
                Ok(answer) => {
                    target.outcome = "pending".into();
                    target.finalizers = pointer::texts(&answer, FINALIZERS);
                }
                Err(refused) => {
                    // Each of the others would take as long.
                    is_over =
                        matches!(&refused, Refused::Error(Error::TimedOut(_)) | Refused::Unknown(Error::TimedOut(_)));
                    self.record(target, refused, is_begun)?;
                }
            }
            is_begun = true;
        }
        if self.wait {
            self.until_gone(cluster, kind, &mut targets).await?;
        }
        let is_held = targets.iter().any(|target| target.outcome == "pending" && !target.finalizers.is_empty());
        let failed = targets.iter().any(|target| ["failed", "unknown", "not tried"].contains(&target.outcome.as_str()));
        let outcome = if failed { "not all of it succeeded" } else { "done" };
        let answer = self.answer(outcome, targets, &BTreeMap::new()).failed(failed);
        if is_held {
            return Ok(answer.note(
                "What has finalizers stays until their controllers have cleaned up and removed them; look at those \
                 controllers before removing a finalizer by hand.",
            ));
        }
        Ok(answer)
    }

    async fn until_gone(&self, cluster: &Kubernetes, kind: &Kind, targets: &mut [Target]) -> Result<()> {
        let waits = targets.iter_mut().filter(|target| target.outcome == "pending").map(async |target| {
            let until = Until::Replaced { uid: target.uid.clone() };
            let waited = Wish::one(kind, self.namespace.as_deref(), &target.name, until).wait(cluster).await?;
            if waited.is_met() {
                target.outcome = "deleted".into();
                target.finalizers.clear();
            } else {
                target.failure = Some(waited.told());
            }
            Ok::<(), Error>(())
        });
        futures_util::future::try_join_all(waits).await.map(drop)
    }

    /// What a refusal means for one of several objects. Where others were tried before, what became of them is to be told.
    fn record(&self, target: &mut Target, refused: Refused, is_begun: bool) -> Result<()> {
        match refused {
            Refused::Status(status) if status.code == 404 => target.outcome = "missing".into(),
            Refused::Status(status) if status.code == 409 && status.message.contains("UID") => {
                target.outcome = "replaced".into();
            }
            Refused::Status(status) if status.code == 403 && self.names.len() <= 1 => {
                return Err(Refused::Status(status).into());
            }
            Refused::Error(error) if !is_begun => return Err(error),
            refused => {
                target.outcome = if matches!(refused, Refused::Unknown(_)) { "unknown" } else { "failed" }.into();
                target.failure = Some(failure(refused));
            }
        }
        Ok(())
    }

    fn answer(
        &self,
        outcome: &str,
        targets: Vec<Target>,
        dependents: &BTreeMap<String, Vec<String>>,
    ) -> Facts<Deleted> {
        let mut lines = vec![outcome.to_owned()];
        lines.extend(targets.iter().map(Target::line));
        if targets.is_empty() {
            lines.push("Nothing matches.".into());
        }
        if !dependents.is_empty() {
            let heading =
                if self.propagation == Propagation::Orphan { "These stay, without an owner:" } else { "With them go:" };
            lines.push(heading.into());
        }
        for (kind, names) in dependents {
            let more = names.len().saturating_sub(MOST_SHOWN);
            let shown = names.iter().take(MOST_SHOWN).cloned().collect::<Vec<_>>().join(", ");
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            lines.push(format!("  {} {kind}: {shown}{more}", names.len()));
        }
        let is_missing = targets.iter().any(|target| target.outcome == "missing");
        let deleted = Deleted { outcome: outcome.to_owned(), rows: targets, dependents: dependents.clone() };
        let answer = Facts::new(deleted).text(lines.join("\n"));
        if is_missing {
            return answer.note("What is missing is not there (any more); `kubernetes_list_resources` shows what is.");
        }
        answer
    }
}

/// Leaves only what the plan showed.
fn keep_to_plan(targets: &mut Vec<Target>, planned: &Map<String, Value>) {
    targets.retain(|target| planned.contains_key(&target.name) || target.outcome == "missing");
    for target in targets.iter_mut().filter(|target| target.outcome.is_empty()) {
        if planned[&target.name] != target.uid.as_str() {
            target.outcome = "replaced".into();
            target.failure = Some("another object has its name since the plan; it was left alone".into());
        }
    }
}
