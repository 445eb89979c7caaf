//! Secrets in objects, by the names of their fields.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::{Map, Value};

use super::is_fingerprint;
use super::names::{is_method_or_count, is_secret_field, is_secret_heading, is_secret_name, is_weakly_secret, words};
use super::options;
use super::place::{Place, identity};
use super::text::{is_harmless, redact_text_at};
use crate::backends::kubernetes::Column;
use crate::secrets::Signer;

/// What `kubectl apply` leaves behind: the object as it was applied, secrets and all.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Words of fields that say where a secret is, beside it.
const ABOUT: [&str; 13] = [
    "name",
    "key",
    "namespace",
    "kind",
    "version",
    "group",
    "user",
    "username",
    "type",
    "path",
    "url",
    "audience",
    "mode",
];

/// Replaces the secrets in an object, a list of objects, a table, or an event of a watch; drops `managedFields`.
pub(in super::super) fn redact(value: &mut Value, signer: &Signer) {
    redact_object(value, &Place::nowhere(signer));
}

fn redact_object(value: &mut Value, at: &Place<'_>) {
    let is_secret =
        value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind == "Secret" || kind == "SecretList");
    match value {
        Value::Object(object) if is_secret => redact_secrets(object, at),
        other => redact_value(other, at),
    }
}

fn redact_secrets(object: &mut Map<String, Value>, at: &Place<'_>) {
    let identity = identity(object);
    let at = &identity.as_deref().map_or(*at, |identity| at.object(identity));
    for field in ["data", "stringData"] {
        if let Some(Value::Object(data)) = object.get_mut(field) {
            data.iter_mut().for_each(|(name, value)| hide(value, &at.at(field, 0).at(name, 0)));
        }
    }
    for item in object.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Value::Object(item) = item {
            redact_secrets(item, at);
        }
    }
    for (name, value) in object.iter_mut().filter(|(name, _)| !matches!(name.as_str(), "data" | "stringData" | "items"))
    {
        redact_field(name, value, at);
    }
}

fn redact_value(value: &mut Value, at: &Place<'_>) {
    match value {
        Value::Object(map) => {
            // Lists may hold objects of any kind, and each says its own.
            if map.get("kind").and_then(Value::as_str) == Some("Secret")
                && (map.contains_key("data") || map.contains_key("stringData"))
            {
                return redact_secrets(map, at);
            }
            let identity = identity(map);
            let at = &identity.as_deref().map_or(*at, |identity| at.object(identity));
            let secret = ["name", "key"]
                .into_iter()
                .find_map(|field| map.get(field)?.as_str().filter(|name| is_secret_name(name)))
                .map(is_weakly_secret);
            if let Some(is_weak) = secret
                && let Some(value) = map.get_mut("value")
                && !(is_weak && value.as_str().is_some_and(is_method_or_count))
            {
                hide(value, &at.at("value", 0));
            }
            map.iter_mut().for_each(|(name, value)| redact_field(name, value, at));
        }
        Value::Array(items) => redact_items(items, at),
        Value::String(text) => {
            if let Cow::Owned(redacted) = redact_text_at(text, at) {
                *text = redacted;
            }
        }
        _ => {}
    }
}

/// Replaces the secrets in the cell of a table, all of it where its heading says that it is one.
pub(in crate::backends::kubernetes) fn redact_cell(cell: &mut Value, column: &Column, signer: &Signer) {
    let at = &Place::nowhere(signer);
    let at = &at.at(&column.name, 0);
    if !is_secret_heading(&column.name, &column.description) {
        return redact_value(cell, at);
    }
    match cell {
        Value::String(text) if is_harmless(text) => {}
        // Such as how many secrets there are.
        Value::Number(_)
            if column.kind == "integer" && !words(&column.name).iter().any(|word| word.starts_with("pass")) => {}
        cell => hide_all(cell, at),
    }
}

