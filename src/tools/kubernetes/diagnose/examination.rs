//! Looking at one object and at what belongs to it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::model::{
    Autoscaler, Claim, Condition, ContainerStatus, CronJob, EndpointSlice, Job, Named, Node, Pod, Service,
    StorageClass, Workload, condition,
};
use super::super::pointer;
use super::super::selector::has_all;
use super::evidence::{self, LogTail};
use super::read::all;
use super::resource::Finding;
use super::revisions;
use super::trouble::{Severity, Trouble, shortened};
use super::{references, rules};
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Kind, Refused, Request};
use crate::error::{Error, Result};
use crate::tools::ages::at;

/// Pods of one workload whose events and logs are looked at.
const MOST_PODS: usize = 5;

/// Events that are shown.
const MOST_EVENTS: usize = 15;

/// Logs that are shown.
const MOST_LOGS: usize = 3;

/// A container whose log may say more.
struct Failing {
    pod: String,
    container: String,
    restarted: bool,
}

/// What was seen so far.
pub(super) struct Examination<'a> {
    pub(super) cluster: &'a Kubernetes,
    pub(super) namespace: Option<&'a str>,
    pub(super) findings: Vec<Finding>,
    pub(super) conditions: Vec<String>,
    pub(super) terminations: Vec<String>,
    pub(super) changes: Vec<String>,
    pub(super) notes: Vec<String>,
    /// Kind and name of all whose events are of interest.
    subjects: Vec<(String, String)>,
    failing: Vec<Failing>,
}

impl<'a> Examination<'a> {
    pub(super) fn new(cluster: &'a Kubernetes, namespace: Option<&'a str>) -> Self {
        Self {
            cluster,
            namespace,
            findings: Vec::new(),
            conditions: Vec::new(),
            terminations: Vec::new(),
            changes: Vec::new(),
            notes: Vec::new(),
            subjects: Vec::new(),
            failing: Vec::new(),
        }
    }

    /// Looks at an object of any kind.
    pub(super) async fn object(&mut self, kind: &Kind, object: &Value) -> Result<()> {
        let name = pointer::text(object, "/metadata/name");
        self.subjects.push((kind.kind.clone(), name.to_owned()));
        self.note_conditions(object);
        match (kind.group.as_str(), kind.plural.as_str()) {
            ("", "pods") => {
                let pod = self.typed::<Pod>(object)?;
                self.pod(&pod);
                self.surroundings(&pod, object).await
            }
            ("apps", "deployments" | "statefulsets" | "daemonsets" | "replicasets") => {
                self.workload(kind, &self.typed::<Workload>(object)?).await
            }
            ("batch", "jobs") => self.job(&self.typed::<Job>(object)?).await,
            ("batch", "cronjobs") => self.cron_job(&self.typed::<CronJob>(object)?).await,
            ("", "nodes") => self.node(&self.typed::<Node>(object)?).await,
            ("", "persistentvolumeclaims") => self.claim(&self.typed::<Claim>(object)?).await,
            ("", "services") => self.service(&self.typed::<Service>(object)?).await,
            ("networking.k8s.io", "ingresses") => references::ingress(self, object).await,
            ("autoscaling", "horizontalpodautoscalers") => {
                let autoscaler = self.typed::<Autoscaler>(object)?;
                self.add("HorizontalPodAutoscaler", name, rules::autoscaler(&autoscaler));
                Ok(())
            }
            _ => {
                self.unknown(kind, name, object);
                Ok(())
            }
        }
    }

    /// Adds what is wrong with something.
    pub(super) fn add(&mut self, kind: &str, name: &str, troubles: impl IntoIterator<Item = Trouble>) {
        for trouble in troubles {
            self.findings.push(Finding {
                severity: trouble.severity,
                problem: trouble.problem,
                object: format!("{kind} {name}"),
                what: self.cluster.redact_text(&trouble.what).into_owned(),
                evidence: trouble.evidence,
                since: trouble.since.map(at),
                next: trouble.next,
            });
        }
    }

