//! One object as somebody who looks into it wants to see it.

use serde_json::{Map, Value, json};

use super::super::family::{Member, Reach, dependents};
use super::super::model::Owner;
use super::super::pointer;
use super::super::status::{State, age};
use super::events;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::LAST_APPLIED;
use crate::error::Result;
use crate::tools::ages;

/// Levels below an object that are told.
const LEVELS: usize = 2;

/// Dependents that are told.
const MOST_DEPENDENTS: usize = 20;

/// Events that are told.
const MOST_EVENTS: usize = 10;

/// Characters of an annotation.
const LONGEST_ANNOTATION: usize = 200;

/// Fields of the specification of pods that are told besides containers.
const OF_PODS: [&str; 8] = [
    "nodeName",
    "serviceAccountName",
    "priorityClassName",
    "runtimeClassName",
    "hostNetwork",
    "nodeSelector",
    "restartPolicy",
    "terminationGracePeriodSeconds",
];

/// Identity, state, conditions, containers or specification, owners, dependents, recent events.
pub(super) async fn describe(member: &Member, cluster: &Kubernetes) -> Result<Value> {
    let now = cluster.context.now;
    let object = &member.object;
    let (owned, happened) =
        tokio::join!(dependents(cluster, member, LEVELS, Reach::BuiltIn), events::of(member, cluster));
    let owned = owned?;
    let state = State::of(object);
    let mut told = Map::new();
    told.insert("kind".into(), member.kind.kind.clone().into());
    told.insert("name".into(), member.name().into());
    told.insert("namespace".into(), member.namespace().into());
    told.insert("state".into(), state.line().into());
    told.insert("reason".into(), state.reason.into());
    told.insert("age".into(), age(object, now).into());
    told.insert("created".into(), member.text("/metadata/creationTimestamp").into());
    told.insert("labels".into(), pairs(object.pointer("/metadata/labels")).into());
    told.insert("annotations".into(), pairs(object.pointer("/metadata/annotations")).into());
    let owners: Vec<String> = member.owners().iter().map(Owner::title).collect();
    told.insert("owners".into(), owners.into());
    let finalizers = object.pointer("/metadata/finalizers").cloned();
    told.insert("finalizers".into(), finalizers.unwrap_or_default());
    told.insert("conditions".into(), conditions(object, now).into());
    specification(&mut told, member);
    let of_events = happened.map(|found| found.lines(MOST_EVENTS, cluster));
    let mut below: Vec<String> = owned
        .members
        .iter()
        .filter(|dependent| !dependent.member.is("apps", "controllerrevisions"))
        .map(|dependent| line(&dependent.member))
        .collect();
    if below.len() > MOST_DEPENDENTS {
        let more = below.len() - MOST_DEPENDENTS;
        below.truncate(MOST_DEPENDENTS);
        below.push(format!("and {more} more: see kubernetes_get_resource_tree"));
    }
    told.insert("dependents".into(), below.into());
    told.insert(
        "events".into(),
        match of_events {
            Ok(lines) => lines.into(),
            Err(_) => json!(["could not be read"]),
        },
    );
    told.retain(|_, value| !matches!(value, Value::Null) && *value != json!("") && *value != json!([]));
    Ok(Value::Object(told))
}

/// `Pod/web-1 0/1 CrashLoopBackOff, 3 restarts: back-off 40s`.
fn line(member: &Member) -> String {
    let state = State::of(&member.object);
    let mut line = format!("{} {}", member.title(), state.line());
    if let Some(reason) = state.reason {
        line.push_str(": ");
        line.push_str(&reason);
    }
    line.trim_end().to_owned()
}

fn conditions(object: &Value, now: jiff::Timestamp) -> Vec<String> {
    let conditions = pointer::list(object, "/status/conditions");
    let text = |condition: &Value, name: &str| condition.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
    conditions
        .iter()
        .map(|condition| {
            let mut line = format!("{}={}", text(condition, "type"), text(condition, "status"));
            for (separator, name) in [(" ", "reason"), (": ", "message")] {
                let text = text(condition, name);
                if !text.is_empty() {
                    line.push_str(separator);
                    line.push_str(&text);
                }
            }
            if let Ok(since) = text(condition, "lastTransitionTime").parse() {
                line.push_str(&format!(" (for {})", ages::between(since, now)));
            }
            line
        })
        .collect()
}