/// Items one by one; where they are the words of a command, an option that takes a secret hides the word after it.
fn redact_items(items: &mut [Value], at: &Place<'_>) {
    let mut is_next_secret = false;
    let program = items.first().and_then(Value::as_str).and_then(options::program).map(str::to_owned);
    let mut numbers = HashMap::new();
    for (number, item) in items.iter_mut().enumerate() {
        // Items with a name may stand in any order.
        let name = item.get("name").and_then(Value::as_str).map(str::to_owned);
        let number = match &name {
            Some(name) => {
                let next = numbers.entry(name.clone()).or_insert(0);
                *next += 1;
                *next - 1
            }
            None => number,
        };
        let at = &at.at(name.as_deref().unwrap_or_default(), number);
        if let (Some(program), Value::String(text)) = (&program, &mut *item)
            && !is_next_secret
        {
            match options::secret_of(program, text) {
                Some(options::Secret::From(start)) => {
                    let hidden = at.fingerprint(&text[start..]);
                    if !is_fingerprint(&text[start..]) {
                        text.replace_range(start.., &hidden);
                    }
                    continue;
                }
                Some(options::Secret::Next) => {
                    is_next_secret = true;
                    continue;
                }
                None => {}
            }
        }
        let option = match item {
            Value::String(text) => text.strip_prefix('-').map(|option| option.trim_start_matches('-').to_owned()),
            _ => None,
        };
        if std::mem::take(&mut is_next_secret) && option.is_none() {
            hide(item, at);
            continue;
        }
        match (option.as_deref().map(|option| option.split_once('=').unwrap_or((option, ""))), &mut *item) {
            (Some((name, "")), _) if is_secret_field(name) => is_next_secret = true,
            (Some((name, value)), Value::String(text)) if is_secret_field(name) && !is_harmless(value) => {
                let start = text.len() - value.len();
                let hidden = if is_fingerprint(value) { value.to_owned() } else { at.fingerprint(value) };
                text.replace_range(start.., &hidden);
            }
            _ => redact_value(item, at),
        }
    }
}

fn redact_field(name: &str, value: &mut Value, at: &Place<'_>) {
    let at = &at.at(name, 0);
    match value {
        Value::Array(_) if name == "managedFields" => *value = Value::Array(Vec::new()),
        Value::String(text) if name == LAST_APPLIED => match serde_json::from_str::<Value>(text) {
            Ok(mut applied) => {
                redact_object(&mut applied, at);
                *text = applied.to_string();
            }
            Err(_) => hide(value, at),
        },
        Value::Array(_) | Value::Object(_) if is_weakly_secret(name) => redact_value(value, at),
        Value::String(text) if is_weakly_secret(name) && is_method_or_count(text) => {}
        Value::String(_) | Value::Number(_) if is_secret_field(name) => {
            // Counts and lifetimes of tokens are no secrets; a password may be a number.
            let is_password = |word: &String| word.starts_with("pass") || word == "pwd" || word == "pin";
            if value.is_string() || words(name).iter().any(is_password) {
                hide(value, at);
            }
        }
        Value::Array(items) if is_secret_field(name) => {
            for (number, item) in items.iter_mut().enumerate() {
                let at = &at.at("", number);
                if item.is_string() { hide(item, at) } else { redact_value(item, at) }
            }
        }
        // A `secret` is a reference nearly everywhere; `passwords` and `credentials` are by name what they hold.
        Value::Object(map) if is_secret_field(name) && !name.to_ascii_lowercase().contains("secret") => {
            for (name, value) in map.iter_mut() {
                let is_about = words(name).iter().any(|word| ABOUT.contains(&word.as_str()));
                if value.is_string() && !is_about {
                    hide(value, &at.at(name, 0));
                } else {
                    redact_field(name, value, at);
                }
            }
        }
        Value::Object(data) if name == "binaryData" => {
            data.iter_mut().for_each(|(name, value)| hide(value, &at.at(name, 0)));
        }
        other => redact_value(other, at),
    }
}

fn hide_all(value: &mut Value, at: &Place<'_>) {
    match value {
        Value::Array(items) => {
            items.iter_mut().enumerate().for_each(|(number, item)| hide_all(item, &at.at("", number)));
        }
        Value::Object(map) => map.iter_mut().for_each(|(name, item)| hide_all(item, &at.at(name, 0))),
        value => hide(value, at),
    }
}

