//! Label selectors (kubernetes.io/docs/concepts/overview/working-with-objects/labels).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Labels by name.
pub(super) type Labels = BTreeMap<String, String>;

/// A label selector; empty, it selects all.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Selector {
    pub(super) match_labels: Labels,
    pub(super) match_expressions: Vec<Expression>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Expression {
    key: String,
    operator: String,
    values: Vec<String>,
}

impl Selector {
    /// The selector that an object has: labels and expressions, or plain labels as services have them. None where it is
    /// something else.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let map = value.as_object()?;
        if map.contains_key("matchLabels") || map.contains_key("matchExpressions") {
            return Self::deserialize(value).ok();
        }
        let labels = map.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        Some(Self { match_labels: labels.collect(), match_expressions: Vec::new() })
    }

    /// Whether it selects something with these labels.
    pub(super) fn selects(&self, labels: &Labels) -> bool {
        has_all(labels, &self.match_labels)
            && self.match_expressions.iter().all(|wanted| {
                let value = labels.get(&wanted.key);
                match wanted.operator.as_str() {
                    "In" => value.is_some_and(|value| wanted.values.contains(value)),
                    "NotIn" => value.is_none_or(|value| !wanted.values.contains(value)),
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    _ => false,
                }
            })
    }

    /// As requests name it. None where it selects everything, or by an operator that requests do not know.
    pub(super) fn query(&self) -> Option<String> {
        let equal = self.match_labels.iter().map(|(name, value)| Some(format!("{name}={value}")));
        let others = self.match_expressions.iter().map(|wanted| match wanted.operator.as_str() {
            "In" => Some(format!("{} in ({})", wanted.key, wanted.values.join(","))),
            "NotIn" => Some(format!("{} notin ({})", wanted.key, wanted.values.join(","))),
            "Exists" => Some(wanted.key.clone()),
            "DoesNotExist" => Some(format!("!{}", wanted.key)),
            _ => None,
        });
        let parts: Vec<String> = equal.chain(others).collect::<Option<_>>()?;
        (!parts.is_empty()).then(|| parts.join(","))
    }
}

/// The selector that an object has, as requests name it; none as [`Selector::query`], and where it is no selector.
pub(super) fn query(selector: &Value) -> Option<String> {
    Selector::of(selector)?.query()
}

/// Labels that are wanted, as requests name them.
pub(super) fn equal_to(labels: &Labels) -> String {
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

/// Whether labels have all of these values.
pub(super) fn has_all(labels: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_are_written_as_requests_name_them() {
        for (given, wanted) in [
            (json!({"app": "web"}), Some("app=web")),
            (json!({"app": "web", "tier": "a"}), Some("app=web,tier=a")),
            (json!({"matchLabels": {"app": "web"}}), Some("app=web")),
            (
                json!({"matchLabels": {"app": "web"}, "matchExpressions": [
                    {"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "old", "operator": "DoesNotExist"}
                ]}),
                Some("app=web,tier in (a,b),!old"),
            ),
            (
                json!({"matchLabels": {"app": "web"}, "matchExpressions": [
                    {"key": "tier", "operator": "NotIn", "values": ["cache", "db"]},
                    {"key": "canary", "operator": "DoesNotExist"}
                ]}),
                Some("app=web,tier notin (cache,db),!canary"),
            ),
            (
                json!({"matchLabels": {"app": "web"}, "matchExpressions": [
                    {"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "old", "operator": "DoesNotExist"},
                    {"key": "new", "operator": "Exists"}, {"key": "zone", "operator": "NotIn", "values": ["x"]}
                ]}),
                Some("app=web,tier in (a,b),!old,new,zone notin (x)"),
            ),
            (json!({}), None),
            (json!({"matchExpressions": [{"key": "a", "operator": "Near"}]}), None),
            (Value::Null, None),
        ] {
            assert_eq!(query(&given).as_deref(), wanted, "{given}");
        }
    }

    #[test]
    fn selectors_fit_labels_as_the_cluster_takes_them() {
        let labels = Labels::deserialize(json!({"app": "web", "tier": "a"})).unwrap();
        for (given, wanted) in [
            (json!({"app": "web"}), true),
            (json!({"app": "other"}), false),
            (json!({}), true),
            (
                json!({"matchLabels": {"app": "web"}, "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["a"]}, {"key": "x", "operator": "DoesNotExist"}]}),
                true,
            ),
            (json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["a"]}]}), false),
        ] {
            assert_eq!(Selector::of(&given).unwrap().selects(&labels), wanted, "{given}");
        }
    }
}
