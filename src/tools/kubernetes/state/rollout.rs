//! Whether a rollout is done, by the rules of `kubectl rollout status` (kubernetes/kubectl, pkg/polymorphichelpers).

use serde::Deserialize;
use serde_json::Value;

use super::super::model::{Workload, condition};
use super::Verdict;

/// How far a rollout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tools::kubernetes) enum Stage {
    Complete,
    Progressing,
    Stuck,
    Paused,
}

impl Stage {
    pub(in crate::tools::kubernetes) fn label(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Progressing => "progressing",
            Self::Stuck => "stuck",
            Self::Paused => "paused",
        }
    }
}

/// A judgement of a rollout, with the counts that it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tools::kubernetes) struct Rollout {
    pub(in crate::tools::kubernetes) stage: Stage,
    pub(in crate::tools::kubernetes) reason: String,
    pub(in crate::tools::kubernetes) counts: Counts,
}

/// Pods of a workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tools::kubernetes) struct Counts {
    pub(in crate::tools::kubernetes) wanted: i64,
    pub(in crate::tools::kubernetes) updated: i64,
    pub(in crate::tools::kubernetes) ready: i64,
    pub(in crate::tools::kubernetes) available: i64,
    pub(in crate::tools::kubernetes) all: i64,
}

impl Rollout {
    pub(in crate::tools::kubernetes) fn verdict(&self) -> Verdict {
        match self.stage {
            Stage::Complete => Verdict::Met(self.reason.clone()),
            Stage::Progressing => Verdict::Waiting(self.reason.clone()),
            Stage::Stuck | Stage::Paused => Verdict::Failed(self.reason.clone()),
        }
    }
}

/// Judges a Deployment, `StatefulSet` or `DaemonSet`; none for other kinds.
pub(in crate::tools::kubernetes) fn judge(kind: &str, object: &Value) -> Option<Rollout> {
    let rules = match kind {
        "Deployment" => deployment,
        "StatefulSet" => stateful_set,
        "DaemonSet" => daemon_set,
        _ => return None,
    };
    let workload = Workload::deserialize(object).unwrap_or_default();
    let counts = counts(kind, &workload);
    let (stage, reason) = if workload.metadata.generation > workload.status.observed_generation {
        (Stage::Progressing, "its controller has not seen the change yet".to_owned())
    } else {
        rules(&workload, counts)
    };
    Some(Rollout { stage, reason, counts })
}

fn counts(kind: &str, workload: &Workload) -> Counts {
    let status = &workload.status;
    if kind == "DaemonSet" {
        return Counts {
            wanted: status.wanted_nodes(),
            updated: status.updated_number_scheduled,
            ready: status.number_ready,
            available: status.number_available,
            all: status.current_number_scheduled,
        };
    }
    Counts {
        wanted: workload.spec.replicas.unwrap_or(1),
        updated: status.updated_replicas,
        ready: status.ready_replicas,
        available: status.available_replicas,
        all: status.replicas,
    }
}

fn deployment(workload: &Workload, counts: Counts) -> (Stage, String) {
    let Counts { wanted, updated, available, all, .. } = counts;
    let progressing = condition::find(&workload.status.conditions, "Progressing");
    let waiting = if let Some(late) = progressing.filter(|found| found.reason == "ProgressDeadlineExceeded") {
        return (Stage::Stuck, format!("it made no progress within its deadline: {}", late.message));
    } else if updated < wanted {
        format!("{updated} of {wanted} pods are updated")
    } else if all > updated {
        format!("{} old pods are still to end", all - updated)
    } else if available < updated {
        format!("{available} of {updated} updated pods are available")
    } else {
        return (Stage::Complete, format!("all {updated} pods are updated and available"));
    };
    if workload.spec.paused {
        let advice = "resume it with `kubernetes_control_rollout`";
        return (Stage::Paused, format!("it is paused while {waiting}; {advice}"));
    }
    (Stage::Progressing, waiting)
}

fn stateful_set(workload: &Workload, counts: Counts) -> (Stage, String) {
    let Counts { wanted, updated, ready, .. } = counts;
    let status = &workload.status;
    let partition = workload.spec.update_strategy.rolling_update.as_ref().and_then(|rolling| rolling.partition);
    if workload.spec.update_strategy.kind == "OnDelete" {
        return on_delete(counts);
    }
    if ready < wanted {
        return (Stage::Progressing, format!("{ready} of {wanted} pods are ready"));
    }
    if let Some(partition) = partition.filter(|partition| *partition > 0) {
        let due = (wanted - partition).max(0);
        if updated < due {
            return (Stage::Progressing, format!("{updated} of {due} pods above the partition are updated"));
        }
        return (Stage::Complete, format!("{updated} pods are updated, as far as partition {partition} lets it"));
    }
    if status.update_revision != status.current_revision {
        return (Stage::Progressing, format!("{updated} of {wanted} pods are updated"));
    }
    (Stage::Complete, format!("all {wanted} pods are updated and ready"))
}

