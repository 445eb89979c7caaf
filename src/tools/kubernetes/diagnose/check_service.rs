//! The way to a service, hop by hop.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::model::{EndpointSlice, Named, Pod, Service, ServicePort};
use super::super::selector::{self, has_all};
use super::policies::{End, PodPort, Policy as NetworkPolicy, Way};
use super::read::{all, object};
use super::{routes, rules};
use crate::backends::Kubernetes;
use crate::backends::kubernetes::Refused;
use crate::error::{Error, Result};
use crate::toolkit::args::MaxTokens;
use crate::toolkit::{Facts, Permission, Policy, Tool};

/// Pods that are told of one by one.
const MOST_PODS: usize = 5;

/// Follows a service from route to endpoints and names the broken hop.
///
/// Judges configuration only, no traffic is sent. Use `kubernetes_request_port` to try it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct CheckService {
    /// Name of the service.
    name: String,
    /// Name of the cluster; needed when several are configured.
    cluster: Option<String>,
    /// Namespace of the service.
    namespace: String,
    /// Who calls it, as namespace/kind/name, for example `shop/deploy/web`: judges network policies for it.
    from: Option<String>,
    /// Only this port, by name or number.
    port: Option<String>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// How it stands with a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum State {
    Ok,
    Broken,
    /// It may work, but does not look like it.
    Suspect,
    /// It may not be looked at.
    Unknown,
}

/// One hop of the way.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Hop {
    /// `route`, `service`, `port`, `endpoints`, `pods` or `policy`.
    hop: &'static str,
    state: State,
    /// What it is, and why it is so.
    reason: String,
}

/// The way to a service.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Chain {
    /// The hop that breaks it, in a sentence.
    verdict: String,
    hops: Vec<Hop>,
}

impl Tool for CheckService {
    const NAME: &str = "kubernetes_check_service";
    const POLICY: Policy = Policy::read(Permission::ClusterRead);
    type Backend = Kubernetes;
    type Output = Facts<Chain>;

    async fn call(self, cluster: &Kubernetes) -> Result<Facts<Chain>> {
        let kind = cluster.kind("services").await?;
        let from = match &self.from {
            Some(from) => Some(source(cluster, from).await?),
            None => None,
        };
        let service: Service = object(cluster, &kind, Some(&self.namespace), &self.name).await?;
        let ports = self.ports(&service)?;
        let mut check = Check { cluster, namespace: &self.namespace, hops: Vec::new() };
        check.routes(&service).await?;
        check.service(&service);
        if service.spec.kind != "ExternalName" {
            check.behind(&service, &ports, from.as_ref()).await?;
        }
        let chain = Chain { verdict: check.verdict(&self.name), hops: check.hops };
        let lines: Vec<_> = chain.hops.iter().map(Hop::line).collect();
        let text = cluster.redact_text(&format!("{}\n{}", chain.verdict, lines.join("\n"))).into_owned();
        Ok(Facts::new(chain).text(text))
    }
}

impl CheckService {
    fn ports<'a>(&self, service: &'a Service) -> Result<Vec<&'a ServicePort>> {
        let ports: Vec<_> = service.spec.ports.iter().collect();
        let Some(wanted) = &self.port else { return Ok(ports) };
        let named: Vec<_> =
            ports.iter().copied().filter(|port| port.name == *wanted || port.port.to_string() == *wanted).collect();
        if named.is_empty() {
            let known: Vec<_> = ports.iter().map(|port| port.shown()).collect();
            return Err(Error::BadArguments(format!(
                "port: the service has no `{}`; it has {}",
                wanted.escape_debug(),
                known.join(", ")
            )));
        }
        Ok(named)
    }
}

impl Hop {
    fn line(&self) -> String {
        let state = match self.state {
            State::Ok => "ok",
            State::Broken => "BROKEN",
            State::Suspect => "suspect",
            State::Unknown => "unknown",
        };
        format!("{}: {state}: {}", self.hop, self.reason)
    }
}

