//! Everything that is broken.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::model::{
    Autoscaler, Claim, CronJob, EndpointSlice, Job, Metadata, Node, Pod, Service, StorageClass, Workload,
};
use super::super::selector::has_all;
use super::read::{all, check_namespace_exists};
use super::rules;
use super::trouble::{Severity, Trouble};
use crate::answers::Row;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::Refused;
use crate::error::Result;
use crate::toolkit::args::{Cursor, Instances, Limit, MaxTokens, Span};
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool};
use crate::tools::ages::at;

/// Finds everything broken in a namespace, cluster or fleet, worst first.
///
/// Pods of one workload with the same problem are one row. Use `kubernetes_diagnose_resource` for why one is not well.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct GetUnhealthyResources {
    /// One cluster by name, several, or `"*"` for all.
    cluster: Option<Instances>,
    /// Only this namespace; all that may be listed when absent.
    namespace: Option<String>,
    /// What to look at: pods, workloads, jobs, nodes, claims, autoscalers, services. All when absent.
    #[serde(default)]
    kinds: Vec<Part>,
    /// Ignore trouble younger than this, for example `30s` or `10m`.
    #[serde(default = "two_minutes")]
    min_age: Span,
    /// Rows per page, at most 500.
    #[serde(default)]
    limit: Limit<50, 500>,
    /// Position from the previous answer.
    cursor: Option<Cursor>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Part {
    Pods,
    Workloads,
    Jobs,
    Nodes,
    Claims,
    Autoscalers,
    Services,
}

fn two_minutes() -> Span {
    Span::seconds(120)
}

/// Something broken.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Broken {
    severity: Severity,
    kind: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    namespace: String,
    name: String,
    /// One word for it.
    problem: String,
    /// When it began, as far as is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// What is seen, and what to do.
    hint: String,
}

impl FanOut for GetUnhealthyResources {}

impl Tool for GetUnhealthyResources {
    const NAME: &str = "kubernetes_get_unhealthy_resources";
    const POLICY: Policy = Policy::read(Permission::ClusterRead).heavy().cached(15).by_default();
    type Backend = Kubernetes;
    type Output = Listing<Broken>;

    async fn call(self, cluster: &Kubernetes) -> Result<Listing<Broken>> {
        let mut scan = Scan::new(&self, cluster);
        let read = Box::pin(self.read(cluster)).await;
        scan.judge(read)?;
        if scan.found.is_empty()
            && let Some(namespace) = &self.namespace
        {
            check_namespace_exists(cluster, namespace).await?;
        }
        Ok(scan.listing())
    }
}

type Found<T> = Option<Result<Vec<T>, Refused>>;

/// What was read; nothing of what was not asked for.
struct Objects {
    pods: Found<Pod>,
    deployments: Found<Workload>,
    stateful_sets: Found<Workload>,
    daemon_sets: Found<Workload>,
    jobs: Found<Job>,
    cron_jobs: Found<CronJob>,
    nodes: Found<Node>,
    claims: Found<Claim>,
    classes: Found<StorageClass>,
    autoscalers: Found<Autoscaler>,
    services: Found<Service>,
    slices: Found<EndpointSlice>,
}

impl GetUnhealthyResources {
    fn wants(&self, part: Part) -> bool {
        match part {
            // A namespace has no nodes, but who names them gets them.
            Part::Nodes if self.kinds.is_empty() => self.namespace.is_none(),
            part => self.kinds.is_empty() || self.kinds.contains(&part),
        }
    }

