//! A cluster at a glance.

use std::collections::BTreeMap;

use futures_util::future::join;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::diagnose::check_namespace_exists;
use super::super::model::{self, Demand, Event, Node, Usage, Workload};
use super::super::quantity::{self, percent};
use crate::answers::Row;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Refused, Request, segment};
use crate::error::Result;
use crate::toolkit::args::{Instances, MaxTokens};
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool};

/// What stands for a part that cannot be read.
const UNKNOWN: &str = "unknown";

/// Warnings count that were seen so long ago.
const WARNINGS_SINCE: SignedDuration = SignedDuration::from_hours(1);

/// Problems and namespaces shown at most.
const MOST_SHOWN: usize = 20;

/// Sums up health, capacity and trouble of one cluster or the fleet.
///
/// A row each, the worst first; parts that may not be read show as unknown. `kubernetes_get_unhealthy_resources` says
/// what exactly is broken.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct GetClusterOverview {
    /// One cluster by name, several, or `"*"` for all.
    cluster: Option<Instances>,
    /// Only pods, workloads and warnings of this namespace; all when absent.
    namespace: Option<String>,
    /// `full` adds namespaces and top problems.
    #[serde(default)]
    view: View,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum View {
    #[default]
    Table,
    Full,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Version {
    git_version: String,
}

/// A pod with what it takes of its node.
type Pod = model::Pod<Demand>;

/// Everything that was read, as far as it could be.
struct Parts {
    version: Option<Version>,
    failing: Option<Vec<String>>,
    nodes: Option<Vec<Node>>,
    pods: Option<Vec<Pod>>,
    workloads: Option<Vec<(&'static str, Workload)>>,
    warnings: Option<Vec<Event>>,
    usage: Option<(f64, f64)>,
    /// What could not be read, and why.
    refusals: Vec<(&'static str, String)>,
}

impl FanOut for GetClusterOverview {}

impl Tool for GetClusterOverview {
    const NAME: &str = "kubernetes_get_cluster_overview";
    const POLICY: Policy = Policy::read(Permission::ClusterRead).heavy().cached(30).by_default();
    type Backend = Kubernetes;
    type Output = Listing<Row>;

    async fn call(self, cluster: &Kubernetes) -> Result<Listing<Row>> {
        let parts = self.read(cluster).await?;
        let mut listing = Listing::new(vec![self.row(&parts, cluster)]).ordered(worst_first);
        for (part, reason) in &parts.refusals {
            listing.notes.push(format!("Unknown: {part} ({reason})."));
        }
        if self.view == View::Full {
            listing = listing.fact("namespaces", namespaces(&parts)).fact("problems", problems(&parts));
        }
        Ok(listing)
    }
}

impl GetClusterOverview {
    async fn read(&self, cluster: &Kubernetes) -> Result<Parts> {
        let mut refusals = Vec::new();
        let within = match &self.namespace {
            Some(namespace) => {
                let within = format!("/namespaces/{}", segment("namespace", namespace)?);
                check_namespace_exists(cluster, namespace).await?;
                within
            }
            None => String::new(),
        };
        // Where not even this can be read, nothing can, and the reason is the answer.
        let version = known("version", cluster.get(Request::get("/version")).await, &mut refusals)?;
        let events = Request::get(format!("/api/v1{within}/events")).query("fieldSelector", "type=Warning");
        let usage = Request::get(match &self.namespace {
            Some(_) => format!("/apis/metrics.k8s.io/v1beta1{within}/pods"),
            None => "/apis/metrics.k8s.io/v1beta1/nodes".to_owned(),
        });
        let path = |plural: &str| Request::get(format!("/apis/apps/v1{within}/{plural}"));
        let workloads = async {
            let mut all = Vec::new();
            for plural in ["deployments", "statefulsets", "daemonsets"] {
                let found: Vec<Workload> = cluster.list(path(plural)).await?;
                all.extend(found.into_iter().map(|workload| (plural, workload)));
            }
            Ok::<_, Refused>(all)
        };
        let ((failing, nodes, usage), (pods, workloads, warnings)) = join(
            async {
                tokio::join!(
                    checks(cluster),
                    cluster.list::<Node>(Request::get("/api/v1/nodes")),
                    listed::<Usage>(usage, cluster)
                )
            },
            async {
                tokio::join!(
                    cluster.list::<Pod>(Request::get(format!("/api/v1{within}/pods"))),
                    workloads,
                    cluster.list::<Event>(events)
                )
            },
        )
        .await;
        Ok(Parts {
            version,
            failing: known("health", failing, &mut refusals)?,
            nodes: known("nodes", nodes, &mut refusals)?,
            pods: known("pods", pods, &mut refusals)?,
            workloads: known("workloads", workloads, &mut refusals)?,
            warnings: known("warnings", warnings, &mut refusals)?,
            usage: known("cpu and memory used", usage, &mut refusals)?.map(|usage| used(&usage)),
            refusals,
        })
    }

    fn row(&self, parts: &Parts, cluster: &Kubernetes) -> Row {
        let mut row = Row::new();
        let mut trouble = 0;
        let health = parts.failing.as_ref().map(|failing| {
            trouble += failing.len();
            if failing.is_empty() { json!("ok") } else { json!(format!("failing: {}", failing.join(", "))) }
        });
        let nodes = parts.nodes.as_ref().map(|nodes| {
            let ready = nodes.iter().filter(|node| node.ready() == "yes").count();
            trouble += nodes.len() - ready;
            let cordoned = nodes.iter().filter(|node| node.is_cordoned()).count();
            let cordoned = if cordoned == 0 { String::new() } else { format!(", {cordoned} cordoned") };
            json!(format!("{ready}/{} ready{cordoned}", nodes.len()))
        });
        let pods = parts.pods.as_ref().map(|pods| json!(phases(pods)));
        let degraded = parts.workloads.as_ref().map(|workloads| {
            let degraded = workloads.iter().filter(|(_, workload)| is_degraded(workload)).count();
            trouble += degraded;
            json!(format!("{degraded} of {}", workloads.len()))
        });
        let now = cluster.context.now;
        let warnings = parts.warnings.as_ref().map(|all| json!(all.iter().filter(|one| is_recent(one, now)).count()));
        let requested = |resource: &str| {
            let (nodes, pods) = (parts.nodes.as_ref()?, parts.pods.as_ref()?);
            Some(percent(
                pods.iter().filter(|pod| pod.is_placed()).map(|pod| pod.requested(resource)).sum(),
                allocatable(nodes, resource),
            ))
        };
        let used = |resource: &str, pick: fn(&(f64, f64)) -> f64| {
            Some(percent(pick(parts.usage.as_ref()?), allocatable(parts.nodes.as_ref()?, resource)))
        };
        let mut put = |name: &str, value: Option<Value>| {
            row.insert(name.into(), value.unwrap_or_else(|| UNKNOWN.into()));
        };
        put("cluster", Some(cluster.name().into()));
        put("trouble", Some(trouble.into()));
        put("health", health);
        put("nodes", nodes);
        put("pods", pods);
        put("degraded", degraded);
        put("warnings", warnings);
        put("cpu_requested", requested("cpu"));
        put("cpu_used", used("cpu", |usage| usage.0));
        put("memory_requested", requested("memory"));
        put("memory_used", used("memory", |usage| usage.1));
        put("version", parts.version.as_ref().map(|version| json!(version.git_version)));
        if let Some(namespace) = &self.namespace {
            put("namespace", Some(json!(namespace)));
        }
        row
    }
}

fn is_recent(warning: &Event, now: Timestamp) -> bool {
    warning.last().is_some_and(|last| now.duration_since(last) <= WARNINGS_SINCE)
}

/// What was read; nothing, with a reason, where the API server refuses it. Anything else ends the call.
fn known<T>(
    part: &'static str,
    read: Result<T, Refused>,
    refusals: &mut Vec<(&'static str, String)>,
) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(Refused::Status(status)) => {
            let reason = match status.code {
                401 | 403 => "not permitted".to_owned(),
                404 => "not served there".to_owned(),
                503 => "its server does not answer".to_owned(),
                code => format!("answered {code}"),
            };
            refusals.push((part, reason));
            Ok(None)
        }
        Err(other) => Err(other.into()),
    }
}

async fn listed<T: DeserializeOwned>(request: Request, cluster: &Kubernetes) -> Result<Vec<T>, Refused> {
    Ok(cluster.get::<crate::backends::kubernetes::List<T>>(request).await?.items)
}

/// The checks of the API server that fail.
async fn checks(cluster: &Kubernetes) -> Result<Vec<String>, Refused> {
    let request = Request::get("/readyz").query("verbose", "").accept("*/*");
    match cluster.cluster().send(&request, &cluster.context).await {
        Ok(_) => Ok(Vec::new()),
        Err(Refused::Status(status)) if status.code == 500 => {
            let failing = status.message.split("[-]").skip(1);
            let names: Vec<String> =
                failing.filter_map(|rest| rest.split_whitespace().next()).map(str::to_owned).collect();
            Ok(if names.is_empty() { vec!["readyz".into()] } else { names })
        }
        Err(other) => Err(other),
    }
}

fn used(usage: &[Usage]) -> (f64, f64) {
    let amounts = usage.iter().flat_map(|one| {
        let own = std::iter::once(&one.usage);
        own.chain(one.containers.iter().map(|container| &container.usage))
    });
    let amount = |amounts, resource| quantity::of(amounts, resource).unwrap_or(0.0);
    amounts.fold((0.0, 0.0), |(cpu, memory), one| (cpu + amount(one, "cpu"), memory + amount(one, "memory")))
}

fn allocatable(nodes: &[Node], resource: &str) -> f64 {
    nodes.iter().map(|node| node.allocatable(resource)).sum()
}

fn phases(pods: &[Pod]) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for pod in pods {
        *counts.entry(pod.status.phase.as_str()).or_default() += 1;
    }
    if counts.is_empty() {
        return "none".into();
    }
    counts.iter().map(|(phase, count)| format!("{count} {phase}")).collect::<Vec<_>>().join(", ")
}

fn is_degraded(workload: &Workload) -> bool {
    let (ready, wanted) = workload.ready();
    ready < wanted
}

fn is_waiting(pod: &Pod) -> bool {
    pod.is_alive() && (pod.status.phase != "Running" || pod.status.container_statuses.iter().any(|one| !one.ready))
}

/// Pods and degraded workloads by namespace, those with most trouble first.
fn namespaces(parts: &Parts) -> Value {
    let mut counts = BTreeMap::<&str, [usize; 3]>::new();
    for pod in parts.pods.iter().flatten() {
        let count = counts.entry(&pod.metadata.namespace).or_default();
        count[0] += 1;
        count[1] += usize::from(is_waiting(pod) || pod.status.phase == "Failed");
    }
    for (_, workload) in parts.workloads.iter().flatten() {
        counts.entry(&workload.metadata.namespace).or_default()[2] += usize::from(is_degraded(workload));
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, [pods, unready, degraded])| std::cmp::Reverse((*degraded, *unready, *pods)));
    let row = |(namespace, [pods, unready, degraded]): (&str, [usize; 3])| json!({"namespace": namespace, "pods": pods, "not_ready": unready, "degraded": degraded});
    counts.into_iter().take(MOST_SHOWN).map(row).collect()
}

