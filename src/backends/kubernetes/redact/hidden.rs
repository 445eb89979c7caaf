//! What was hidden in an object, so that a change does not carry it to where it would be shown.

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{FINGERPRINT, is_fingerprint};
use crate::answers::redact::fingerprint;
use crate::secrets::Signer;

/// Bytes of a text that is looked for within others; a shorter one could stand anywhere.
const SHORTEST: usize = 4;

/// A step on the way to a value.
#[derive(Clone, Debug)]
enum Step {
    Field(String),
    Item(usize),
}

/// What was hidden in an object.
#[derive(Debug)]
pub struct Hidden {
    places: Vec<Vec<Step>>,
    texts: Vec<String>,
    /// Texts that the object shows anyway.
    shown: HashSet<String>,
    signer: Arc<Signer>,
}

impl Hidden {
    /// What an object shows no more after redaction.
    pub(in super::super) fn new(raw: &Value, redacted: &Value, signer: Arc<Signer>) -> Self {
        let mut hidden = Self { places: Vec::new(), texts: Vec::new(), shown: HashSet::new(), signer };
        hidden.collect(raw, redacted, &mut Vec::new());
        let decoded: Vec<_> =
            hidden.texts.iter().filter_map(|text| String::from_utf8(STANDARD.decode(text).ok()?).ok()).collect();
        hidden.texts.extend(decoded.into_iter().filter(|text| !text.is_empty()));
        // A longer one first, as it may hold a shorter one.
        hidden.texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        hidden.texts.dedup();
        hidden
    }

    fn collect(&mut self, raw: &Value, redacted: &Value, path: &mut Vec<Step>) {
        match (raw, redacted) {
            (Value::Object(raw), Value::Object(redacted)) => {
                for (name, value) in raw.iter().filter(|(name, _)| *name != "managedFields") {
                    path.push(Step::Field(name.clone()));
                    self.collect(value, redacted.get(name).unwrap_or(&Value::Null), path);
                    path.pop();
                }
            }
            (Value::Array(raw), Value::Array(redacted)) => {
                for (place, value) in raw.iter().enumerate() {
                    path.push(Step::Item(place));
                    self.collect(value, redacted.get(place).unwrap_or(&Value::Null), path);
                    path.pop();
                }
            }
            (Value::String(raw), Value::String(redacted)) if raw == redacted => {
                self.shown.insert(raw.clone());
            }
            (Value::String(raw), _) => {
                self.places.push(path.clone());
                let pieces = redacted.as_str().map(|redacted| pieces(raw, redacted)).unwrap_or_default();
                self.texts.extend(pieces);
                self.texts.push(raw.clone());
            }
            (raw, redacted) if raw != redacted => {
                self.places.push(path.clone());
                self.texts.push(raw.to_string());
            }
            _ => {}
        }
    }

    /// Whether something is hidden at a JSON pointer or below it. Where items may have moved, any item counts.
    #[must_use]
    pub fn is_at(&self, pointer: &str, may_have_moved: bool) -> bool {
        let wanted: Vec<String> =
            pointer.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
        let is_on_the_way = |place: &Vec<Step>| {
            place.iter().zip(&wanted).all(|(step, wanted)| match step {
                Step::Field(name) => name == wanted,
                // The API server also counts from the end: -1.
                Step::Item(place) => may_have_moved || wanted.parse::<usize>().map_or(true, |wanted| wanted == *place),
            })
        };
        self.places.iter().any(is_on_the_way)
    }

