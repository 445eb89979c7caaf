//! What is linked to objects without owning them: by selector, by reference, by name.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize as _, Serialize};
use serde_json::Value;

use super::super::family::Member;
use super::super::pointer;
use super::super::selector::{self, Labels, Selector};
use super::super::status::State;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{AS_METADATA_LIST, Kind, Refused, Request};
use crate::error::Result;

/// Objects that use one that was asked for, at most.
const MOST_USERS: usize = 20;

/// Kinds that are linked by what they say about others.
const LINKING: [(&str, &str); 5] = [
    ("", "services"),
    ("networking.k8s.io", "ingresses"),
    ("autoscaling", "horizontalpodautoscalers"),
    ("policy", "poddisruptionbudgets"),
    ("networking.k8s.io", "networkpolicies"),
];

/// Something that is linked to an object of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(super) struct Link {
    /// Kind and name.
    object: String,
    /// How it is linked.
    how: String,
    /// Its state.
    #[serde(skip_serializing_if = "String::is_empty")]
    state: String,
}

impl Link {
    fn new(member: &Member, how: impl Into<String>) -> Self {
        Self { object: member.title(), how: how.into(), state: State::of(&member.object).line() }
    }

    /// In one line.
    pub(super) fn line(&self) -> String {
        let state = if self.state.is_empty() { String::new() } else { format!(" ({})", self.state) };
        format!("{}{state}: {}", self.object, self.how)
    }
}

/// What is linked to an object and its family.
///
/// # Errors
/// Those of [`Kubernetes::kinds`]. Kinds that cannot be listed become notes.
pub(super) async fn links(
    cluster: &Kubernetes,
    root: &Member,
    family: &[&Member],
    notes: &mut Vec<String>,
) -> Result<Vec<Link>> {
    let kinds = cluster.kinds().await?;
    if root.is("", "nodes") {
        let Some(pods) = kinds.built_in("", "pods") else { return Ok(Vec::new()) };
        let selector = format!("spec.nodeName={}", root.name());
        let pods = list(cluster, pods, None, &[("fieldSelector", selector)], notes).await;
        return Ok(some(
            pods.iter().map(|pod| Link::new(pod, format!("runs on it, in {}", pod.namespace().unwrap_or_default()))),
        ));
    }
    let Some(namespace) = root.namespace() else { return Ok(Vec::new()) };
    let of_kind = |group: &'static str, plural: &'static str| kinds.built_in(group, plural).cloned();
    let linking: Vec<Kind> = LINKING.iter().filter_map(|(group, plural)| of_kind(group, plural)).collect();
    let mut unread = Vec::new();
    let mut others = Vec::new();
    for (kind, found) in
        linking.iter().zip(join_all(linking.iter().map(|kind| read(cluster, kind, Some(namespace), &[]))).await)
    {
        match found {
            Ok(found) => others.extend(found),
            Err(_) => unread.push(kind.full_name()),
        }
    }
    let mut found = linked(root, family, &others);
    let pods: Vec<&Value> = family.iter().filter_map(|member| pointer::pod_spec(&member.object)).collect();
    let mut names = BTreeSet::new();
    for pod in pods {
        names.extend(references(pod));
    }
    for (plural, names) in by_kind(names) {
        let Some(kind) = kinds.built_in("", plural) else { continue };
        let there = if let Ok(there) = read(cluster, kind, Some(namespace), &[]).await {
            Some(there)
        } else {
            unread.push(kind.full_name());
            None
        };
        found.extend(names.into_iter().map(|(name, how)| {
            let member = there.as_ref().map(|there| there.iter().find(|member| member.name() == name));
            match member {
                Some(Some(member)) => Link::new(member, how),
                Some(None) => {
                    Link { object: format!("{}/{name}", kind.kind), how: how.clone(), state: "does not exist".into() }
                }
                None => Link { object: format!("{}/{name}", kind.kind), how, state: String::new() },
            }
        }));
    }
    if let Some(kind) = of_kind("", "pods") {
        found.extend(users(cluster, root, &kind, notes).await);
    }
    if !unread.is_empty() {
        notes.push(format!("Links to these could not be read: {}.", unread.join(", ")));
    }
    Ok(found)
}

