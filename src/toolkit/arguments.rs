//! Reads arguments into the struct that they are, and says in words where they do not fit.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

use super::schema;
use crate::error::{Error, Result};

/// Characters of a value that a message shows.
const MOST_SHOWN: usize = 60;

/// How serde begins what it says about forms; anything else is a sentence of ours.
const WORDS_OF_SERDE: [&str; 6] =
    ["invalid type", "invalid value", "invalid length", "unknown variant", "data did not match", "missing field"];

/// Reads arguments whose names were already checked; an absent argument and `null` mean the same.
///
/// # Errors
/// [`Error::BadArguments`] with the argument, what was given, and what is expected.
pub(super) fn read<T: DeserializeOwned + JsonSchema>(mut arguments: Map<String, Value>) -> Result<T> {
    arguments.retain(|_, value| !value.is_null());
    let given = Value::Object(arguments);
    serde_path_to_error::deserialize(&given).map_err(|error| {
        let message = error.inner().to_string();
        let path = error.path();
        let schema = Value::Object(schema::of::<T>());
        Error::BadArguments(in_words(&message, path, &given, &schema))
    })
}

fn in_words(message: &str, path: &Path, given: &Value, schema: &Value) -> String {
    let at_top = path.iter().next().is_none();
    if !WORDS_OF_SERDE.iter().any(|words| message.starts_with(words)) {
        return if at_top { message.to_owned() } else { format!("{path}: {message}") };
    }
    let (given, schema) = follow(path, given, schema);
    if let Some(name) = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        let about = schema.get("properties").and_then(|known| known.get(name)?.get("description")?.as_str());
        let inside = if at_top { String::new() } else { format!("{path}: ") };
        return format!("{inside}`{name}` is needed: {}", about.unwrap_or("it has no default"));
    }
    let given = given.to_string();
    let mut shown: String = given.chars().take(MOST_SHOWN).collect();
    if shown.len() < given.len() {
        shown.push('…');
    }
    format!("{path}: {shown} is not {}", expected(schema))
}

/// The value and the schema at a path.
fn follow<'a>(path: &Path, mut value: &'a Value, mut schema: &'a Value) -> (&'a Value, &'a Value) {
    for segment in path {
        let (inner, inner_schema) = match segment {
            Segment::Seq { index } => (value.get(index), schema.get("items")),
            Segment::Map { key } => {
                let known = schema.get("properties").and_then(|known| known.get(key));
                (value.get(key), known.or_else(|| schema.get("additionalProperties")))
            }
            Segment::Enum { .. } | Segment::Unknown => continue,
        };
        value = inner.unwrap_or(&Value::Null);
        schema = inner_schema.unwrap_or(&Value::Null);
    }
    (value, schema)
}

/// What a schema asks for, in words.
fn expected(schema: &Value) -> String {
    if let Some(Value::Array(values)) = schema.get("enum") {
        let names: Vec<_> = values.iter().filter_map(Value::as_str).collect();
        return format!("one of {}", names.join(", "));
    }
    if let Some(Value::Array(alternatives)) = schema.get("anyOf") {
        return alternatives.iter().map(expected).collect::<Vec<_>>().join(" or ");
    }
    let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => "text".into(),
        Some("boolean") => "true or false".into(),
        Some("number") => "a number".into(),
        Some("integer") => match (bound("minimum"), bound("maximum")) {
            (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
            (Some(least), None) => format!("a whole number, {least} or more"),
            _ => "a whole number".into(),
        },
        Some("array") => match schema.get("items").map(expected) {
            Some(items) => format!("a list, each {items}"),
            None => "a list".into(),
        },
        Some("object") => "an object of names and values".into(),
        _ => "what is expected there".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::toolkit::args::{Instances, Limit, Moment, View};

    /// Does a thing.
    #[derive(Debug, Default, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Arguments {
        text: Option<String>,
        flag: bool,
        view: View,
        names: Vec<String>,
        labels: BTreeMap<String, String>,
        instance: Option<Instances>,
        number: u8,
        limit: Limit<5, 9>,
        start: Option<Moment>,
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only read")]
    struct Inner {
        /// How it is called.
        name: String,
    }

    #[test]
    fn arguments_of_the_wrong_form_are_told_by_name_value_and_what_is_expected() {
        for (given, expected) in [
            (json!({"text": 5}), "text: 5 is not text"),
            (json!({"flag": "yes"}), "flag: \"yes\" is not true or false"),
            (json!({"view": "wide"}), "view: \"wide\" is not one of table, summary, full"),
            (json!({"names": "a"}), "names: \"a\" is not a list, each text"),
            (json!({"names": ["a", 1]}), "names[1]: 1 is not text"),
            (json!({"labels": {"a": [1]}}), "labels.a: [1] is not text"),
            (json!({"labels": "a=b"}), "labels: \"a=b\" is not an object of names and values"),
            (json!({"instance": 7}), "instance: 7 is not text or a list, each text"),
            (json!({"number": -1}), "number: -1 is not a whole number from 0 to 255"),
            (json!({"number": 1.5}), "number: 1.5 is not a whole number from 0 to 255"),
            (json!({"limit": 0}), "limit: 0 is not a whole number from 1 to 9"),
            (
                json!({"start": "noon"}),
                "start: `noon` is not a time; give RFC 3339 (2026-01-02T15:04:05Z), Unix seconds, or now, now-1h, now-7d",
            ),
            (json!({"inner": {}}), "inner: `name` is needed: How it is called."),
        ] {
            let Value::Object(arguments) = given else { panic!("an object") };
            assert_eq!(read::<Arguments>(arguments).unwrap_err().to_string(), expected);
        }
        assert!(read::<Arguments>(Map::from_iter([("text".to_owned(), Value::Null)])).is_ok());
    }
}
