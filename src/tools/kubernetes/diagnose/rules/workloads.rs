//! Deployments, StatefulSets and DaemonSets.

use jiff::Timestamp;

use super::super::trouble::{Severity, Trouble, shortened};
use crate::tools::kubernetes::model::{Workload, condition};

const SEE_PODS: &str = "diagnose it: its pods say why";

/// What is wrong with a Deployment. A rollout within its deadline is no trouble.
pub(in super::super) fn deployment(deployment: &Workload, unready_since: Option<Timestamp>) -> Option<Trouble> {
    let status = &deployment.status;
    let wanted = deployment.spec.replicas.unwrap_or(1);
    if wanted == 0 || status.observed_generation < deployment.metadata.generation {
        return None;
    }
    let available = status.available_replicas;
    let severity = if available == 0 { Severity::Critical } else { Severity::Warning };
    let progressing = condition::find(&status.conditions, "Progressing");
    if let Some(failure) = condition::find(&status.conditions, "ReplicaFailure").filter(|found| found.status == "True")
    {
        return Some(Trouble {
            severity,
            problem: "ReplicaFailure".into(),
            since: failure.last_transition_time,
            what: format!("pods cannot be created: {}", shortened(&failure.message, 240)),
            evidence: "status.conditions[ReplicaFailure].message".into(),
            next: "see quotas, limit ranges and admission webhooks of the namespace".into(),
        });
    }
    if let Some(late) = progressing.filter(|found| found.reason == "ProgressDeadlineExceeded") {
        return Some(Trouble {
            severity,
            problem: "ProgressDeadlineExceeded".into(),
            since: late.last_transition_time,
            what: format!("its rollout is stuck with {available} of {wanted} pods available"),
            evidence: "status.conditions[Progressing].reason: ProgressDeadlineExceeded".into(),
            next: format!("{SEE_PODS}; `kubernetes_control_rollout` undoes the change"),
        });
    }
    let is_rolling = progressing.is_some_and(|found| found.reason != "NewReplicaSetAvailable");
    if available >= wanted || (is_rolling && !deployment.spec.paused) {
        return None;
    }
    let broken = condition::find(&status.conditions, "Available").filter(|found| found.status == "False");
    Some(short(
        severity,
        "status.availableReplicas",
        available,
        wanted,
        broken.and_then(|found| found.last_transition_time).or(unready_since),
    ))
}

/// What is wrong with a StatefulSet.
pub(in super::super) fn stateful_set(set: &Workload, unready_since: Option<Timestamp>) -> Option<Trouble> {
    let wanted = set.spec.replicas.unwrap_or(1);
    let ready = set.status.ready_replicas;
    if ready >= wanted || set.status.observed_generation < set.metadata.generation {
        return None;
    }
    let severity = if ready == 0 { Severity::Critical } else { Severity::Warning };
    Some(short(severity, "status.readyReplicas", ready, wanted, unready_since.or(set.metadata.creation_timestamp)))
}

/// What is wrong with a DaemonSet, by the nodes that should have its pod.
pub(in super::super) fn daemon_set(set: &Workload, unready_since: Option<Timestamp>) -> Option<Trouble> {
    let status = &set.status;
    let wanted = status.wanted_nodes();
    if status.observed_generation < set.metadata.generation {
        return None;
    }
    let since = unready_since.or(set.metadata.creation_timestamp);
    if status.number_ready < wanted {
        let severity = if status.number_ready == 0 { Severity::Critical } else { Severity::Warning };
        let mut trouble = short(severity, "status.numberReady", status.number_ready, wanted, since);
        if status.current_number_scheduled < wanted {
            trouble.what.push_str(&format!("; {} are not there", wanted - status.current_number_scheduled));
        }
        return Some(trouble);
    }
    (status.number_misscheduled > 0).then(|| Trouble {
        severity: Severity::Info,
        problem: "Misscheduled".into(),
        since,
        what: format!("{} of its pods run on nodes that should have none", status.number_misscheduled),
        evidence: "status.numberMisscheduled".into(),
        next: "make its nodeSelector and tolerations fit the nodes".into(),
    })
}

fn short(severity: Severity, field: &str, ready: i64, wanted: i64, since: Option<Timestamp>) -> Trouble {
    Trouble {
        severity,
        problem: if ready == 0 { "Unavailable" } else { "Degraded" }.into(),
        since,
        what: format!("{ready} of {wanted} pods are ready"),
        evidence: format!("{field}: {ready} of {wanted}"),
        next: SEE_PODS.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn problem(status: Value) -> Option<String> {
        let object = serde_json::from_value(json!({"spec": {"replicas": 2}, "status": status})).unwrap();
        deployment(&object, None).map(|trouble| trouble.problem)
    }

    #[test]
    fn a_rollout_is_no_trouble_until_its_deadline() {
        let progressing = |reason| json!([{"type": "Progressing", "status": "True", "reason": reason}]);
        assert_eq!(problem(json!({"conditions": progressing("ReplicaSetUpdated")})), None);
        assert_eq!(
            problem(json!({"conditions": progressing("ProgressDeadlineExceeded")})),
            Some("ProgressDeadlineExceeded".into())
        );
        assert_eq!(problem(json!({"conditions": progressing("NewReplicaSetAvailable")})), Some("Unavailable".into()));
        let degraded = json!({"availableReplicas": 1, "conditions": progressing("NewReplicaSetAvailable")});
        assert_eq!(problem(degraded), Some("Degraded".into()));
    }

    #[test]
    fn daemon_sets_are_judged_by_the_nodes_that_should_have_them() {
        let judged = |status: Value| {
            daemon_set(&serde_json::from_value(json!({"status": status})).unwrap(), None).map(|found| found.what)
        };
        assert_eq!(judged(json!({"desiredNumberScheduled": 0})), None);
        assert_eq!(judged(json!({"desiredNumberScheduled": 3, "numberReady": 3})), None);
        assert_eq!(
            judged(json!({"desiredNumberScheduled": 3, "currentNumberScheduled": 2, "numberReady": 2})),
            Some("2 of 3 pods are ready; 1 are not there".into())
        );
    }
}
