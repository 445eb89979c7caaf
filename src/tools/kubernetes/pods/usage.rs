//! What nodes, pods and containers use now.

use std::cmp::Ordering;
use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wildmatch::WildMatch;

use super::super::model::{Amounts, ContainerUsage, Demand, Metadata, Node, Pod, Usage};
use super::super::quantity::{self, mebibytes, millicores};
use crate::answers::{Order, Row};
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{List, Refused, Request, segment};
use crate::error::{Error, Result};
use crate::toolkit::args::{Instances, Limit, MaxTokens};
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool};

/// Shows top nodes, pods or containers by CPU and memory.
///
/// Percentages are of what was requested and of the limit, those of nodes of what pods can have. For how it was earlier,
/// ask Prometheus.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::tools::kubernetes) struct GetResourceUsage {
    /// What to measure.
    #[serde(default)]
    scope: Scope,
    /// One cluster by name, several, or `"*"` for all.
    cluster: Option<Instances>,
    /// Only this namespace; all that may be read when absent.
    namespace: Option<String>,
    /// Name or glob.
    name: Option<String>,
    /// Label selector, for example `app=web,tier!=cache`.
    labels: Option<String>,
    /// Highest first; percentages are of the limit, or else of the request.
    #[serde(default)]
    sort_by: SortBy,
    /// Rows per page, at most 500.
    #[serde(default)]
    limit: Limit<20, 500>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Scope {
    Nodes,
    #[default]
    Pods,
    Containers,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum SortBy {
    #[default]
    Cpu,
    Memory,
    CpuPercent,
    MemoryPercent,
}

impl SortBy {
    fn order(self) -> Order {
        match self {
            Self::Cpu => |one, other| by("cpu", one, other),
            Self::Memory => |one, other| by("memory", one, other),
            Self::CpuPercent => |one, other| by_percent("cpu", one, other),
            Self::MemoryPercent => |one, other| by_percent("memory", one, other),
        }
    }
}

fn by(column: &str, one: &Row, other: &Row) -> Ordering {
    let figure = |row: &Row| row.get(column).and_then(Value::as_str).and_then(quantity::parse).unwrap_or_default();
    figure(other).total_cmp(&figure(one))
}

fn by_percent(resource: &str, one: &Row, other: &Row) -> Ordering {
    let figure = |row: &Row| {
        let columns = ["percent_of_limit", "percent_of_request", "percent"];
        columns.iter().find_map(|column| row.get(&format!("{resource}_{column}"))?.as_u64())
    };
    figure(other).cmp(&figure(one))
}

/// What is used of one resource, and what of it there is.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    used: f64,
    request: Option<f64>,
    limit: Option<f64>,
}

impl FanOut for GetResourceUsage {}

impl Tool for GetResourceUsage {
    const NAME: &str = "kubernetes_get_resource_usage";
    const POLICY: Policy = Policy::read(Permission::ClusterRead).cached(15).by_default();
    const REPLACES: &[&str] = &["kubernetes_get_resource_usage"];
    type Backend = Kubernetes;
    type Output = Listing<Row>;

    async fn call(self, cluster: &Kubernetes) -> Result<Listing<Row>> {
        if self.scope == Scope::Nodes && self.namespace.is_some() {
            return Err(Error::BadArguments("namespace: nodes are not in namespaces; leave it out".into()));
        }
        let mut rows = match self.scope {
            Scope::Nodes => self.nodes(cluster).await?,
            Scope::Pods | Scope::Containers => self.pods(cluster).await?,
        };
        if let Some(name) = &self.name {
            let name = WildMatch::new(name);
            rows.retain(|row| row.get("name").and_then(Value::as_str).is_some_and(|text| name.matches(text)));
        }
        let found = rows.len();
        let order = self.sort_by.order();
        rows.sort_by(order);
        rows.truncate(self.limit.get());
        let mut listing = Listing::new(rows).ordered(order);
        listing.total = Some(found as u64);
        if found > self.limit.get() {
            listing.notes.push(format!("The highest {} of {found}; raise `limit` for more.", self.limit.get()));
        }
        if found == 0 {
            listing
                .notes
                .push("Figures come about half a minute after a container starts, and only for those that run.".into());
        }
        Ok(listing)
    }
}

impl GetResourceUsage {
    async fn nodes(&self, cluster: &Kubernetes) -> Result<Vec<Row>> {
        let ask = |path: &str| Request::get(path).query_some("labelSelector", self.labels.as_deref());
        let usages = async { self.measured(ask("/apis/metrics.k8s.io/v1beta1/nodes"), cluster).await };
        let nodes = async { Ok(cluster.list::<Node>(ask("/api/v1/nodes")).await?) };
        let (usages, nodes) = tokio::try_join!(usages, nodes)?;
        let all: HashMap<String, Amounts> =
            nodes.into_iter().map(|node| (node.metadata.name, node.status.allocatable)).collect();
        let row = |node: Usage| {
            let mut row = Row::new();
            let own = all.get(&node.metadata.name);
            row.insert("name".into(), node.metadata.name.clone().into());
            for (resource, write) in RESOURCES {
                let used = quantity::of(&node.usage, resource).unwrap_or_default();
                row.insert(resource.into(), write(used).into());
                let whole = own.and_then(|own| quantity::of(own, resource));
                row.insert(format!("{resource}_percent"), percent(used, whole));
            }
            row
        };
        Ok(usages.into_iter().map(row).collect())
    }

