//! Nodes.

use super::super::trouble::{Severity, Trouble, shortened};
use crate::tools::kubernetes::model::{Node, condition};

/// What is wrong with a node.
pub(in super::super) fn node(node: &Node) -> Vec<Trouble> {
    let mut found = Vec::new();
    let conditions = &node.status.conditions;
    match condition::find(conditions, "Ready") {
        Some(ready) if ready.status == "True" => {}
        Some(ready) => found.push(Trouble {
            severity: Severity::Critical,
            problem: "NodeNotReady".into(),
            since: ready.last_transition_time,
            what: format!("{}: {}", ready.reason, shortened(&ready.message, 160)),
            evidence: format!("status.conditions[Ready].status: {}", ready.status),
            next: "see whether machine, network and kubelet run; `kubernetes_get_node_status` has more".into(),
        }),
        None => found.push(Trouble {
            severity: Severity::Critical,
            problem: "NodeNotReady".into(),
            since: node.metadata.creation_timestamp,
            what: "its kubelet has never reported".into(),
            evidence: "status.conditions has no Ready".into(),
            next: "see whether machine, network and kubelet run".into(),
        }),
    }
    let pressures = conditions.iter().filter(|condition| condition.kind != "Ready" && condition.status == "True");
    found.extend(pressures.map(|condition| Trouble {
        severity: Severity::Warning,
        problem: condition.kind.clone(),
        since: condition.last_transition_time,
        what: shortened(&condition.message, 160),
        evidence: format!("status.conditions[{}].status: True", condition.kind),
        next: "see what its pods use with `kubernetes_get_resource_usage`".into(),
    }));
    if node.spec.unschedulable {
        let taint = node.spec.taints.iter().find(|taint| taint.key == "node.kubernetes.io/unschedulable");
        found.push(Trouble {
            severity: Severity::Info,
            problem: "Cordoned".into(),
            since: taint.and_then(|taint| taint.time_added),
            what: "takes no new pods".into(),
            evidence: "spec.unschedulable: true".into(),
            next: "uncordon it with `kubernetes_cordon_node` when the work on it is done".into(),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nodes_are_judged_by_their_conditions_and_whether_they_take_pods() {
        let problems = |object: serde_json::Value| {
            let found = node(&serde_json::from_value(object).unwrap()).into_iter();
            found.map(|trouble| trouble.problem).collect::<Vec<_>>()
        };
        let ready = json!({"type": "Ready", "status": "True"});
        assert_eq!(problems(json!({"status": {"conditions": [ready]}})), [] as [&str; 0]);
        let conditions = json!([{"type": "Ready", "status": "Unknown"}, {"type": "DiskPressure", "status": "True"}]);
        assert_eq!(
            problems(json!({"spec": {"unschedulable": true}, "status": {"conditions": conditions}})),
            ["NodeNotReady", "DiskPressure", "Cordoned"]
        );
    }
}
