//! Patching one object.

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::args::{check_namespace, check_verb};
use super::super::model::label;
use super::super::pointer;
use super::diff::{self, CONTEXT};
use super::server_side::{self, strict};
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Hidden, Kind, Refused, Request, has_fingerprint};
use crate::error::{Error, Result};
use crate::toolkit::{Facts, Permission, Policy, Tool};
use crate::yaml;

/// Changes a part of one object, and shows what it changed.
///
/// Use `kubernetes_apply` for whole manifests, and `kubernetes_scale_resource` for the number of replicas.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct PatchResource {
    /// Kind, plural, short name or plural.group, for example `deploy` or `certificates.cert-manager.io`.
    kind: String,
    /// Name of the object.
    name: String,
    /// Name of the cluster; needed when several are configured.
    cluster: Option<String>,
    /// Namespace of the object; needed for kinds that lie in one.
    namespace: Option<String>,
    /// The patch: an object, for example `{"spec": {"paused": true}}`; an array of operations for `json`.
    patch: Value,
    /// How it is merged: `merge` replaces lists, `strategic` merges those of built-in kinds, `json` lists operations,
    /// `apply` owns what it sets.
    #[serde(default, rename = "type")]
    patch_type: PatchType,
    /// Part of the object with a path of its own: `status`, `scale` or `resize`.
    subresource: Option<String>,
    /// Refuse if the object does not have this version any more.
    resource_version: Option<String>,
    /// Only show what would change; change nothing.
    #[serde(default)]
    dry_run: bool,
    /// Plan of a dry run to carry out; refused where the object has moved on since.
    plan: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum PatchType {
    #[default]
    Merge,
    Json,
    Strategic,
    Apply,
}

impl PatchType {
    fn media_type(self) -> &'static str {
        match self {
            Self::Merge => "application/merge-patch+json",
            Self::Json => "application/json-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Apply => server_side::APPLY,
        }
    }
}

/// What a patch changed, or would change.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Patched {
    /// What was done, or would be.
    outcome: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    /// The version of the object now.
    resource_version: String,
    /// The fields that changed.
    fields: Vec<String>,
    /// Before and after, as unified diff of YAML.
    diff: String,
}

impl Tool for PatchResource {
    const NAME: &str = "kubernetes_patch_resource";
    const POLICY: Policy = Policy::write(Permission::ClusterWrite);
    const REPLACES: &[&str] = &["kubernetes_patch_resource"];
    type Backend = Kubernetes;
    type Output = Facts<Patched>;

    async fn call(self, cluster: &Kubernetes) -> Result<Facts<Patched>> {
        let kind = cluster.kind(&self.kind).await?;
        check_verb(&kind, "patch")?;
        check_namespace(&kind, self.namespace.as_deref())?;
        let patch = self.patch(&kind)?;
        let request = self.request(&kind)?;
        let (before, hidden) = cluster.get_and_hidden(request.clone()).await?;
        if let (Value::Array(operations), PatchType::Json) = (&patch, self.patch_type) {
            check_sources(operations, &hidden)?;
        }
        // What was hidden could stand under another name now, or in what is said of it.
        let hidden = hidden.unless_sent([&patch]);
        let version = pointer::text(&before, "/metadata/resourceVersion");
        let pinned = self.pinned(cluster, version)?;
        let patch = with_version(patch, self.patch_type, pinned.as_deref());
        let request = strict(request, self.dry_run);
        let sent = cluster.change_warned(Method::PATCH, request, self.patch_type.media_type(), &patch).await;
        let (mut after, warnings) = sent.map_err(|refused| self.explain(&kind, refused, &hidden))?;
        hidden.mask(&mut after);
        Ok(self
            .answer(&kind, version, &before, &after)
            .notes(warnings.into_iter().map(|warning| format!("The API server warns: {warning}"))))
    }
}

