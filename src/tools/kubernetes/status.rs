//! What state an object is in, in a few words, whatever its kind.

use jiff::Timestamp;
use serde_json::Value;

use super::pointer::{list, text};
use crate::tools::ages;

/// The state of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// How many of its parts are ready: `2/3`.
    pub(super) ready: Option<String>,
    /// One word: `Running`, `CrashLoopBackOff`, `Bound`; empty where nothing is known.
    pub(super) status: String,
    /// Restarts of all containers.
    pub(super) restarts: u64,
    /// Why it is not well, a sentence or a word.
    pub(super) reason: Option<String>,
}

impl State {
    /// The state of an object with `kind`.
    pub(super) fn of(object: &Value) -> Self {
        let mut state = match text(object, "/kind") {
            "Pod" => pod(object),
            "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController" => workload(object),
            "DaemonSet" => Self {
                ready: Some(ratio(object, "/status/numberReady", "/status/desiredNumberScheduled", 0)),
                ..Self::default()
            },
            "Job" => job(object),
            "CronJob" => cron_job(object),
            "HorizontalPodAutoscaler" => autoscaler(object),
            "PodDisruptionBudget" => budget(object),
            "Service" => service(object),
            _ => custom(object),
        };
        if object.pointer("/metadata/deletionTimestamp").is_some() {
            state.status = "Terminating".into();
        }
        state
    }

    /// In one line: `2/3 CrashLoopBackOff, 5 restarts`.
    pub(super) fn line(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.ready.clone());
        parts.extend(Some(self.status.clone()).filter(|status| !status.is_empty()));
        let mut line = parts.join(" ");
        if self.restarts > 0 {
            line.push_str(&format!(", {} restart{}", self.restarts, if self.restarts == 1 { "" } else { "s" }));
        }
        line
    }
}

/// How long ago an object was made.
pub(super) fn age(object: &Value, now: Timestamp) -> Option<String> {
    let made = text(object, "/metadata/creationTimestamp").parse().ok()?;
    Some(ages::between(made, now))
}

/// The conditions of an object that are not as they should be, for kinds whose conditions are all for the good.
pub(super) fn failing_condition<'a>(object: &'a Value, types: &[&str]) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    types.iter().find_map(|wanted| {
        conditions.iter().find(|condition| text(condition, "/type") == *wanted && text(condition, "/status") == "False")
    })
}

fn pod(object: &Value) -> State {
    let containers = list(object, "/status/containerStatuses");
    let starting = list(object, "/status/initContainerStatuses");
    let wanted = list(object, "/spec/containers").len();
    let ready = containers.iter().filter(|container| container["ready"] == true).count();
    let restarts = containers.iter().chain(starting).filter_map(|container| container["restartCount"].as_u64()).sum();
    let phase = text(object, "/status/phase");
    let mut status = match text(object, "/status/reason") {
        "" => phase.to_owned(),
        reason => reason.to_owned(),
    };
    let mut reason = Some(text(object, "/status/message").to_owned()).filter(|message| !message.is_empty());
    let trouble = |container: &Value| {
        let state = ["waiting", "terminated"].iter().find_map(|state| container["state"].get(*state))?;
        let word = text(state, "/reason").to_owned();
        let is_harmless = word.is_empty() || ["Completed", "ContainerCreating", "PodInitializing"].contains(&&*word);
        (!is_harmless).then(|| (word, text(state, "/message").to_owned()))
    };
    let stuck = starting.iter().find_map(trouble).map(|(word, message)| (format!("Init:{word}"), message));
    if let Some((word, message)) = stuck.or_else(|| containers.iter().find_map(trouble)) {
        status = word;
        reason = Some(message).filter(|message| !message.is_empty()).or(reason);
    }
    if phase == "Pending"
        && let Some(condition) = failing_condition(object, &["PodScheduled"])
    {
        reason = Some(explained(condition));
    }
    State { ready: Some(format!("{ready}/{wanted}")), status, restarts, reason }
}

fn workload(object: &Value) -> State {
    let failing = failing_condition(object, &["Progressing", "Available"]);
    let failed = list(object, "/status/conditions")
        .iter()
        .find(|condition| text(condition, "/type") == "ReplicaFailure" && text(condition, "/status") == "True");
    State {
        ready: Some(ratio(object, "/status/readyReplicas", "/spec/replicas", 1)),
        reason: failed.or(failing).map(explained),
        ..State::default()
    }
}

