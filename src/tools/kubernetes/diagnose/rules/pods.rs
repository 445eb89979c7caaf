//! Pods.

use jiff::{SignedDuration, Timestamp};

use super::super::trouble::{Severity, Trouble, shortened};
use crate::tools::ages::at;
use crate::tools::kubernetes::model::{ContainerStatus, Pod, Terminated, Waiting, condition};

/// How long a restart is news.
const RECENTLY: SignedDuration = SignedDuration::from_hours(1);

/// Restarts that are more than an accident.
const MANY_RESTARTS: u32 = 5;

/// The longest pause between two starts of a container that crashes (the kubelet doubles it up to here).
const LONGEST_BACKOFF: SignedDuration = SignedDuration::from_mins(5);

/// How long a pod may be there after the end of its grace.
const LATE: SignedDuration = SignedDuration::from_secs(30);

/// What is wrong with a pod.
pub(in super::super) fn pod(pod: &Pod, now: Timestamp) -> Vec<Trouble> {
    if let Some(end) = pod.metadata.deletion_timestamp {
        return if now.duration_since(end) > LATE { vec![stuck(pod, end)] } else { Vec::new() };
    }
    match pod.status.phase.as_str() {
        "Succeeded" => Vec::new(),
        "Failed" => vec![failed(pod)],
        "Unknown" => vec![Trouble {
            severity: Severity::Critical,
            problem: "Unknown".into(),
            since: unready_since(pod),
            what: format!("its node {} says nothing of it", pod.spec.node_name),
            evidence: "status.phase: Unknown".into(),
            next: "see whether the node is ready with `kubernetes_get_node_status`".into(),
        }],
        _ => {
            if let Some(trouble) = unscheduled(pod) {
                return vec![trouble];
            }
            let containers = containers(pod).filter_map(|(field, container)| judge(pod, field, container, now));
            let found: Vec<_> = containers.collect();
            if found.iter().any(|trouble| trouble.severity == Severity::Critical) {
                return found;
            }
            unready(pod).into_iter().chain(found).collect()
        }
    }
}

/// Since when a pod is not ready.
pub(in super::super) fn unready_since(pod: &Pod) -> Option<Timestamp> {
    let ready = condition::find(&pod.status.conditions, "Ready").filter(|ready| ready.status != "True");
    ready.and_then(|ready| ready.last_transition_time).or(pod.status.start_time).or(pod.metadata.creation_timestamp)
}

fn containers(pod: &Pod) -> impl Iterator<Item = (&'static str, &ContainerStatus)> {
    let first = pod.status.init_container_statuses.iter().map(|container| ("initContainerStatuses", container));
    first.chain(pod.status.container_statuses.iter().map(|container| ("containerStatuses", container)))
}

fn stuck(pod: &Pod, end: Timestamp) -> Trouble {
    let held = if pod.metadata.finalizers.is_empty() {
        format!("its node {} has not ended it", pod.spec.node_name)
    } else {
        format!("finalizers hold it: {}", pod.metadata.finalizers.join(", "))
    };
    Trouble {
        severity: Severity::Warning,
        problem: "StuckTerminating".into(),
        since: Some(end),
        what: format!("should be gone, but {held}"),
        evidence: format!("metadata.deletionTimestamp: {}", at(end)),
        next: "see whether its node is ready, or what the finalizers wait for".into(),
    }
}

fn failed(pod: &Pod) -> Trouble {
    let ended = containers(pod).find_map(|(_, container)| {
        let ended = container.state.terminated.as_ref().filter(|ended| ended.exit_code != 0)?;
        Some((container, ended))
    });
    let since = ended.and_then(|(_, ended)| ended.finished_at).or_else(|| unready_since(pod));
    if pod.status.reason.is_empty()
        && let Some((container, ended)) = ended
    {
        return Trouble {
            severity: Severity::Critical,
            problem: "Failed".into(),
            since,
            what: format!("container {} ended with {}", container.name, ending(ended)),
            evidence: format!("status.containerStatuses[{}].state.terminated", container.name),
            next: "read what it said with `kubernetes_get_pod_logs`".into(),
        };
    }
    let reason = if pod.status.reason.is_empty() { "Failed" } else { &pod.status.reason };
    let next = match reason {
        "Evicted" => "its node ran short: set requests and limits that fit, and see `kubernetes_get_node_status`",
        _ => "see its events with `kubernetes_get_events`",
    };
    Trouble {
        severity: Severity::Warning,
        problem: reason.to_owned(),
        since,
        what: format!("ended: {}", shortened(&pod.status.message, 200)),
        evidence: format!("status.reason: {reason}"),
        next: next.into(),
    }
}

