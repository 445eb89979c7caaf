//! Several documents in one text, from a hand that may be hostile: depth and size are bounded, and aliases cannot multiply.

use std::collections::HashMap;

use saphyr::Scalar;
use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

use super::scalar_value;

/// How deep values may be nested.
const DEEPEST: usize = 100;

/// Values in all documents, those of aliases and anchors counted each time.
const MOST_VALUES: usize = 200_000;

/// Bytes of text in all documents, those of aliases and anchors counted each time.
const MOST_BYTES: usize = 4 << 20;

/// A document and the line it begins at; lines count from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The line.
    pub line: usize,
    /// What is in it.
    pub value: Value,
}

/// A list or a map that is not complete yet.
enum Open {
    List(Vec<Value>, usize),
    Map(Map<String, Value>, Option<String>, usize),
}

/// Reads all documents of a text, leaving out empty ones. Plain words and numbers mean what they mean to `kubectl`: `yes`
/// and `on` are true, `0644` is octal.
///
/// # Errors
/// A sentence with the line of the mistake.
pub fn documents(text: &str) -> Result<Vec<Document>, String> {
    let mut parser = Parser::new_from_str(text);
    let mut found = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut anchors = HashMap::<usize, (Value, Size)>::new();
    let mut line = 1;
    let mut total = Size::default();
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| format!("this is not YAML: {error}"))?;
        let here = span.start.line();
        let (value, anchor) = match event {
            Event::DocumentStart(_) => {
                line = here;
                continue;
            }
            Event::SequenceStart(anchor, _) => {
                open.push(Open::List(Vec::new(), anchor));
                (None, 0)
            }
            Event::MappingStart(anchor, _) => {
                open.push(Open::Map(Map::new(), None, anchor));
                (None, 0)
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(list, anchor)) => (Some(Value::Array(list)), anchor),
                Some(Open::Map(map, _, anchor)) => (Some(Value::Object(map)), anchor),
                None => continue,
            },
            Event::Scalar(text, style, anchor, tag) => {
                total.bytes += text.len();
                let value = match plain(&text, style).filter(|_| tag.is_none()) {
                    Some(value) => value,
                    None => Scalar::parse_from_cow_and_metadata(text, style, tag.as_ref())
                        .map(|scalar| scalar_value(&scalar))
                        .ok_or_else(|| format!("line {here}: this does not fit its tag"))?,
                };
                (Some(value), anchor)
            }
            Event::Alias(anchor) => {
                let Some((value, size)) = anchors.get(&anchor) else {
                    return Err(format!("line {here}: this alias has no anchor above it"));
                };
                total.add(*size);
                total.check(here)?;
                (Some(value.clone()), 0)
            }
            _ => continue,
        };
        total.values += 1;
        if open.len() > DEEPEST {
            return Err(format!("line {here}: values are nested deeper than {DEEPEST}"));
        }
        total.check(here)?;
        let Some(value) = value else { continue };
        if anchor != 0 {
            let size = Size::of(&value);
            total.add(size);
            total.check(here)?;
            anchors.insert(anchor, (value.clone(), size));
        }
        match open.last_mut() {
            None if value.is_null() => {}
            None => found.push(Document { line, value }),
            Some(Open::List(list, _)) => list.push(value),
            Some(Open::Map(map, key @ None, _)) => {
                let name = match value {
                    Value::String(name) => name,
                    Value::Array(_) | Value::Object(_) => return Err(format!("line {here}: a key must be text")),
                    other => other.to_string(),
                };
                if name == "<<" {
                    return Err(format!("line {here}: merge keys (`<<`) are not understood; write the fields out"));
                }
                if map.contains_key(&name) {
                    return Err(format!("line {here}: `{name}` is there twice"));
                }
                *key = Some(name);
            }
            Some(Open::Map(map, key, _)) => {
                map.insert(key.take().unwrap_or_default(), value);
            }
        }
    }
    Ok(found)
}