    async fn read(&self, cluster: &Kubernetes) -> Objects {
        let (workloads, jobs) = (self.wants(Part::Workloads), self.wants(Part::Jobs));
        let (claims, services) = (self.wants(Part::Claims), self.wants(Part::Services));
        let pods = self.wants(Part::Pods) || workloads || services;
        let (pods, deployments, stateful_sets, daemon_sets, jobs, cron_jobs) = tokio::join!(
            self.list(cluster, pods, "", "pods"),
            self.list(cluster, workloads, "apps", "deployments"),
            self.list(cluster, workloads, "apps", "statefulsets"),
            self.list(cluster, workloads, "apps", "daemonsets"),
            self.list(cluster, jobs, "batch", "jobs"),
            self.list(cluster, jobs, "batch", "cronjobs"),
        );
        let (nodes, claims, classes, autoscalers, services, slices) = tokio::join!(
            self.list(cluster, self.wants(Part::Nodes), "", "nodes"),
            self.list(cluster, claims, "", "persistentvolumeclaims"),
            self.list(cluster, claims, "storage.k8s.io", "storageclasses"),
            self.list(cluster, self.wants(Part::Autoscalers), "autoscaling", "horizontalpodautoscalers"),
            self.list(cluster, services, "", "services"),
            self.list(cluster, services, "discovery.k8s.io", "endpointslices"),
        );
        Objects {
            pods,
            deployments,
            stateful_sets,
            daemon_sets,
            jobs,
            cron_jobs,
            nodes,
            claims,
            classes,
            autoscalers,
            services,
            slices,
        }
    }

    async fn list<T>(&self, cluster: &Kubernetes, wanted: bool, group: &str, plural: &str) -> Found<T>
    where
        T: DeserializeOwned + Send + 'static,
    {
        if !wanted {
            return None;
        }
        Some(all(cluster, group, plural, self.namespace.as_deref(), "").await)
    }
}

/// The search of one cluster.
struct Scan<'a> {
    tool: &'a GetUnhealthyResources,
    cluster: &'a Kubernetes,
    now: Timestamp,
    found: Vec<(Broken, usize)>,
    /// Troubles of pods by namespace, owner and problem: where their row is.
    groups: HashMap<(String, String, String), usize>,
    /// Troubles that were left out since they are younger than wanted.
    young: usize,
    notes: Vec<String>,
    read: usize,
    refused: Option<Refused>,
}

impl<'a> Scan<'a> {
    fn new(tool: &'a GetUnhealthyResources, cluster: &'a Kubernetes) -> Self {
        let now = cluster.context.now;
        let (found, groups) = (Vec::new(), HashMap::new());
        Self { tool, cluster, now, found, groups, young: 0, notes: Vec::new(), read: 0, refused: None }
    }

    /// What was read, if it could be; a refusal becomes a note.
    fn take<T>(&mut self, what: &str, found: Found<T>) -> Result<Option<Vec<T>>> {
        match found {
            None => Ok(None),
            Some(Ok(items)) => {
                self.read += 1;
                Ok(Some(items))
            }
            Some(Err(Refused::Status(status))) => {
                let advice = if status.code == 403 && self.tool.namespace.is_none() {
                    "; name a namespace that you may read"
                } else {
                    ""
                };
                self.notes.push(format!("{what} were not looked at: {}{advice}.", status.message));
                self.refused.get_or_insert(Refused::Status(status));
                Ok(None)
            }
            Some(Err(other)) => Err(other.into()),
        }
    }

