//! A Deployment, `StatefulSet` or `DaemonSet`.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::{Map, Value};

use super::super::change::server_side::strict;
use super::super::model::label;
use super::super::state::until::Until;
use super::super::state::watch::{Waited, Wish};
use super::super::{nearby, pointer, selector};
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Kind, Refused, Request};
use crate::error::{Error, Result};

/// A workload, with its secrets replaced.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) kind: Arc<Kind>,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) object: Value,
}

impl Workload {
    /// The workload that is meant.
    ///
    /// # Errors
    /// [`Error::BadArguments`] where the kind has no rollouts, [`Error::NotFound`] with what is near.
    pub(super) async fn find(cluster: &Kubernetes, kind: &str, namespace: &str, name: &str) -> Result<Self> {
        let kind = cluster.kind(kind).await?;
        if kind.group != "apps" || !["Deployment", "StatefulSet", "DaemonSet"].contains(&kind.kind.as_str()) {
            return Err(Error::BadArguments(format!(
                "kind: a {} has no rollouts; give a Deployment, StatefulSet or DaemonSet",
                kind.kind
            )));
        }
        let object = object(cluster, &kind, namespace, name).await?;
        Ok(Self { kind, namespace: namespace.to_owned(), name: name.to_owned(), object })
    }

    /// What it is, in words: `Deployment shop/web`.
    pub(super) fn label(&self) -> String {
        label(&self.kind.kind, Some(&self.namespace), &self.name)
    }

    pub(super) fn text(&self, pointer: &str) -> &str {
        pointer::text(&self.object, pointer)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.object.pointer("/spec/paused") == Some(&Value::Bool(true))
    }

    /// Its pods, as a label selector.
    pub(super) fn selector(&self) -> String {
        selector::query(&self.object["spec"]["selector"]).unwrap_or_default()
    }

    /// Changes it, and returns it as it is then, and what the API server warns of.
    pub(super) async fn patch(
        &self,
        cluster: &Kubernetes,
        media_type: &'static str,
        patch: &Value,
        dry_run: bool,
    ) -> Result<(Value, Vec<String>), Refused> {
        let request = Request::get(self.kind.object_path(Some(&self.namespace), &self.name)?);
        cluster.change_warned(Method::PATCH, strict(request, dry_run), media_type, patch).await
    }

    /// Waits until its rollout is done.
    pub(super) async fn wait(&self, cluster: &Kubernetes, timeout: Duration) -> Result<Waited> {
        let wish = Wish::one(&self.kind, Some(&self.namespace), &self.name, Until::RolledOut);
        Wish { timeout, ..wish }.wait(cluster).await
    }
}

/// One object; where it is not there, the error names what is.
pub(super) async fn object(cluster: &Kubernetes, kind: &Kind, namespace: &str, name: &str) -> Result<Value> {
    match cluster.object(kind, Some(namespace), name).await {
        Err(refused) if refused.code() == Some(404) => Err(missing(cluster, kind, namespace, name).await),
        other => Ok(other?),
    }
}

async fn missing(cluster: &Kubernetes, kind: &Kind, namespace: &str, name: &str) -> Error {
    let there = match nearby::there(cluster, kind, Some(namespace), name).await.filter(|there| !there.is_empty()) {
        None => format!("there are none in `{namespace}`, or they may not be listed"),
        Some(there) => format!("there is {}", there.told()),
    };
    Error::NotFound(format!("no {} `{}` in `{namespace}`; {there}", kind.kind, name.escape_debug()))
}

/// Who puts an object back to what they have, where its marks say so.
pub(super) fn keeper(object: &Value) -> Option<&'static str> {
    let empty = Map::new();
    let map = |pointer: &str| object.pointer(pointer).and_then(Value::as_object).unwrap_or(&empty);
    let (labels, annotations) = (map("/metadata/labels"), map("/metadata/annotations"));
    let has = |name: &str| labels.contains_key(name) || annotations.contains_key(name);
    if has("argocd.argoproj.io/tracking-id") || has("argocd.argoproj.io/instance") {
        Some("Argo CD")
    } else if has("kustomize.toolkit.fluxcd.io/name") || has("helm.toolkit.fluxcd.io/name") {
        Some("Flux")
    } else if has("meta.helm.sh/release-name") || labels.get("app.kubernetes.io/managed-by") == Some(&"Helm".into()) {
        Some("Helm")
    } else {
        None
    }
}

/// What is to be expected of whoever keeps an object.
pub(super) fn drift(object: &Value) -> Option<String> {
    let keeper = keeper(object)?;
    Some(format!("{keeper} owns this object, and puts it back to what it has; make the change there too."))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_keeper_of_an_object_is_known_by_its_marks() {
        assert_eq!(keeper(&json!({"metadata": {"annotations": {"meta.helm.sh/release-name": "x"}}})), Some("Helm"));
        assert_eq!(keeper(&json!({"metadata": {"labels": {"argocd.argoproj.io/instance": "x"}}})), Some("Argo CD"));
        assert_eq!(keeper(&json!({"metadata": {}})), None);
    }
}
