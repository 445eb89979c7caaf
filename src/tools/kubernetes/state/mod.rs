//! What state an object is in, judged as people do: ready, still on its way, or failed for good.

pub(super) mod pods;
pub(super) mod rollout;
pub(super) mod until;
pub(super) mod watch;

use serde_json::Value;

use super::model::condition::{self, Condition};
use super::pointer;

/// What is to be said of a wish for an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is so.
    Met(String),
    /// Not yet.
    Waiting(String),
    /// It will not become so by waiting.
    Failed(String),
}

/// Whether an object is ready for use.
pub(super) fn ready(kind: &str, object: &Value) -> Verdict {
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return Verdict::Waiting("it is being deleted".into());
    }
    if let Some(rollout) = rollout::judge(kind, object) {
        return rollout.verdict();
    }
    let phase = pointer::text(object, "/status/phase");
    let conditions = condition::of(object);
    match kind {
        "Pod" => pods::ready(object, phase, &conditions),
        "Job" => complete(kind, object),
        "ReplicaSet" | "ReplicationController" => replicas(object),
        "PersistentVolumeClaim" | "PersistentVolume" | "Namespace" => {
            let told = format!("it is {}", if phase.is_empty() { "new" } else { phase });
            match phase {
                "Bound" | "Available" | "Active" => Verdict::Met(told),
                "Lost" | "Failed" => Verdict::Failed(told),
                _ => Verdict::Waiting(told),
            }
        }
        "Service" => service(object),
        _ => by_conditions(object, &conditions),
    }
}

/// Whether a Job or a Pod has ended well.
pub(super) fn complete(kind: &str, object: &Value) -> Verdict {
    let conditions = condition::of(object);
    if kind == "Pod" {
        let phase = pointer::text(object, "/status/phase");
        return match phase {
            "Succeeded" => Verdict::Met("it has succeeded".into()),
            "Failed" => Verdict::Failed(format!(
                "it has failed{}",
                pods::trouble(object).map_or(String::new(), |why| format!(": {why}"))
            )),
            _ => Verdict::Waiting(pods::trouble(object).unwrap_or_else(|| format!("it is {phase}"))),
        };
    }
    if let Some(failed) = condition::find(&conditions, "Failed").filter(|found| found.is("True")) {
        return Verdict::Failed(failed.told());
    }
    for name in ["Complete", "Completed", "Succeeded"] {
        match condition::find(&conditions, name) {
            Some(done) if done.is("True") => return Verdict::Met(done.told()),
            Some(done) if name == "Succeeded" && done.is("False") => return Verdict::Failed(done.told()),
            _ => {}
        }
    }
    let count = |field: &str| object.pointer(&format!("/status/{field}")).and_then(Value::as_i64).unwrap_or(0);
    Verdict::Waiting(format!(
        "{} active, {} succeeded, {} failed",
        count("active"),
        count("succeeded"),
        count("failed")
    ))
}

fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

fn replicas(object: &Value) -> Verdict {
    if number(object, "/metadata/generation") > number(object, "/status/observedGeneration") {
        return Verdict::Waiting("its controller has not seen the change yet".into());
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let ready = number(object, "/status/readyReplicas").unwrap_or(0);
    let told = format!("{ready} of {wanted} pods are ready");
    if ready == wanted { Verdict::Met(told) } else { Verdict::Waiting(told) }
}

fn service(object: &Value) -> Verdict {
    let is_balanced = pointer::text(object, "/spec/type") == "LoadBalancer";
    let has_address = !pointer::list(object, "/status/loadBalancer/ingress").is_empty();
    match (is_balanced, has_address) {
        (true, false) => Verdict::Waiting("its load balancer has no address yet".into()),
        (true, true) => Verdict::Met("its load balancer has an address".into()),
        (false, _) => Verdict::Met("it exists".into()),
    }
}

/// By the condition that says it; an object that has none is as ready as it gets.
fn by_conditions(object: &Value, conditions: &[Condition]) -> Verdict {
    let generation = number(object, "/metadata/generation").unwrap_or(0);
    if number(object, "/status/observedGeneration").is_some_and(|observed| observed < generation) {
        return Verdict::Waiting("its controller has not seen the change yet".into());
    }
    let told =
        ["Ready", "Available", "Established", "Healthy"].iter().find_map(|name| condition::find(conditions, name));
    match told {
        Some(told) if told.observed_generation.is_some_and(|observed| observed < generation) => {
            Verdict::Waiting("its controller has not seen the change yet".into())
        }
        Some(told) if told.is("True") => Verdict::Met(told.told()),
        Some(told) => Verdict::Waiting(told.told()),
        None => Verdict::Met("it exists; nothing in its status says more".into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn jobs_end_well_or_fail_at_once() {
        let job = |kind: &str| json!({"status": {"conditions": [{"type": kind, "status": "True", "reason": "R"}]}});
        assert_eq!(complete("Job", &job("Complete")), Verdict::Met("Complete is True (R)".into()));
        assert_eq!(complete("Job", &job("Failed")), Verdict::Failed("Failed is True (R)".into()));
        assert_eq!(
            complete("Job", &json!({"status": {"active": 1}})),
            Verdict::Waiting("1 active, 0 succeeded, 0 failed".into())
        );
    }

    #[test]
    fn custom_objects_are_ready_when_their_condition_says_so_of_this_generation() {
        let object = |status: &str, observed: i64| {
            json!({
                "metadata": {"generation": 2},
                "status": {"conditions": [{"type": "Ready", "status": status, "observedGeneration": observed}]}
            })
        };
        assert!(matches!(ready("Certificate", &object("True", 2)), Verdict::Met(_)));
        assert!(matches!(ready("Certificate", &object("True", 1)), Verdict::Waiting(_)));
        assert!(matches!(ready("Certificate", &object("False", 2)), Verdict::Waiting(_)));
        assert!(matches!(ready("ConfigMap", &json!({})), Verdict::Met(_)));
    }
}
