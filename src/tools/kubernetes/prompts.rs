//! What people start a conversation about a cluster with.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::resources;
use crate::call::Context;
use crate::caller::Effect;
use crate::error::Result;
use crate::toolkit::{Prompt, PromptEntry, Reader, prompt, user_message};

/// Prompts about clusters.
pub(in crate::tools) const PROMPTS: &[PromptEntry] = &[
    prompt::<WorkloadDiagnosis>(),
    prompt::<ServiceConnectivity>(),
    prompt::<RolloutRecovery>(),
    prompt::<SafeChange>(),
    prompt::<FleetReport>(),
];

const SERVICES: &[&str] = &["kubernetes"];

/// How to name the place of an object, as the end of a sentence.
fn place(namespace: Option<&str>, cluster: Option<&str>) -> String {
    let namespace = namespace.map(|name| format!(" in the namespace `{name}`")).unwrap_or_default();
    let cluster = cluster.map(|name| format!(" of the cluster `{name}`")).unwrap_or_default();
    format!("{namespace}{cluster}")
}

/// From an object to pods, events, logs and usage, and to a verdict.
#[derive(Debug, Deserialize, JsonSchema)]
struct WorkloadDiagnosis {
    /// Kind of the object, for example deployment.
    kind: String,
    /// Its name.
    name: String,
    /// Its namespace.
    namespace: String,
    /// Which cluster; the default one when absent.
    cluster: Option<String>,
    /// What seems to be wrong.
    symptom: Option<String>,
}

impl Prompt for WorkloadDiagnosis {
    const NAME: &str = "workload_diagnosis";
    const SERVICES: &[&str] = SERVICES;

    fn messages(self, _: &Context) -> Result<Vec<Value>> {
        let place = place(Some(&self.namespace), self.cluster.as_deref());
        let symptom = self.symptom.map(|symptom| format!(" What was seen: {symptom}.")).unwrap_or_default();
        Ok(vec![user_message(format!(
            "What is wrong with the {} `{}`{place}?{symptom}\n\n\
             1. Begin with `kubernetes_diagnose_resource`.\n\
             2. See all that belongs to it with `kubernetes_get_resource_tree`, and what happened with \
             `kubernetes_get_events`, warnings first.\n\
             3. Read the logs of a pod that fails with `kubernetes_get_pod_logs`, of the container before its last restart \
             too; compare usage with limits by `kubernetes_get_resource_usage`.\n\
             4. Give a verdict in a few sentences: the cause, the evidence for it, what speaks against it, the safest next \
             step. Change nothing unless I ask for it.",
            self.kind, self.name
        ))])
    }

    async fn complete(argument: &str, _: &str, reader: &dyn Reader, context: &Context) -> Result<Vec<String>> {
        resources::complete(argument, reader, context).await
    }
}

/// Walks from route to service, endpoints and policies; the port last.
#[derive(Debug, Deserialize, JsonSchema)]
struct ServiceConnectivity {
    /// Namespace of the service.
    namespace: String,
    /// Its name.
    service: String,
    /// Who cannot reach it, for example a pod or an address.
    from: Option<String>,
    /// The path that is asked for.
    path: Option<String>,
    /// Which cluster; the default one when absent.
    cluster: Option<String>,
}

impl Prompt for ServiceConnectivity {
    const NAME: &str = "service_connectivity";
    const SERVICES: &[&str] = SERVICES;

    fn messages(self, _: &Context) -> Result<Vec<Value>> {
        let place = place(Some(&self.namespace), self.cluster.as_deref());
        let from = self.from.map(|from| format!(" from {from}")).unwrap_or_default();
        let path = self.path.map(|path| format!(", path {path}")).unwrap_or_default();
        Ok(vec![user_message(format!(
            "Why can the service `{}`{place} not be reached{from}{path}?\n\n\
             1. Follow it hop by hop with `kubernetes_check_service`; the first broken hop is usually the cause.\n\
             2. See what sends to it and which pods it selects with `kubernetes_get_resource_tree`.\n\
             3. Read the network policies that it shows with `kubernetes_get_resource`: which of them keep the sender out?\n\
             4. Only when all of that is in order, try the port with `kubernetes_request_port`, if you have it.\n\
             5. Say which hop is broken, how you saw it, and the smallest change that mends it. Change nothing.",
            self.service
        ))])
    }

    async fn complete(argument: &str, _: &str, reader: &dyn Reader, context: &Context) -> Result<Vec<String>> {
        resources::complete(argument, reader, context).await
    }
}