fn job(object: &Value) -> State {
    let ended = list(object, "/status/conditions").iter().find(|condition| {
        ["Complete", "Failed", "Suspended"].contains(&text(condition, "/type")) && text(condition, "/status") == "True"
    });
    State {
        ready: Some(ratio(object, "/status/succeeded", "/spec/completions", 1)),
        status: ended.map_or("Running", |condition| text(condition, "/type")).to_owned(),
        restarts: 0,
        reason: ended.filter(|condition| text(condition, "/type") != "Complete").map(explained),
    }
}

fn cron_job(object: &Value) -> State {
    let is_suspended = object.pointer("/spec/suspend") == Some(&Value::Bool(true));
    let active = list(object, "/status/active").len();
    let status = match (is_suspended, active) {
        (true, _) => "Suspended".to_owned(),
        (false, 0) => text(object, "/spec/schedule").to_owned(),
        (false, active) => format!("{active} active"),
    };
    State { status, ..State::default() }
}

fn autoscaler(object: &Value) -> State {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
    let failing = failing_condition(object, &["AbleToScale", "ScalingActive"]);
    State {
        status: format!(
            "{} of {} to {}",
            number("/status/currentReplicas"),
            number("/spec/minReplicas").max(1),
            number("/spec/maxReplicas")
        ),
        reason: failing.map(explained),
        ..State::default()
    }
}

fn budget(object: &Value) -> State {
    let allowed = object.pointer("/status/disruptionsAllowed").and_then(Value::as_u64).unwrap_or_default();
    State {
        ready: Some(ratio(object, "/status/currentHealthy", "/status/expectedPods", 0)),
        status: format!("may lose {allowed}"),
        ..State::default()
    }
}

fn service(object: &Value) -> State {
    let ports: Vec<String> = list(object, "/spec/ports")
        .iter()
        .map(|port| {
            let target = port.get("targetPort").map(|target| target.to_string().replace('"', ""));
            match target {
                Some(target) if target != port["port"] => format!("{}→{target}", port["port"]),
                _ => port["port"].to_string(),
            }
        })
        .collect();
    State {
        status: format!("{} {}", text(object, "/spec/type"), ports.join(", ")).trim().to_owned(),
        ..State::default()
    }
}

/// What most kinds say, in the words that most operators use.
fn custom(object: &Value) -> State {
    let said = ["/status/phase", "/status/state", "/status/health/status"].map(|pointer| text(object, pointer));
    let said = said.into_iter().find(|said| !said.is_empty());
    let ready = list(object, "/status/conditions")
        .iter()
        .find(|condition| ["Ready", "Available", "Synced"].contains(&text(condition, "/type")));
    let is_ready = ready.map(|condition| text(condition, "/status") == "True");
    State {
        status: match (said, is_ready) {
            (Some(said), _) => said.to_owned(),
            (None, Some(true)) => text(ready.unwrap_or(&Value::Null), "/type").to_owned(),
            (None, Some(false)) => format!("not {}", text(ready.unwrap_or(&Value::Null), "/type")),
            (None, None) => String::new(),
        },
        reason: ready.filter(|_| is_ready == Some(false)).map(explained),
        ..State::default()
    }
}

/// Reason and message of a condition.
fn explained(condition: &Value) -> String {
    let parts = [text(condition, "/reason"), text(condition, "/message")];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}

fn ratio(object: &Value, part: &str, whole: &str, default: u64) -> String {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64);
    format!("{}/{}", number(part).unwrap_or(0), number(whole).unwrap_or(default))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_says_what_its_containers_wait_for() {
        let pod = json!({
            "kind": "Pod", "spec": {"containers": [{}, {}]},
            "status": {"phase": "Running", "containerStatuses": [
                {"ready": true, "restartCount": 1},
                {"ready": false, "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}}
            ]}
        });
        let state = State::of(&pod);
        assert_eq!(state.line(), "1/2 CrashLoopBackOff, 5 restarts");
        assert_eq!(state.reason.as_deref(), Some("back-off 40s"));
    }

    #[test]
    fn custom_objects_go_by_their_conditions() {
        let object = json!({"kind": "Certificate", "status": {"conditions": [
            {"type": "Ready", "status": "False", "reason": "Pending", "message": "waits"}
        ]}});
        let state = State::of(&object);
        assert_eq!((state.line().as_str(), state.reason.as_deref()), ("not Ready", Some("Pending: waits")));
        assert_eq!(State::of(&json!({"kind": "ConfigMap"})).line(), "");
    }
}