struct Check<'a> {
    cluster: &'a Kubernetes,
    namespace: &'a str,
    hops: Vec<Hop>,
}

impl Check<'_> {
    fn say(&mut self, hop: &'static str, state: State, reason: impl Into<String>) {
        let reason = self.cluster.redact_text(&reason.into()).into_owned();
        self.hops.push(Hop { hop, state, reason });
    }

    /// What was read; a refusal makes the hop unknown.
    fn readable<T>(&mut self, hop: &'static str, found: Result<T, Refused>) -> Result<Option<T>> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(Refused::Status(status)) => {
                self.say(hop, State::Unknown, status.message);
                Ok(None)
            }
            Err(other) => Err(other.into()),
        }
    }

    async fn routes(&mut self, service: &Service) -> Result<()> {
        let before = self.hops.len();
        let ingresses = all::<Value>(self.cluster, "networking.k8s.io", "ingresses", Some(self.namespace), "").await;
        for ingress in self.readable("route", ingresses)?.iter().flatten() {
            for (state, reason) in routes::of_ingress(ingress, service) {
                self.say("route", state, reason);
            }
        }
        let routes =
            all::<Value>(self.cluster, "gateway.networking.k8s.io", "httproutes", Some(self.namespace), "").await;
        for route in self.readable("route", routes)?.iter().flatten() {
            for (state, reason) in routes::of_http_route(route, service) {
                self.say("route", state, reason);
            }
        }
        if self.hops.len() == before {
            self.say("route", State::Ok, "no Ingress or HTTPRoute of the namespace leads here");
        }
        Ok(())
    }

    fn service(&mut self, service: &Service) {
        let kind = if service.spec.kind.is_empty() { "ClusterIP" } else { &service.spec.kind };
        match kind {
            "ExternalName" => {
                let reason = format!("another name of {}, which is outside of the cluster", service.spec.external_name);
                self.say("service", State::Ok, reason);
            }
            "LoadBalancer" if service.status.load_balancer.ingress.is_empty() => {
                let reason = "LoadBalancer without an address: status.loadBalancer.ingress is empty; see its events";
                self.say("service", State::Broken, reason);
            }
            kind if service.spec.selector.is_empty() => {
                self.say("service", State::Ok, format!("{kind} without selector: somebody else keeps its endpoints"));
            }
            kind => self.say(
                "service",
                State::Ok,
                format!("{kind} that selects {}", selector::equal_to(&service.spec.selector)),
            ),
        }
    }

    /// Ports, endpoints, pods and policies.
    async fn behind(&mut self, service: &Service, ports: &[&ServicePort], from: Option<&End>) -> Result<()> {
        let label = format!("kubernetes.io/service-name={}", service.metadata.name);
        let (slices, pods) = tokio::join!(
            all::<EndpointSlice>(self.cluster, "discovery.k8s.io", "endpointslices", Some(self.namespace), &label),
            all::<Pod>(self.cluster, "", "pods", Some(self.namespace), ""),
        );
        let all_pods = self.readable("pods", pods)?;
        let has_selector = !service.spec.selector.is_empty();
        let pods: Vec<&Pod> = all_pods
            .iter()
            .flatten()
            .filter(|pod| has_selector && has_all(&pod.metadata.labels, &service.spec.selector))
            .filter(|pod| pod.is_alive())
            .collect();
        if !pods.is_empty() {
            self.ports(ports, &pods);
        }
        if let Some(slices) = self.readable("endpoints", slices)? {
            self.endpoints(&slices);
        }
        if has_selector && let Some(all_pods) = &all_pods {
            self.pods(service, &pods, all_pods);
        }
        self.policies(ports, &pods, from).await
    }

    fn ports(&mut self, ports: &[&ServicePort], pods: &[&Pod]) {
        let containers = pods.iter().flat_map(|pod| &pod.spec.containers);
        let declared: BTreeSet<_> = containers.flat_map(|found| &found.ports).map(|port| port.container_port).collect();
        let declared: Vec<_> = declared.iter().map(u16::to_string).collect();
        for port in ports {
            let way = format!("{} to {}", port.shown(), port.target());
            if pods.iter().any(|pod| port.is_declared_by(pod)) {
                self.say("port", State::Ok, way);
            } else if port.target_port.is_string() {
                self.say("port", State::Broken, format!("{way}, a name that no port of its pods has"));
            } else if declared.is_empty() {
                self.say("port", State::Ok, format!("{way}; its pods do not declare their ports"));
            } else {
                let reason = format!("{way}, which no container declares; they declare {}", declared.join(", "));
                self.say("port", State::Suspect, reason);
            }
        }
    }

    fn endpoints(&mut self, slices: &[EndpointSlice]) {
        let ready: usize = slices.iter().map(EndpointSlice::ready).sum();
        let known: usize = slices.iter().map(|slice| slice.endpoints.len()).sum();
        let state = if ready == 0 { State::Broken } else { State::Ok };
        self.say("endpoints", state, format!("{ready} of {known} are ready"));
    }

    fn pods(&mut self, service: &Service, pods: &[&Pod], all_pods: &[Pod]) {
        if pods.is_empty() {
            let mut reason = format!("its selector {} selects no pod", selector::equal_to(&service.spec.selector));
            let other = other_values(service, all_pods);
            if !other.is_empty() {
                reason.push_str(&format!("; pods here have {}", other.join(", ")));
            }
            self.say("pods", State::Broken, reason);
            return;
        }
        let ready = pods.iter().filter(|pod| pod.is_ready()).count();
        let now = self.cluster.context.now;
        let mut reason = format!("{ready} of {} are ready", pods.len());
        for pod in pods.iter().filter(|pod| !pod.is_ready()).take(MOST_PODS) {
            let troubles: Vec<_> =
                rules::pod(pod, now).into_iter().map(|found| format!("{}: {}", found.problem, found.what)).collect();
            reason.push_str(&format!("; {} {}", pod.metadata.name, troubles.join(", ")));
        }
        let state = match ready {
            0 => State::Broken,
            _ if ready < pods.len() => State::Suspect,
            _ => State::Ok,
        };
        self.say("pods", state, reason);
    }

    async fn policies(&mut self, ports: &[&ServicePort], pods: &[&Pod], from: Option<&End>) -> Result<()> {
        let Some(pod) = pods.first() else { return Ok(()) };
        let labels = &pod.metadata.labels;
        let found =
            all::<NetworkPolicy>(self.cluster, "networking.k8s.io", "networkpolicies", Some(self.namespace), "");
        let Some(found) = self.readable("policy", found.await)? else { return Ok(()) };
        let limiting: Vec<_> = found.iter().filter(|policy| policy.spec.limits(labels, Way::In)).collect();
        let targets: Vec<PodPort> = ports.iter().map(|port| pod_port(port, pod)).collect();
        match from {
            _ if limiting.is_empty() => self.say("policy", State::Ok, "no NetworkPolicy limits who may reach its pods"),
            None => {
                for policy in &limiting {
                    let reason = format!(
                        "{} lets in {}; judge somebody with `from`",
                        policy.metadata.name,
                        policy.spec.lets_in()
                    );
                    self.say("policy", State::Ok, reason);
                }
            }
            Some(from) => self.judge(Way::In, &limiting, self.namespace, from, &targets),
        }
        let Some(from) = from else { return Ok(()) };
        let found =
            all::<NetworkPolicy>(self.cluster, "networking.k8s.io", "networkpolicies", Some(&from.namespace), "");
        let Some(found) = self.readable("policy", found.await)? else { return Ok(()) };
        let limiting: Vec<_> = found.iter().filter(|policy| policy.spec.limits(&from.labels, Way::Out)).collect();
        if limiting.is_empty() {
            return Ok(());
        }
        let namespace_labels = namespace_labels(self.cluster, self.namespace).await;
        let target = End { namespace: self.namespace.to_owned(), namespace_labels, labels: labels.clone() };
        self.judge(Way::Out, &limiting, &from.namespace, &target, &targets);
        Ok(())
    }

    fn judge(&mut self, way: Way, policies: &[&NetworkPolicy], own: &str, other: &End, ports: &[PodPort]) {
        let direction = if way == Way::In { "into its pods" } else { "out of the caller's pods" };
        let names: Vec<_> = policies.iter().map(|policy| policy.metadata.name.as_str()).collect();
        for port in ports {
            let allowing = policies.iter().find(|policy| policy.spec.lets(way, own, other, port));
            if let Some(policy) = allowing {
                let reason = format!("{} lets it {direction} on port {}", policy.metadata.name, port.number);
                self.say("policy", State::Ok, reason);
            } else {
                let reason = format!("none of {} lets it {direction} on port {}", names.join(", "), port.number);
                self.say("policy", State::Broken, reason);
            }
        }
    }

    /// The hop that causes the others to break comes first.
    fn verdict(&self, name: &str) -> String {
        for (state, word) in [(State::Broken, "broken"), (State::Suspect, "suspect")] {
            for cause in ["pods", "endpoints", "port", "service", "policy", "route"] {
                if let Some(hop) = self.hops.iter().find(|hop| hop.state == state && hop.hop == cause) {
                    return format!("{name} is {word} at {cause}: {}", hop.reason);
                }
            }
        }
        if self.hops.iter().any(|hop| hop.state == State::Unknown) {
            return format!("{name} has no broken hop among those that may be looked at");
        }
        format!("{name} has no broken hop")
    }
}

