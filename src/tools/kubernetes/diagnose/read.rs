//! Reading objects with only the fields that are needed.

use serde::de::DeserializeOwned;

use super::super::model::Named;
use super::super::nearby;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Kind, Refused, Request};
use crate::error::{Error, Result};

/// All objects of a built-in kind, in one namespace or in all, with the labels of a selector. None where the cluster does
/// not serve the kind.
///
/// `T` is as [`Kubernetes::list_with_secrets`] wants it.
pub(super) async fn all<T>(
    cluster: &Kubernetes,
    group: &str,
    plural: &str,
    namespace: Option<&str>,
    labels: &str,
) -> Result<Vec<T>, Refused>
where
    T: DeserializeOwned + Send + 'static,
{
    let kinds = cluster.kinds().await?;
    let Some(kind) = kinds.built_in(group, plural) else { return Ok(Vec::new()) };
    let labels = Some(labels).filter(|labels| !labels.is_empty());
    cluster.list_with_secrets(Request::get(kind.path(namespace)?).query_some("labelSelector", labels)).await
}

/// Refuses a namespace that does not exist.
pub(in crate::tools::kubernetes) async fn check_namespace_exists(cluster: &Kubernetes, namespace: &str) -> Result<()> {
    let kinds = cluster.kinds().await?;
    let Some(kind) = kinds.built_in("", "namespaces") else { return Ok(()) };
    match cluster.object::<Named>(kind, None, namespace).await {
        Err(Refused::Status(status)) if status.code == 404 => {
            let near = near(cluster, kind, None, namespace).await;
            Err(Error::NotFound(format!("kubernetes/{} has no namespace `{namespace}`{near}", cluster.name())))
        }
        // Who may not look at namespaces may still look into one.
        Ok(_) | Err(Refused::Status(_)) => Ok(()),
        Err(other) => Err(other.into()),
    }
}

/// One object, or what there is instead.
pub(super) async fn object<T: DeserializeOwned>(
    cluster: &Kubernetes,
    kind: &Kind,
    namespace: Option<&str>,
    name: &str,
) -> Result<T> {
    match cluster.object(kind, namespace, name).await {
        Err(Refused::Status(status)) if status.code == 404 => {
            let place = namespace.map(|namespace| format!(" in namespace `{namespace}`")).unwrap_or_default();
            let near = near(cluster, kind, namespace, name).await;
            Err(Error::NotFound(format!("kubernetes/{} has no {} `{name}`{place}{near}", cluster.name(), kind.kind)))
        }
        other => Ok(other?),
    }
}

/// What there is instead of a name, as the end of a sentence.
async fn near(cluster: &Kubernetes, kind: &Kind, namespace: Option<&str>, name: &str) -> String {
    match nearby::there(cluster, kind, namespace, name).await {
        None => String::new(),
        Some(there) if there.is_empty() => format!("; there are no {} at all", kind.plural),
        Some(there) => format!("; there are {}", there.quoted()),
    }
}