    async fn pods(&self, cluster: &Kubernetes) -> Result<Vec<Row>> {
        let within = match &self.namespace {
            Some(namespace) => format!("/namespaces/{}", segment("namespace", namespace)?),
            None => String::new(),
        };
        let ask = |root: &str| {
            Request::get(format!("{root}{within}/pods")).query_some("labelSelector", self.labels.as_deref())
        };
        let usages = async { self.measured(ask("/apis/metrics.k8s.io/v1beta1"), cluster).await };
        let pods = async { Ok(cluster.list::<Pod<Demand>>(ask("/api/v1")).await?) };
        let (usages, pods) = tokio::try_join!(usages, pods)?;
        let specs: HashMap<(String, String), Demand> =
            pods.into_iter().map(|pod| ((pod.metadata.namespace, pod.metadata.name), pod.spec)).collect();
        let mut rows = Vec::new();
        for usage in usages {
            let Usage { metadata: Metadata { name, namespace, .. }, containers, .. } = usage;
            let key = (namespace, name);
            let spec = specs.get(&key);
            let shares = |resource: &str| -> Vec<Share> {
                containers.iter().map(|container| share(container, resource, spec)).collect()
            };
            let by_resource = RESOURCES.map(|(resource, write)| (resource, write, shares(resource)));
            let begin = || {
                let mut row = Row::new();
                if self.namespace.is_none() {
                    row.insert("namespace".into(), key.0.clone().into());
                }
                row.insert("name".into(), key.1.clone().into());
                row
            };
            if self.scope == Scope::Pods {
                let mut row = begin();
                for (resource, write, shares) in &by_resource {
                    let own = spec.map(|spec| &spec.resources);
                    let mut sum = sum(shares);
                    sum.request = own.and_then(|own| quantity::of(&own.requests, resource)).or(sum.request);
                    sum.limit = own.and_then(|own| quantity::of(&own.limits, resource)).or(sum.limit);
                    add(&mut row, resource, *write, sum);
                }
                rows.push(row);
                continue;
            }
            for (place, container) in containers.iter().enumerate() {
                let mut row = begin();
                row.insert("container".into(), container.name.clone().into());
                for (resource, write, shares) in &by_resource {
                    add(&mut row, resource, *write, shares[place]);
                }
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// What the metrics API says; where there is none, what to ask instead.
    async fn measured(&self, request: Request, cluster: &Kubernetes) -> Result<Vec<Usage>> {
        match cluster.get::<List<Usage>>(request).await {
            Ok(list) => Ok(list.items),
            Err(Refused::Status(status)) if matches!(status.code, 404 | 503) => Err(Error::NotFound(format!(
                "kubernetes/{} has no metrics API that answers (metrics.k8s.io, which metrics-server serves). Where its \
                 Prometheus is configured here, `prometheus_query` with this serves: {}",
                cluster.name(),
                self.query()
            ))),
            Err(refused) => Err(refused.into()),
        }
    }

    /// The query that tells the same from the figures of the kubelets.
    fn query(&self) -> String {
        let metric = match self.sort_by {
            SortBy::Cpu | SortBy::CpuPercent => "container_cpu_usage_seconds_total",
            SortBy::Memory | SortBy::MemoryPercent => "container_memory_working_set_bytes",
        };
        let mut matchers = vec!["container!=\"\"".to_owned()];
        matchers.extend(self.namespace.as_ref().map(|namespace| format!("namespace=\"{}\"", quoted(namespace))));
        let label = match self.scope {
            Scope::Nodes => "node",
            Scope::Pods | Scope::Containers => "pod",
        };
        matchers.extend(self.name.as_ref().map(|name| format!("{label}=~\"{}\"", quoted(&expression(name)))));
        let by = match self.scope {
            Scope::Nodes => "node",
            Scope::Pods => "namespace, pod",
            Scope::Containers => "namespace, pod, container",
        };
        let series = format!("{metric}{{{}}}", matchers.join(","));
        let series = if metric.ends_with("_total") { format!("rate({series}[5m])") } else { series };
        format!("topk({}, sum by ({by}) ({series}))", self.limit.get())
    }
}

/// How an amount is written.
type Written = fn(f64) -> String;

const RESOURCES: [(&str, Written); 2] = [("cpu", millicores), ("memory", mebibytes)];

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// A glob as a regular expression.
fn expression(glob: &str) -> String {
    regex::escape(glob).replace("\\*", ".*").replace("\\?", ".")
}

fn share(container: &ContainerUsage, resource: &str, spec: Option<&Demand>) -> Share {
    let known = spec.and_then(|spec| {
        spec.containers.iter().chain(&spec.init_containers).find(|known| known.name == container.name)
    });
    Share {
        used: quantity::of(&container.usage, resource).unwrap_or_default(),
        request: known.and_then(|known| quantity::of(&known.resources.requests, resource)),
        limit: known.and_then(|known| quantity::of(&known.resources.limits, resource)),
    }
}

/// All containers together; their limit only where each has one.
fn sum(shares: &[Share]) -> Share {
    let requests: Vec<f64> = shares.iter().filter_map(|share| share.request).collect();
    let limits: Vec<f64> = shares.iter().filter_map(|share| share.limit).collect();
    Share {
        used: shares.iter().map(|share| share.used).sum(),
        request: (!requests.is_empty()).then(|| requests.iter().sum()),
        limit: (!limits.is_empty() && limits.len() == shares.len()).then(|| limits.iter().sum()),
    }
}

fn add(row: &mut Row, resource: &str, write: fn(f64) -> String, share: Share) {
    row.insert(resource.into(), write(share.used).into());
    row.insert(format!("{resource}_percent_of_request"), percent(share.used, share.request));
    row.insert(format!("{resource}_percent_of_limit"), percent(share.used, share.limit));
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is never negative")]
fn percent(used: f64, whole: Option<f64>) -> Value {
    whole.filter(|whole| *whole > 0.0).map_or(Value::Null, |whole| ((used / whole * 100.0).round() as u64).into())
}
