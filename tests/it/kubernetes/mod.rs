//! Kubernetes tools against a real API server with simulated nodes.

mod change;
mod cluster;
mod diagnose;
mod discovery;
mod failing;
mod fleet;
mod list;
mod nodes;
mod pods;
mod proxy;
mod read;
mod refusals;
mod rollouts;
mod secrets;
mod watch_cache;

use serde_json::Value;

use crate::cluster::{Api, Cluster, Identity, document};
use crate::harness::Service;
use crate::stack::cluster;

/// The service in front of the shared cluster, and a namespace of its own there.
struct Shop {
    cluster: &'static Cluster,
    service: Service,
    api: Api,
    namespace: String,
}

impl Shop {
    /// A server that speaks to the cluster as its administrator, and an empty namespace.
    async fn empty() -> Option<Self> {
        let cluster = cluster().await?;
        let api = cluster.first.api(Identity::Administrator).unwrap();
        let namespace = api.namespace("shop").await.unwrap();
        let service = Service::start(&configuration(cluster, Identity::Administrator)).await;
        Some(Self { cluster, service, api, namespace })
    }

    /// With the broken shop in it.
    async fn seeded() -> Option<Self> {
        let shop = Self::empty().await?;
        shop.apply(&document("shop.yaml").unwrap()).await;
        Some(shop)
    }

    /// A server that speaks to the same cluster as somebody who may do nothing there.
    async fn weak(&self) -> Service {
        Service::start(&configuration(self.cluster, Identity::Viewer)).await
    }

    async fn apply(&self, documents: &str) {
        self.api.apply(&self.namespace, documents).await.unwrap();
    }

    /// Waits until the pods of an application are as wanted.
    async fn until_pods(&self, app: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/api/v1/namespaces/{}/pods?labelSelector=app%3D{app}", self.namespace);
        let is_wanted =
            |found: &Value| found["items"].as_array().is_some_and(|pods| !pods.is_empty() && pods.iter().all(&wanted));
        self.api.until(&path, is_wanted).await.unwrap()
    }
}

/// A configuration with the shared cluster as `first`.
fn configuration(cluster: &Cluster, identity: Identity) -> String {
    format!(
        "backends:\n  kubernetes:\n    clusters:\n      first:\n        kubeconfig: {}\n",
        cluster.first.kubeconfig(identity).display()
    )
}

fn is_ready(pod: &Value) -> bool {
    pod["status"]["containerStatuses"][0]["ready"] == true
}
