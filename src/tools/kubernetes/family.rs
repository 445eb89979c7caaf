//! Families of objects: who owns whom (kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents).

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Map, Value};

use super::model::Owner;
use super::{pointer, selector};
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{AS_METADATA_LIST, Kind, Kinds, Refused, Request};
use crate::error::{Error, Result};

/// Owners above an object that are followed.
const MOST_GENERATIONS: usize = 8;

/// Requests at the same time.
const AT_ONCE: usize = 8;

/// Objects of one kind whose dependents are asked for one by one; those of more are found in one list.
const FEW: usize = 8;

/// Dependents found by their metadata that are read whole.
const MOST_WHOLE: usize = 50;

/// An object and its kind.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) kind: Kind,
    /// As the cluster has it, with its secrets replaced; `apiVersion` and `kind` are always there.
    pub(super) object: Value,
}

/// An owner above an object.
#[derive(Clone, Debug)]
pub(super) struct Ancestor {
    pub(super) owner: Owner,
    /// The owner itself, or why it cannot be read.
    pub(super) found: Result<Box<Member>, String>,
}

/// How far it is looked for dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// What the controllers of Kubernetes make.
    BuiltIn,
    /// Also what custom objects own, of any kind.
    Everything,
}

/// What an object owns, and what that owns.
#[derive(Debug, Default)]
pub(super) struct Dependents {
    /// Parents come before what they own.
    pub(super) members: Vec<Dependent>,
    /// What could not be looked at, a sentence each.
    pub(super) notes: Vec<String>,
}

/// An object that another one owns.
#[derive(Clone, Debug)]
pub(super) struct Dependent {
    pub(super) member: Member,
    /// The `uid` of its owner.
    pub(super) parent: String,
}

impl Member {
    /// An object of a kind, as single ones and lists have them.
    pub(super) fn new(kind: &Kind, mut object: Value) -> Self {
        if let Value::Object(item) = &mut object {
            let mut whole = Map::with_capacity(item.len() + 2);
            whole.insert("apiVersion".into(), kind.api_version().into());
            whole.insert("kind".into(), kind.kind.clone().into());
            whole.extend(std::mem::take(item).into_iter().filter(|(name, _)| name != "apiVersion" && name != "kind"));
            if let Some(Value::Object(metadata)) = whole.get_mut("metadata") {
                metadata.shift_remove("managedFields");
            }
            *item = whole;
        }
        Self { kind: kind.clone(), object }
    }

    /// Reads one.
    pub(super) async fn read(
        cluster: &Kubernetes,
        kind: &Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Self, Refused> {
        Ok(Self::new(kind, cluster.object(kind, namespace, name).await?))
    }

    pub(super) fn text(&self, pointer: &str) -> &str {
        pointer::text(&self.object, pointer)
    }

    pub(super) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        self.object.pointer("/metadata/namespace").and_then(Value::as_str)
    }

    pub(super) fn uid(&self) -> &str {
        self.text("/metadata/uid")
    }

    /// Kind and name: `Deployment/web`.
    pub(super) fn title(&self) -> String {
        format!("{}/{}", self.kind.kind, self.name())
    }

    /// Whether it is this built-in kind.
    pub(super) fn is(&self, group: &str, plural: &str) -> bool {
        self.kind.is(group, plural)
    }

    /// Who owns it.
    pub(super) fn owners(&self) -> Vec<Owner> {
        let owners = self.object.pointer("/metadata/ownerReferences").cloned().unwrap_or_default();
        serde_json::from_value(owners).unwrap_or_default()
    }
}

/// The owners above an object, nearest first. Of several, the one that controls it is followed.
///
/// # Errors
/// Those of [`Kubernetes::kinds`]. An owner that cannot be read says why.
pub(super) async fn ancestors(cluster: &Kubernetes, member: &Member) -> Result<Vec<Ancestor>> {
    let kinds = cluster.kinds().await?;
    let mut ancestors: Vec<Ancestor> = Vec::new();
    let mut owners = member.owners();
    while ancestors.len() < MOST_GENERATIONS {
        let place = owners.iter().position(|owner| owner.controller).unwrap_or(0);
        let Some(owner) = owners.get(place).cloned() else { break };
        if ancestors.iter().any(|known| known.owner.uid == owner.uid) {
            break;
        }
        let found = owner_of(cluster, &kinds, &owner, member.namespace()).await;
        owners = found.as_ref().map(|found| found.owners()).unwrap_or_default();
        ancestors.push(Ancestor { owner, found });
    }
    Ok(ancestors)
}

