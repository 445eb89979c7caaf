//! JSON schemas and descriptions as clients see them.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

/// The JSON schema (2020-12) of a type: self-contained, and without what only a programmer would read.
#[must_use]
pub fn of<T: JsonSchema>() -> Map<String, Value> {
    let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    }));
    let mut schema = generator.root_schema_for::<T>().to_value();
    tidy(&mut schema);
    match schema {
        Value::Object(mut schema) => {
            schema.remove("description");
            schema
        }
        _ => Map::new(),
    }
}

/// The names of the properties that must be there.
pub fn required(schema: &Map<String, Value>) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// The doc comment of a type, as one sentence and the rest.
#[must_use]
pub fn description<T: JsonSchema>() -> String {
    let schema = SchemaGenerator::default().root_schema_for::<T>();
    unwrapped(schema.get("description").and_then(Value::as_str).unwrap_or_default())
}

/// A doc comment with a line for each paragraph: where its source breaks a line says nothing.
fn unwrapped(text: &str) -> String {
    let paragraphs: Vec<String> = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect();
    paragraphs.join("\n")
}

/// The properties with an `x-mcp-header`, as JSON pointer and header name. Annotations that clients would refuse the tool
/// for are not counted: only text, whole numbers and flags can be mirrored, under a name that is a token (RFC 9110 §5.6.2).
#[must_use]
pub fn mirrored(schema: &Map<String, Value>, path: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let Value::Object(property) = property else { continue };
        let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        let simple = matches!(property.get("type").and_then(Value::as_str), Some("string" | "integer" | "boolean"));
        match property.get("x-mcp-header").and_then(Value::as_str) {
            Some(header) if simple && is_token(header) => found.push((path, header.to_owned())),
            _ => found.extend(mirrored(property, &path)),
        }
    }
    found
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Drops titles, number formats and `null` alternatives: an absent argument says the same.
fn tidy(schema: &mut Value) {
    let Value::Object(object) = schema else {
        if let Value::Array(items) = schema {
            items.iter_mut().for_each(tidy);
        }
        return;
    };
    object.remove("title");
    if let Some(Value::String(description)) = object.get_mut("description") {
        *description = unwrapped(description);
    }
    if object.get("format").and_then(Value::as_str).is_some_and(|format| {
        format.starts_with("int") || format.starts_with("uint") || matches!(format, "double" | "float")
    }) {
        object.remove("format");
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
    drop_null_type(object);
    for key in ["anyOf", "oneOf"] {
        drop_null_alternative(object, key);
    }
    merge_constants(object);
    for (key, value) in object.iter_mut() {
        if key == "properties" {
            if let Value::Object(properties) = value {
                properties.values_mut().for_each(tidy);
            }
        } else if !matches!(key.as_str(), "default" | "const" | "enum" | "examples" | "required") {
            tidy(value);
        }
    }
}

fn drop_null_type(object: &mut Map<String, Value>) {
    let Some(Value::Array(types)) = object.get_mut("type") else { return };
    types.retain(|name| name != "null");
    if let [only] = types.as_slice() {
        let only = only.clone();
        object.insert("type".into(), only);
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
}

fn drop_null_alternative(object: &mut Map<String, Value>, key: &str) {
    let Some(Value::Array(alternatives)) = object.get_mut(key) else { return };
    alternatives.retain(|schema| schema.get("type").is_none_or(|name| name != "null"));
    if alternatives.len() != 1 {
        return;
    }
    if let Some(Value::Array(mut alternatives)) = object.remove(key)
        && let Some(Value::Object(only)) = alternatives.pop()
    {
        for (name, value) in only {
            object.entry(name).or_insert(value);
        }
    }
}

/// Documented variants come as `oneOf` of constants; clients know `enum` better.
fn merge_constants(object: &mut Map<String, Value>) {
    let Some(Value::Array(alternatives)) = object.get("oneOf") else { return };
    let mut values = Vec::new();
    for schema in alternatives {
        match (schema.get("const"), schema.get("enum").and_then(Value::as_array)) {
            (Some(value), _) => values.push(value.clone()),
            (None, Some(several)) => values.extend(several.iter().cloned()),
            _ => return,
        }
    }
    object.remove("oneOf");
    object.insert("type".into(), "string".into());
    object.insert("enum".into(), values.into());
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::super::args::{Limit, Moment};
    use super::*;

    /// Does a thing.
    ///
    /// And more.
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Example {
        /// What to do.
        query: String,
        /// How much.
        view: Option<View>,
        /// Rows.
        #[serde(default)]
        limit: Limit<5, 9>,
        /// When.
        start: Option<Moment>,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    enum View {
        /// Few.
        Table,
        /// All.
        Full,
    }

    #[test]
    fn a_schema_is_flat_and_has_no_null() {
        assert_eq!(
            Value::Object(of::<Example>()),
            json!({
                "type": "object",
                "properties": {
                    "query": {"type": "string", "description": "What to do."},
                    "view": {"type": "string", "enum": ["table", "full"], "description": "How much."},
                    "limit": {"type": "integer", "minimum": 1, "maximum": 9, "default": 5, "description": "Rows."},
                    "start": {"type": "string", "description": "When."}
                },
                "required": ["query"]
            })
        );
        assert_eq!(description::<Example>(), "Does a thing.\nAnd more.");
    }
}