    /// What was read; a refusal becomes a note.
    pub(super) fn readable<T>(&mut self, what: &str, found: Result<T, Refused>) -> Result<Option<T>> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(Refused::Status(status)) => {
                self.notes.push(format!("{what} could not be looked at: {}.", status.message));
                Ok(None)
            }
            Err(other) => Err(other.into()),
        }
    }

    fn typed<T: DeserializeOwned>(&self, object: &Value) -> Result<T> {
        T::deserialize(object).map_err(|error| Error::Backend {
            backend: format!("kubernetes/{}", self.cluster.name()),
            status: 200,
            message: format!("the object is not what its API promises ({error})"),
        })
    }

    async fn read<T>(&mut self, group: &str, plural: &str, labels: &str) -> Result<Option<Vec<T>>>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let found = all(self.cluster, group, plural, self.namespace, labels).await;
        self.readable(plural, found)
    }

    fn note_conditions(&mut self, object: &Value) {
        for found in condition::of(object) {
            let since = found.last_transition_time.map(|time| format!(" since {}", at(time))).unwrap_or_default();
            let reason = if found.reason.is_empty() { String::new() } else { format!(" ({})", found.reason) };
            let message = if found.message.is_empty() {
                String::new()
            } else {
                format!(": {}", shortened(&self.cluster.redact_text(&found.message), 160))
            };
            self.conditions.push(format!("{}={}{reason}{since}{message}", found.kind, found.status));
        }
    }

    fn pod(&mut self, pod: &Pod) {
        let name = &pod.metadata.name;
        self.add("Pod", name, rules::pod(pod, self.cluster.context.now));
        let containers = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
        for container in containers {
            self.termination(name, container);
            let ended = container.state.terminated.as_ref().is_some_and(|ended| ended.exit_code != 0);
            let crashed = container.state.waiting.is_some() && container.restart_count > 0;
            let unready = container.state.running.is_some() && !container.ready;
            if ended || crashed || unready {
                let (pod, container, restarted) = (name.clone(), container.name.clone(), crashed);
                self.failing.push(Failing { pod, container, restarted });
            }
        }
    }

    fn termination(&mut self, pod: &str, container: &ContainerStatus) {
        let last = container.state.terminated.as_ref().or(container.last_state.terminated.as_ref());
        let Some(last) = last.filter(|last| last.exit_code != 0) else { return };
        let finished = last.finished_at.map(|finished| format!(" at {}", at(finished))).unwrap_or_default();
        let message = shortened(&self.cluster.redact_text(&last.message), 200);
        let message = if message.is_empty() { message } else { format!(": {message}") };
        self.terminations.push(format!(
            "{pod}/{}: {} (exit code {}){finished}, {} restarts{message}",
            container.name, last.reason, last.exit_code, container.restart_count
        ));
    }

    /// Node, claims and configuration of a pod.
    async fn surroundings(&mut self, pod: &Pod, object: &Value) -> Result<()> {
        if !pod.spec.node_name.is_empty() {
            let kinds = self.cluster.kinds().await?;
            if let Some(kind) = kinds.built_in("", "nodes") {
                let found = self.cluster.object::<Node>(kind, None, &pod.spec.node_name).await;
                if let Some(node) = self.readable("its node", found)? {
                    self.add("Node", &node.metadata.name, rules::node(&node));
                }
            }
        }
        let waits = ["Unschedulable", "ContainerCreating", "CreateContainerConfigError"];
        if self.findings.iter().any(|finding| waits.contains(&finding.problem.as_str())) {
            references::pod(self, object).await?;
        }
        if let Some(owner) = pod.metadata.controller() {
            self.subjects.push((owner.kind.clone(), owner.name.clone()));
        }
        Ok(())
    }

    async fn workload(&mut self, kind: &Kind, workload: &Workload) -> Result<()> {
        let name = &workload.metadata.name;
        let labels = workload.spec.selector.query().unwrap_or_default();
        let mut owners = vec![workload.metadata.uid.clone()];
        if kind.plural == "deployments" {
            let found = revisions::replica_sets(self.cluster, self.namespace, &workload.metadata.uid, &labels).await;
            if let Some(sets) = self.readable("its ReplicaSets", found)? {
                self.changes.extend(revisions::changes(&sets));
                owners.extend(sets.iter().map(|set| set.metadata.uid.clone()));
                let newest = sets.first().map(|set| set.metadata.name.clone());
                self.subjects.extend(newest.map(|name| ("ReplicaSet".to_owned(), name)));
            }
        } else if kind.plural != "replicasets"
            && let Some(found) = self.read::<Named>("apps", "controllerrevisions", &labels).await?
        {
            let own = found.iter().map(|found| &found.metadata).filter(|found| found.is_of(&owners));
            let newest = own.filter_map(|found| found.creation_timestamp).max();
            self.changes.extend(newest.map(|newest| format!("its template was last changed {}", at(newest))));
        }
        let pods = self.read::<Pod>("", "pods", &labels).await?;
        let mut pods = pods.unwrap_or_default();
        pods.retain(|pod| pod.metadata.is_of(&owners));
        let unready = pods.iter().filter_map(rules::unready_since).min();
        let trouble = match kind.plural.as_str() {
            "deployments" => rules::deployment(workload, unready),
            "daemonsets" => rules::daemon_set(workload, unready),
            _ => rules::stateful_set(workload, unready),
        };
        self.add(&kind.kind, name, trouble);
        self.pods(&pods);
        Ok(())
    }

    /// Looks at pods: those with the same problem become one finding.
    fn pods(&mut self, pods: &[Pod]) {
        let now = self.cluster.context.now;
        let mut seen = BTreeMap::<String, (usize, usize)>::new();
        let mut looked_at = 0;
        for pod in pods {
            let troubles = rules::pod(pod, now);
            let is_new = troubles.iter().any(|trouble| !seen.contains_key(&trouble.problem));
            if !troubles.is_empty() && (is_new || looked_at < MOST_PODS) {
                looked_at += 1;
                self.subjects.push(("Pod".into(), pod.metadata.name.clone()));
            }
            if is_new {
                let before = self.findings.len();
                self.pod(pod);
                for (place, finding) in self.findings.iter().enumerate().skip(before) {
                    seen.entry(finding.problem.clone()).or_insert((place, 0));
                }
            }
            for trouble in troubles {
                if let Some((_, count)) = seen.get_mut(&trouble.problem) {
                    *count += 1;
                }
            }
        }
        for (place, count) in seen.into_values().filter(|(_, count)| *count > 1) {
            let what = &mut self.findings[place].what;
            *what = format!("{what} (and {} more of {} pods)", count - 1, pods.len());
        }
    }

    async fn job(&mut self, job: &Job) -> Result<()> {
        self.add("Job", &job.metadata.name, rules::job(job));
        let labels = format!("batch.kubernetes.io/job-name={}", job.metadata.name);
        let pods = self.read::<Pod>("", "pods", &labels).await?;
        let mut pods = pods.unwrap_or_default();
        // The newest says most.
        pods.sort_by_key(|pod| std::cmp::Reverse(pod.metadata.creation_timestamp));
        self.pods(&pods);
        Ok(())
    }

    async fn cron_job(&mut self, cron_job: &CronJob) -> Result<()> {
        let name = &cron_job.metadata.name;
        self.add("CronJob", name, rules::cron_job(cron_job));
        if cron_job.spec.suspend {
            self.add("CronJob", name, [suspended()]);
        }
        let jobs = self.read::<Job>("batch", "jobs", "").await?;
        let mut jobs = jobs.unwrap_or_default();
        jobs.retain(|job| job.metadata.is_of(&[&cron_job.metadata.uid]));
        if let Some(last) = jobs.iter().max_by_key(|job| job.metadata.creation_timestamp) {
            self.subjects.push(("Job".into(), last.metadata.name.clone()));
            self.job(last).await?;
        }
        Ok(())
    }

    async fn node(&mut self, node: &Node) -> Result<()> {
        let name = &node.metadata.name;
        self.add("Node", name, rules::node(node));
        let kinds = self.cluster.kinds().await?;
        let Some(kind) = kinds.built_in("", "pods") else { return Ok(()) };
        let request = Request::get(kind.path(None)?).query("fieldSelector", format!("spec.nodeName={name}"));
        let found = self.cluster.list_with_secrets::<Pod>(request).await;
        let Some(pods) = self.readable("its pods", found)? else { return Ok(()) };
        let now = self.cluster.context.now;
        let broken: Vec<_> = pods.iter().filter(|pod| !rules::pod(pod, now).is_empty()).collect();
        if broken.is_empty() {
            return Ok(());
        }
        let mut names: Vec<_> = broken.iter().map(|pod| pod.metadata.full_name()).collect();
        names.truncate(MOST_PODS);
        self.add(
            "Node",
            name,
            [Trouble {
                severity: Severity::Info,
                problem: "BrokenPods".into(),
                since: None,
                what: format!("{} of its {} pods are not well, such as {}", broken.len(), pods.len(), names.join(", ")),
                evidence: "status of the pods with its name in spec.nodeName".into(),
                next: "diagnose one of them; where they have little in common, the node may be the cause".into(),
            }],
        );
        Ok(())
    }

    /// Looks at a claim.
    pub(super) async fn claim(&mut self, claim: &Claim) -> Result<()> {
        let classes = self.read::<StorageClass>("storage.k8s.io", "storageclasses", "").await?;
        let trouble = rules::claim(claim, classes.as_deref());
        if trouble.is_none() && claim.status.phase == "Pending" {
            self.notes.push("It waits for its first pod, as its storage class wants.".into());
        }
        self.add("PersistentVolumeClaim", &claim.metadata.name, trouble);
        Ok(())
    }

    /// Looks at a service and the pods behind it.
    pub(super) async fn service(&mut self, service: &Service) -> Result<()> {
        let name = &service.metadata.name;
        let labels = format!("kubernetes.io/service-name={name}");
        let slices = self.read::<EndpointSlice>("discovery.k8s.io", "endpointslices", &labels).await?;
        let pods = self.read::<Pod>("", "pods", "").await?;
        let selected: Option<Vec<&Pod>> = pods
            .as_ref()
            .map(|pods| pods.iter().filter(|pod| has_all(&pod.metadata.labels, &service.spec.selector)).collect());
        if let Some(slices) = &slices {
            let slices: Vec<_> = slices.iter().collect();
            self.add("Service", name, rules::service(service, &slices, selected.as_deref()));
        }
        if service.spec.kind == "LoadBalancer" && service.status.load_balancer.ingress.is_empty() {
            self.add("Service", name, [no_address(service.metadata.creation_timestamp)]);
        }
        if !service.spec.selector.is_empty() {
            let selected: Vec<_> = selected.into_iter().flatten().cloned().collect();
            self.pods(&selected);
        }
        Ok(())
    }

    /// A kind without rules of its own is judged by the conditions that all kinds have.
    fn unknown(&mut self, kind: &Kind, name: &str, object: &Value) {
        let bad = |found: &Condition| {
            let good = ["Ready", "Available", "Healthy", "Synced", "Established", "Accepted", "Programmed"];
            let wrong = ["Failed", "Degraded", "Stalled"];
            good.contains(&found.kind.as_str()) && found.status == "False"
                || wrong.contains(&found.kind.as_str()) && found.status == "True"
        };
        let troubles: Vec<_> = condition::of(object)
            .into_iter()
            .filter(bad)
            .map(|found| Trouble {
                severity: Severity::Warning,
                problem: if found.reason.is_empty() { found.kind.clone() } else { found.reason.clone() },
                since: found.last_transition_time,
                what: shortened(&found.message, 240),
                evidence: format!("status.conditions[{}].status: {}", found.kind, found.status),
                next: "see its events, and the log of its controller".into(),
            })
            .collect();
        self.add(&kind.kind, name, troubles);
    }

    /// The events of all that was looked at; some of them are findings.
    pub(super) async fn events(&mut self, start: Timestamp) -> Vec<String> {
        let found = evidence::events(self.cluster, self.namespace, &self.subjects, start).await;
        let found = match found {
            Ok(found) => found,
            Err(refused) => {
                self.notes.push(format!("Events could not be looked at: {}.", Error::from(refused)));
                return Vec::new();
            }
        };
        // What was said of something that is well now is history.
        let is_troubled = self.findings.iter().any(|finding| finding.severity != Severity::Info);
        let severity = if is_troubled { Severity::Warning } else { Severity::Info };
        let mut told = Vec::new();
        for event in found.iter().filter(|event| event.level == "Warning") {
            let Some(next) = next_step(&event.reason) else { continue };
            if told.contains(&(&event.reason, &event.involved_object.kind)) {
                continue;
            }
            told.push((&event.reason, &event.involved_object.kind));
            let (kind, name) = (&event.involved_object.kind, &event.involved_object.name);
            let last = event.last().map(at).unwrap_or_default();
            let trouble = Trouble {
                severity,
                problem: event.reason.clone(),
                since: None,
                what: shortened(&event.message, 240),
                evidence: format!("event {} of {kind} {name}, {} times, last {last}", event.reason, event.count()),
                next: next.into(),
            };
            self.add(kind, name, [trouble]);
        }
        found.iter().take(MOST_EVENTS).map(|event| evidence::line(event, self.cluster)).collect()
    }

    /// The ends of the logs of containers that fail.
    pub(super) async fn logs(&mut self) -> Vec<LogTail> {
        let mut tails = Vec::new();
        let Some(namespace) = self.namespace else { return tails };
        for failing in self.failing.iter().take(MOST_LOGS) {
            let Failing { pod, container, restarted } = failing;
            match evidence::log(self.cluster, namespace, pod, container, *restarted).await {
                Ok(tail) if !tail.tail.is_empty() => tails.push(tail),
                Ok(_) => {}
                Err(refused) => {
                    self.notes.push(format!("The log of {pod}/{container} is not here: {}.", Error::from(refused)));
                }
            }
        }
        tails
    }
}

