//! Server-side apply (kubernetes.io/docs/reference/using-api/server-side-apply), tried and done.

use futures_util::{StreamExt as _, TryStreamExt as _};
use http::Method;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::diff;
use super::manifests::Manifest;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Refused, Request, Status};
use crate::error::{Error, Result};

/// Who owns the fields that are set here.
pub(in crate::tools::kubernetes) const FIELD_MANAGER: &str = "cloud-native-mcp";

/// The media type of server-side apply.
pub(super) const APPLY: &str = "application/apply-patch+yaml";

/// Requests at a time.
const AT_A_TIME: usize = 8;

/// How objects are sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) create_only: bool,
    pub(super) force: bool,
    /// Whether conflicts are found out, and then passed over: to show what would be.
    pub(super) past_conflicts: bool,
}

/// A field that another manager owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Conflict {
    /// Who owns the fields.
    pub(super) manager: String,
    /// The fields.
    pub(super) fields: Vec<String>,
}

/// What applying one object does.
#[derive(Clone, Debug)]
pub(super) struct Effect {
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
    pub(super) conflicts: Vec<Conflict>,
    pub(super) warnings: Vec<String>,
    /// Why it could not be tried.
    pub(super) failure: Option<String>,
    /// Whether it lies in a namespace that is yet to be made, so the API server could not be asked.
    pub(super) unchecked: bool,
}

impl Effect {
    /// One word for what it does.
    pub(super) fn outcome(&self) -> &'static str {
        match (&self.before, &self.after) {
            _ if self.failure.is_some() => "failed",
            _ if self.unchecked => "created",
            (_, None) if !self.conflicts.is_empty() => "conflict",
            (None, _) => "created",
            (Some(_), _) if self.fields().is_empty() => "unchanged",
            (Some(_), _) => "configured",
        }
    }

    /// The fields that change.
    pub(super) fn fields(&self) -> Vec<String> {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => diff::fields(&diff::tidy(before, false), &diff::tidy(after, false)),
            _ => Vec::new(),
        }
    }

    /// The change as a unified diff.
    pub(super) fn diff(&self, name: &str, context: usize) -> String {
        let tidy = |object: &Option<Value>| object.as_ref().map(|object| diff::tidy(object, false));
        match tidy(&self.after) {
            Some(after) => diff::unified(name, tidy(&self.before).as_ref(), Some(&after), context),
            None => String::new(),
        }
    }

    /// The version that the object has now.
    pub(super) fn version(&self) -> Value {
        self.before.as_ref().map(|before| before["metadata"]["resourceVersion"].clone()).unwrap_or_default()
    }
}

/// Tries all objects without changing anything.
pub(super) async fn try_all(cluster: &Kubernetes, manifests: &[Manifest], way: Way) -> Result<Vec<Effect>> {
    // Named, so that the compiler sees one lifetime for all of them.
    let tries: Vec<_> = manifests.iter().map(|manifest| tried(cluster, manifest, way)).collect();
    futures_util::stream::iter(tries).buffered(AT_A_TIME).try_collect().await
}

async fn tried(cluster: &Kubernetes, manifest: &Manifest, way: Way) -> Result<Effect> {
    let current = if manifest.name.is_empty() { None } else { manifest.current(cluster).await? };
    let (before, hidden) = current.unzip();
    let mut effect =
        Effect { before, after: None, conflicts: Vec::new(), warnings: Vec::new(), failure: None, unchecked: false };
    match send(cluster, manifest, way, None, true).await {
        Ok((after, warnings)) => (effect.after, effect.warnings) = (Some(after), warnings),
        Err(Refused::Status(status)) if is_conflict(&status) => {
            effect.conflicts = conflicts(&status);
            if way.past_conflicts {
                let way = Way { force: true, ..way };
                match send(cluster, manifest, way, None, true).await {
                    Ok((after, warnings)) => (effect.after, effect.warnings) = (Some(after), warnings),
                    Err(Refused::Status(status)) => effect.failure = Some(failure(Refused::Status(status))),
                    Err(refused) => return Err(refused.into()),
                }
            }
        }
        Err(Refused::Status(status)) if status.code == 404 && manifest.in_new_namespace => effect.unchecked = true,
        Err(Refused::Status(status)) => effect.failure = Some(failure(Refused::Status(status))),
        Err(refused) => return Err(refused.into()),
    }
    // What was hidden could stand under another name now, or in what is said of it.
    if let Some(hidden) = hidden.map(|hidden| hidden.unless_sent(manifest.object.values())) {
        effect.after.iter_mut().for_each(|after| hidden.mask(after));
        effect.failure = effect.failure.map(|failure| hidden.masked(&failure));
    }
    Ok(effect)
}

/// What the API server says.
pub(super) fn failure(refused: Refused) -> String {
    Error::from(mistaken(refused)).to_string()
}

/// A refusal of fields that the schema does not know, which the API server takes for a failure of its own.
pub(super) fn mistaken(refused: Refused) -> Refused {
    match refused {
        Refused::Status(mut status) if status.code == 500 && status.message.contains("typed patch object") => {
            status.code = 422;
            Refused::Status(status)
        }
        other => other,
    }
}

/// Sends one object; with a version, only where it still has that one.
pub(super) async fn send(
    cluster: &Kubernetes,
    manifest: &Manifest,
    way: Way,
    version: Option<&Value>,
    dry_run: bool,
) -> Result<(Value, Vec<String>), Refused> {
    let mut object = Value::Object(manifest.object.clone());
    if let Some(namespace) = &manifest.namespace {
        object["metadata"]["namespace"] = json!(namespace);
    }
    if let Some(version) = version.filter(|version| version.is_string()) {
        object["metadata"]["resourceVersion"] = version.clone();
    }
    if way.create_only {
        let request = strict(manifest.collection()?, dry_run);
        return cluster.change_warned(Method::POST, request, "application/json", &object).await;
    }
    let request = strict(manifest.request()?, dry_run).query("force", way.force.to_string());
    cluster.change_warned(Method::PATCH, request, APPLY, &object).await
}

/// A change under our name, whose fields must all be known.
pub(in crate::tools::kubernetes) fn strict(request: Request, dry_run: bool) -> Request {
    request
        .query("fieldManager", FIELD_MANAGER)
        .query("fieldValidation", "Strict")
        .query_some("dryRun", dry_run.then_some("All"))
}

/// Whether fields of others are in the way.
pub(super) fn is_conflict(status: &Status) -> bool {
    status.code == 409 && status.details.causes.iter().any(|cause| cause.reason == "FieldManagerConflict")
}

/// Who owns which fields.
pub(super) fn conflicts(status: &Status) -> Vec<Conflict> {
    let mut found: Vec<Conflict> = Vec::new();
    for cause in status.details.causes.iter().filter(|cause| cause.reason == "FieldManagerConflict") {
        // `conflict with "kubectl" using apps/v1`, with quotes as Go writes them.
        let manager = cause.message.split('"').nth(1).unwrap_or(&cause.message).to_owned();
        let field = cause.field.trim_start_matches('.').to_owned();
        match found.iter_mut().find(|conflict| conflict.manager == manager) {
            Some(conflict) => conflict.fields.push(field),
            None => found.push(Conflict { manager, fields: vec![field] }),
        }
    }
    found
}

/// Conflicts in words.
pub(super) fn told(conflicts: &[Conflict]) -> String {
    let each = conflicts.iter().map(|conflict| format!("{} owns {}", conflict.manager, conflict.fields.join(", ")));
    each.collect::<Vec<_>>().join("; ")
}