/// Plain scalars that YAML 1.1, which Kubernetes reads, understands in another way than YAML 1.2.
fn plain(text: &str, style: ScalarStyle) -> Option<Value> {
    if style != ScalarStyle::Plain {
        return None;
    }
    match text {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Some(true.into()),
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Some(false.into()),
        _ => {}
    }
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let octal = digits.strip_prefix('0').filter(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))?;
    match i64::from_str_radix(octal, 8) {
        Ok(number) => Some(if negative { -number } else { number }.into()),
        // `089` is no number there.
        Err(_) => Some(text.into()),
    }
}

/// How much there is of something.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    values: usize,
    /// Bytes of keys and texts.
    bytes: usize,
}

impl Size {
    fn of(value: &Value) -> Self {
        let mut size = Self { values: 1, bytes: 0 };
        match value {
            Value::Array(items) => items.iter().for_each(|item| size.add(Self::of(item))),
            Value::Object(map) => {
                for (key, item) in map {
                    size.bytes += key.len();
                    size.add(Self::of(item));
                }
            }
            Value::String(text) => size.bytes = text.len(),
            _ => {}
        }
        size
    }

    fn add(&mut self, other: Self) {
        self.values += other.values;
        self.bytes += other.bytes;
    }

    fn check(self, line: usize) -> Result<(), String> {
        if self.values > MOST_VALUES {
            return Err(format!("line {line}: there are more than {MOST_VALUES} values up to here"));
        }
        if self.bytes > MOST_BYTES {
            return Err(format!(
                "line {line}: there are more than {} MiB up to here, with aliases filled in",
                MOST_BYTES >> 20
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_come_one_by_one_with_their_lines() {
        let found = documents("---\na: 1\n---\n# nothing\n---\n{\"b\": [true, \"x\"]}\n").unwrap();
        let values: Vec<_> = found.iter().map(|document| (document.line, document.value.clone())).collect();
        assert_eq!(values[0].1, json!({"a": 1}));
        assert_eq!(values[1].1, json!({"b": [true, "x"]}));
        assert_eq!(values.len(), 2);
        assert!(values[1].0 >= 5);
        assert_eq!(documents("").unwrap(), []);
    }

    #[test]
    fn plain_words_mean_what_kubernetes_reads() {
        let found =
            documents("a: 0644\nb: yes\nc: \"yes\"\nd: Off\ne: 089\nf: \"0644\"\ng: ~\nh: 0\ni: 1.5\n").unwrap();
        let wanted = json!({
            "a": 420, "b": true, "c": "yes", "d": false, "e": "089", "f": "0644", "g": null, "h": 0, "i": 1.5
        });
        assert_eq!(found[0].value, wanted);
    }

    #[test]
    fn aliases_are_filled_in_and_cannot_multiply() {
        assert_eq!(documents("a: &x [1, 2]\nb: *x\n").unwrap()[0].value, json!({"a": [1, 2], "b": [1, 2]}));
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(documents(&bomb).unwrap_err().contains("more than 200000 values"));
    }

    #[test]
    fn aliases_cannot_multiply_long_texts_and_anchors_cannot_keep_many_copies() {
        let long = format!("big: &a \"{}\"\nl: [{}]\n", "x".repeat(200_000), vec!["*a"; 15_000].join(","));
        assert!(documents(&long).unwrap_err().contains("line 2: there are more than 4 MiB"));
        let keys = format!("a: &a {{{}: 1}}\nl: [{}]\n", "k".repeat(1_000), vec!["*a"; 15_000].join(","));
        assert!(documents(&keys).unwrap_err().contains("more than 4 MiB"));
        let anchors = (0..90).map(|level| format!("&a{level} [")).collect::<Vec<_>>().concat();
        let nested = format!("{anchors}{}{}", vec!["1"; 10_000].join(","), "]".repeat(90));
        assert!(documents(&nested).unwrap_err().contains("more than 200000 values"));
    }

    #[test]
    fn deep_nesting_and_mistakes_are_refused_with_their_line() {
        assert!(documents(&"- ".repeat(100_000)).unwrap_err().contains("nested deeper than 100"));
        assert!(documents("a: 1\nb: [1\n").unwrap_err().contains("line"));
        assert!(documents("a: 1\na: 2\n").unwrap_err().contains("line 2: `a` is there twice"));
        assert!(documents("a: {<<: {b: 1}}\n").unwrap_err().contains("write the fields out"));
    }
}