async fn owner_of(
    cluster: &Kubernetes,
    kinds: &Kinds,
    owner: &Owner,
    namespace: Option<&str>,
) -> Result<Box<Member>, String> {
    let kind = kinds
        .of_object(&owner.api_version, &owner.kind)
        .ok_or_else(|| format!("the cluster does not serve {} {}", owner.api_version, owner.kind))?;
    let namespace = namespace.filter(|_| kind.namespaced);
    match Member::read(cluster, kind, namespace, &owner.name).await {
        Ok(found) if found.uid() == owner.uid => Ok(Box::new(found)),
        Ok(_) => Err("gone; another object has its name now".into()),
        Err(refused) if refused.code() == Some(404) => Err("gone".into()),
        Err(refused) if refused.code() == Some(403) => Err("may not be read".into()),
        Err(refused) => Err(Error::from(refused).to_string()),
    }
}

/// What an object owns, down to so many levels.
///
/// # Errors
/// Those of [`Kubernetes::kinds`]. Kinds that cannot be listed become notes.
pub(super) async fn dependents(cluster: &Kubernetes, root: &Member, depth: usize, reach: Reach) -> Result<Dependents> {
    let kinds = cluster.kinds().await?;
    let mut found = Dependents::default();
    let mut seen = HashSet::from([root.uid().to_owned()]);
    let mut parents = vec![root.clone()];
    for _ in 0..depth {
        let mut lists = lists_of_children(&kinds, &parents, reach);
        lists.dedup();
        let parts: Vec<(ChildList, Result<Vec<Value>, Refused>)> = stream::iter(lists)
            .map(|list| async {
                let items = match list.request() {
                    Ok(request) => cluster.list(request).await,
                    Err(error) => Err(error.into()),
                };
                (list, items)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let owners: HashSet<&str> = parents.iter().map(Member::uid).collect();
        let mut level = Vec::new();
        let mut unread = Vec::new();
        for (list, items) in parts {
            match items {
                Ok(items) => level.extend(items.into_iter().filter_map(|item| {
                    let member = Member::new(&list.kind, item);
                    let parent = member.owners().into_iter().find(|owner| owners.contains(owner.uid.as_str()))?.uid;
                    seen.insert(member.uid().to_owned()).then_some((Dependent { member, parent }, list.only_metadata))
                })),
                Err(refused) => unread.push((list.kind.full_name(), refused)),
            }
        }
        found.notes.extend(unread_note(unread));
        let level = read_whole(cluster, level).await?;
        if level.is_empty() {
            break;
        }
        parents = level.iter().map(|dependent| dependent.member.clone()).collect();
        found.members.extend(level);
    }
    Ok(found)
}

/// One list in which dependents may be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ChildList {
    kind: Kind,
    namespace: Option<String>,
    labels: Option<String>,
    only_metadata: bool,
}

impl ChildList {
    fn request(&self) -> Result<Request> {
        let request = Request::get(self.kind.path(self.namespace.as_deref())?)
            .query_some("labelSelector", self.labels.as_deref());
        Ok(if self.only_metadata { request.accept(AS_METADATA_LIST) } else { request })
    }
}

fn lists_of_children(kinds: &Kinds, parents: &[Member], reach: Reach) -> Vec<ChildList> {
    let mut lists = Vec::new();
    let mut by_kind: HashMap<(String, Option<&str>), Vec<&Member>> = HashMap::new();
    for parent in parents {
        by_kind.entry((parent.kind.full_name(), parent.namespace())).or_default().push(parent);
    }
    for ((_, namespace), parents) in by_kind {
        let Some(children) = built_in_children(&parents[0].kind) else {
            if reach == Reach::Everything {
                lists.extend(everything(kinds, namespace));
            }
            continue;
        };
        for (group, plural) in children {
            let Some(kind) = kinds.built_in(group, plural) else { continue };
            let list = |labels| ChildList {
                kind: kind.clone(),
                namespace: namespace.map(str::to_owned),
                labels,
                only_metadata: false,
            };
            let with_children = parents.iter().filter(|parent| may_have(parent, plural));
            if parents.len() > FEW {
                lists.extend(with_children.take(1).map(|_| list(None)));
            } else {
                lists.extend(with_children.map(|parent| list(labels_of_children(parent))));
            }
        }
    }
    lists
}

/// The kinds of what the controllers of Kubernetes make for objects of a built-in kind; none for custom kinds, whose
/// objects may own anything.
fn built_in_children(kind: &Kind) -> Option<&'static [(&'static str, &'static str)]> {
    match (kind.group.as_str(), kind.plural.as_str()) {
        ("apps", "deployments") => Some(&[("apps", "replicasets")]),
        ("apps", "replicasets") | ("", "replicationcontrollers") | ("batch", "jobs") => Some(&[("", "pods")]),
        ("apps", "statefulsets" | "daemonsets") => Some(&[("", "pods"), ("apps", "controllerrevisions")]),
        ("batch", "cronjobs") => Some(&[("batch", "jobs")]),
        ("", "services") => Some(&[("discovery.k8s.io", "endpointslices")]),
        ("", "pods") => Some(&[("", "persistentvolumeclaims"), ("resource.k8s.io", "resourceclaims")]),
        (group, _) if !group.contains('.') || group.ends_with(".k8s.io") => Some(&[]),
        _ => None,
    }
}