/// What is wanted of an object: containers where it has some, data where it holds data, its `spec` otherwise.
fn specification(told: &mut Map<String, Value>, member: &Member) {
    let object = &member.object;
    let is_pod = member.is("", "pods");
    let template = object.pointer("/spec/template/spec").or(object.pointer("/spec/jobTemplate/spec/template/spec"));
    let pod = if is_pod { object.get("spec") } else { template.filter(|spec| spec.get("containers").is_some()) };
    if let Some(pod) = pod {
        let mut of_pod = Map::new();
        for name in OF_PODS {
            of_pod.extend(pod.get(name).map(|value| (name.to_owned(), value.clone())));
        }
        if is_pod {
            let status = object.get("status").unwrap_or(&Value::Null);
            for name in ["podIP", "hostIP", "qosClass"] {
                of_pod.extend(status.get(name).map(|value| (name.to_owned(), value.clone())));
            }
        }
        told.insert("pod".into(), of_pod.into());
        for (heading, name, states) in [
            ("init_containers", "initContainers", "/status/initContainerStatuses"),
            ("containers", "containers", "/status/containerStatuses"),
        ] {
            let states = object.pointer(states);
            let containers = pod.get(name).and_then(Value::as_array);
            let containers: Vec<Value> =
                containers.into_iter().flatten().map(|container| of_container(container, states)).collect();
            told.insert(heading.into(), containers.into());
        }
        told.insert("volumes".into(), volumes(pod).into());
    }
    for (name, value) in object.as_object().into_iter().flatten() {
        match (name.as_str(), value) {
            ("apiVersion" | "kind" | "metadata", _) => {}
            ("spec", Value::Object(spec)) if pod.is_some() => {
                let is_left = |name: &String| !is_pod && name != "template" && name != "jobTemplate";
                let left: Map<String, Value> = spec
                    .iter()
                    .filter(|(name, _)| is_left(name))
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                told.insert("spec".into(), if left.is_empty() { Value::Null } else { left.into() });
            }
            ("status", Value::Object(status)) => {
                let is_left = |name: &String| name != "conditions" && pod.is_none();
                let left: Map<String, Value> = status
                    .iter()
                    .filter(|(name, _)| is_left(name))
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                told.insert("status".into(), if left.is_empty() { Value::Null } else { left.into() });
            }
            (name, value) => {
                told.insert(name.to_owned(), value.clone());
            }
        }
    }
}

fn of_container(container: &Value, states: Option<&Value>) -> Value {
    let name = container.get("name").unwrap_or(&Value::Null);
    let state = states.and_then(Value::as_array).and_then(|states| states.iter().find(|state| &state["name"] == name));
    let mut told = Map::new();
    for (heading, pointer) in [("name", "/name"), ("image", "/image"), ("command", "/command"), ("args", "/args")] {
        told.extend(container.pointer(pointer).map(|value| (heading.to_owned(), value.clone())));
    }
    if let Some(state) = state {
        told.insert("ready".into(), state["ready"].clone());
        told.insert("restarts".into(), state["restartCount"].clone());
        told.insert("state".into(), container_state(state.get("state")).into());
        told.insert("last_state".into(), container_state(state.get("lastState")).into());
    }
    let ports = container.get("ports").and_then(Value::as_array);
    let ports: Vec<String> = ports.into_iter().flatten().map(|port| port["containerPort"].to_string()).collect();
    told.insert("ports".into(), ports.into());
    for (heading, pointer) in [("requests", "/resources/requests"), ("limits", "/resources/limits")] {
        told.insert(heading.into(), pairs(container.pointer(pointer)).into());
    }
    for (heading, name) in [("readiness", "readinessProbe"), ("liveness", "livenessProbe"), ("startup", "startupProbe")]
    {
        told.insert(heading.into(), probe(container.get(name)).into());
    }
    let env = container.get("env").and_then(Value::as_array);
    let env: Vec<String> = env.into_iter().flatten().map(variable).collect();
    told.insert("env".into(), env.into());
    told.retain(|_, value| !matches!(value, Value::Null) && *value != json!("") && *value != json!([]));
    Value::Object(told)
}

