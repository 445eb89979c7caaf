//! Reading objects with only the fields that are needed.

use serde::de::DeserializeOwned;

use crate::backends::Kubernetes;
use crate::backends::kubernetes::{AS_METADATA_LIST, Kind, Refused, Request};
use crate::error::{Error, Result};
use crate::tools::kubernetes::model::Named;

/// Names told where one is not found.
const MOST_NAMED: usize = 8;

/// All objects of a built-in kind, in one namespace or in all, with the labels of a selector. None where the cluster does
/// not serve the kind.
///
/// `T` is as [`Kubernetes::list_with_secrets`] wants it.
pub(super) async fn all<T>(
    kubernetes: &Kubernetes,
    group: &str,
    plural: &str,
    namespace: Option<&str>,
    labels: &str,
) -> Result<Vec<T>, Refused>
where
    T: DeserializeOwned + Send + 'static,
{
    let kinds = kubernetes.kinds().await?;
    let Some(kind) = kinds.built_in(group, plural) else { return Ok(Vec::new()) };
    let labels = Some(labels).filter(|labels| !labels.is_empty());
    kubernetes.list_with_secrets(Request::get(kind.path(namespace)?).query_some("labelSelector", labels)).await
}

/// Refuses a namespace that does not exist.
pub(super) async fn check_namespace_exists(kubernetes: &Kubernetes, namespace: &str) -> Result<()> {
    let kinds = kubernetes.kinds().await?;
    let Some(kind) = kinds.built_in("", "namespaces") else { return Ok(()) };
    match kubernetes.object::<Named>(kind, None, namespace).await {
        Err(Refused::Status(status)) if status.code == 404 => {
            let near = near(kubernetes, kind, None, namespace).await;
            Err(Error::NotFound(format!("kubernetes/{} has no namespace `{namespace}`{near}", kubernetes.name())))
        }
        // Who may not look at namespaces may still look into one.
        Ok(_) | Err(Refused::Status(_)) => Ok(()),
        Err(Refused::Error(error)) => Err(error),
    }
}

/// One object, or what there is instead.
pub(super) async fn object<T: DeserializeOwned>(
    kubernetes: &Kubernetes,
    kind: &Kind,
    namespace: Option<&str>,
    name: &str,
) -> Result<T> {
    match kubernetes.object(kind, namespace, name).await {
        Err(Refused::Status(status)) if status.code == 404 => {
            let place = namespace.map(|namespace| format!(" in namespace `{namespace}`")).unwrap_or_default();
            let near = near(kubernetes, kind, namespace, name).await;
            Err(Error::NotFound(format!("kubernetes/{} has no {} `{name}`{place}{near}", kubernetes.name(), kind.kind)))
        }
        other => Ok(other?),
    }
}

/// What there is instead of a name, the most alike first.
async fn near(kubernetes: &Kubernetes, kind: &Kind, namespace: Option<&str>, name: &str) -> String {
    let Ok(path) = kind.path(namespace) else { return String::new() };
    let request = Request::get(path).accept(AS_METADATA_LIST);
    let Ok(found) = kubernetes.list_with_secrets::<Named>(request).await else { return String::new() };
    let mut names: Vec<_> = found.into_iter().map(|found| found.metadata.name).collect();
    if names.is_empty() {
        return format!("; there are no {} at all", kind.plural);
    }
    let alike = |other: &str| name.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    names.sort_by(|one, other| alike(other).cmp(&alike(one)).then_with(|| one.cmp(other)));
    let more = if names.len() > MOST_NAMED { ", …" } else { "" };
    names.truncate(MOST_NAMED);
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    format!("; there are {}{more}", names.join(", "))
}