impl PatchResource {
    fn request(&self, kind: &Kind) -> Result<Request> {
        let path = kind.object_path(self.namespace.as_deref(), &self.name)?;
        let Some(part) = &self.subresource else { return Ok(Request::get(path)) };
        if kind.subresources.contains(part) && matches!(part.as_str(), "status" | "scale" | "resize") {
            return Ok(Request::get(format!("{path}/{part}")));
        }
        let known: Vec<_> =
            kind.subresources.iter().filter(|known| ["status", "scale", "resize"].contains(&known.as_str())).collect();
        let known = match known.as_slice() {
            [] => "none".to_owned(),
            several => several.iter().map(|part| part.as_str()).collect::<Vec<_>>().join(", "),
        };
        Err(Error::BadArguments(format!(
            "subresource: {} has no `{}` that can be patched; it has: {known}",
            kind.kind,
            part.escape_debug()
        )))
    }

    /// The patch, in the form that its type needs.
    fn patch(&self, kind: &Kind) -> Result<Value> {
        let wrong = |mistake: String| Err(Error::BadArguments(format!("patch: {mistake}")));
        let mut patch = match &self.patch {
            // Many write it as text.
            Value::String(text) => match yaml::documents(text) {
                Ok(documents) if documents.len() == 1 => documents[0].value.clone(),
                Ok(documents) => return wrong(format!("{} documents; give one object or array", documents.len())),
                Err(mistake) => return wrong(mistake),
            },
            other => other.clone(),
        };
        match (&mut patch, self.patch_type) {
            (Value::Array(operations), PatchType::Json) => check_operations(kind, operations)?,
            (Value::Object(map), PatchType::Merge | PatchType::Strategic) if map.is_empty() => {
                return wrong("it is empty; say what is to change".into());
            }
            (Value::Object(_), PatchType::Merge | PatchType::Strategic) => {}
            (Value::Object(map), PatchType::Apply) => {
                let is_scale = self.subresource.as_deref() == Some("scale");
                let (version, name) = if is_scale {
                    ("autoscaling/v1".into(), "Scale")
                } else {
                    (kind.api_version(), kind.kind.as_str())
                };
                map.entry("apiVersion").or_insert(version.into());
                map.entry("kind").or_insert(name.into());
            }
            (_, PatchType::Json) => {
                return wrong(
                    "type `json` takes an array of operations, for example [{\"op\": \"replace\", \"path\": \
                              \"/spec/replicas\", \"value\": 2}]; use type `merge` for an object"
                        .into(),
                );
            }
            (Value::Array(_), _) => return wrong("an array of operations needs type `json`".into()),
            _ => return wrong("give an object, for example {\"spec\": {\"paused\": true}}".into()),
        }
        if has_fingerprint(&patch) {
            return wrong(
                "it has a fingerprint (hidden-…) in place of a secret, which would destroy it; leave the field out, or \
                 give its real value"
                    .into(),
            );
        }
        Ok(patch)
    }

    /// The version that the object must have.
    fn pinned(&self, cluster: &Kubernetes, version: &str) -> Result<Option<String>> {
        let planned = cluster.context.inputs.plan.as_ref().and_then(|plan| plan["resource_version"].as_str());
        for (argument, wanted) in [("resource_version", self.resource_version.as_deref()), ("plan", planned)] {
            if let Some(wanted) = wanted
                && wanted != version
            {
                return Err(Error::BadArguments(format!(
                    "{argument}: nothing was changed, since the object has moved on from version {} to {version}; look at \
                     it again",
                    wanted.escape_debug()
                )));
            }
        }
        Ok(self.resource_version.as_deref().or(planned).map(str::to_owned))
    }

    fn explain(&self, kind: &Kind, refused: Refused, hidden: &Hidden) -> Error {
        let Refused::Status(mut status) = refused else { return refused.into() };
        status.message = hidden.masked(&status.message);
        if server_side::is_conflict(&status) {
            return Error::BadArguments(format!(
                "nothing was changed, since others own these fields: {}. Change them where their owner does, or take them \
                 over with `kubernetes_apply` and force_conflicts",
                server_side::told(&server_side::conflicts(&status))
            ));
        }
        if status.code == 415 && self.patch_type == PatchType::Strategic {
            return Error::BadArguments(format!(
                "type: {} is a custom resource, which knows no strategic merge; use `merge` (lists are replaced whole) or \
                 `json`",
                kind.full_name()
            ));
        }
        if status.code == 409 {
            return Error::BadArguments(format!(
                "nothing was changed, since the object was changed at the same moment: {}; look at it again",
                status.message
            ));
        }
        server_side::mistaken(Refused::Status(status)).into()
    }

