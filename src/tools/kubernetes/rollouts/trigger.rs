//! Starting a `CronJob` now.

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::change::server_side::strict;
use super::super::pointer;
use super::workload::object;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::Request;
use crate::error::Result;
use crate::toolkit::{Facts, Permission, Policy, Tool};

/// What `kubectl create job --from` writes, so that it can be told from a scheduled one.
const INSTANTIATE: &str = "cronjob.kubernetes.io/instantiate";

/// Characters of the name of the `CronJob` in that of the Job, which must leave room for its pods.
const LONGEST_PREFIX: usize = 44;

/// Starts a Job from a `CronJob` now.
///
/// Besides its schedule, which stays as it is; also where it is suspended.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct TriggerCronjob {
    /// Name of the `CronJob`.
    name: String,
    /// Name of the cluster; needed when several are configured.
    cluster: Option<String>,
    /// Namespace of the `CronJob`.
    namespace: String,
    /// Name of the Job; made from that of the `CronJob` when absent.
    job_name: Option<String>,
    /// Only try it; change nothing.
    #[serde(default)]
    dry_run: bool,
}

/// A Job that was started.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Triggered {
    /// What was done, or would be.
    outcome: String,
    job: String,
    namespace: String,
    /// How to follow it.
    follow: String,
}

impl Tool for TriggerCronjob {
    const NAME: &str = "kubernetes_trigger_cronjob";
    const POLICY: Policy = Policy::write(Permission::ClusterWrite);
    type Backend = Kubernetes;
    type Output = Facts<Triggered>;

    async fn call(self, cluster: &Kubernetes) -> Result<Facts<Triggered>> {
        let kind = cluster.kind("cronjobs.batch").await?;
        let seen = object(cluster, &kind, &self.namespace, &self.name).await?;
        // Its template is sent back, secrets and all.
        let request = Request::get(kind.object_path(Some(&self.namespace), &self.name)?);
        let cronjob: Value = cluster.get_with_secrets(request).await?;
        let jobs = cluster.kind("jobs.batch").await?;
        let request = strict(Request::get(jobs.path(Some(&self.namespace))?), self.dry_run);
        let made: Value = cluster.change(Method::POST, request, "application/json", &self.job(&cronjob)).await?;
        let job = made["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let follow = format!(
            "kubernetes_wait_for_resource with kind Job, name {job}, namespace {}, until complete",
            self.namespace
        );
        let outcome = if self.dry_run { "dry run: nothing was started" } else { "started" };
        let mut text = format!("Job {}/{job}: {outcome}", self.namespace);
        if !self.dry_run {
            text.push_str(&format!("\nfollow it with {follow}"));
        }
        let mut notes = Vec::new();
        let active = pointer::list(&seen, "/status/active").len();
        if active > 0 && seen["spec"]["concurrencyPolicy"] != "Allow" {
            notes.push(format!(
                "{active} of its Jobs run already, though its schedule would let only one run at a time."
            ));
        }
        let triggered = Triggered { outcome: outcome.into(), job, namespace: self.namespace.clone(), follow };
        Ok(Facts::new(triggered).text(text).notes(notes))
    }
}

impl TriggerCronjob {
    fn job(&self, cronjob: &Value) -> Value {
        let template = &cronjob["spec"]["jobTemplate"];
        let mut annotations = template["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
        annotations.insert(INSTANTIATE.into(), "manual".into());
        let mut metadata = Map::new();
        if let Some(name) = &self.job_name {
            metadata.insert("name".into(), name.clone().into())
        } else {
            let prefix: String = self.name.chars().take(LONGEST_PREFIX).collect();
            metadata.insert("generateName".into(), format!("{prefix}-manual-").into())
        };
        metadata.insert("annotations".into(), annotations.into());
        if let Some(labels) = template["metadata"].get("labels") {
            metadata.insert("labels".into(), labels.clone());
        }
        let owner = json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "name": self.name, "uid": cronjob["metadata"]["uid"],
            "controller": true
        });
        metadata.insert("ownerReferences".into(), json!([owner]));
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]})
    }
}
