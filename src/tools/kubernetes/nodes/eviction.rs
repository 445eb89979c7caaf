//! Asking a pod to leave its node, within what disruption budgets allow
//! (kubernetes.io/docs/concepts/scheduling-eviction/api-eviction).

use http::Method;
use serde_json::{Value, json};

use super::find::Pod;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Refused, Request, Status, segment};
use crate::error::{Error, Result};

/// The cause that the API server names where a budget forbids an eviction.
const BUDGET: &str = "DisruptionBudget";

/// Whether a pod is to leave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is asked to leave.
    Leaves,
    /// It stays, for this reason.
    Stays(&'static str),
    /// It leaves only with this argument, for this reason.
    Needs(&'static str, &'static str),
}

/// What became of asking a pod to leave.
#[derive(Debug)]
pub(super) enum Asked {
    /// It is leaving.
    Leaving,
    /// It is gone.
    Gone,
    /// A budget holds it, or the API server has no time now: it may be asked again.
    Held { budget: Option<String>, reason: String },
    /// It will not leave.
    Refused(String),
}

/// What is to become of a pod.
pub(super) fn fate(pod: &Pod, force: bool, delete_empty_dir_data: bool) -> Fate {
    if pod.metadata.annotations.mirror.is_some() {
        return Fate::Stays("the kubelet runs it from a file");
    }
    if pod.metadata.controller().is_some_and(|owner| owner.kind == "DaemonSet") {
        return Fate::Stays("its DaemonSet would put it there again");
    }
    if !pod.is_alive() || pod.metadata.deletion_timestamp.is_some() {
        return Fate::Leaves;
    }
    if pod.metadata.controller().is_none() && !force {
        return Fate::Needs("force", "no controller would make it again");
    }
    if !delete_empty_dir_data && pod.spec.volumes.iter().any(|volume| volume.empty_dir.is_some()) {
        return Fate::Needs("delete_empty_dir_data", "its emptyDir would be lost");
    }
    Fate::Leaves
}

/// Asks a pod to leave, or with `dry_run` whether it might.
pub(super) async fn evict(pod: &Pod, grace: Option<u32>, dry_run: bool, cluster: &Kubernetes) -> Result<Asked> {
    let meta = &pod.metadata;
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}/eviction",
        segment("namespace", &meta.namespace)?,
        segment("name", &meta.name)?
    );
    // Another pod of the same name may be there by now.
    let mut options = json!({"preconditions": {"uid": meta.uid}});
    if let Some(seconds) = grace {
        options["gracePeriodSeconds"] = seconds.into();
    }
    if dry_run {
        options["dryRun"] = json!(["All"]);
    }
    let body = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": meta.name, "namespace": meta.namespace},
        "deleteOptions": options,
    });
    match cluster.change::<Value>(Method::POST, Request::get(path), "application/json", &body).await {
        Ok(_) => Ok(Asked::Leaving),
        Err(Refused::Status(status)) => Ok(refusal(*status)),
        // Asked twice it leaves once: its uid is named.
        Err(refused) if refused.is_passing() => {
            Ok(Asked::Held { budget: None, reason: Error::from(refused).to_string() })
        }
        Err(refused) => Err(refused.into()),
    }
}

fn refusal(status: Status) -> Asked {
    let cause = status.details.causes.into_iter().find(|cause| cause.reason == BUDGET);
    match (status.code, cause) {
        (404, _) => Asked::Gone,
        (409, _) if status.message.contains("UID") => Asked::Gone,
        (429, Some(cause)) => Asked::Held { budget: budget(&cause.message), reason: cause.message },
        (409 | 429 | 502..=504, _) => Asked::Held { budget: None, reason: status.message },
        _ => Asked::Refused(status.message),
    }
}

/// The budget that a message of the API server names: `The disruption budget web needs …`.
fn budget(message: &str) -> Option<String> {
    message.strip_prefix("The disruption budget ")?.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(value: Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    fn owned_by(kind: &str) -> Value {
        json!([{"kind": kind, "name": "x", "controller": true}])
    }

    #[test]
    fn pods_that_would_be_lost_leave_only_with_the_argument_for_it() {
        let alone = pod(json!({"metadata": {"name": "a"}}));
        assert_eq!(fate(&alone, false, false), Fate::Needs("force", "no controller would make it again"));
        assert_eq!(fate(&alone, true, false), Fate::Leaves);
        let volumes = json!([{"name": "v", "emptyDir": {}}]);
        let with_data = pod(json!({
            "metadata": {"name": "a", "ownerReferences": owned_by("ReplicaSet")}, "spec": {"volumes": volumes}
        }));
        assert_eq!(fate(&with_data, true, false), Fate::Needs("delete_empty_dir_data", "its emptyDir would be lost"));
        assert_eq!(fate(&with_data, false, true), Fate::Leaves);
    }

    #[test]
    fn pods_that_would_come_back_at_once_stay_whatever_is_forced() {
        let daemon = pod(json!({"metadata": {"name": "a", "ownerReferences": owned_by("DaemonSet")}}));
        assert!(matches!(fate(&daemon, true, true), Fate::Stays(_)));
        let mirror = pod(json!({"metadata": {"name": "a", "annotations": {"kubernetes.io/config.mirror": "x"}}}));
        assert!(matches!(fate(&mirror, true, true), Fate::Stays(_)));
    }

    #[test]
    fn pods_that_ended_lose_nothing() {
        let done = pod(json!({"metadata": {"name": "a"}, "status": {"phase": "Succeeded"}}));
        assert_eq!(fate(&done, false, false), Fate::Leaves);
    }

    #[test]
    fn the_budget_that_holds_a_pod_is_named() {
        assert_eq!(
            budget("The disruption budget web needs 2 healthy pods and has 2 currently").as_deref(),
            Some("web")
        );
        assert_eq!(budget("too many requests"), None);
    }
}
