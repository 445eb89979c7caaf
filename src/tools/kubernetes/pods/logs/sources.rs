//! Which containers are meant.

use serde::Deserialize;
use serde_json::Value;

use super::GetPodLogs;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Refused, Request, segment};
use crate::error::{Error, Result};
use crate::tools::kubernetes::model::{self, Named};
use crate::tools::kubernetes::{nearby, selector};

/// One container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) pod: String,
    pub(super) container: String,
}

/// The containers to read.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) sources: Vec<Source>,
    pub(super) notes: Vec<String>,
}

type Pod = model::Pod<Spec>;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    ephemeral_containers: Vec<Container>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    name: String,
}

impl Source {
    /// Pod and container.
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.pod, self.container)
    }

    /// A short word for it, the same in every call.
    pub(super) fn key(&self) -> String {
        let hash = self
            .full_name()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        format!("{:08x}", hash >> 32 ^ hash & 0xffff_ffff)
    }
}

/// What the lines of each source begin with; nothing where there is only one.
pub(super) fn labels(sources: &[&Source]) -> Vec<String> {
    let Some(first) = sources.first() else { return Vec::new() };
    if sources.len() == 1 {
        return vec![String::new()];
    }
    if sources.iter().all(|source| source.pod == first.pod) {
        return sources.iter().map(|source| source.container.clone()).collect();
    }
    let same = sources.iter().fold(first.pod.len(), |same, source| {
        let equal = source.pod.bytes().zip(first.pod.bytes()).take_while(|(one, other)| one == other).count();
        same.min(equal)
    });
    let start = first.pod[..same].rfind('-').map_or(0, |dash| dash + 1);
    let is_one_container = sources.iter().all(|source| source.container == first.container);
    let label = |source: &&Source| {
        if is_one_container {
            source.pod[start..].to_owned()
        } else {
            format!("{}/{}", &source.pod[start..], source.container)
        }
    };
    sources.iter().map(label).collect()
}

/// The containers that a call means.
pub(super) async fn choose(call: &GetPodLogs, cluster: &Kubernetes) -> Result<Chosen> {
    let mut notes = Vec::new();
    let mut pods = match (&call.pod, &call.workload, &call.labels) {
        (Some(pod), None, None) => vec![one(pod, &call.namespace, cluster).await?],
        (None, Some(workload), None) => of_workload(workload, &call.namespace, cluster).await?,
        (None, None, Some(labels)) => selected(labels, &call.namespace, cluster).await?,
        _ => {
            return Err(Error::BadArguments(
                "give one of `pod`, `workload` (for example deployment/checkout) and `labels` (for example app=checkout)"
                    .into(),
            ));
        }
    };
    if pods.is_empty() {
        let meant = call.workload.as_ref().or(call.labels.as_ref()).map_or("", String::as_str);
        let there = near("", &call.namespace, cluster).await;
        return Err(Error::NotFound(format!("no pods of `{meant}` in namespace {}{there}", call.namespace)));
    }
    // Those that run now tell more than those that ended; the newest first.
    pods.sort_by_key(|pod| (pod.status.phase != "Running", std::cmp::Reverse(pod.metadata.creation_timestamp)));
    let (there, most) = (pods.len(), call.pods.get());
    if there > most {
        notes.push(format!("{most} of {there} pods were read; raise `pods`, or name one with `pod`."));
        pods.truncate(most);
    }
    let everything = call.container.iter().any(|name| name == "*");
    let mut sources = Vec::new();
    let mut known = Vec::new();
    for pod in &pods {
        let Spec { containers, init_containers, ephemeral_containers } = &pod.spec;
        let usual = containers.len();
        let all = containers.iter().chain(init_containers).chain(ephemeral_containers);
        for (place, container) in all.enumerate() {
            let is_meant = match &call.container {
                names if names.is_empty() => place < usual,
                names => everything || names.contains(&container.name),
            };
            if is_meant {
                sources.push(Source { pod: pod.metadata.name.clone(), container: container.name.clone() });
            }
            if !known.contains(&container.name) {
                known.push(container.name.clone());
            }
        }
    }
    let missing = call.container.iter().find(|name| *name != "*" && !known.contains(name));
    if let Some(missing) = missing {
        return Err(Error::NotFound(format!("container: there is no `{missing}`; there are {}", known.join(", "))));
    }
    Ok(Chosen { sources, notes })
}