    fn judge(&mut self, read: Objects) -> Result<()> {
        let pods = self.take("pods", read.pods)?;
        let unready = unready(pods.as_deref().unwrap_or_default());
        let since = |kind: &'static str, object: &Metadata| {
            unready.get(&(object.namespace.as_str(), kind, object.name.as_str())).copied()
        };
        if self.tool.wants(Part::Pods) {
            for pod in pods.iter().flatten() {
                self.pod(pod);
            }
        }
        for object in self.take("deployments", read.deployments)?.iter().flatten() {
            let trouble = rules::deployment(object, since("Deployment", &object.metadata));
            self.add("Deployment", &object.metadata, trouble);
        }
        for object in self.take("statefulsets", read.stateful_sets)?.iter().flatten() {
            let trouble = rules::stateful_set(object, since("StatefulSet", &object.metadata));
            self.add("StatefulSet", &object.metadata, trouble);
        }
        for object in self.take("daemonsets", read.daemon_sets)?.iter().flatten() {
            let trouble = rules::daemon_set(object, since("DaemonSet", &object.metadata));
            self.add("DaemonSet", &object.metadata, trouble);
        }
        let cron_jobs = self.take("cronjobs", read.cron_jobs)?.unwrap_or_default();
        let jobs = self.take("jobs", read.jobs)?.unwrap_or_default();
        self.jobs(&jobs, &cron_jobs);
        for node in self.take("nodes", read.nodes)?.iter().flatten() {
            self.add("Node", &node.metadata, rules::node(node));
        }
        let classes = self.take("storageclasses", read.classes)?;
        for claim in self.take("persistentvolumeclaims", read.claims)?.iter().flatten() {
            self.add("PersistentVolumeClaim", &claim.metadata, rules::claim(claim, classes.as_deref()));
        }
        for object in self.take("horizontalpodautoscalers", read.autoscalers)?.iter().flatten() {
            self.add("HorizontalPodAutoscaler", &object.metadata, rules::autoscaler(object));
        }
        let slices = self.take("endpointslices", read.slices)?;
        if let (Some(services), Some(slices)) = (self.take("services", read.services)?, slices) {
            self.services(&services, &slices, pods.as_deref());
        }
        match self.refused.take() {
            Some(refused) if self.read == 0 => Err(refused.into()),
            _ => Ok(()),
        }
    }

    fn pod(&mut self, pod: &Pod) {
        let owner = pod.metadata.controller();
        let is_of_job = owner.is_some_and(|owner| owner.kind == "Job");
        if is_of_job && pod.status.phase == "Failed" {
            // The Job says whether that is trouble.
            return;
        }
        for trouble in rules::pod(pod, self.now) {
            if !self.is_old_enough(&trouble) {
                continue;
            }
            let owner = owner.map_or(&pod.metadata.name, |owner| &owner.uid).clone();
            let key = (pod.metadata.namespace.clone(), owner, trouble.problem.clone());
            if let Some(place) = self.groups.get(&key) {
                let (row, count) = &mut self.found[*place];
                *count += 1;
                row.since = row.since.take().min(trouble.since.map(at));
                continue;
            }
            self.groups.insert(key, self.found.len());
            self.push("Pod", &pod.metadata, trouble);
        }
    }

    fn jobs(&mut self, jobs: &[Job], cron_jobs: &[CronJob]) {
        let cron_jobs_by_uid: HashMap<_, _> = cron_jobs.iter().map(|job| (job.metadata.uid.as_str(), job)).collect();
        let mut told = Vec::new();
        for job in jobs {
            let Some(trouble) = rules::job(job) else { continue };
            let parent = job.metadata.controller().and_then(|owner| cron_jobs_by_uid.get(owner.uid.as_str()));
            // A later run went well.
            if let Some(parent) = parent {
                if parent.status.last_successful_time > trouble.since {
                    continue;
                }
                told.push(parent.metadata.uid.as_str());
            }
            self.add("Job", &job.metadata, Some(trouble));
        }
        for cron_job in cron_jobs.iter().filter(|cron_job| !told.contains(&cron_job.metadata.uid.as_str())) {
            self.add("CronJob", &cron_job.metadata, rules::cron_job(cron_job));
        }
    }

    fn services(&mut self, services: &[Service], slices: &[EndpointSlice], pods: Option<&[Pod]>) {
        let mut slices_of = HashMap::<_, Vec<_>>::new();
        for slice in slices {
            slices_of.entry((slice.metadata.namespace.as_str(), slice.service())).or_default().push(slice);
        }
        let mut pods_of = HashMap::<_, Vec<_>>::new();
        for pod in pods.unwrap_or_default() {
            pods_of.entry(pod.metadata.namespace.as_str()).or_default().push(pod);
        }
        for service in services {
            let (namespace, name) = (service.metadata.namespace.as_str(), service.metadata.name.as_str());
            let in_namespace = pods_of.get(namespace).into_iter().flatten().copied();
            let selected: Vec<_> =
                in_namespace.filter(|pod| has_all(&pod.metadata.labels, &service.spec.selector)).collect();
            let own = slices_of.get(&(namespace, name)).map_or(&[] as &[_], Vec::as_slice);
            self.add("Service", &service.metadata, rules::service(service, own, pods.map(|_| selected.as_slice())));
        }
    }

    fn add(&mut self, kind: &'static str, object: &Metadata, troubles: impl IntoIterator<Item = Trouble>) {
        for trouble in troubles {
            if self.is_old_enough(&trouble) {
                self.push(kind, object, trouble);
            }
        }
    }

    fn is_old_enough(&mut self, trouble: &Trouble) -> bool {
        let youngest = SignedDuration::try_from(self.tool.min_age.0).unwrap_or(SignedDuration::MAX);
        let is_old = trouble.since.is_none_or(|since| self.now.duration_since(since) >= youngest);
        self.young += usize::from(!is_old);
        is_old
    }

    fn push(&mut self, kind: &'static str, object: &Metadata, trouble: Trouble) {
        let hint = format!("{}; {}", trouble.what, trouble.next);
        let row = Broken {
            severity: trouble.severity,
            kind,
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            problem: trouble.problem,
            since: trouble.since.map(at),
            hint: self.cluster.redact_text(&hint).into_owned(),
        };
        self.found.push((row, 1));
    }

    fn listing(self) -> Listing<Broken> {
        let mut by_problem = BTreeMap::<String, usize>::new();
        let mut rows = Vec::with_capacity(self.found.len());
        for (mut row, count) in self.found {
            *by_problem.entry(row.problem.clone()).or_default() += count;
            if count > 1 {
                row.hint = format!("and {} more of the same workload; {}", count - 1, row.hint);
            }
            rows.push(row);
        }
        let mut by_problem: Vec<_> = by_problem.into_iter().collect();
        by_problem.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let counts: serde_json::Map<_, _> = by_problem.into_iter().map(|(name, count)| (name, count.into())).collect();
        let mut listing = Listing::new(rows).ordered(worst_first);
        listing.notes = self.notes;
        if self.young > 0 {
            let (young, age) = (self.young, self.tool.min_age);
            listing.notes.insert(0, format!("{young} troubles are younger than {age}; `min_age` 0s shows them."));
        } else if counts.is_empty() {
            listing.notes.insert(0, "Nothing is broken, as far as was looked at.".into());
        }
        if counts.is_empty() {
            return listing;
        }
        listing.fact("by_problem", json!(counts))
    }
}