fn hide(value: &mut Value, at: &Place<'_>) {
    match value {
        Value::String(text) if !text.is_empty() && !is_fingerprint(text) => *text = at.fingerprint(text),
        Value::Number(number) => *value = Value::String(at.fingerprint(&number.to_string())),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::plain;
    use super::*;

    fn redacted(mut value: Value) -> Value {
        redact(&mut value, &Signer::new(b"key"));
        serde_json::from_str(&plain(&value.to_string())).unwrap()
    }

    #[test]
    fn the_data_of_secrets_is_replaced_wherever_it_stands() {
        let applied = json!({"kind": "Secret", "stringData": {"a": "hunter2"}}).to_string();
        assert_eq!(
            redacted(json!({
                "kind": "Secret", "data": {"user": "cm9vdA=="}, "type": "Opaque",
                "metadata": {"name": "db", "managedFields": [{}], "annotations": {LAST_APPLIED: applied}}
            })),
            json!({
                "kind": "Secret", "data": {"user": "***"}, "type": "Opaque",
                "metadata": {"name": "db", "managedFields": [], "annotations": {
                    LAST_APPLIED: json!({"kind": "Secret", "stringData": {"a": "***"}}).to_string()
                }}
            })
        );
        assert_eq!(
            redacted(json!({"kind": "SecretList", "items": [{"metadata": {"name": "db"}, "data": {"a": "Yg=="}}]})),
            json!({"kind": "SecretList", "items": [{"metadata": {"name": "db"}, "data": {"a": "***"}}]})
        );
        assert_eq!(
            redacted(json!({"type": "ADDED", "object": {"kind": "Secret", "data": {"a": "Yg=="}}})),
            json!({"type": "ADDED", "object": {"kind": "Secret", "data": {"a": "***"}}})
        );
    }

    /// Who may write, or only compare, could try thousands of guesses at once elsewhere.
    #[test]
    fn fingerprints_are_compared_at_the_same_place_only() {
        let signer = Signer::new(b"key");
        let of = |name: &str, data: Value| {
            let mut value = json!({"kind": "Secret", "metadata": {"name": name}, "data": data});
            redact(&mut value, &signer);
            value["data"].clone()
        };
        let (one, other) = (of("a", json!({"pin": "eA==", "guess": "eA=="})), of("b", json!({"pin": "eA=="})));
        assert_eq!(one["pin"], of("a", json!({"pin": "eA=="}))["pin"]);
        assert_ne!(one["pin"], of("a", json!({"pin": "eQ=="}))["pin"]);
        assert_ne!(one["pin"], one["guess"]);
        assert_ne!(one["pin"], other["pin"]);
        let mut env = json!({"env": [{"name": "PIN", "value": "4711"}, {"name": "PIN", "value": "4711"}],
                             "note": "password=4711 password=4711"});
        redact(&mut env, &signer);
        assert_ne!(env["env"][0]["value"], env["env"][1]["value"]);
        let note: Vec<_> = env["note"].as_str().unwrap().split(' ').collect();
        assert_ne!(note[0], note[1]);
    }

    #[test]
    fn variables_and_fields_go_by_their_names_and_references_stay() {
        assert_eq!(
            redacted(json!({
                "env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "LEVEL", "value": "info"},
                        {"name": "API_TOKEN", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}}],
                "volumes": [{"secret": {"secretName": "db"}}],
                "spec": {"adminPassword": "x1y2", "imagePullSecrets": [{"name": "registry"}], "tokenPath": "/run/t"}
            })),
            json!({
                "env": [{"name": "DB_PASSWORD", "value": "***"}, {"name": "LEVEL", "value": "info"},
                        {"name": "API_TOKEN", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}}],
                "volumes": [{"secret": {"secretName": "db"}}],
                "spec": {"adminPassword": "***", "imagePullSecrets": [{"name": "registry"}], "tokenPath": "/run/t"}
            })
        );
    }
}
