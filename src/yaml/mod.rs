//! YAML as JSON values, with the line of every key, and back.

mod documents;

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, YamlData};
use serde_json::{Map, Number, Value};

pub use documents::{Document, documents};

/// The line of each key, by its dotted path. Lines count from 1.
pub type Lines = BTreeMap<String, usize>;

/// Reads one document.
///
/// # Errors
/// A sentence with the line of the mistake.
pub fn parse(text: &str) -> Result<(Value, Lines), String> {
    let documents = MarkedYaml::load_from_str(text).map_err(|error| format!("this is not YAML: {error}"))?;
    let mut lines = Lines::new();
    match documents.as_slice() {
        [] => Ok((Value::Null, lines)),
        [document] => Ok((value(document, "", &mut lines)?, lines)),
        _ => Err("there is more than one document in it".into()),
    }
}

fn value(node: &MarkedYaml<'_>, path: &str, lines: &mut Lines) -> Result<Value, String> {
    let line = node.span.start.line();
    lines.entry(path.to_owned()).or_insert(line);
    Ok(match &node.data {
        YamlData::Value(scalar) => scalar_value(scalar),
        YamlData::Representation(text, _, _) => Value::String(text.to_string()),
        YamlData::Sequence(items) => {
            let mut list = Vec::with_capacity(items.len());
            for (place, item) in items.iter().enumerate() {
                list.push(value(item, &join(path, &place.to_string()), lines)?);
            }
            Value::Array(list)
        }
        YamlData::Mapping(entries) => {
            let mut map = Map::new();
            for (key, item) in entries {
                let line = key.span.start.line();
                let name = match &key.data {
                    YamlData::Value(scalar) => match scalar_value(scalar) {
                        Value::String(name) => name,
                        other => other.to_string(),
                    },
                    _ => return Err(format!("line {line}: a key must be text")),
                };
                let inner = join(path, &name);
                lines.insert(inner.clone(), line);
                let item = value(item, &inner, lines)?;
                map.insert(name, item);
            }
            Value::Object(map)
        }
        YamlData::Tagged(_, inner) => value(inner, path, lines)?,
        YamlData::Alias(_) | YamlData::BadValue => return Err(format!("line {line}: this cannot be read")),
    })
}

fn scalar_value(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(flag) => Value::Bool(*flag),
        Scalar::Integer(number) => Value::Number((*number).into()),
        Scalar::FloatingPoint(number) => Number::from_f64(number.into_inner()).map_or(Value::Null, Value::Number),
        Scalar::String(text) => Value::String(text.to_string()),
    }
}

/// A path one key deeper.
#[must_use]
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Writes a value as one document.
#[must_use]
pub fn emit(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => write_map(&mut text, map, 0),
        Value::Array(items) if !items.is_empty() => write_list(&mut text, items, 0),
        scalar => {
            text.push_str(&scalar_text(scalar));
            text.push('\n');
        }
    }
    text
}

fn write_map(text: &mut String, map: &Map<String, Value>, depth: usize) {
    for (key, value) in map {
        text.push_str(&"  ".repeat(depth));
        text.push_str(&scalar_text(&Value::String(key.clone())));
        text.push(':');
        write_value(text, value, depth);
    }
}

fn write_list(text: &mut String, items: &[Value], depth: usize) {
    for item in items {
        text.push_str(&"  ".repeat(depth));
        text.push('-');
        match item {
            Value::Object(map) if !map.is_empty() => {
                let mut inner = String::new();
                write_map(&mut inner, map, depth + 1);
                text.push(' ');
                text.push_str(inner.trim_start());
            }
            other => write_value(text, other, depth),
        }
    }
}

fn write_value(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            text.push('\n');
            write_map(text, map, depth + 1);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            write_list(text, items, depth + 1);
        }
        scalar => {
            text.push(' ');
            text.push_str(&scalar_text(scalar));
            text.push('\n');
        }
    }
}

/// Text that could be read as anything but text is quoted, as JSON does it (YAML 1.2 takes that).
fn scalar_text(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./ ".contains(c))
                && !text.ends_with(' ')
                && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
                    .contains(&text.to_ascii_lowercase().as_str());
            if plain { text.clone() } else { Value::String(text.clone()).to_string() }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_key_has_its_line() {
        let (value, lines) = parse("# c\na: 1\nb:\n  - x: true\n    y: \"1\"\n  - z\n").unwrap();
        assert_eq!(value, json!({"a": 1, "b": [{"x": true, "y": "1"}, "z"]}));
        assert_eq!((lines["a"], lines["b"], lines["b.0.y"], lines["b.1"]), (2, 3, 5, 6));
    }

    #[test]
    fn what_is_emitted_reads_back_the_same() {
        let value = json!({"a": {"b": [1, "1", "true", "x: y", {"c": null, "d": [[], {}]}], "": "a\nb"}, "e": -0.5});
        assert_eq!(parse(&emit(&value)).unwrap().0, value);
    }

    #[test]
    fn mistakes_name_their_line() {
        assert!(parse("a: 1\nb: [1\n").unwrap_err().contains("line"));
        assert!(parse("a: 1\na: 2\n").unwrap_err().contains("line 2"));
    }
}
