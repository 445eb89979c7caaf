//! Values as people read them: `key: value`, indented, without quotes where none are needed.

use serde_json::Value;

/// Lays a value out line by line.
#[must_use]
pub fn lines(value: &Value) -> String {
    let mut text = String::with_capacity(512);
    match value {
        Value::Object(_) | Value::Array(_) => write(&mut text, value, 0),
        scalar => text.push_str(&scalar_text(scalar)),
    }
    text.truncate(text.trim_end().len());
    text
}

fn write(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if is_empty(value) {
                    continue;
                }
                text.push_str(&indent);
                text.push_str(key);
                text.push(':');
                write_after_key(text, value, depth);
            }
        }
        Value::Array(items) => {
            for item in items {
                text.push_str(&indent);
                text.push('-');
                match item {
                    Value::Object(map) if !map.is_empty() => {
                        let mut inner = String::new();
                        write(&mut inner, item, depth + 1);
                        text.push(' ');
                        text.push_str(inner.trim_start());
                    }
                    other => write_after_key(text, other, depth),
                }
            }
        }
        scalar => {
            text.push_str(&indent);
            write_scalar(text, scalar);
            text.push('\n');
        }
    }
}

fn write_after_key(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Array(items) if items.iter().all(is_short_scalar) => {
            text.push(' ');
            text.push_str(&items.iter().map(scalar_text).collect::<Vec<_>>().join(", "));
            text.push('\n');
        }
        Value::Object(_) | Value::Array(_) => {
            text.push('\n');
            write(text, value, depth + 1);
        }
        Value::String(block) if block.contains('\n') => {
            text.push_str(" |\n");
            let indent = "  ".repeat(depth + 1);
            for line in block.lines() {
                text.push_str(&indent);
                text.push_str(line);
                text.push('\n');
            }
        }
        scalar => {
            text.push(' ');
            write_scalar(text, scalar);
            text.push('\n');
        }
    }
}

fn write_scalar(text: &mut String, value: &Value) {
    match value {
        Value::String(string) => text.push_str(string),
        other => text.push_str(&scalar_text(other)),
    }
}

/// A value in one line, as a table cell shows it.
pub(super) fn scalar_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(scalar_text).collect::<Vec<_>>().join(", "),
        Value::Object(map) => {
            map.iter().map(|(key, value)| format!("{key}={}", scalar_text(value))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Whether a value says nothing.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn is_short_scalar(value: &Value) -> bool {
    match value {
        Value::String(text) => text.len() <= 80 && !text.contains('\n'),
        Value::Array(_) | Value::Object(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_read_like_yaml_without_the_noise() {
        let value = json!({"a": 1, "none": null, "list": ["x", "y"], "deep": {"text": "one\ntwo"}, "rows": [{"k": 1, "l": [{"m": 2}]}]});
        insta::assert_snapshot!(lines(&value), @r"
        a: 1
        list: x, y
        deep:
          text: |
            one
            two
        rows:
          - k: 1
            l:
              - m: 2
        ");
    }
}
