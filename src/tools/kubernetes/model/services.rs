//! Services, and where they lead.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::super::selector::Labels;
use super::{Metadata, Object, Pod};

pub(in super::super) type Service = Object<ServiceSpec, ServiceStatus>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(in super::super) kind: String,
    pub(in super::super) external_name: String,
    pub(in super::super) selector: Labels,
    pub(in super::super) ports: Vec<ServicePort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct ServicePort {
    pub(in super::super) name: String,
    pub(in super::super) port: u16,
    /// A number or the name of a port of a container; the port itself when absent.
    pub(in super::super) target_port: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct ServiceStatus {
    pub(in super::super) load_balancer: LoadBalancer,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct LoadBalancer {
    pub(in super::super) ingress: Vec<IgnoredAny>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct EndpointSlice {
    pub(in super::super) metadata: Metadata,
    #[serde(deserialize_with = "or_empty")]
    pub(in super::super) endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct Endpoint {
    conditions: EndpointConditions,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct EndpointConditions {
    ready: Option<bool>,
}

/// A list that the API server writes as null when it is empty.
fn or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Endpoint>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl ServicePort {
    /// Name and number, as people say them.
    pub(in super::super) fn shown(&self) -> String {
        if self.name.is_empty() { self.port.to_string() } else { format!("{} ({})", self.name, self.port) }
    }

    /// Where it sends to.
    pub(in super::super) fn target(&self) -> String {
        match &self.target_port {
            Value::String(name) => name.clone(),
            Value::Number(number) => number.to_string(),
            _ => self.port.to_string(),
        }
    }

    /// Whether a container declares what it sends to.
    pub(in super::super) fn is_declared_by(&self, pod: &Pod) -> bool {
        let target = self.target();
        let mut ports = pod.spec.containers.iter().flat_map(|container| &container.ports);
        ports.any(|port| port.name == target || port.container_port.to_string() == target)
    }
}

impl EndpointSlice {
    /// The service it belongs to.
    pub(in super::super) fn service(&self) -> &str {
        self.metadata.labels.get("kubernetes.io/service-name").map_or("", String::as_str)
    }

    /// Endpoints that get traffic; what is not known counts as ready (discovery.k8s.io/v1).
    pub(in super::super) fn ready(&self) -> usize {
        self.endpoints.iter().filter(|endpoint| endpoint.conditions.ready != Some(false)).count()
    }
}
