//! Secrets in objects and texts of a cluster, replaced by keyed fingerprints: whether one changed can still be told.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use crate::answers::redact::{fingerprint, is_secret_key};
use crate::secrets::Signer;

/// What `kubectl apply` leaves behind: the object as it was applied, secrets and all.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Endings of field names that only say where a secret is, or about it.
const HARMLESS_ENDINGS: [&str; 16] = [
    "Name",
    "Names",
    "Namespace",
    "Ref",
    "Refs",
    "Path",
    "File",
    "URL",
    "Url",
    "Type",
    "Class",
    "Policy",
    "Kind",
    "Mode",
    "Provider",
    "Seconds",
];

/// Replaces the secrets in an object, a list of objects, a table, or an event of a watch; drops `managedFields`.
pub(super) fn redact(value: &mut Value, signer: &Signer) {
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

fn redact_value(value: &mut Value, signer: &Signer) {
    match value {
        Value::Object(map) => {
            // Lists may hold objects of any kind, and each says its own.
            if map.get("kind").and_then(Value::as_str) == Some("Secret")
                && (map.contains_key("data") || map.contains_key("stringData"))
            {
                return redact_secrets(map, signer);
            }
            let is_named_secret = map.get("name").and_then(Value::as_str).is_some_and(is_secret_key);
            if is_named_secret && let Some(value @ Value::String(_)) = map.get_mut("value") {
                hide(value, signer);
            }
            map.iter_mut().for_each(|(name, value)| redact_field(name, value, signer));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redact_value(item, signer)),
        Value::String(text) => {
            if let Cow::Owned(redacted) = redact_text(text, signer) {
                *text = redacted;
            }
        }
        _ => {}
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
        Value::String(_) if is_secret_field(name) => hide(value, signer),
        Value::Object(data) if name == "binaryData" => data.values_mut().for_each(|value| hide(value, signer)),
        other => redact_value(other, signer),
    }
}

fn is_secret_field(name: &str) -> bool {
    is_secret_key(name) && !HARMLESS_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

fn hide(value: &mut Value, signer: &Signer) {
    match value {
        Value::String(text) if !text.is_empty() && !is_fingerprint(text) => *text = fingerprint(text, signer),
        _ => {}
    }
}

/// `hidden-` and the digits of a fingerprint.
fn is_fingerprint(text: &str) -> bool {
    text.strip_prefix("hidden-").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A fingerprint within a text.
static FINGERPRINT: LazyLock<Regex> = LazyLock::new(|| Regex::new("hidden-[0-9a-f]{8}").expect("a pattern of ours"));

/// Whether a fingerprint stands somewhere in a value, where a secret was before.
#[must_use]
pub fn has_fingerprint(value: &Value) -> bool {
    match value {
        Value::String(text) => FINGERPRINT.is_match(text),
        Value::Array(items) => items.iter().any(has_fingerprint),
        Value::Object(map) => map.values().any(has_fingerprint),
        _ => false,
    }
}

/// What gives a secret away within a text.
static SECRETS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?x)
        # A name that says so, and its value: password=…, "token": "…", --api-key …
        (?i: (?P<name> [0-9A-Za-z_.-]*
                (?: passw(?:or)?d | passphrase | secret | token | api[_-]?key | access[_-]?key | private[_-]?key
                  | credential | authorization )
                [0-9A-Za-z_.-]* )
            (?: \\?["']? \s* [:=] \s* | \s+ (?: is | was ) \s+ )
            (?: (?: bearer | basic ) \s+ )? \\?["']?
            (?P<value> [^\s"'\\,;&{}\[\]<>]{3,} ) )
        # How credentials are sent.
      | (?i: (?-u:\b) (?: bearer | basic ) \s+ (?P<sent> [0-9A-Za-z_.~+/=-]{8,} ) )
        # Texts that are keys by their form.
      | (?P<form> -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY----- [\s\S]*? (?: -----END\ [A-Z\ ]*PRIVATE\ KEY----- | \z )
            | (?-u:\b) eyJ[0-9A-Za-z_-]{8,} \. [0-9A-Za-z_-]{8,} \. [0-9A-Za-z_-]*
            | (?-u:\b) (?: AKIA | ASIA ) [0-9A-Z]{16} (?-u:\b)
            | (?-u:\b) gh[pousr]_ [0-9A-Za-z_]{30,}
            | (?-u:\b) github_pat_ [0-9A-Za-z_]{30,}
            | (?-u:\b) glpat- [0-9A-Za-z_-]{16,}
            | (?-u:\b) xox[abeprs]- [0-9A-Za-z_-]{10,}
            | (?-u:\b) sk- [0-9A-Za-z_-]{20,}
            | (?-u:\b) hvs\. [0-9A-Za-z_-]{20,}
            | (?-u:\b) AIza [0-9A-Za-z_-]{35}
            | (?-u:\b) npm_ [0-9A-Za-z_]{30,}
            | (?-u:\b) cnm_ [0-9A-Za-z_]{16,} )
        # The password in an address.
      | :// [^\s/?\#"'<>:@]* : (?P<password> [^\s/?\#"'<>@]+ ) @
        "#,
    )
    .expect("a pattern of ours")
});

/// A text without what looks like a secret.
#[must_use]
pub fn redact_text<'a>(text: &'a str, signer: &Signer) -> Cow<'a, str> {
    let mut redacted = String::new();
    let mut done = 0;
    for found in SECRETS.captures_iter(text) {
        if found.name("name").is_some_and(|name| !is_secret_field(name.as_str())) {
            continue;
        }
        let secret = ["value", "sent", "form", "password"].iter().find_map(|group| found.name(group));
        let Some(secret) = secret.filter(|secret| !is_fingerprint(secret.as_str())) else { continue };
        redacted.push_str(&text[done..secret.start()]);
        redacted.push_str(&fingerprint(secret.as_str(), signer));
        done = secret.end();
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    redacted.push_str(&text[done..]);
    Cow::Owned(redacted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A fingerprint with its digits gone.
    fn plain(text: &str) -> String {
        Regex::new("hidden-[0-9a-f]+").unwrap().replace_all(text, "***").into_owned()
    }

    fn redacted(mut value: Value) -> Value {
        redact(&mut value, &Signer::new(b"key"));
        serde_json::from_str(&plain(&value.to_string())).unwrap()
    }

    fn text(text: &str) -> String {
        plain(&redact_text(text, &Signer::new(b"key")))
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

    #[test]
    fn texts_lose_what_looks_like_a_secret() {
        assert_eq!(text("line 7 ERROR boom password=hunter27"), "line 7 ERROR boom password=***");
        assert_eq!(text(r#"{"api_key": "abc123", "level": "info"}"#), r#"{"api_key": "***", "level": "info"}"#);
        assert_eq!(text("db.password: s3cret\nport: 1"), "db.password: ***\nport: 1");
        assert_eq!(text("Authorization: Bearer abcdef123456"), "Authorization: Bearer ***");
        assert_eq!(text("postgres://app:hunter2@db/app"), "postgres://app:***@db/app");
        assert_eq!(text("key AKIAABCDEFGHIJKLMNOP used"), "key *** used");
        assert_eq!(text("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nx"), "***\nx");
        for harmless in ["secret \"db\" not found", "secretName: db", "token_file: /run/token", "5 tokens left", ""] {
            assert_eq!(text(harmless), harmless);
        }
    }
}
