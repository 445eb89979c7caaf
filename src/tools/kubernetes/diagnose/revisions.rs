//! What was changed in a Deployment: its ReplicaSets.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::model::Object;
use super::read::all;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::Refused;
use crate::tools::ages::at;

/// A ReplicaSet, as far as it says what changed.
pub(super) type ReplicaSet = Object<Spec>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Spec {
    template: Template,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Template {
    spec: TemplateSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct TemplateSpec {
    containers: Vec<Image>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Image {
    name: String,
    image: String,
}

/// The ReplicaSets of a Deployment, the newest revision first.
pub(super) async fn replica_sets(
    cluster: &Kubernetes,
    namespace: Option<&str>,
    deployment: &str,
    labels: &str,
) -> Result<Vec<ReplicaSet>, Refused> {
    let mut sets: Vec<ReplicaSet> = all(cluster, "apps", "replicasets", namespace, labels).await?;
    sets.retain(|set| set.metadata.is_of(&[deployment]));
    sets.sort_by_key(|set| std::cmp::Reverse(revision(set)));
    Ok(sets)
}

/// What the newest revision changed.
pub(super) fn changes(sets: &[ReplicaSet]) -> Vec<String> {
    let Some(newest) = sets.first() else { return Vec::new() };
    let made = newest.metadata.creation_timestamp.map(at).unwrap_or_default();
    let revised = revision(newest);
    let Some(before) = sets.get(1) else { return vec![format!("revision {revised}, the first, was made {made}")] };
    let old = images(before);
    let changed: Vec<_> = images(newest)
        .into_iter()
        .filter(|(name, image)| old.get(name) != Some(image))
        .map(|(name, image)| match old.get(name) {
            Some(old) => format!("{name} from {old} to {image}"),
            None => format!("{name} is new, with {image}"),
        })
        .collect();
    let what = if changed.is_empty() { "no image; something else in its template".into() } else { changed.join("; ") };
    vec![format!("revision {revised} was made {made} or went back to; it changed {what}")]
}

fn revision(set: &ReplicaSet) -> u64 {
    set.metadata.annotations.revision.as_ref().and_then(|revision| revision.parse().ok()).unwrap_or_default()
}

fn images(set: &ReplicaSet) -> BTreeMap<&str, &str> {
    let containers = set.spec.template.spec.containers.iter();
    containers.map(|container| (container.name.as_str(), container.image.as_str())).collect()
}
