//! The schemas of kinds, as the API server publishes them (kubernetes.io/docs/concepts/overview/kubernetes-api, "OpenAPI V3").

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::Value;

use crate::backends::kubernetes::Kind;

/// How deep lists and maps are followed into each other; a schema may point to itself.
const DEEPEST: usize = 32;

/// Alternatives of a type that are named.
const MOST_ALTERNATIVES: usize = 5;

/// The schemas of one group and version.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Document {
    components: Components,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Components {
    schemas: HashMap<String, Schema>,
}

/// One schema; only what is shown of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Schema {
    #[serde(rename = "$ref")]
    reference: Option<String>,
    all_of: Vec<Schema>,
    one_of: Vec<Schema>,
    pub(super) description: String,
    #[serde(rename = "type")]
    kind: Option<Value>,
    format: Option<String>,
    pub(super) properties: BTreeMap<String, Schema>,
    pub(super) required: Vec<String>,
    items: Option<Box<Schema>>,
    additional_properties: Option<Additional>,
    pub(super) default: Option<Value>,
    #[serde(rename = "enum")]
    pub(super) allowed: Vec<Value>,
    #[serde(rename = "x-kubernetes-group-version-kind")]
    kinds: Vec<Named>,
    #[serde(rename = "x-kubernetes-int-or-string")]
    is_number_or_text: bool,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields")]
    is_open: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Additional {
    Allowed(bool),
    Each(Box<Schema>),
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    group: String,
    version: String,
    kind: String,
}

impl Document {
    /// The schema of a kind, where it has one.
    pub(super) fn of(&self, kind: &Kind) -> Option<&Schema> {
        let is_named =
            |named: &Named| named.group == kind.group && named.version == kind.version && named.kind == kind.kind;
        self.components.schemas.values().find(|schema| schema.kinds.len() == 1 && schema.kinds.iter().any(is_named))
    }

    /// The schema that another one points to, with what is said where it points: description and default.
    pub(super) fn resolved(&self, schema: &Schema) -> Schema {
        let target = schema.reference.as_ref().or(match schema.all_of.as_slice() {
            [only] => only.reference.as_ref(),
            _ => None,
        });
        let target = target.and_then(|path| self.components.schemas.get(path.rsplit('/').next()?));
        let Some(target) = target else { return schema.clone() };
        let mut resolved = target.clone();
        if !schema.description.is_empty() {
            resolved.description.clone_from(&schema.description);
        }
        if schema.default.is_some() {
            resolved.default.clone_from(&schema.default);
        }
        resolved
    }

    /// The schema of one element, where this is a list or a map; itself otherwise.
    pub(super) fn element(&self, schema: &Schema) -> Schema {
        let mut schema = self.resolved(schema);
        for _ in 0..DEEPEST {
            schema = match (&schema.items, &schema.additional_properties) {
                (Some(items), _) => self.resolved(items),
                (None, Some(Additional::Each(each))) => self.resolved(each),
                _ => return schema,
            };
        }
        schema
    }

    /// Its type in one word or two: `string`, `[]object`, `map[string]integer`.
    pub(super) fn type_of(&self, schema: &Schema) -> String {
        self.type_within(schema, DEEPEST)
    }

    fn type_within(&self, schema: &Schema, depth: usize) -> String {
        if depth == 0 {
            return "…".into();
        }
        let schema = self.resolved(schema);
        if let Some(items) = &schema.items {
            return format!("[]{}", self.type_within(items, depth - 1));
        }
        if let Some(Additional::Each(each)) = &schema.additional_properties {
            return format!("map[string]{}", self.type_within(each, depth - 1));
        }
        if schema.is_number_or_text || schema.format.as_deref() == Some("int-or-string") {
            return "integer or string".into();
        }
        match (&schema.kind, schema.format.as_deref()) {
            (Some(Value::String(_)), Some("date-time")) => "time".into(),
            (Some(Value::String(_)), Some("byte")) => "base64".into(),
            (Some(Value::String(kind)), _) => kind.clone(),
            (Some(Value::Array(kinds)), _) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
            _ if !schema.one_of.is_empty() => {
                // Alternatives of alternatives multiply.
                let some = schema.one_of.iter().take(MOST_ALTERNATIVES);
                let kinds: Vec<_> = some.map(|one| self.type_within(one, depth / 4)).collect();
                kinds.join(" or ")
            }
            _ if !schema.properties.is_empty() => "object".into(),
            _ => "any".into(),
        }
    }

    /// Whether fields may be there that the schema does not name.
    pub(super) fn is_open(schema: &Schema) -> bool {
        schema.is_open || matches!(schema.additional_properties, Some(Additional::Allowed(true)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_that_point_to_themselves_have_an_end() {
        let each = |schema: Value| {
            let document = json!({"components": {"schemas": {"A": schema}}});
            let document: Document = serde_json::from_value(document).unwrap();
            let schema = document.components.schemas["A"].clone();
            document.element(&schema);
            document.type_of(&schema)
        };
        let itself = json!({"$ref": "#/components/schemas/A"});
        assert!(each(json!({"type": "array", "items": itself})).starts_with("[][][]"));
        assert!(each(json!({"additionalProperties": itself})).starts_with("map[string]map[string]"));
        assert!(each(json!({"oneOf": vec![itself.clone(); 1_000]})).len() < 5_000);
        assert_eq!(each(json!({"type": "array", "items": {"type": "string"}})), "[]string");
    }
}