fn unscheduled(pod: &Pod) -> Option<Trouble> {
    let scheduled = condition::find(&pod.status.conditions, "PodScheduled").filter(|found| found.status == "False")?;
    let message = scheduled.message.as_str();
    if scheduled.reason == "SchedulingGated" {
        return Some(Trouble {
            severity: Severity::Warning,
            problem: "SchedulingGated".into(),
            since: pod.metadata.creation_timestamp,
            what: shortened(message, 200),
            evidence: "status.conditions[PodScheduled]".into(),
            next: "see who removes its `spec.schedulingGates`".into(),
        });
    }
    let next = if message.contains("Insufficient") {
        "lower its `resources.requests`, or add nodes that are large enough"
    } else if message.contains("PersistentVolumeClaim") || message.contains("persistentvolumeclaim") {
        "diagnose its claim"
    } else if message.contains("untolerated taint") {
        "tolerate the taint, or remove it from a node"
    } else if message.contains("affinity") || message.contains("selector") {
        "make `nodeSelector` and affinity fit the labels of a node"
    } else {
        "see `kubernetes_get_node_status` for what nodes offer"
    };
    Some(Trouble {
        severity: Severity::Critical,
        problem: "Unschedulable".into(),
        since: scheduled.last_transition_time.or(pod.metadata.creation_timestamp),
        what: format!("fits on no node: {}", shortened(message, 240)),
        evidence: "status.conditions[PodScheduled].message".into(),
        next: next.into(),
    })
}

fn judge(pod: &Pod, field: &str, container: &ContainerStatus, now: Timestamp) -> Option<Trouble> {
    if let Some(waiting) = &container.state.waiting {
        return waits(pod, field, container, waiting, now);
    }
    if let Some(ended) = &container.state.terminated {
        return (ended.exit_code != 0).then(|| Trouble {
            severity: Severity::Critical,
            problem: if ended.reason == "OOMKilled" { "OOMKilled" } else { "ContainerFailed" }.into(),
            since: ended.finished_at,
            what: format!("container {} ended with {}", container.name, ending(ended)),
            evidence: format!("status.{field}[{}].state.terminated", container.name),
            next: "read what it said with `kubernetes_get_pod_logs`".into(),
        });
    }
    let last = container.last_state.terminated.as_ref()?;
    let finished = last.finished_at.filter(|finished| now.duration_since(*finished) < RECENTLY)?;
    let killed = last.reason == "OOMKilled";
    (killed || container.restart_count >= MANY_RESTARTS).then(|| Trouble {
        severity: Severity::Warning,
        problem: if killed { "OOMKilled" } else { "Restarting" }.into(),
        since: Some(finished),
        what: format!(
            "container {} runs again, after {} restarts; it ended with {}",
            container.name,
            container.restart_count,
            ending(last)
        ),
        evidence: format!("status.{field}[{}].lastState.terminated", container.name),
        next: if killed { RAISE_MEMORY } else { READ_PREVIOUS }.into(),
    })
}

const RAISE_MEMORY: &str = "raise its memory limit, or find out why it needs more";
const READ_PREVIOUS: &str = "read what it said before with `kubernetes_get_pod_logs` (previous)";

fn waits(pod: &Pod, field: &str, container: &ContainerStatus, waiting: &Waiting, now: Timestamp) -> Option<Trouble> {
    let name = &container.name;
    let evidence = format!("status.{field}[{name}].state.waiting.reason: {}", waiting.reason);
    let trouble = |severity, problem: &str, what: String, next: &str| {
        let since = unready_since(pod);
        Some(Trouble { severity, problem: problem.into(), since, what, evidence: evidence.clone(), next: next.into() })
    };
    let said = || shortened(&waiting.message, 200);
    match waiting.reason.as_str() {
        "CrashLoopBackOff" => {
            let last = container.last_state.terminated.clone().unwrap_or_default();
            let killed = last.reason == "OOMKilled";
            let evidence = if killed {
                format!("status.{field}[{name}].lastState.terminated.reason: OOMKilled")
            } else {
                evidence
            };
            Some(Trouble {
                severity: Severity::Critical,
                problem: if killed { "OOMKilled" } else { "CrashLoopBackOff" }.into(),
                since: loop_began(pod, container, &last, now),
                what: format!(
                    "container {name} ends after each start with {}; restarts: {}",
                    ending(&last),
                    container.restart_count
                ),
                evidence,
                next: if killed { RAISE_MEMORY } else { READ_PREVIOUS }.into(),
            })
        }
        // The kubelet changes between the two.
        "ErrImagePull" | "ImagePullBackOff" => trouble(
            Severity::Critical,
            "ImagePullBackOff",
            format!("the image {} of container {name} cannot be pulled: {}", container.image, said()),
            "correct the image's name and tag, or the pull secret of its registry",
        ),
        "InvalidImageName" | "ErrImageNeverPull" | "RegistryUnavailable" | "ErrImageInspect" => trouble(
            Severity::Critical,
            &waiting.reason,
            format!("the image {} of container {name} cannot be used: {}", container.image, said()),
            "correct the image's name, or its pull policy",
        ),
        "CreateContainerConfigError" => trouble(
            Severity::Critical,
            &waiting.reason,
            format!("container {name} lacks part of its configuration: {}", said()),
            "create the ConfigMap, Secret or key that it names",
        ),
        // An init container before it has its own trouble.
        "ContainerCreating" | "PodInitializing" if is_initializing(pod) => None,
        "ContainerCreating" | "PodInitializing" => trouble(
            Severity::Warning,
            "ContainerCreating",
            format!("container {name} has not been made yet"),
            "see its events: volumes, network and images come first",
        ),
        "" => None,
        reason => trouble(
            Severity::Critical,
            reason,
            format!("container {name} waits: {}", said()),
            "see its events with `kubernetes_get_events`",
        ),
    }
}