fn daemon_set(workload: &Workload, counts: Counts) -> (Stage, String) {
    let Counts { wanted, updated, available, .. } = counts;
    if workload.spec.update_strategy.kind == "OnDelete" {
        return on_delete(counts);
    }
    if updated < wanted {
        return (Stage::Progressing, format!("{updated} of {wanted} pods are updated"));
    }
    if available < wanted {
        return (Stage::Progressing, format!("{available} of {wanted} updated pods are available"));
    }
    (Stage::Complete, format!("all {wanted} pods are updated and available"))
}

/// Pods are replaced only when somebody deletes them, so there is nothing to wait for but those there are.
fn on_delete(counts: Counts) -> (Stage, String) {
    let Counts { wanted, updated, ready, .. } = counts;
    if ready < wanted {
        return (Stage::Progressing, format!("{ready} of {wanted} pods are ready"));
    }
    if updated < wanted {
        let advice = "its strategy OnDelete replaces a pod only when it is deleted";
        return (Stage::Paused, format!("{updated} of {wanted} pods are updated; {advice}"));
    }
    (Stage::Complete, format!("all {wanted} pods are updated and ready"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stage(kind: &str, object: Value) -> (Stage, String) {
        let rollout = judge(kind, &object).unwrap();
        (rollout.stage, rollout.reason)
    }

    #[test]
    fn a_deployment_is_done_when_no_old_pod_is_left_and_all_new_ones_are_available() {
        let deployment = |generation, updated, all, available| {
            json!({
                "metadata": {"generation": generation}, "spec": {"replicas": 3},
                "status": {"observedGeneration": 2, "updatedReplicas": updated, "replicas": all,
                    "availableReplicas": available}
            })
        };
        assert_eq!(stage("Deployment", deployment(3, 3, 3, 3)).1, "its controller has not seen the change yet");
        assert_eq!(stage("Deployment", deployment(2, 1, 4, 3)).1, "1 of 3 pods are updated");
        assert_eq!(stage("Deployment", deployment(2, 3, 4, 3)).1, "1 old pods are still to end");
        assert_eq!(stage("Deployment", deployment(2, 3, 3, 2)).1, "2 of 3 updated pods are available");
        assert_eq!(stage("Deployment", deployment(2, 3, 3, 3)).0, Stage::Complete);
    }

    #[test]
    fn a_deployment_that_is_late_is_stuck_and_a_paused_one_is_paused() {
        let late = json!({
            "spec": {"replicas": 1},
            "status": {"conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
                "message": "late"}]}
        });
        assert_eq!(stage("Deployment", late), (Stage::Stuck, "it made no progress within its deadline: late".into()));
        let paused = json!({"spec": {"replicas": 2, "paused": true}, "status": {"updatedReplicas": 0, "replicas": 2}});
        assert_eq!(stage("Deployment", paused).0, Stage::Paused);
        let none = json!({"spec": {"replicas": 0}, "status": {}});
        assert_eq!(stage("Deployment", none).0, Stage::Complete);
    }

    #[test]
    fn a_stateful_set_is_done_up_to_its_partition() {
        let set = |partition, updated, revision: &str| {
            json!({
                "spec": {"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}},
                "status": {"readyReplicas": 3, "replicas": 3, "updatedReplicas": updated, "currentRevision": "a",
                    "updateRevision": revision}
            })
        };
        assert_eq!(stage("StatefulSet", set(0, 1, "b")).1, "1 of 3 pods are updated");
        assert_eq!(stage("StatefulSet", set(2, 0, "b")).1, "0 of 1 pods above the partition are updated");
        assert_eq!(stage("StatefulSet", set(2, 1, "b")).0, Stage::Complete);
        assert_eq!(stage("StatefulSet", set(0, 3, "a")).0, Stage::Complete);
    }

    #[test]
    fn a_daemon_set_is_done_when_every_node_has_the_new_pod() {
        let set = |updated, available| {
            json!({
                "spec": {"updateStrategy": {"type": "RollingUpdate"}},
                "status": {"desiredNumberScheduled": 3, "updatedNumberScheduled": updated, "numberAvailable": available}
            })
        };
        assert_eq!(stage("DaemonSet", set(2, 3)).1, "2 of 3 pods are updated");
        assert_eq!(stage("DaemonSet", set(3, 2)).1, "2 of 3 updated pods are available");
        assert_eq!(stage("DaemonSet", set(3, 3)).0, Stage::Complete);
    }
}
