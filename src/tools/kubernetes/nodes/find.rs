//! Finding nodes, and the pods on them.

use serde::de::DeserializeOwned;

use super::super::model::{self, Demand, Node};
use super::super::nearby;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Refused, Request};
use crate::error::{Error, Result};

/// A pod with what it takes of its node.
pub(super) type Pod = model::Pod<Demand>;

/// The path of a node. Nothing but the name of one passes: through longer ones, the API server would reach other ports.
pub(super) fn node_path(name: &str) -> Result<String> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    if !name.bytes().all(is_plain) || !name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return Err(Error::BadArguments(format!(
            "name: `{}` is not the name of a node; `kubernetes_get_node_status` lists them",
            name.escape_debug()
        )));
    }
    Ok(format!("/api/v1/nodes/{name}"))
}

/// One node.
pub(super) async fn node<Images>(name: &str, cluster: &Kubernetes) -> Result<Node<Images>>
where
    Images: DeserializeOwned + Default,
{
    match cluster.get(Request::get(node_path(name)?)).await {
        Err(Refused::Status(status)) if status.code == 404 => Err(unknown(name, cluster).await),
        other => Ok(other?),
    }
}

/// All pods on one node, or those of them with these labels.
pub(super) async fn pods_on(name: &str, labels: Option<&str>, cluster: &Kubernetes) -> Result<Vec<Pod>, Refused> {
    let request = Request::get("/api/v1/pods").query("fieldSelector", format!("spec.nodeName={name}"));
    cluster.list(request.query_some("labelSelector", labels)).await
}

/// Says which nodes there are instead.
pub(super) async fn unknown(name: &str, cluster: &Kubernetes) -> Error {
    let there = match cluster.kind("nodes").await {
        Ok(kind) => nearby::there(cluster, &kind, None, name).await,
        Err(_) => None,
    };
    let instead = match there.filter(|there| !there.is_empty()) {
        None => "`kubernetes_get_node_status` lists them".to_owned(),
        Some(there) if there.has_more() => {
            format!("there are {}, which `kubernetes_get_node_status` lists", there.told())
        }
        Some(there) => format!("there are {}", there.told()),
    };
    Error::NotFound(format!("kubernetes/{} has no node `{name}`; {instead}", cluster.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_nodes_become_paths() {
        assert_eq!(node_path("ip-10-0-0-1.eu.internal").unwrap(), "/api/v1/nodes/ip-10-0-0-1.eu.internal");
        for name in ["", "..", "http:node-a:22", "node-a:22", "a/b", "a%2f", "-a", "A"] {
            node_path(name).unwrap_err();
        }
    }
}