/// What the labels that a service selects by are instead.
fn other_values(service: &Service, pods: &[Pod]) -> Vec<String> {
    let labels =
        service.spec.selector.keys().flat_map(|name| {
            pods.iter().filter_map(move |pod| Some(format!("{name}={}", pod.metadata.labels.get(name)?)))
        });
    labels.collect::<BTreeSet<_>>().into_iter().take(8).collect()
}

/// The port of a pod that a service sends to.
fn pod_port(port: &ServicePort, pod: &Pod) -> PodPort {
    let target = port.target();
    let mut declared = pod.spec.containers.iter().flat_map(|container| &container.ports);
    match declared.find(|found| found.name == target || found.container_port.to_string() == target) {
        Some(found) => PodPort { number: found.container_port, name: found.name.clone() },
        None => PodPort { number: target.parse().unwrap_or(port.port), name: String::new() },
    }
}

/// The caller that `namespace/kind/name` means.
async fn source(cluster: &Kubernetes, from: &str) -> Result<End> {
    let parts: Vec<_> = from.split('/').collect();
    let [namespace, kind, name] = parts.as_slice() else {
        return Err(Error::BadArguments(format!(
            "from: `{}` is not namespace/kind/name; write for example shop/deploy/web",
            from.escape_debug()
        )));
    };
    let kind = cluster.kind(kind).await?;
    let object: Value = object(cluster, &kind, Some(namespace), name).await?;
    let template = ["/spec/jobTemplate/spec/template/metadata/labels", "/spec/template/metadata/labels"];
    let labels = match kind.plural.as_str() {
        "pods" => object.pointer("/metadata/labels"),
        _ => template.iter().find_map(|pointer| object.pointer(pointer)),
    };
    let labels = labels.and_then(|labels| BTreeMap::deserialize(labels).ok()).ok_or_else(|| {
        Error::BadArguments(format!("from: {} `{name}` has no pods with labels; name a pod or a workload", kind.kind))
    })?;
    let namespace_labels = namespace_labels(cluster, namespace).await;
    Ok(End { namespace: (*namespace).to_owned(), namespace_labels, labels })
}

/// The labels of a namespace; at least its name, which every namespace has as a label.
async fn namespace_labels(cluster: &Kubernetes, namespace: &str) -> BTreeMap<String, String> {
    let read = async {
        let kind = cluster.kind("namespaces").await?;
        cluster.object::<Named>(&kind, None, namespace).await.map_err(Error::from)
    };
    match read.await {
        Ok(found) => found.metadata.labels,
        Err(_) => BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), namespace.to_owned())]),
    }
}
