//! What rows are sorted by: numbers and quantities as such, everything else as text.

use std::cmp::Ordering;

use serde_json::Value;

/// One value to sort by.
#[derive(Debug, PartialEq)]
pub(super) enum Key {
    Number(f64),
    Text(String),
    Nothing,
}

impl Key {
    /// The key of a value.
    pub(super) fn new(value: &Value) -> Self {
        match value {
            Value::Null => Self::Nothing,
            Value::Number(number) => number.as_f64().map_or(Self::Nothing, Self::Number),
            Value::String(text) if text.is_empty() || text == "<none>" => Self::Nothing,
            Value::String(text) => match leading_number(text) {
                Some(number) => Self::Number(number),
                None => Self::Text(text.clone()),
            },
            other => Self::Text(other.to_string()),
        }
    }

    /// The key of a time (RFC 3339), the older the greater.
    pub(super) fn moment_before(text: &str) -> Self {
        match text.parse::<jiff::Timestamp>() {
            Ok(at) => Self::Number(-at.as_duration().as_secs_f64()),
            Err(_) => Self::Nothing,
        }
    }
}

/// The number that a text begins with, where it is one: `3 (5m ago)`, `2/3`, `50%`, `128Mi`; not `10.0.0.1`, not `1a`.
fn leading_number(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let scale = match text[end..].trim_start_matches(['b', 'B']) {
        "" | "%" => 1.0,
        "m" => 0.001,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        rest if rest.starts_with([' ', '/']) => 1.0,
        _ => return None,
    };
    Some(number * scale)
}

/// The order of two keys; what has no value comes last either way.
pub(super) fn compare(one: &Key, other: &Key, reversed: bool) -> Ordering {
    let order = match (one, other) {
        (Key::Nothing, Key::Nothing) => return Ordering::Equal,
        (Key::Nothing, _) => return Ordering::Greater,
        (_, Key::Nothing) => return Ordering::Less,
        (Key::Number(one), Key::Number(other)) => one.total_cmp(other),
        (Key::Text(one), Key::Text(other)) => one.cmp(other),
        (Key::Number(_), Key::Text(_)) => Ordering::Less,
        (Key::Text(_), Key::Number(_)) => Ordering::Greater,
    };
    if reversed { order.reverse() } else { order }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sorted_as_numbers_and_what_is_missing_comes_last() {
        let mut values = ["12 (5m ago)", "3", "", "web", "10.0.0.1", "2/3", "500m", "1Ki"];
        let key = |text: &str| Key::new(&Value::String(text.to_owned()));
        values.sort_by(|one, other| compare(&key(one), &key(other), false));
        assert_eq!(values, ["500m", "2/3", "3", "12 (5m ago)", "1Ki", "10.0.0.1", "web", ""]);
        values.sort_by(|one, other| compare(&key(one), &key(other), true));
        assert_eq!(values.last(), Some(&""));
    }
}