/// What selects or names objects of the family.
fn linked(root: &Member, family: &[&Member], others: &[Member]) -> Vec<Link> {
    let labels: Vec<Labels> = family
        .iter()
        .filter_map(|member| {
            let labels = if member.is("", "pods") { "/metadata/labels" } else { "/spec/template/metadata/labels" };
            Labels::deserialize(member.object.pointer(labels)?).ok()
        })
        .collect();
    let is_own = |other: &Member| family.iter().any(|member| member.uid() == other.uid());
    let selects = |selector: Option<&Value>| {
        let selector = selector.and_then(Selector::of);
        selector.is_some_and(|selector| labels.iter().any(|labels| selector.selects(labels)))
    };
    let mut services: Vec<&str> = family.iter().filter(|one| one.is("", "services")).map(|one| one.name()).collect();
    let mut found = Vec::new();
    for other in others.iter().filter(|other| !is_own(other)) {
        let spec = other.object.get("spec").unwrap_or(&Value::Null);
        match other.kind.plural.as_str() {
            "services"
                if selects(
                    spec.get("selector").filter(|selector| selector.as_object().is_some_and(|map| !map.is_empty())),
                ) =>
            {
                services.push(other.name());
                found.push(Link::new(other, "sends to its pods"));
            }
            "poddisruptionbudgets" if selects(spec.get("selector")) => found.push(Link::new(other, "guards its pods")),
            "networkpolicies" if selects(spec.get("podSelector")) => {
                found.push(Link::new(other, "limits traffic of its pods"));
            }
            "horizontalpodautoscalers" => {
                let target = spec.get("scaleTargetRef").unwrap_or(&Value::Null);
                let names = |member: &&&Member| target["kind"] == *member.kind.kind && target["name"] == *member.name();
                found.extend(
                    family.iter().find(names).map(|member| Link::new(other, format!("scales {}", member.title()))),
                );
            }
            _ => {}
        }
    }
    for ingress in others.iter().filter(|other| other.kind.plural == "ingresses" && !is_own(other)) {
        let routes = routes(&ingress.object);
        let routes: Vec<String> = routes
            .into_iter()
            .filter(|(service, _)| services.contains(&service.as_str()))
            .map(|(service, route)| format!("{route} → Service/{service}"))
            .collect();
        if !routes.is_empty() {
            found.push(Link::new(ingress, routes.join(", ")));
        }
    }
    // What the object that was asked for says itself.
    for (service, route) in routes(&root.object) {
        let there = others.iter().find(|other| other.kind.plural == "services" && other.name() == service);
        found.push(match there {
            Some(there) => Link::new(there, format!("gets {route}")),
            None => Link {
                object: format!("Service/{service}"),
                how: format!("should get {route}"),
                state: "does not exist".into(),
            },
        });
    }
    if let Some(target) = root.object.pointer("/spec/scaleTargetRef") {
        let text = |name: &str| target[name].as_str().unwrap_or_default();
        let object = format!("{}/{}", text("kind"), text("name"));
        found.push(Link { object, how: "is scaled by it".into(), state: String::new() });
    }
    found
}

/// Services of an ingress, each with host and path.
fn routes(object: &Value) -> Vec<(String, String)> {
    let service = |backend: Option<&Value>| Some(backend?.pointer("/service/name")?.as_str()?.to_owned());
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let mut routes: Vec<(String, String)> = Vec::new();
    routes
        .extend(service(object.pointer("/spec/defaultBackend")).map(|service| (service, "everything else".to_owned())));
    for rule in list(object.pointer("/spec/rules")) {
        let host = rule.get("host").and_then(Value::as_str).unwrap_or("*");
        for path in list(rule.pointer("/http/paths")) {
            let route = format!("{host}{}", path.get("path").and_then(Value::as_str).unwrap_or("/"));
            routes.extend(service(path.get("backend")).map(|service| (service, route)));
        }
    }
    routes
}

