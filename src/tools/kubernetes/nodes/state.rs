//! Finding nodes, and the pods on them.

use serde::de::DeserializeOwned;

use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Refused, Request};
use crate::error::{Error, Result};
use crate::tools::kubernetes::model::{self, Demand, Named, Node};

/// A pod with what it takes of its node.
pub(super) type Pod = model::Pod<Demand>;

/// Nodes named where one is not known.
const MOST_NAMED: usize = 10;

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
    let place = format!("kubernetes/{} has no node `{name}`", cluster.name());
    let nodes = cluster.list::<Named>(Request::get("/api/v1/nodes")).await.unwrap_or_default();
    let mut names: Vec<String> = nodes.into_iter().map(|node| node.metadata.name).collect();
    let first = name.split(['-', '.']).next().unwrap_or_default();
    names.sort_by_key(|known| !known.starts_with(first));
    let more = names.len().saturating_sub(MOST_NAMED);
    names.truncate(MOST_NAMED);
    Error::NotFound(match (names.as_slice(), more) {
        ([], _) => format!("{place}; `kubernetes_get_node_status` lists them"),
        (names, 0) => format!("{place}; there are {}", names.join(", ")),
        (names, more) => {
            format!("{place}; there are {} and {more} more, which `kubernetes_get_node_status` lists", names.join(", "))
        }
    })
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