    /// The same but for what a caller sends, who knows it already: whether it is a secret is not told that way.
    #[must_use]
    pub fn unless_sent<'a>(mut self, sent: impl IntoIterator<Item = &'a Value>) -> Self {
        let sent: Vec<_> = sent.into_iter().flat_map(texts).collect();
        self.texts.retain(|text| !sent.iter().any(|sent| sent.contains(text)));
        self
    }

    /// Hides it in an object too.
    pub fn mask(&self, value: &mut Value) {
        match value {
            Value::Object(map) => map.values_mut().for_each(|value| self.mask(value)),
            Value::Array(items) => items.iter_mut().for_each(|value| self.mask(value)),
            Value::String(text) if !self.shown.contains(text) => *text = self.masked(text),
            Value::Number(number)
                if number.to_string().len() >= SHORTEST && self.texts.contains(&number.to_string()) =>
            {
                *value = fingerprint(&number.to_string(), &self.signer).into();
            }
            _ => {}
        }
    }

    /// A text without it.
    #[must_use]
    pub fn masked(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for hidden in &self.texts {
            if masked == *hidden && !is_fingerprint(&masked) {
                return fingerprint(hidden, &self.signer);
            }
            if hidden.len() >= SHORTEST && masked.contains(hidden) {
                masked = masked.replace(hidden, &fingerprint(hidden, &self.signer));
            }
        }
        masked
    }
}

/// What fingerprints stand for within a text.
fn pieces(raw: &str, redacted: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = raw;
    let mut kept = FINGERPRINT.split(redacted).peekable();
    if let Some(first) = kept.next() {
        rest = rest.strip_prefix(first).unwrap_or(rest);
    }
    while let Some(next) = kept.next() {
        let end = match (next, kept.peek()) {
            ("", None) => Some(rest.len()),
            (next, None) => rest.ends_with(next).then(|| rest.len() - next.len()),
            (next, Some(_)) => rest.find(next),
        };
        let Some(end) = end else { break };
        found.push(rest[..end].to_owned());
        rest = &rest[end + next.len()..];
    }
    found.retain(|piece| !piece.is_empty());
    found
}

/// All texts in a value.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => map.values().flat_map(texts).collect(),
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        Value::Number(number) => vec![number.to_string()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{plain, redact};
    use super::*;

    fn hidden(raw: &Value) -> Hidden {
        let signer = Arc::new(Signer::new(b"key"));
        let mut redacted = raw.clone();
        redact(&mut redacted, &signer);
        Hidden::new(raw, &redacted, signer)
    }

    #[test]
    fn what_was_hidden_stays_so_at_another_place() {
        let raw = json!({"env": [{"name": "PASSWORD", "value": "hunter2"}, {"name": "A", "value": "x://a:hunter3@b"}],
                         "note": "hunter is out", "count": 7});
        let mut after = json!({"env": [{"name": "COLOUR", "value": "hunter2"}], "a": "see hunter3!", "b": "hunter is out",
                               "count": 7});
        hidden(&raw).mask(&mut after);
        assert_eq!(
            plain(&after.to_string()),
            json!({"env": [{"name": "COLOUR", "value": "***"}], "a": "see ***!", "b": "hunter is out", "count": 7})
                .to_string()
        );
        let mut secret = json!({"a": "hunter2"});
        hidden(&json!({"kind": "Secret", "data": {"a": STANDARD.encode("hunter2")}})).mask(&mut secret);
        assert_eq!(plain(&secret.to_string()), json!({"a": "***"}).to_string());
        // Who guesses it is not told so.
        assert_eq!(hidden(&raw).unless_sent([&json!({"x": "hunter2"})]).masked("hunter2"), "hunter2");
    }

    #[test]
    fn places_are_found_by_pointers_whichever_way_they_are_written() {
        let raw = json!({"env": [{"name": "A", "value": "x"}, {"name": "PASSWORD", "value": "hunter2"}], "a/b": {"token": "hunter2"}});
        let hidden = hidden(&raw);
        for pointer in ["", "/env", "/env/1", "/env/1/value", "/env/-1/value", "/a~1b", "/a~1b/token"] {
            assert!(hidden.is_at(pointer, false), "{pointer}");
        }
        for pointer in ["/env/0", "/env/0/value", "/env/1/name", "/a", "/kind"] {
            assert!(!hidden.is_at(pointer, false), "{pointer}");
        }
        assert!(hidden.is_at("/env/0/value", true) && !hidden.is_at("/env/0/name", true));
    }
}