/// What a pod refers to: plural, name, how.
fn references(pod: &Value) -> BTreeSet<(&'static str, String, String)> {
    let list = |value: &Value, name: &str| value.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut found = BTreeSet::new();
    let mut add = |plural, value: Option<&Value>, how: &str| {
        if let Some(name) = value.and_then(Value::as_str) {
            found.insert((plural, name.to_owned(), how.to_owned()));
        }
    };
    for volume in list(pod, "volumes") {
        add("persistentvolumeclaims", volume.pointer("/persistentVolumeClaim/claimName"), "is mounted");
        add("configmaps", volume.pointer("/configMap/name"), "is mounted");
        add("secrets", volume.pointer("/secret/secretName"), "is mounted");
        for source in pointer::list(&volume, "/projected/sources") {
            add("configmaps", source.pointer("/configMap/name"), "is mounted");
            add("secrets", source.pointer("/secret/name"), "is mounted");
        }
    }
    for container in list(pod, "initContainers").iter().chain(&list(pod, "containers")) {
        for from in list(container, "envFrom") {
            add("configmaps", from.pointer("/configMapRef/name"), "fills the environment");
            add("secrets", from.pointer("/secretRef/name"), "fills the environment");
        }
        for variable in list(container, "env") {
            let name = variable.get("name").and_then(Value::as_str).unwrap_or_default();
            let how = format!("gives {name}");
            add("configmaps", variable.pointer("/valueFrom/configMapKeyRef/name"), &how);
            add("secrets", variable.pointer("/valueFrom/secretKeyRef/name"), &how);
        }
    }
    for secret in list(pod, "imagePullSecrets") {
        add("secrets", secret.get("name"), "lets it pull images");
    }
    let account = pod.get("serviceAccountName").filter(|name| **name != "default");
    add("serviceaccounts", account, "is its identity");
    // Every namespace has it, and every pod mounts it.
    found.retain(|(_, name, _)| name != "kube-root-ca.crt");
    found
}

/// For each plural, what is referred to by name, and how in all.
fn by_kind(names: BTreeSet<(&'static str, String, String)>) -> BTreeMap<&'static str, BTreeMap<String, String>> {
    let mut kinds: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    for (plural, name, how) in names {
        let all = kinds.entry(plural).or_default().entry(name).or_default();
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(&how);
    }
    kinds
}

/// Pods that use an object which was asked for: selected by it, or naming it.
async fn users(cluster: &Kubernetes, root: &Member, pods: &Kind, notes: &mut Vec<String>) -> Vec<Link> {
    let namespace = root.namespace();
    let selects = match (root.kind.group.as_str(), root.kind.plural.as_str()) {
        ("", "services") | ("policy", "poddisruptionbudgets") => root.object.pointer("/spec/selector"),
        ("networking.k8s.io", "networkpolicies") => root.object.pointer("/spec/podSelector"),
        _ => None,
    };
    if let Some(selector) = selects.and_then(selector::query) {
        let found = list(cluster, pods, namespace, &[("labelSelector", selector.clone())], notes).await;
        if found.is_empty() {
            notes.push(format!("{} selects no pod: none has the labels {selector}.", root.title()));
        }
        return some(found.iter().map(|pod| Link::new(pod, "is selected by it")));
    }
    let plural = root.kind.plural.as_str();
    let is_used = ["persistentvolumeclaims", "configmaps", "secrets", "serviceaccounts"].contains(&plural);
    if !is_used || !root.kind.group.is_empty() {
        return Vec::new();
    }
    let found = list(cluster, pods, namespace, &[], notes).await;
    some(found.iter().filter_map(|pod| {
        let all = by_kind(references(pointer::pod_spec(&pod.object)?));
        let how = all.get(plural)?.get(root.name())?;
        Some(Link::new(pod, format!("uses it: it {how}")))
    }))
}

fn some(links: impl Iterator<Item = Link>) -> Vec<Link> {
    let mut links: Vec<Link> = links.collect();
    if links.len() > MOST_USERS {
        let more = links.len() - MOST_USERS;
        links.truncate(MOST_USERS);
        links.push(Link { object: format!("{more} more"), how: "as the last ones".into(), state: String::new() });
    }
    links
}

/// The objects of a kind; a note where they cannot be listed.
async fn list(
    cluster: &Kubernetes,
    kind: &Kind,
    namespace: Option<&str>,
    query: &[(&'static str, String)],
    notes: &mut Vec<String>,
) -> Vec<Member> {
    read(cluster, kind, namespace, query).await.unwrap_or_else(|_| {
        notes.push(format!("{} could not be read.", kind.full_name()));
        Vec::new()
    })
}

/// The objects of a kind; of those that hold configuration, only the metadata.
async fn read(
    cluster: &Kubernetes,
    kind: &Kind,
    namespace: Option<&str>,
    query: &[(&'static str, String)],
) -> Result<Vec<Member>, Refused> {
    let mut request = Request::get(kind.path(namespace)?);
    for (name, value) in query {
        request = request.query(name, value.clone());
    }
    if ["configmaps", "secrets", "serviceaccounts"].contains(&kind.plural.as_str()) {
        request = request.accept(AS_METADATA_LIST);
    }
    let items: Vec<Value> = cluster.list(request).await?;
    Ok(items.into_iter().map(|item| Member::new(kind, item)).collect())
}