/// Judges a rollout: wait, fix, pause or undo, minding who owns the object.
#[derive(Debug, Deserialize, JsonSchema)]
struct RolloutRecovery {
    /// Kind of the workload, for example deployment.
    kind: String,
    /// Its name.
    name: String,
    /// Its namespace.
    namespace: String,
    /// Which cluster; the default one when absent.
    cluster: Option<String>,
}

impl Prompt for RolloutRecovery {
    const NAME: &str = "rollout_recovery";
    const SERVICES: &[&str] = SERVICES;
    const EFFECT: Effect = Effect::Write;

    fn messages(self, _: &Context) -> Result<Vec<Value>> {
        let place = place(Some(&self.namespace), self.cluster.as_deref());
        Ok(vec![user_message(format!(
            "What should become of the rollout of the {} `{}`{place}?\n\n\
             1. See how far it is, and what changed, with `kubernetes_get_rollout`.\n\
             2. See why new pods do not become ready: `kubernetes_diagnose_resource`, `kubernetes_get_pod_logs`.\n\
             3. See who owns the object: owners, labels and annotations of Helm, Argo CD or Flux in \
             `kubernetes_get_resource`. What such a tool manages is mended there, or it comes back.\n\
             4. Decide: wait, fix forward, pause or undo; say why, and what users notice meanwhile.\n\
             5. Show a dry run of the change that you propose, with `kubernetes_control_rollout`, and wait for my word.",
            self.kind, self.name
        ))])
    }

    async fn complete(argument: &str, _: &str, reader: &dyn Reader, context: &Context) -> Result<Vec<String>> {
        resources::complete(argument, reader, context).await
    }
}

/// Dry run, diff, ask, apply, verify, keep the way back.
#[derive(Debug, Deserialize, JsonSchema)]
struct SafeChange {
    /// What is to be reached, in words.
    goal: String,
    /// What is to be changed, for example deployment/web.
    target: String,
    /// Its namespace.
    namespace: Option<String>,
    /// Which cluster; the default one when absent.
    cluster: Option<String>,
}

impl Prompt for SafeChange {
    const NAME: &str = "safe_change";
    const SERVICES: &[&str] = SERVICES;
    const EFFECT: Effect = Effect::Write;

    fn messages(self, _: &Context) -> Result<Vec<Value>> {
        let place = place(self.namespace.as_deref(), self.cluster.as_deref());
        Ok(vec![user_message(format!(
            "Change {}{place}, so that: {}\n\n\
             1. Read it as it is, with `kubernetes_get_resource` and view yaml; keep that as the way back. See who owns it \
             and what hangs on it with `kubernetes_get_resource_tree`.\n\
             2. Write the smallest change. See what it would do with `kubernetes_diff_manifests`, or a dry run of \
             `kubernetes_patch_resource`.\n\
             3. Show me the diff, what could go wrong, and how to undo it. Wait for my word.\n\
             4. Apply it, and wait until it is as wanted with `kubernetes_wait_for_resource`.\n\
             5. Verify with state and events that the goal is reached; if not, say so and propose the way back.",
            self.target, self.goal
        ))])
    }

    async fn complete(argument: &str, _: &str, reader: &dyn Reader, context: &Context) -> Result<Vec<String>> {
        resources::complete(argument, reader, context).await
    }
}

/// State of all clusters for a reader who was away.
#[derive(Debug, Deserialize, JsonSchema)]
struct FleetReport {
    /// Clusters, separated by commas; all when absent.
    clusters: Option<String>,
    /// From when on, for example now-1d.
    start: Option<String>,
}

impl Prompt for FleetReport {
    const NAME: &str = "fleet_report";
    const SERVICES: &[&str] = SERVICES;

    fn messages(self, _: &Context) -> Result<Vec<Value>> {
        let clusters =
            self.clusters.map_or_else(|| "all clusters (\"*\")".into(), |names| format!("the clusters {names}"));
        let start = self.start.unwrap_or_else(|| "now-1d".into());
        Ok(vec![user_message(format!(
            "Report the state of {clusters} to somebody who was away since {start}.\n\n\
             1. Health and capacity of each with `kubernetes_get_cluster_overview`.\n\
             2. What is broken with `kubernetes_get_unhealthy_resources`, and since when.\n\
             3. What happened with `kubernetes_get_events`, warnings only.\n\
             4. Write at most a page: a line for each cluster, then what needs a decision today, then what can wait. Name \
             the clusters that did not answer. Change nothing."
        ))])
    }

    async fn complete(argument: &str, _: &str, reader: &dyn Reader, context: &Context) -> Result<Vec<String>> {
        resources::complete(argument, reader, context).await
    }
}