    fn answer(&self, kind: &Kind, version: &str, before: &Value, after: &Value) -> Facts<Patched> {
        let with_status = self.subresource.as_deref() == Some("status");
        let (before, tidied) = (diff::tidy(before, with_status), diff::tidy(after, with_status));
        let label = label(&kind.kind, self.namespace.as_deref(), &self.name);
        let diff = diff::unified(&label, Some(&before), Some(&tidied), CONTEXT);
        let outcome = match (self.dry_run, diff.is_empty()) {
            (true, true) => "dry run: it would change nothing",
            (true, false) => "dry run: nothing was changed",
            (false, true) => "nothing changed: it is so already",
            (false, false) => "patched",
        };
        let text = format!("{label}: {outcome}\n{diff}");
        let patched = Patched {
            outcome: outcome.to_owned(),
            kind: kind.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            resource_version: pointer::text(after, "/metadata/resourceVersion").to_owned(),
            fields: diff::fields(&before, &tidied),
            diff,
        };
        Facts::new(patched).text(text).planned(json!({"resource_version": version}))
    }
}

/// The patch, which is refused where the object does not have this version any more.
fn with_version(mut patch: Value, patch_type: PatchType, version: Option<&str>) -> Value {
    let Some(version) = version else { return patch };
    match (&mut patch, patch_type) {
        (Value::Array(operations), PatchType::Json) => {
            operations.insert(0, json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}));
        }
        (Value::Object(map), _) => {
            if let Value::Object(metadata) = map.entry("metadata").or_insert_with(|| Map::new().into()) {
                metadata.insert("resourceVersion".into(), version.into());
            }
        }
        _ => {}
    }
    patch
}

/// Refuses operations without form, and those that would carry secrets to where they can be read.
fn check_operations(kind: &Kind, operations: &[Value]) -> Result<()> {
    let wrong =
        |place: usize, mistake: &str| Err(Error::BadArguments(format!("patch: operation {}: {mistake}", place + 1)));
    if operations.is_empty() {
        return Err(Error::BadArguments("patch: it has no operations; say what is to change".into()));
    }
    for (place, operation) in operations.iter().enumerate() {
        let name = operation["op"].as_str().unwrap_or_default();
        if !["add", "remove", "replace", "move", "copy", "test"].contains(&name) {
            return wrong(place, "`op` must be add, remove, replace, move, copy or test");
        }
        if !operation["path"].as_str().is_some_and(|path| path.is_empty() || path.starts_with('/')) {
            return wrong(place, "`path` must be a JSON pointer, for example /spec/replicas");
        }
        if kind.is("", "secrets") && matches!(name, "copy" | "move") {
            return wrong(place, "the fields of a Secret are not copied or moved, as that could show them");
        }
    }
    Ok(())
}

/// Refuses operations that would carry what is hidden to where it can be read, or find out what it is.
fn check_sources(operations: &[Value], hidden: &Hidden) -> Result<()> {
    for (place, operation) in operations.iter().enumerate() {
        let source = match operation["op"].as_str() {
            Some("copy" | "move") => "from",
            Some("test") => "path",
            _ => continue,
        };
        // Operations before it may have moved the items of a list.
        let may_have_moved = operations[..place].iter().any(|before| before["op"] != "test");
        if operation[source].as_str().is_none_or(|pointer| hidden.is_at(pointer, may_have_moved)) {
            return Err(Error::BadArguments(format!(
                "patch: operation {}: at or below its `{source}` is something that answers hide, which is not copied, moved \
                 or tested; name a field beside it, or give the value",
                place + 1
            )));
        }
    }
    Ok(())
}
