//! Revisions of a workload: `ReplicaSets` of a Deployment, `ControllerRevisions` of the others.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::pointer;
use super::workload::Workload;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Kind, Request};
use crate::error::{Error, Result};

/// Where a Deployment and its `ReplicaSets` write their revision.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Where people write why they made a change.
const CAUSE: &str = "kubernetes.io/change-cause";

/// One revision, with its secrets replaced.
#[derive(Clone, Debug)]
pub(super) struct Revision {
    pub(super) number: i64,
    /// The object that holds it.
    pub(super) name: String,
    pub(super) created: String,
    pub(super) cause: Option<String>,
    pub(super) images: Vec<String>,
    pub(super) current: bool,
    /// Its pod template.
    pub(super) template: Value,
}

/// All revisions, the newest first.
pub(super) async fn all(cluster: &Kubernetes, workload: &Workload) -> Result<Vec<Revision>> {
    let kind = holder(cluster, workload).await?;
    let request = Request::get(kind.path(Some(&workload.namespace))?).query("labelSelector", workload.selector());
    let objects: Vec<Value> = cluster.list(request).await?;
    let uid = workload.text("/metadata/uid");
    let is_owned =
        |object: &&Value| pointer::list(object, "/metadata/ownerReferences").iter().any(|owner| owner["uid"] == uid);
    let mut revisions: Vec<_> = objects.iter().filter(is_owned).map(|object| revision(workload, object)).collect();
    revisions.sort_by_key(|revision| std::cmp::Reverse(revision.number));
    // A DaemonSet does not name its current revision: it is the newest.
    if workload.kind.kind == "DaemonSet"
        && let Some(newest) = revisions.first_mut()
    {
        newest.current = true;
    }
    Ok(revisions)
}

/// The kind that holds revisions of a workload.
async fn holder(cluster: &Kubernetes, workload: &Workload) -> Result<Arc<Kind>> {
    let name = if workload.kind.kind == "Deployment" { "replicasets.apps" } else { "controllerrevisions.apps" };
    cluster.kind(name).await
}

fn revision(workload: &Workload, object: &Value) -> Revision {
    let annotation = |name: &str| object["metadata"]["annotations"][name].as_str();
    let name = pointer::text(object, "/metadata/name").to_owned();
    let (number, template, current) = if workload.kind.kind == "Deployment" {
        let number = annotation(REVISION).unwrap_or_default();
        let current = workload.object["metadata"]["annotations"][REVISION] == number;
        (number.parse().unwrap_or(0), without_hash(&object["spec"]["template"]), current)
    } else {
        let number = object["revision"].as_i64().unwrap_or(0);
        (number, object["data"]["spec"]["template"].clone(), workload.text("/status/updateRevision") == name)
    };
    Revision {
        number,
        created: pointer::text(object, "/metadata/creationTimestamp").to_owned(),
        cause: annotation(CAUSE).map(str::to_owned),
        images: images(&template),
        current,
        template: tidy(template),
        name,
    }
}

/// A pod template without the label that tells `ReplicaSets` apart.
fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(Value::Object(labels)) = template.pointer_mut("/metadata/labels") {
        labels.shift_remove("pod-template-hash");
    }
    template
}

/// A pod template without what only patches need.
pub(super) fn tidy(mut template: Value) -> Value {
    if let Value::Object(map) = &mut template {
        map.shift_remove("$patch");
        if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
            metadata.retain(|_, value| !value.is_null());
        }
    }
    template
}

/// The images of a pod template.
pub(super) fn images(template: &Value) -> Vec<String> {
    let containers = pointer::list(template, "/spec/containers").iter();
    containers.filter_map(|container| container["image"].as_str().map(str::to_owned)).collect()
}

/// The revision of this number; with 0 the one before the current one.
pub(super) fn choose(revisions: &[Revision], number: i64) -> Result<&Revision> {
    let known = || revisions.iter().map(|revision| revision.number.to_string()).collect::<Vec<_>>().join(", ");
    if number == 0 {
        return revisions.iter().find(|revision| !revision.current).ok_or_else(|| {
            Error::BadArguments("revision: there is no earlier one to go back to; its history has one revision".into())
        });
    }
    revisions
        .iter()
        .find(|revision| revision.number == number)
        .ok_or_else(|| Error::BadArguments(format!("revision: there is no {number}; there are {}", known())))
}

/// The patch that brings a revision back, with its media type. It holds secrets, and goes to the cluster only.
pub(super) async fn patch(
    cluster: &Kubernetes,
    workload: &Workload,
    revision: &Revision,
) -> Result<(&'static str, Value)> {
    let kind = holder(cluster, workload).await?;
    let request = Request::get(kind.object_path(Some(&workload.namespace), &revision.name)?);
    let object: Value = cluster.get_with_secrets(request).await?;
    if workload.kind.kind != "Deployment" {
        return Ok(("application/strategic-merge-patch+json", object["data"].clone()));
    }
    let mut spec = Map::new();
    let mut template = without_hash(&object["spec"]["template"]);
    template["$patch"] = "replace".into();
    spec.insert("template".into(), template);
    let cause = object["metadata"]["annotations"][CAUSE].clone();
    let patch = serde_json::json!({"metadata": {"annotations": {CAUSE: cause}}, "spec": spec});
    Ok(("application/strategic-merge-patch+json", patch))
}
