//! Holds settings against their schema, so that every mistake is found and not only the first.

use std::path::Path;

use serde_json::{Map, Value};

use crate::yaml::{self, join};

/// A mistake: the path of the key, and a sentence.
type Mistakes = Vec<(String, String)>;

/// Finds every setting that is unknown or of the wrong form.
pub(super) fn check(value: &Value, schema: &Value, path: &str, mistakes: &mut Mistakes) {
    if value.is_null() {
        return;
    }
    if let Some(Value::Array(allowed)) = schema.get("enum") {
        if !allowed.contains(value) {
            let allowed: Vec<_> = allowed.iter().filter_map(Value::as_str).collect();
            mistakes.push((path.to_owned(), format!("{value} is not one of {}", allowed.join(", "))));
        }
        return;
    }
    let wrong = |what: &str| (path.to_owned(), format!("{} is not {what}", shown(value, schema)));
    match (schema.get("type").and_then(Value::as_str), value) {
        (Some("object"), Value::Object(map)) => check_object(map, schema, path, mistakes),
        (Some("array"), Value::Array(items)) => {
            for (place, item) in items.iter().enumerate() {
                check(item, schema.get("items").unwrap_or(&Value::Null), &join(path, &place.to_string()), mistakes);
            }
        }
        (Some("object"), _) => mistakes.push(wrong("a group of keys")),
        (Some("array"), _) => mistakes.push(wrong("a list")),
        (Some("string"), Value::String(_)) | (Some("boolean"), Value::Bool(_)) | (None, _) => {}
        (Some("string"), _) => mistakes.push(wrong("text")),
        (Some("boolean"), _) => mistakes.push(wrong("true or false")),
        (Some("integer"), value) => match value.as_u64() {
            None => mistakes.push(wrong("a whole number")),
            Some(number) if schema.get("minimum").and_then(Value::as_u64).is_some_and(|least| number < least) => {
                mistakes.push(wrong("large enough"));
            }
            Some(_) => {}
        },
        (Some(_), _) => {}
    }
}

fn check_object(map: &Map<String, Value>, schema: &Value, path: &str, mistakes: &mut Mistakes) {
    let known = schema.get("properties").and_then(Value::as_object);
    let others = schema.get("additionalProperties").filter(|schema| schema.is_object());
    for (key, value) in map {
        let inner = join(path, key);
        match (known.and_then(|known| known.get(key)), others) {
            (Some(schema), _) | (None, Some(schema)) => check(value, schema, &inner, mistakes),
            (None, None) => {
                let names: Vec<&str> = known.into_iter().flat_map(Map::keys).map(String::as_str).collect();
                mistakes.push((inner, unknown(key, &names)));
            }
        }
    }
    let required = schema.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if !map.contains_key(name) {
            mistakes.push((join(path, name), "is missing".into()));
        }
    }
}

fn unknown(key: &str, names: &[&str]) -> String {
    let near = names.iter().min_by_key(|name| distance(key, name)).filter(|name| distance(key, name) <= 2);
    let hint = near.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
    format!("there is no such setting; {hint}Known here: {}", names.join(", "))
}

/// How many letters must change to get from one word to the other, neighbours that change places counting once.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<_>>()];
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=other.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

fn is_secret(schema: &Value) -> bool {
    schema.get("x-secret").is_some()
}

/// The value as a mistake shows it.
fn shown(value: &Value, schema: &Value) -> String {
    if is_secret(schema) { "the value".into() } else { value.to_string() }
}

/// The value that a text stands for at a path: text where the schema wants text, YAML elsewhere.
pub(super) fn from_text(schema: &Value, path: &str, text: &str) -> Value {
    let wants_text = path.split('.').try_fold(schema, |schema, key| {
        schema.get("properties").and_then(|known| known.get(key)).or_else(|| schema.get("additionalProperties"))
    });
    if wants_text.is_some_and(|schema| schema.get("type").is_some_and(|name| name == "string")) {
        return Value::String(text.to_owned());
    }
    yaml::parse(text).map_or_else(|_| Value::String(text.to_owned()), |(value, _)| value)
}

/// Reads secrets from where the configuration says they are.
pub(super) fn resolve_secrets(value: &mut Value, schema: &Value, path: &str, mistakes: &mut Mistakes) {
    match value {
        Value::String(text) if is_secret(schema) => {
            let found = if let Some(name) = text.strip_prefix("env:") {
                variable(name)
            } else if let Some(file) = text.strip_prefix("file:") {
                read(Path::new(file))
            } else {
                return;
            };
            match found {
                Ok(secret) => *text = secret,
                Err(mistake) => mistakes.push((path.to_owned(), mistake)),
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                let known = schema.get("properties").and_then(|known| known.get(key));
                if let Some(schema) = known.or_else(|| schema.get("additionalProperties")) {
                    resolve_secrets(value, schema, &join(path, key), mistakes);
                }
            }
        }
        Value::Array(items) => {
            for (place, item) in items.iter_mut().enumerate() {
                let schema = schema.get("items").unwrap_or(&Value::Null);
                resolve_secrets(item, schema, &join(path, &place.to_string()), mistakes);
            }
        }
        _ => {}
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one door to the environment")]
fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|_| format!("the environment has no {name}"))
}

fn read(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}
