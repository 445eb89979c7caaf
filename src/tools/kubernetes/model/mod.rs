//! Objects with only the fields that tools look at, so that thousands can be read at once.
//!
//! No field may hold a secret; texts are redacted before they are shown.

pub(super) mod condition;
mod events;
mod nodes;
mod pods;
mod services;
mod storage;
mod usage;
mod workloads;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

pub(super) use condition::Condition;
pub(super) use events::Event;
pub(super) use nodes::{Image, Node, Taint};
pub(super) use pods::{ContainerStatus, Demand, Pod, Terminated, Waiting};
pub(super) use services::{EndpointSlice, Service, ServicePort};
pub(super) use storage::{Claim, StorageClass};
pub(super) use usage::{ContainerUsage, Usage};
pub(super) use workloads::{Autoscaler, CronJob, Job, Workload};

/// What an object is, in words: `Deployment shop/web`.
pub(super) fn label(kind: &str, namespace: Option<&str>, name: &str) -> String {
    match namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

/// Any object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Object<Spec, Status = IgnoredAny> {
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
    pub(super) status: Status,
}

/// Only what an object is called, and whose it is.
pub(super) type Named = Object<IgnoredAny>;

/// Quantities by resource: `cpu`, `memory`.
pub(super) type Amounts = BTreeMap<String, String>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) generation: i64,
    pub(super) creation_timestamp: Option<Timestamp>,
    pub(super) deletion_timestamp: Option<Timestamp>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: Annotations,
    pub(super) owner_references: Vec<Owner>,
    pub(super) finalizers: Vec<String>,
}

/// The few annotations that matter; others may be large.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Annotations {
    #[serde(rename = "volume.kubernetes.io/selected-node")]
    pub(super) selected_node: Option<String>,
    #[serde(rename = "endpoints.kubernetes.io/last-change-trigger-time")]
    pub(super) endpoints_changed: Option<String>,
    #[serde(rename = "deployment.kubernetes.io/revision")]
    pub(super) revision: Option<String>,
    /// Marks pods that the kubelet itself made from a file.
    #[serde(rename = "kubernetes.io/config.mirror")]
    pub(super) mirror: Option<String>,
}

/// Who owns an object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Owner {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) controller: bool,
}

impl Metadata {
    /// Namespace and name.
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// What controls it, and makes it again when it is gone.
    pub(super) fn controller(&self) -> Option<&Owner> {
        self.owner_references.iter().find(|owner| owner.controller)
    }

    /// Whether one of these, by `uid`, owns it.
    pub(super) fn is_of(&self, owners: &[impl AsRef<str>]) -> bool {
        self.owner_references.iter().any(|owner| owners.iter().any(|known| known.as_ref() == owner.uid))
    }
}

impl Owner {
    /// Kind and name: `Deployment/web`.
    pub(super) fn title(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }
}
