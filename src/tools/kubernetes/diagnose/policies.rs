//! Network policies: who may reach pods (kubernetes.io/docs/concepts/services-networking/network-policies).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::super::model::Object;
use super::super::selector::Selector;

pub(super) type Policy = Object<PolicySpec>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PolicySpec {
    pod_selector: Selector,
    policy_types: Vec<String>,
    ingress: Vec<Rule>,
    egress: Vec<Rule>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Rule {
    from: Vec<Peer>,
    to: Vec<Peer>,
    ports: Vec<PolicyPort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Peer {
    pod_selector: Option<Selector>,
    namespace_selector: Option<Selector>,
    ip_block: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PolicyPort {
    port: Value,
    end_port: Option<u16>,
}

/// One end of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct End {
    pub(super) namespace: String,
    pub(super) namespace_labels: BTreeMap<String, String>,
    pub(super) labels: BTreeMap<String, String>,
}

/// Which way a connection goes, as seen from the pods of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
}

/// A port of a pod: its number, and its name where it has one.
#[derive(Clone, Debug, Default)]
pub(super) struct PodPort {
    pub(super) number: u16,
    pub(super) name: String,
}

impl PolicySpec {
    /// Whether it limits connections this way of pods with these labels.
    pub(super) fn limits(&self, labels: &BTreeMap<String, String>, way: Way) -> bool {
        let kind = if way == Way::In { "Ingress" } else { "Egress" };
        self.policy_types.iter().any(|found| found == kind) && self.pod_selector.selects(labels)
    }

    /// Whether it lets a connection to `port` pass whose other end this is. It lies in the namespace `own`.
    pub(super) fn lets(&self, way: Way, own: &str, other: &End, port: &PodPort) -> bool {
        let rules = if way == Way::In { &self.ingress } else { &self.egress };
        rules.iter().any(|rule| {
            let peers = if way == Way::In { &rule.from } else { &rule.to };
            let has_peer = peers.is_empty() || peers.iter().any(|peer| peer.is(own, other));
            let has_port = rule.ports.is_empty() || rule.ports.iter().any(|allowed| allowed.is(port));
            has_peer && has_port
        })
    }

    /// Whom it lets in, as people say it.
    pub(super) fn lets_in(&self) -> String {
        let rules: Vec<_> = self.ingress.iter().map(Rule::shown).collect();
        if rules.is_empty() { "nobody".into() } else { rules.join("; or ") }
    }
}

impl Rule {
    fn shown(&self) -> String {
        let peers: Vec<_> = self.from.iter().map(Peer::shown).collect();
        let peers = if peers.is_empty() { "everybody".into() } else { peers.join(" or ") };
        let ports: Vec<_> = self.ports.iter().map(|port| plain(&port.port)).collect();
        if ports.is_empty() { peers } else { format!("{peers} on port {}", ports.join(", ")) }
    }
}

impl Peer {
    fn is(&self, own: &str, other: &End) -> bool {
        if self.ip_block.is_some() {
            // Blocks of addresses are meant for what is outside of the cluster.
            return false;
        }
        let in_namespace = match &self.namespace_selector {
            Some(selector) => selector.selects(&other.namespace_labels),
            None => other.namespace == own,
        };
        in_namespace && self.pod_selector.as_ref().is_none_or(|selector| selector.selects(&other.labels))
    }

    fn shown(&self) -> String {
        if let Some(block) = &self.ip_block {
            return format!("addresses {}", plain(&block["cidr"]));
        }
        let shown = |selector: &Selector| selector.query().unwrap_or_else(|| "all".into());
        let pods =
            self.pod_selector.as_ref().map_or_else(|| "all pods".into(), |found| format!("pods {}", shown(found)));
        match &self.namespace_selector {
            Some(selector) => format!("{pods} of namespaces {}", shown(selector)),
            None => format!("{pods} of its namespace"),
        }
    }
}

impl PolicyPort {
    fn is(&self, port: &PodPort) -> bool {
        match (&self.port, self.end_port) {
            (Value::Null, _) => true,
            (Value::String(name), _) => *name == port.name,
            (number, None) => *number == port.number,
            (number, Some(end)) => {
                number.as_u64().is_some_and(|first| (first..=u64::from(end)).contains(&u64::from(port.number)))
            }
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_connection_passes_when_a_rule_names_its_other_end_and_its_port() {
        let policy: PolicySpec = serde_json::from_value(json!({
            "podSelector": {"matchLabels": {"app": "a"}}, "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 8080}]},
                {"from": [{"namespaceSelector": {}}], "ports": [{"port": 9000, "endPort": 9010}]}
            ]
        }))
        .unwrap();
        let labels = |app: &str| BTreeMap::from([("app".to_owned(), app.to_owned())]);
        let lets = |namespace: &str, app: &str, number| {
            let other = End { namespace: namespace.into(), labels: labels(app), ..End::default() };
            policy.lets(Way::In, "shop", &other, &PodPort { number, name: String::new() })
        };
        assert!(policy.limits(&labels("a"), Way::In));
        assert!(!policy.limits(&labels("b"), Way::In));
        assert!(!policy.limits(&labels("a"), Way::Out));
        assert!(lets("shop", "web", 8080));
        assert!(!lets("shop", "web", 8081));
        assert!(!lets("other", "web", 8080));
        assert!(lets("other", "any", 9005));
        assert!(!lets("other", "any", 9011));
        assert_eq!(
            policy.lets_in(),
            "pods app=web of its namespace on port 8080; or all pods of namespaces all on port 9000"
        );
    }
}