/// Whether an object can have children of a kind at all.
fn may_have(parent: &Member, plural: &str) -> bool {
    let at = |pointer: &str| parent.object.pointer(pointer);
    match plural {
        "pods" if parent.is("apps", "replicasets") => {
            at("/status/replicas").or(at("/spec/replicas")).and_then(Value::as_u64) != Some(0)
        }
        "persistentvolumeclaims" => {
            let volumes = pointer::list(&parent.object, "/spec/volumes");
            volumes.iter().any(|volume| volume.get("ephemeral").is_some())
        }
        "resourceclaims" => at("/spec/resourceClaims").is_some(),
        _ => true,
    }
}

/// The labels that the children of an object have.
fn labels_of_children(parent: &Member) -> Option<String> {
    if parent.is("", "services") {
        return Some(format!("kubernetes.io/service-name={}", parent.name()));
    }
    if parent.is("", "pods") || parent.is("batch", "cronjobs") {
        return None;
    }
    selector::query(parent.object.pointer("/spec/selector")?)
}

/// Whether objects of a kind only record what others do, and belong to nobody.
pub(super) fn is_record(kind: &Kind) -> bool {
    matches!(kind.group.as_str(), "events.k8s.io" | "metrics.k8s.io") || kind.is("", "events")
}

/// Every list in which something of a custom object may be.
fn everything<'a>(kinds: &'a Kinds, namespace: Option<&'a str>) -> impl Iterator<Item = ChildList> + 'a {
    let is_wanted = move |kind: &&Kind| {
        kind.preferred
            && kind.can("list")
            && (kind.namespaced || namespace.is_none())
            && !is_record(kind)
            && !kind.is("", "componentstatuses")
    };
    kinds.iter().filter(is_wanted).map(move |kind| ChildList {
        kind: kind.clone(),
        namespace: namespace.map(str::to_owned),
        labels: None,
        only_metadata: true,
    })
}

/// Reads the first of those whole of which only the metadata is known.
async fn read_whole(cluster: &Kubernetes, level: Vec<(Dependent, bool)>) -> Result<Vec<Dependent>> {
    let mut left = MOST_WHOLE;
    let level: Vec<(Dependent, bool)> = level
        .into_iter()
        .map(|(dependent, only_metadata)| {
            let reads = only_metadata && left > 0 && dependent.member.kind.can("get");
            left -= usize::from(reads);
            (dependent, reads)
        })
        .collect();
    stream::iter(level)
        .map(|(mut dependent, reads)| async move {
            if reads {
                let Dependent { member, .. } = &dependent;
                match Member::read(cluster, &member.kind, member.namespace(), member.name()).await {
                    Ok(whole) => dependent.member = whole,
                    Err(refused) if refused.code().is_some() => {}
                    Err(refused) => return Err(Error::from(refused)),
                }
            }
            Ok(dependent)
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

/// Which kinds could not be looked at, in one sentence.
fn unread_note(unread: Vec<(String, Refused)>) -> Option<String> {
    let (_, first) = unread.first()?;
    let forbidden = unread.iter().all(|(_, refused)| refused.code() == Some(403));
    let why = match first {
        _ if forbidden => "may not be listed".to_owned(),
        Refused::Status(status) => status.message.clone(),
        Refused::Error(error) | Refused::Unknown(error) => error.to_string(),
    };
    let names: Vec<&str> = unread.iter().map(|(name, _)| name.as_str()).collect();
    Some(format!("Not looked at: {} ({why}).", names.join(", ")))
}