/// Nodes, workloads and pods in trouble, and what is warned of most.
fn problems(parts: &Parts) -> Value {
    let mut problems = Vec::new();
    for node in parts.nodes.iter().flatten().filter(|node| node.ready() != "yes") {
        problems.push(format!("node {}: ready is {}", node.metadata.name, node.ready()));
    }
    for (plural, workload) in parts.workloads.iter().flatten().filter(|(_, workload)| is_degraded(workload)) {
        let (ready, wanted) = workload.ready();
        let (name, kind) = (workload.metadata.full_name(), plural.trim_end_matches('s'));
        problems.push(format!("{name} ({kind}): {ready}/{wanted} ready"));
    }
    let mut reasons = BTreeMap::<&str, usize>::new();
    for pod in parts.pods.iter().flatten().filter(|pod| is_waiting(pod) || pod.status.phase == "Failed") {
        let waiting = pod.status.container_statuses.iter().find_map(|one| one.state.waiting.as_ref());
        let reason = match waiting {
            Some(waiting) => waiting.reason.as_str(),
            None if pod.status.reason.is_empty() => pod.status.phase.as_str(),
            None => pod.status.reason.as_str(),
        };
        *reasons.entry(reason).or_default() += 1;
    }
    problems.extend(reasons.into_iter().map(|(reason, count)| format!("{count} pods: {reason}")));
    let mut warned = BTreeMap::<(&str, &str), usize>::new();
    for warning in parts.warnings.iter().flatten() {
        *warned.entry((warning.metadata.namespace.as_str(), warning.reason.as_str())).or_default() += 1;
    }
    let mut warned: Vec<_> = warned.into_iter().collect();
    warned.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let room = MOST_SHOWN.saturating_sub(problems.len()).max(3);
    problems.truncate(MOST_SHOWN);
    problems.extend(
        warned
            .into_iter()
            .take(room)
            .map(|((namespace, reason), count)| format!("{count} warnings in {namespace}: {reason}")),
    );
    json!(problems)
}

/// Most trouble first; of equals, the one that warns more.
fn worst_first(one: &Row, other: &Row) -> std::cmp::Ordering {
    let key = |row: &Row| {
        let number = |name: &str| row.get(name).and_then(Value::as_u64).unwrap_or(0);
        (number("trouble"), number("warnings"))
    };
    key(other).cmp(&key(one))
}
