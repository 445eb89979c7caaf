//! Secrets in objects, by the names of their fields.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::is_fingerprint;
use super::names::{is_method_or_count, is_secret_field, is_secret_heading, is_secret_name, is_weakly_secret, words};
use super::options;
use super::text::{is_harmless, redact_text};
use crate::answers::redact::fingerprint;
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
    let is_secret =
        value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind == "Secret" || kind == "SecretList");
    match value {
        Value::Object(object) if is_secret => redact_secrets(object, signer),
        other => redact_value(other, signer),
    }
}

fn redact_secrets(object: &mut Map<String, Value>, signer: &Signer) {
    for field in ["data", "stringData"] {
        if let Some(Value::Object(data)) = object.get_mut(field) {
            data.values_mut().for_each(|value| hide(value, signer));
        }
    }
    for item in object.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Value::Object(item) = item {
            redact_secrets(item, signer);
        }
    }
    for (name, value) in object.iter_mut().filter(|(name, _)| !matches!(name.as_str(), "data" | "stringData" | "items"))
    {
        redact_field(name, value, signer);
    }
}

/// Replaces the secrets in any value, such as the cell of a table.
pub(in crate::backends::kubernetes) fn redact_value(value: &mut Value, signer: &Signer) {
    match value {
        Value::Object(map) => {
            // Lists may hold objects of any kind, and each says its own.
            if map.get("kind").and_then(Value::as_str) == Some("Secret")
                && (map.contains_key("data") || map.contains_key("stringData"))
            {
                return redact_secrets(map, signer);
            }
            let secret = ["name", "key"]
                .into_iter()
                .find_map(|field| map.get(field)?.as_str().filter(|name| is_secret_name(name)))
                .map(is_weakly_secret);
            if let Some(is_weak) = secret
                && let Some(value) = map.get_mut("value")
                && !(is_weak && value.as_str().is_some_and(is_method_or_count))
            {
                hide(value, signer);
            }
            map.iter_mut().for_each(|(name, value)| redact_field(name, value, signer));
        }
        Value::Array(items) => redact_items(items, signer),
        Value::String(text) => {
            if let Cow::Owned(redacted) = redact_text(text, signer) {
                *text = redacted;
            }
        }
        _ => {}
    }
}

/// Replaces the secrets in the cell of a table, all of it where its heading says that it is one.
pub(in crate::backends::kubernetes) fn redact_cell(cell: &mut Value, column: &Column, signer: &Signer) {
    if !is_secret_heading(&column.name, &column.description) {
        return redact_value(cell, signer);
    }
    match cell {
        Value::String(text) if is_harmless(text) => {}
        // Such as how many secrets there are.
        Value::Number(_)
            if column.kind == "integer" && !words(&column.name).iter().any(|word| word.starts_with("pass")) => {}
        cell => hide_all(cell, signer),
    }
}

/// Items one by one; where they are the words of a command, an option that takes a secret hides the word after it.
fn redact_items(items: &mut [Value], signer: &Signer) {
    let mut is_next_secret = false;
    let program = items.first().and_then(Value::as_str).and_then(options::program).map(str::to_owned);
    for item in items {
        if let (Some(program), Value::String(text)) = (&program, &mut *item)
            && !is_next_secret
        {
            match options::secret_of(program, text) {
                Some(options::Secret::From(start)) => {
                    let hidden = fingerprint(&text[start..], signer);
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
            hide(item, signer);
            continue;
        }
        match (option.as_deref().map(|option| option.split_once('=').unwrap_or((option, ""))), &mut *item) {
            (Some((name, "")), _) if is_secret_field(name) => is_next_secret = true,
            (Some((name, value)), Value::String(text)) if is_secret_field(name) && !is_harmless(value) => {
                let start = text.len() - value.len();
                let hidden = if is_fingerprint(value) { value.to_owned() } else { fingerprint(value, signer) };
                text.replace_range(start.., &hidden);
            }
            _ => redact_value(item, signer),
        }
    }
}

fn redact_field(name: &str, value: &mut Value, signer: &Signer) {
    match value {
        Value::Array(_) if name == "managedFields" => *value = Value::Array(Vec::new()),
        Value::String(text) if name == LAST_APPLIED => match serde_json::from_str::<Value>(text) {
            Ok(mut applied) => {
                redact(&mut applied, signer);
                *text = applied.to_string();
            }
            Err(_) => hide(value, signer),
        },
        Value::Array(_) | Value::Object(_) if is_weakly_secret(name) => redact_value(value, signer),
        Value::String(text) if is_weakly_secret(name) && is_method_or_count(text) => {}
        Value::String(_) | Value::Number(_) if is_secret_field(name) => {
            // Counts and lifetimes of tokens are no secrets; a password may be a number.
            if value.is_string() || words(name).iter().any(|word| word.starts_with("pass") || word == "pwd") {
                hide(value, signer);
            }
        }
        Value::Array(items) if is_secret_field(name) => {
            for item in items {
                if item.is_string() { hide(item, signer) } else { redact_value(item, signer) }
            }
        }
        // A `secret` is a reference nearly everywhere; `passwords` and `credentials` are by name what they hold.
        Value::Object(map) if is_secret_field(name) && !name.to_ascii_lowercase().contains("secret") => {
            for (name, value) in map.iter_mut() {
                let is_about = words(name).iter().any(|word| ABOUT.contains(&word.as_str()));
                if value.is_string() && !is_about { hide(value, signer) } else { redact_field(name, value, signer) }
            }
        }
        Value::Object(data) if name == "binaryData" => data.values_mut().for_each(|value| hide(value, signer)),
        other => redact_value(other, signer),
    }
}

fn hide_all(value: &mut Value, signer: &Signer) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| hide_all(item, signer)),
        Value::Object(map) => map.values_mut().for_each(|item| hide_all(item, signer)),
        value => hide(value, signer),
    }
}

fn hide(value: &mut Value, signer: &Signer) {
    match value {
        Value::String(text) if !text.is_empty() && !is_fingerprint(text) => *text = fingerprint(text, signer),
        Value::Number(number) => *value = Value::String(fingerprint(&number.to_string(), signer)),
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

    #[test]
    fn equal_secrets_have_equal_fingerprints() {
        let signer = Signer::new(b"key");
        let mut value = json!({"kind": "Secret", "data": {"a": "eA==", "b": "eA==", "c": "eQ=="}});
        redact(&mut value, &signer);
        assert_eq!(value["data"]["a"], value["data"]["b"]);
        assert_ne!(value["data"]["a"], value["data"]["c"]);
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
