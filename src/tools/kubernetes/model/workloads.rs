//! What makes pods.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::selector::Selector;
use super::Object;
use super::condition::Condition;

/// Deployments, StatefulSets, ReplicaSets and DaemonSets.
pub(in super::super) type Workload = Object<WorkloadSpec, WorkloadStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct WorkloadSpec {
    pub(in super::super) replicas: Option<i64>,
    pub(in super::super) paused: bool,
    pub(in super::super) selector: Selector,
    pub(in super::super) update_strategy: Strategy,
}

/// How StatefulSets and DaemonSets replace their pods.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct Strategy {
    #[serde(rename = "type")]
    pub(in super::super) kind: String,
    pub(in super::super) rolling_update: Option<Rolling>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct Rolling {
    pub(in super::super) partition: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct WorkloadStatus {
    pub(in super::super) observed_generation: i64,
    pub(in super::super) replicas: i64,
    pub(in super::super) updated_replicas: i64,
    pub(in super::super) ready_replicas: i64,
    pub(in super::super) available_replicas: i64,
    /// Only DaemonSets have it.
    pub(in super::super) desired_number_scheduled: Option<i64>,
    pub(in super::super) current_number_scheduled: i64,
    pub(in super::super) updated_number_scheduled: i64,
    pub(in super::super) number_ready: i64,
    pub(in super::super) number_available: i64,
    pub(in super::super) number_misscheduled: i64,
    pub(in super::super) current_revision: String,
    pub(in super::super) update_revision: String,
    pub(in super::super) conditions: Vec<Condition>,
}

impl WorkloadStatus {
    /// Nodes that should have a pod of a DaemonSet.
    pub(in super::super) fn wanted_nodes(&self) -> i64 {
        self.desired_number_scheduled.unwrap_or(0)
    }
}

impl Workload {
    /// Pods that are ready, and that should be.
    pub(in super::super) fn ready(&self) -> (i64, i64) {
        match self.status.desired_number_scheduled {
            Some(wanted) => (self.status.number_ready, wanted),
            None => (self.status.ready_replicas, self.spec.replicas.unwrap_or(1)),
        }
    }
}

pub(in super::super) type Job = Object<JobSpec, JobStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct JobSpec {
    pub(in super::super) suspend: bool,
    pub(in super::super) backoff_limit: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct JobStatus {
    pub(in super::super) start_time: Option<Timestamp>,
    pub(in super::super) active: u32,
    pub(in super::super) succeeded: u32,
    pub(in super::super) failed: u32,
    pub(in super::super) conditions: Vec<Condition>,
}

pub(in super::super) type CronJob = Object<CronJobSpec, CronJobStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct CronJobSpec {
    pub(in super::super) suspend: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct CronJobStatus {
    pub(in super::super) active: Vec<IgnoredAny>,
    pub(in super::super) last_schedule_time: Option<Timestamp>,
    pub(in super::super) last_successful_time: Option<Timestamp>,
}

/// Horizontal autoscalers.
pub(in super::super) type Autoscaler = Object<AutoscalerSpec, AutoscalerStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct AutoscalerSpec {
    pub(in super::super) max_replicas: u32,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct AutoscalerStatus {
    pub(in super::super) current_replicas: u32,
    pub(in super::super) conditions: Vec<Condition>,
}