async fn one(name: &str, namespace: &str, cluster: &Kubernetes) -> Result<Pod> {
    let kind = cluster.kind("pods").await?;
    match cluster.object(&kind, Some(namespace), name).await {
        Err(Refused::Status(status)) if status.code == 404 => {
            let near = near(name, namespace, cluster).await;
            Err(Error::NotFound(format!("there is no pod `{name}` in namespace {namespace}{near}")))
        }
        other => Ok(other?),
    }
}

async fn selected(labels: &str, namespace: &str, cluster: &Kubernetes) -> Result<Vec<Pod>> {
    let path = format!("/api/v1/namespaces/{}/pods", segment("namespace", namespace)?);
    Ok(cluster.list(Request::get(path).query("labelSelector", labels)).await?)
}

async fn of_workload(workload: &str, namespace: &str, cluster: &Kubernetes) -> Result<Vec<Pod>> {
    let Some((kind, name)) = workload.split_once('/') else {
        return Err(Error::BadArguments(format!(
            "workload: `{workload}` is not kind/name, for example deployment/checkout"
        )));
    };
    let kind = cluster.kind(kind).await?;
    if kind.is("", "pods") {
        return Ok(vec![one(name, namespace, cluster).await?]);
    }
    // Labels lead to the pods, so they are needed as they are; they are not shown.
    let request = Request::get(kind.object_path(Some(namespace), name)?);
    let object: Value = match cluster.get_with_secrets(request).await {
        Err(Refused::Status(status)) if status.code == 404 => {
            let there = nearby::there(cluster, &kind, Some(namespace), name).await.filter(|there| !there.is_empty());
            let there = there.map_or_else(String::new, |there| format!("; there are {}", there.told()));
            return Err(Error::NotFound(format!("there is no {} `{name}` in namespace {namespace}{there}", kind.kind)));
        }
        other => other?,
    };
    if kind.is("batch", "cronjobs") {
        return of_cron_job(name, namespace, cluster).await;
    }
    let Some(selector) = selector::query(&object["spec"]["selector"]) else {
        return Err(Error::BadArguments(format!(
            "workload: a {} selects no pods; give a deployment, statefulset, daemonset, job, cronjob or service",
            kind.kind
        )));
    };
    selected(&selector, namespace, cluster).await
}

async fn of_cron_job(name: &str, namespace: &str, cluster: &Kubernetes) -> Result<Vec<Pod>> {
    let path = format!("/apis/batch/v1/namespaces/{}/jobs", segment("namespace", namespace)?);
    let jobs: Vec<Named> = cluster.list(Request::get(path)).await?;
    let is_own =
        |job: &Named| job.metadata.owner_references.iter().any(|owner| owner.kind == "CronJob" && owner.name == name);
    let own: Vec<_> = jobs.into_iter().filter(is_own).map(|job| job.metadata.name).collect();
    if own.is_empty() {
        return Ok(Vec::new());
    }
    selected(&format!("batch.kubernetes.io/job-name in ({})", own.join(",")), namespace, cluster).await
}

/// The pods that there are, as the end of a sentence.
async fn near(name: &str, namespace: &str, cluster: &Kubernetes) -> String {
    let Ok(kind) = cluster.kind("pods").await else { return String::new() };
    match nearby::there(cluster, &kind, Some(namespace), name).await {
        None => String::new(),
        Some(there) if there.is_empty() => ", which has no pods at all".into(),
        Some(there) => format!("; there are {}", there.told()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_as_short_as_they_can_be() {
        let source = |pod: &str, container: &str| Source { pod: pod.into(), container: container.into() };
        let check = |sources: &[Source], expected: &[&str]| {
            assert_eq!(labels(&sources.iter().collect::<Vec<_>>()), expected);
        };
        check(&[source("web-5d-abc", "web")], &[""]);
        check(&[source("web-5d-abc", "web"), source("web-5d-xyz", "web")], &["abc", "xyz"]);
        check(&[source("web-5d-abc", "web"), source("web-5d-abc", "proxy")], &["web", "proxy"]);
        check(&[source("web-5d-abc", "web"), source("web-6f-abc", "proxy")], &["5d-abc/web", "6f-abc/proxy"]);
    }
}