/// Since when a workload has had a pod that is not ready, by namespace, kind and name.
fn unready(pods: &[Pod]) -> HashMap<(&str, &'static str, &str), Timestamp> {
    let mut found = HashMap::new();
    for pod in pods {
        let Some(owner) = pod.metadata.controller() else { continue };
        let (kind, name) = match owner.kind.as_str() {
            // A ReplicaSet is named after its Deployment and the hash of its template.
            "ReplicaSet" => ("Deployment", owner.name.rsplit_once('-').map_or("", |(name, _)| name)),
            "StatefulSet" => ("StatefulSet", owner.name.as_str()),
            "DaemonSet" => ("DaemonSet", owner.name.as_str()),
            _ => continue,
        };
        if let Some(since) = rules::unready_since(pod).filter(|_| !pod.is_ready()) {
            let earliest = found.entry((pod.metadata.namespace.as_str(), kind, name)).or_insert(since);
            *earliest = since.min(*earliest);
        }
    }
    found
}

fn worst_first(one: &Row, other: &Row) -> Ordering {
    let rank = |row: &Row| match row.get("severity").and_then(|severity| severity.as_str()) {
        Some("critical") => 0,
        Some("warning") => 1,
        _ => 2,
    };
    let text = |row: &Row, name: &str| row.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    rank(one)
        .cmp(&rank(other))
        .then_with(|| text(one, "since").cmp(&text(other, "since")))
        .then_with(|| text(one, "name").cmp(&text(other, "name")))
}
