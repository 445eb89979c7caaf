//! What the metrics API measured (metrics.k8s.io).

use serde::Deserialize;

use super::{Amounts, Metadata};

/// What a node used, or the containers of a pod.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct Usage {
    pub(in super::super) metadata: Metadata,
    /// Of a node.
    pub(in super::super) usage: Amounts,
    /// Of a pod.
    pub(in super::super) containers: Vec<ContainerUsage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct ContainerUsage {
    pub(in super::super) name: String,
    pub(in super::super) usage: Amounts,
}
