//! Pods.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::quantity;
use super::condition::{self, Condition};
use super::{Amounts, Object};

/// A pod, with as much of its specification as a tool needs: what it takes of its node is read only where [`Demand`] is
/// named, as reading it of thousands takes a third longer.
pub(in super::super) type Pod<Spec = PodSpec> = Object<Spec, PodStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct PodSpec {
    pub(in super::super) node_name: String,
    pub(in super::super) containers: Vec<Container>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct Container {
    pub(in super::super) name: String,
    pub(in super::super) ports: Vec<ContainerPort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct ContainerPort {
    pub(in super::super) name: String,
    pub(in super::super) container_port: u16,
}

/// What a pod takes of its node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct Demand {
    pub(in super::super) node_name: String,
    pub(in super::super) containers: Vec<ContainerDemand>,
    pub(in super::super) init_containers: Vec<ContainerDemand>,
    /// Of the pod as a whole.
    pub(in super::super) resources: Resources,
    overhead: Amounts,
    pub(in super::super) volumes: Vec<Volume>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct ContainerDemand {
    pub(in super::super) name: String,
    pub(in super::super) resources: Resources,
    restart_policy: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct Resources {
    pub(in super::super) requests: Amounts,
    pub(in super::super) limits: Amounts,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct Volume {
    pub(in super::super) empty_dir: Option<IgnoredAny>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct PodStatus {
    pub(in super::super) phase: String,
    pub(in super::super) reason: String,
    pub(in super::super) message: String,
    pub(in super::super) start_time: Option<Timestamp>,
    pub(in super::super) conditions: Vec<Condition>,
    pub(in super::super) init_container_statuses: Vec<ContainerStatus>,
    pub(in super::super) container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct ContainerStatus {
    pub(in super::super) name: String,
    pub(in super::super) image: String,
    pub(in super::super) ready: bool,
    pub(in super::super) restart_count: u32,
    pub(in super::super) state: ContainerState,
    pub(in super::super) last_state: ContainerState,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct ContainerState {
    pub(in super::super) waiting: Option<Waiting>,
    pub(in super::super) running: Option<IgnoredAny>,
    pub(in super::super) terminated: Option<Terminated>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct Waiting {
    pub(in super::super) reason: String,
    pub(in super::super) message: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct Terminated {
    pub(in super::super) exit_code: i32,
    pub(in super::super) signal: i32,
    pub(in super::super) reason: String,
    pub(in super::super) message: String,
    pub(in super::super) started_at: Option<Timestamp>,
    pub(in super::super) finished_at: Option<Timestamp>,
}

impl<Spec> Pod<Spec> {
    /// Whether its readiness probes say that it can be used.
    pub(in super::super) fn is_ready(&self) -> bool {
        condition::find(&self.status.conditions, "Ready").is_some_and(|ready| ready.is("True"))
    }

    /// Whether it still takes room on its node.
    pub(in super::super) fn is_alive(&self) -> bool {
        !matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }
}

impl Pod<Demand> {
    /// Whether it lies on a node and takes room there.
    pub(in super::super) fn is_placed(&self) -> bool {
        !self.spec.node_name.is_empty() && self.is_alive()
    }

    /// What it asks for, as the scheduler counts: its containers, or what its start needs where that is more.
    pub(in super::super) fn requested(&self, resource: &str) -> f64 {
        let amount = |amounts: &Amounts| quantity::of(amounts, resource).unwrap_or(0.0);
        let of = |container: &ContainerDemand| amount(&container.resources.requests);
        let mut running = 0.0;
        let mut starting = 0.0_f64;
        for container in &self.spec.init_containers {
            if container.restart_policy == "Always" {
                running += of(container);
                starting = starting.max(running);
            } else {
                starting = starting.max(running + of(container));
            }
        }
        running += self.spec.containers.iter().map(of).sum::<f64>();
        running.max(starting) + amount(&self.spec.overhead)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_asks_for_what_its_start_needs_where_that_is_more() {
        let pod = |spec| serde_json::from_value::<Pod<Demand>>(json!({ "spec": spec })).unwrap();
        let container = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        let plain = pod(json!({"containers": [container("100m"), container("1")], "overhead": {"cpu": "50m"}}));
        assert!((plain.requested("cpu") - 1.15).abs() < 1e-9);
        let start = pod(json!({"containers": [container("100m")], "initContainers": [container("2")]}));
        assert!((start.requested("cpu") - 2.0).abs() < 1e-9);
        let mut sidecar = container("300m");
        sidecar["restartPolicy"] = "Always".into();
        let beside = pod(json!({"containers": [container("100m")], "initContainers": [sidecar, container("200m")]}));
        assert!((beside.requested("cpu") - 0.5).abs() < 1e-9);
    }
}
