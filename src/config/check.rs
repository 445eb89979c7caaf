//! Holds settings against their schema, so that every mistake is found and not only the first.

use std::path::Path;

use serde_json::{Map, Value};

use crate::yaml::{self, join};

/// A mistake in one setting.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// The path of its key.
    pub(super) key: String,
    /// What is wrong, and what would be right.
    pub(super) message: String,
    /// The settings of which nothing more can be said because of it: these, and those inside of them.
    pub(super) doubtful: String,
}

impl Found {
    pub(super) fn new(key: &str, message: String) -> Self {
        Self { key: key.to_owned(), message, doubtful: key.to_owned() }
    }

    /// Where names were to be given, settings beside them may speak of these.
    fn with_neighbours(mut self) -> Self {
        if let Some((group, _)) = self.doubtful.rsplit_once('.') {
            self.doubtful = group.to_owned();
        }
        self
    }
}

/// Finds every setting that is unknown or of the wrong form, and puts its default, or something harmless, in its place.
pub(super) fn check(value: &mut Value, schema: &Value, default: Option<&Value>, path: &str, mistakes: &mut Vec<Found>) {
    if let Some(message) = problem(value, schema) {
        let found = Found::new(path, message);
        mistakes.push(if named(schema).is_some() { found.with_neighbours() } else { found });
        *value = default.cloned().unwrap_or_else(|| blank(schema));
        return;
    }
    match value {
        Value::Object(map) => check_object(map, schema, default, path, mistakes),
        Value::Array(items) => {
            for (place, item) in items.iter_mut().enumerate() {
                let schema = schema.get("items").unwrap_or(&Value::Null);
                check(item, schema, None, &join(path, &place.to_string()), mistakes);
            }
        }
        _ => {}
    }
}

/// What is wrong with a value itself, whatever is in it.
fn problem(value: &Value, schema: &Value) -> Option<String> {
    let wrong = |what: &str| Some(format!("{} is not {what}", shown(value, schema)));
    if let Some(Value::Array(allowed)) = schema.get("enum") {
        let names: Vec<_> = allowed.iter().filter_map(Value::as_str).collect();
        return if allowed.contains(value) { None } else { wrong(&format!("one of {}", names.join(", "))) };
    }
    match (schema.get("type").and_then(Value::as_str)?, value) {
        ("object", Value::Object(_)) | ("array", Value::Array(_)) | ("boolean", Value::Bool(_)) => None,
        ("object", _) => wrong("a group of keys"),
        ("array", _) => wrong("a list; write it as [one, another]"),
        ("boolean", _) => wrong("true or false"),
        ("string", Value::String(text)) => match schema.get("format").and_then(Value::as_str) {
            Some("date-time") if text.parse::<jiff::Timestamp>().is_err() => {
                wrong("a moment; write it as 2027-02-20T00:00:00Z")
            }
            _ => None,
        },
        ("string", Value::Object(_) | Value::Array(_) | Value::Null) => wrong("text"),
        ("string", _) => wrong("text; put it into quotes"),
        ("integer", _) => {
            let Some(number) = value.as_u64() else { return wrong("a whole number") };
            let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
            match (bound("minimum"), bound("maximum")) {
                (Some(least), _) if number < least => Some(format!("{number} is too small; give {least} or more")),
                (_, Some(most)) if number > most => Some(format!("{number} is too large; give {most} or less")),
                _ => None,
            }
        }
        _ => None,
    }
}

fn check_object(
    map: &mut Map<String, Value>,
    schema: &Value,
    default: Option<&Value>,
    path: &str,
    mistakes: &mut Vec<Found>,
) {
    let known = schema.get("properties").and_then(Value::as_object);
    // A key with nothing behind it is as good as none.
    for (key, value) in map.iter_mut().filter(|(_, value)| value.is_null()) {
        if let Some(default) = default.and_then(|default| default.get(key)) {
            value.clone_from(default);
        } else if named(schema).is_some_and(|inner| inner.get("type").is_some_and(|name| name == "object")) {
            *value = Value::Object(Map::new());
        }
    }
    map.retain(|_, value| !value.is_null());
    map.retain(|key, value| {
        let inner = join(path, key);
        if let Some(schema) = known.and_then(|known| known.get(key)) {
            check(value, schema, default.and_then(|default| default.get(key)), &inner, mistakes);
        } else if let Some(schema) = named(schema) {
            check(value, schema, None, &inner, mistakes);
        } else {
            let names: Vec<&str> = known.into_iter().flat_map(Map::keys).map(String::as_str).collect();
            let (near, message) = unknown(key, &names);
            let mut found = Found::new(&inner, message);
            if let Some(near) = near {
                found.doubtful = join(path, near);
            }
            mistakes.push(if value.is_object() { found.with_neighbours() } else { found });
            return false;
        }
        true
    });
    let required = schema.get("required").and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if !map.contains_key(name) {
            mistakes.push(Found::new(&join(path, name), "is missing".into()));
            map.insert(name.to_owned(), known.and_then(|known| known.get(name)).map_or(Value::Null, blank));
        }
    }
}

/// The schema of values whose keys are names that the operator chose.
fn named(schema: &Value) -> Option<&Value> {
    schema.get("additionalProperties").filter(|schema| schema.is_object())
}

/// Something of the right form.
fn blank(schema: &Value) -> Value {
    if let Some(default) = schema.get("default") {
        return default.clone();
    }
    if let Some(first) = schema.get("enum").and_then(|allowed| allowed.get(0)) {
        return first.clone();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => {
            let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
            let known = schema.get("properties");
            let entry =
                |name: &str| (name.to_owned(), known.and_then(|known| known.get(name)).map_or(Value::Null, blank));
            Value::Object(required.filter_map(Value::as_str).map(entry).collect())
        }
        Some("array") => Value::Array(Vec::new()),
        Some("string") if schema.get("format").is_none() => Value::String(String::new()),
        Some("boolean") => Value::Bool(false),
        Some("integer") => schema.get("minimum").cloned().unwrap_or(0.into()),
        _ => Value::Null,
    }
}

/// The name that was probably meant, and a sentence.
fn unknown<'a>(key: &str, names: &[&'a str]) -> (Option<&'a str>, String) {
    let near = names.iter().min_by_key(|name| distance(key, name)).filter(|name| distance(key, name) <= 2);
    let hint = near.map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
    (near.copied(), format!("there is no such setting; {hint}Known here: {}", names.join(", ")))
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
pub(super) fn resolve_secrets(value: &mut Value, schema: &Value, path: &str, mistakes: &mut Vec<Found>) {
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
                Err(message) => mistakes.push(Found::new(path, message)),
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
