//! What goes when an object goes: what it owns, what lies in it, what is of its kind.

use std::collections::{BTreeMap, HashMap};

use futures_util::StreamExt as _;
use serde_json::Value;

use super::super::family::is_record;
use super::super::model::{Metadata, Named};
use super::super::pointer;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{AS_METADATA_LIST, Kind, List, Request};
use crate::error::Result;

/// Kinds that are looked through.
const MOST_KINDS: usize = 150;

/// Objects of each kind that are looked at.
const PART: &str = "2000";

/// Requests at a time.
const AT_A_TIME: usize = 8;

/// Dependents of some objects, by kind, and what could not be looked at.
#[derive(Debug, Default)]
pub(super) struct Dependents {
    /// Names by kind.
    pub(super) found: BTreeMap<String, Vec<String>>,
    /// Kinds that could not be listed, or were too many.
    pub(super) unseen: Vec<String>,
}

impl Dependents {
    /// What these objects of one kind, by name and uid, take with them.
    pub(super) async fn of(
        cluster: &Kubernetes,
        kind: &Kind,
        namespace: Option<&str>,
        objects: &[(String, String)],
        definitions: &[Value],
    ) -> Result<Self> {
        let mut dependents = Self::default();
        if kind.is("", "namespaces") {
            for (name, _) in objects {
                for (kind, objects) in dependents.everything(cluster, name).await? {
                    let names = objects.into_iter().map(|object| format!("{name}/{}", object.metadata.name));
                    dependents.found.entry(kind).or_default().extend(names);
                }
            }
        } else if kind.is("apiextensions.k8s.io", "customresourcedefinitions") {
            for definition in definitions {
                dependents.of_definition(cluster, definition).await?;
            }
        } else if let Some(namespace) = namespace {
            let all = dependents.everything(cluster, namespace).await?;
            dependents.owned(all, objects);
        }
        Ok(dependents)
    }

    /// All objects of a namespace, by kind.
    async fn everything(&mut self, cluster: &Kubernetes, namespace: &str) -> Result<Vec<(String, Vec<Named>)>> {
        let kinds = cluster.kinds().await?;
        let mut wanted: Vec<&Kind> = kinds
            .iter()
            .filter(|kind| kind.namespaced && kind.preferred && kind.can("list") && kind.can("delete"))
            .filter(|kind| !is_record(kind))
            .collect();
        // Built-in ones first, as most that is owned is of them.
        wanted.sort_by_key(|kind| kind.group.contains('.'));
        self.unseen.extend(wanted.iter().skip(MOST_KINDS).map(|kind| kind.full_name()));
        wanted.truncate(MOST_KINDS);
        let mut lists = Vec::with_capacity(wanted.len());
        for kind in wanted {
            let request = Request::get(kind.path(Some(namespace))?).accept(AS_METADATA_LIST).query("limit", PART);
            lists.push(async move { (kind, cluster.get::<List<Named>>(request).await) });
        }
        let mut found = Vec::new();
        let mut answers = futures_util::stream::iter(lists).buffered(AT_A_TIME);
        while let Some((kind, answer)) = answers.next().await {
            match answer {
                Ok(list) => {
                    if !list.metadata.next.is_empty() {
                        self.unseen.push(format!("{} beyond the first {PART}", kind.full_name()));
                    }
                    found.push((kind.kind.clone(), list.items));
                }
                Err(refused) if refused.code().is_some() => self.unseen.push(kind.full_name()),
                Err(refused) => return Err(refused.into()),
            }
        }
        Ok(found)
    }

    /// Those that belong to the objects, and those that belong to them in turn.
    fn owned(&mut self, all: Vec<(String, Vec<Named>)>, objects: &[(String, String)]) {
        let mut children = HashMap::<String, Vec<(String, Metadata)>>::new();
        for (kind, object) in
            all.into_iter().flat_map(|(kind, list)| list.into_iter().map(move |one| (kind.clone(), one)))
        {
            for owner in &object.metadata.owner_references {
                children.entry(owner.uid.clone()).or_default().push((kind.clone(), object.metadata.clone()));
            }
        }
        let mut next: Vec<String> = objects.iter().map(|(_, uid)| uid.clone()).collect();
        while let Some(uid) = next.pop() {
            for (kind, child) in children.remove(&uid).unwrap_or_default() {
                self.found.entry(kind).or_default().push(child.name);
                next.push(child.uid);
            }
        }
    }

    /// All objects of a kind that is defined here.
    async fn of_definition(&mut self, cluster: &Kubernetes, definition: &Value) -> Result<()> {
        let text = |pointer| pointer::text(definition, pointer);
        let name = format!("{}.{}", text("/spec/names/plural"), text("/spec/group"));
        let Ok(kind) = cluster.kind(&name).await else { return Ok(()) };
        let request = Request::get(kind.path(None)?).accept(AS_METADATA_LIST).query("limit", PART);
        match cluster.get::<List<Named>>(request).await {
            Ok(list) => {
                let names = list.items.into_iter().map(|object| object.metadata.name);
                self.found.entry(kind.kind.clone()).or_default().extend(names);
            }
            Err(refused) if refused.code().is_some() => self.unseen.push(kind.full_name()),
            Err(refused) => return Err(refused.into()),
        }
        Ok(())
    }
}