fn is_initializing(pod: &Pod) -> bool {
    pod.status.init_container_statuses.iter().any(|container| container.state.terminated.is_none())
}

/// The earliest moment at which so many restarts, as far apart as they can be, may have begun.
fn loop_began(pod: &Pod, container: &ContainerStatus, last: &Terminated, now: Timestamp) -> Option<Timestamp> {
    let ran = match (last.started_at, last.finished_at) {
        (Some(started), Some(finished)) => finished.duration_since(started),
        _ => SignedDuration::ZERO,
    };
    let rounds = i32::try_from(container.restart_count).unwrap_or(i32::MAX);
    let longest = (LONGEST_BACKOFF + ran).checked_mul(rounds).unwrap_or(SignedDuration::MAX);
    let started = pod.status.start_time.or(pod.metadata.creation_timestamp);
    match now.checked_sub(longest) {
        Ok(earliest) => started.map(|started| started.max(earliest)),
        Err(_) => started,
    }
}

fn unready(pod: &Pod) -> Option<Trouble> {
    let ready = condition::find(&pod.status.conditions, "Ready").filter(|ready| ready.status != "True")?;
    if pod.status.phase != "Running" {
        return None;
    }
    let mut waiting: Vec<_> = containers(pod).filter(|(_, container)| !container.ready).collect();
    waiting.retain(|(field, container)| *field == "containerStatuses" && container.state.running.is_some());
    let (what, next) = if let Some((_, container)) = waiting.first() {
        (
            format!("container {} runs, but its readiness probe fails", container.name),
            "see its events for the answer to the probe, and its log",
        )
    } else if condition::find(&pod.status.conditions, "ContainersReady").is_some_and(|found| found.status == "True") {
        (
            format!("its containers are ready, it is not: {}", shortened(&ready.message, 160)),
            "see who sets the conditions of its `spec.readinessGates`",
        )
    } else {
        return None;
    };
    Some(Trouble {
        severity: Severity::Warning,
        problem: "NotReady".into(),
        since: ready.last_transition_time,
        what,
        evidence: "status.conditions[Ready].status: False".into(),
        next: next.into(),
    })
}

/// How a container ended.
fn ending(ended: &Terminated) -> String {
    let code = match ended.signal {
        0 => format!("exit code {}", ended.exit_code),
        signal => format!("signal {signal}"),
    };
    match ended.reason.as_str() {
        "" | "Error" => code,
        reason => format!("{code} ({reason})"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn troubles(status: Value) -> Vec<(Severity, String)> {
        let now = "2026-01-02T12:00:00Z".parse().unwrap();
        let object = json!({"metadata": {"creationTimestamp": "2026-01-01T12:00:00Z"}, "status": status});
        let found = pod(&serde_json::from_value(object).unwrap(), now);
        found.into_iter().map(|trouble| (trouble.severity, trouble.problem)).collect()
    }

    #[test]
    fn a_container_that_was_killed_for_its_memory_is_no_plain_crash() {
        let container = json!({
            "name": "a", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
        });
        let found = troubles(json!({"phase": "Running", "containerStatuses": [container]}));
        assert_eq!(found, [(Severity::Critical, "OOMKilled".into())]);
    }

    #[test]
    fn what_has_ended_well_or_runs_well_is_no_trouble() {
        assert_eq!(troubles(json!({"phase": "Succeeded"})), []);
        let old = json!({"terminated": {"reason": "Error", "exitCode": 1, "finishedAt": "2026-01-02T09:00:00Z"}});
        let container =
            json!({"name": "a", "ready": true, "restartCount": 9, "state": {"running": {}}, "lastState": old});
        assert_eq!(troubles(json!({"phase": "Running", "containerStatuses": [container]})), []);
    }

    #[test]
    fn a_loop_began_no_earlier_than_its_restarts_allow() {
        let object = json!({
            "status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z", "containerStatuses": [{
                "name": "a", "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}
            }]}
        });
        let now = "2026-01-02T12:00:00Z".parse().unwrap();
        let found = pod(&serde_json::from_value(object).unwrap(), now);
        assert_eq!(found[0].since.unwrap().to_string(), "2026-01-02T11:50:00Z");
    }
}