/// `running since …`, `terminated OOMKilled exit 137 at …`.
fn container_state(state: Option<&Value>) -> Option<String> {
    let (name, state) = state?.as_object()?.iter().next()?;
    let mut words = vec![name.clone()];
    words.extend(state.get("reason").and_then(Value::as_str).map(str::to_owned));
    words.extend(state.get("exitCode").map(|code| format!("exit {code}")));
    let text = |name: &str| state.get(name).and_then(Value::as_str);
    words.extend(text("finishedAt").map(|at| format!("at {at}")).or(text("startedAt").map(|at| format!("since {at}"))));
    words.extend(text("message").map(|message| format!("({})", message.trim())));
    Some(words.join(" "))
}

/// `GET :http/healthz every 10s`.
fn probe(probe: Option<&Value>) -> Option<String> {
    let probe = probe?;
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let check = if let Some(get) = probe.get("httpGet") {
        format!("GET :{}{}", plain(&get["port"]), get["path"].as_str().unwrap_or("/"))
    } else if let Some(port) = probe.pointer("/tcpSocket/port") {
        format!("TCP :{}", plain(port))
    } else if let Some(port) = probe.pointer("/grpc/port") {
        format!("gRPC :{port}")
    } else if let Some(command) = probe.pointer("/exec/command").and_then(Value::as_array) {
        command.iter().map(plain).collect::<Vec<_>>().join(" ")
    } else {
        return None;
    };
    Some(format!("{check} every {}s", probe.get("periodSeconds").and_then(Value::as_u64).unwrap_or(10)))
}

/// `LOG_LEVEL=info`, `PASSWORD from secret database/password`.
fn variable(variable: &Value) -> String {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = text(variable, "name");
    match variable.get("valueFrom").and_then(Value::as_object).and_then(|from| from.iter().next()) {
        Some((source, from)) => {
            let source = source.trim_end_matches("KeyRef").trim_end_matches("Ref").to_lowercase();
            let place = [text(from, "name"), text(from, "key"), text(from, "fieldPath"), text(from, "resource")];
            let place: Vec<String> = place.into_iter().filter(|part| !part.is_empty()).collect();
            format!("{name} from {source} {}", place.join("/"))
        }
        None => format!("{name}={}", text(variable, "value")),
    }
}

fn volumes(pod: &Value) -> Vec<String> {
    let volumes = pod.get("volumes").and_then(Value::as_array);
    volumes
        .into_iter()
        .flatten()
        .filter_map(|volume| {
            let name = volume.get("name")?.as_str()?;
            let (source, from) = volume.as_object()?.iter().find(|(name, _)| *name != "name")?;
            if name.starts_with("kube-api-access-") {
                return None;
            }
            let from =
                ["claimName", "secretName", "name", "path", "driver"].iter().find_map(|key| from.get(*key)?.as_str());
            Some(format!("{name}: {source} {}", from.unwrap_or_default()).trim_end().to_owned())
        })
        .collect()
}

/// `app=web, tier=a`, without what kubectl leaves behind.
fn pairs(map: Option<&Value>) -> String {
    let pairs = map.and_then(Value::as_object).into_iter().flatten();
    let pairs = pairs.filter(|(name, _)| *name != LAST_APPLIED);
    let pairs = pairs.map(|(name, value)| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let short: String = text.chars().take(LONGEST_ANNOTATION).collect();
        let cut = if short.len() < text.len() { "…" } else { "" };
        format!("{name}={short}{cut}")
    });
    pairs.collect::<Vec<_>>().join(", ")
}
