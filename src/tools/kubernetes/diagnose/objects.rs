//! Objects with only the fields that say whether they are well, so that thousands can be read at once.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Any object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Object<Spec, Status> {
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
    pub(super) status: Status,
}

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
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) controller: bool,
}

impl Metadata {
    /// What controls it.
    pub(super) fn controller(&self) -> Option<&Owner> {
        self.owner_references.iter().find(|owner| owner.controller)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) last_transition_time: Option<Timestamp>,
}

/// The condition of a type.
pub(super) fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

pub(super) type Pod = Object<PodSpec, PodStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) node_name: String,
    pub(super) containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) ports: Vec<ContainerPort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerPort {
    pub(super) name: String,
    pub(super) container_port: u16,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodStatus {
    pub(super) phase: String,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) start_time: Option<Timestamp>,
    pub(super) conditions: Vec<Condition>,
    pub(super) init_container_statuses: Vec<ContainerStatus>,
    pub(super) container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) ready: bool,
    pub(super) restart_count: u32,
    pub(super) state: ContainerState,
    pub(super) last_state: ContainerState,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerState {
    pub(super) waiting: Option<Waiting>,
    pub(super) running: Option<Value>,
    pub(super) terminated: Option<Terminated>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Waiting {
    pub(super) reason: String,
    pub(super) message: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Terminated {
    pub(super) exit_code: i32,
    pub(super) signal: i32,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) started_at: Option<Timestamp>,
    pub(super) finished_at: Option<Timestamp>,
}

/// Deployments, StatefulSets, ReplicaSets and DaemonSets.
pub(super) type Workload = Object<WorkloadSpec, WorkloadStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WorkloadSpec {
    pub(super) replicas: Option<u32>,
    pub(super) paused: bool,
    pub(super) selector: Selector,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WorkloadStatus {
    pub(super) observed_generation: i64,
    pub(super) ready_replicas: u32,
    pub(super) available_replicas: u32,
    pub(super) desired_number_scheduled: u32,
    pub(super) current_number_scheduled: u32,
    pub(super) number_ready: u32,
    pub(super) number_misscheduled: u32,
    pub(super) conditions: Vec<Condition>,
}

/// A label selector; empty, it selects all.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Selector {
    pub(super) match_labels: BTreeMap<String, String>,
    pub(super) match_expressions: Vec<Expression>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Expression {
    pub(super) key: String,
    pub(super) operator: String,
    pub(super) values: Vec<String>,
}

impl Selector {
    /// Whether it selects something with these labels.
    pub(super) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        has_all(labels, &self.match_labels)
            && self.match_expressions.iter().all(|wanted| {
                let value = labels.get(&wanted.key);
                match wanted.operator.as_str() {
                    "In" => value.is_some_and(|value| wanted.values.contains(value)),
                    "NotIn" => value.is_none_or(|value| !wanted.values.contains(value)),
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    _ => false,
                }
            })
    }

    /// As a query writes it.
    pub(super) fn query(&self) -> String {
        let equal = self.match_labels.iter().map(|(name, value)| format!("{name}={value}"));
        let others = self.match_expressions.iter().map(|wanted| match wanted.operator.as_str() {
            "In" => format!("{} in ({})", wanted.key, wanted.values.join(",")),
            "NotIn" => format!("{} notin ({})", wanted.key, wanted.values.join(",")),
            "DoesNotExist" => format!("!{}", wanted.key),
            _ => wanted.key.clone(),
        });
        equal.chain(others).collect::<Vec<_>>().join(",")
    }
}

/// Whether labels have all of these values.
pub(super) fn has_all(labels: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

pub(super) type Job = Object<JobSpec, JobStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct JobSpec {
    pub(super) suspend: bool,
    pub(super) backoff_limit: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct JobStatus {
    pub(super) start_time: Option<Timestamp>,
    pub(super) active: u32,
    pub(super) succeeded: u32,
    pub(super) failed: u32,
    pub(super) conditions: Vec<Condition>,
}

pub(super) type CronJob = Object<CronJobSpec, CronJobStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CronJobSpec {
    pub(super) suspend: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct CronJobStatus {
    pub(super) active: Vec<Value>,
    pub(super) last_schedule_time: Option<Timestamp>,
    pub(super) last_successful_time: Option<Timestamp>,
}

pub(super) type Node = Object<NodeSpec, NodeStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeSpec {
    pub(super) unschedulable: bool,
    pub(super) taints: Vec<Taint>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Taint {
    pub(super) key: String,
    pub(super) time_added: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeStatus {
    pub(super) conditions: Vec<Condition>,
}

pub(super) type Claim = Object<ClaimSpec, ClaimStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ClaimSpec {
    pub(super) storage_class_name: Option<String>,
    pub(super) volume_name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ClaimStatus {
    pub(super) phase: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct StorageClass {
    pub(super) metadata: Metadata,
    pub(super) volume_binding_mode: String,
}

pub(super) type Autoscaler = Object<AutoscalerSpec, AutoscalerStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct AutoscalerSpec {
    pub(super) max_replicas: u32,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct AutoscalerStatus {
    pub(super) current_replicas: u32,
    pub(super) conditions: Vec<Condition>,
}

pub(super) type Service = Object<ServiceSpec, ServiceStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) external_name: String,
    pub(super) selector: BTreeMap<String, String>,
    pub(super) ports: Vec<ServicePort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ServicePort {
    pub(super) name: String,
    pub(super) port: u16,
    /// A number or the name of a port of a container; the port itself when absent.
    pub(super) target_port: Value,
}

impl ServicePort {
    /// Name and number, as people say them.
    pub(super) fn shown(&self) -> String {
        if self.name.is_empty() { self.port.to_string() } else { format!("{} ({})", self.name, self.port) }
    }

    /// Where it sends to.
    pub(super) fn target(&self) -> String {
        match &self.target_port {
            Value::String(name) => name.clone(),
            Value::Number(number) => number.to_string(),
            _ => self.port.to_string(),
        }
    }

    /// Whether a container declares what it sends to.
    pub(super) fn is_declared_by(&self, pod: &Pod) -> bool {
        let target = self.target();
        let mut ports = pod.spec.containers.iter().flat_map(|container| &container.ports);
        ports.any(|port| port.name == target || port.container_port.to_string() == target)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ServiceStatus {
    pub(super) load_balancer: LoadBalancer,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LoadBalancer {
    pub(super) ingress: Vec<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EndpointSlice {
    pub(super) metadata: Metadata,
    #[serde(deserialize_with = "or_empty")]
    pub(super) endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Endpoint {
    pub(super) conditions: EndpointConditions,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EndpointConditions {
    pub(super) ready: Option<bool>,
}

/// A list that the API server writes as null when it is empty.
fn or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Endpoint>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl EndpointSlice {
    /// The service it belongs to.
    pub(super) fn service(&self) -> &str {
        self.metadata.labels.get("kubernetes.io/service-name").map_or("", String::as_str)
    }

    /// Endpoints that get traffic; what is not known counts as ready (discovery.k8s.io/v1).
    pub(super) fn ready(&self) -> usize {
        self.endpoints.iter().filter(|endpoint| endpoint.conditions.ready != Some(false)).count()
    }
}
