//! Tools that change objects.

mod apply;
mod delete;
mod hidden;
mod patch;

use serde_json::Value;

use super::{Shop, configuration};
use crate::cluster::Identity;
use crate::harness::Service;

impl Shop {
    /// A server that may destroy things in the cluster of the shop.
    pub(super) async fn destroyer(&self) -> Service {
        self.allowed(Identity::Administrator).await
    }

    /// The same for somebody whom the cluster itself lets do nothing.
    pub(super) async fn weak_destroyer(&self) -> Service {
        self.allowed(Identity::Viewer).await
    }

    async fn allowed(&self, identity: Identity) -> Service {
        Service::start(&format!("allow: destroy\n{}", configuration(self.cluster, identity))).await
    }

    /// An object of the namespace, as the API server has it.
    pub(super) async fn object(&self, path: &str) -> Value {
        self.api.get(&self.path(path)).await.unwrap()
    }

    /// A path below the namespace: `configmaps/a` or `apis/apps/v1:deployments/web`.
    pub(super) fn path(&self, path: &str) -> String {
        match path.split_once(':') {
            Some((group, rest)) => format!("/{group}/namespaces/{}/{rest}", self.namespace),
            None => format!("/api/v1/namespaces/{}/{path}", self.namespace),
        }
    }
}

/// The plan that a dry run answers with.
pub(super) fn plan(text: &str) -> String {
    let rest = text.split("plan \"").nth(1).unwrap_or_else(|| panic!("no plan in {text}"));
    rest.split('"').next().unwrap().to_owned()
}