fn suspended() -> Trouble {
    Trouble {
        severity: Severity::Info,
        problem: "Suspended".into(),
        since: None,
        what: "makes no Jobs".into(),
        evidence: "spec.suspend: true".into(),
        next: "set it to false when it should run again".into(),
    }
}

fn no_address(since: Option<Timestamp>) -> Trouble {
    Trouble {
        severity: Severity::Warning,
        problem: "NoAddress".into(),
        since,
        what: "the load balancer has given it no address".into(),
        evidence: "status.loadBalancer.ingress: none".into(),
        next: "see its events, and whether the cluster has a controller for load balancers".into(),
    }
}

/// What to do about an event that fields do not tell of.
fn next_step(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "FailedCreate" => "see quotas, limit ranges, service account and admission webhooks of the namespace",
        "FailedMount" | "FailedAttachVolume" => "see whether the volume, ConfigMap or Secret exists and is free",
        "FailedCreatePodSandBox" => "see the network plugin of the node",
        "Unhealthy" => "see what the probe asks, and what the container answers",
        "ProvisioningFailed" | "FailedBinding" => "see the storage class and its provisioner",
        "FailedGetResourceMetric" | "FailedGetScale" => "see whether metrics are served and the target exists",
        "SyncLoadBalancerFailed" => "see the controller for load balancers",
        _ => return None,
    })
}
