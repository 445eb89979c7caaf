//! Secrets are replaced by a keyed fingerprint, so that "did it change?" stays answerable.

use serde_json::Value;

use crate::secrets::Signer;

/// Parts of key names whose values are secret.
const SECRET_KEYS: [&str; 13] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "credential",
    "authorization",
    "private_key",
    "access_key",
    "bearer",
];

/// Endings that make such a key harmless: it only says where the secret is, or about it.
const HARMLESS_ENDINGS: [&str; 6] = ["_file", "_path", "_ref", "_url", "_type", "_name"];

/// Replaces the secrets in a value, wherever a key's name gives them away, and passwords in URLs.
pub fn redact(value: &mut Value, signer: &Signer) {
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                if is_secret_key(key) {
                    hide(value, signer);
                } else {
                    redact(value, signer);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|value| redact(value, signer)),
        Value::String(text) => redact_url(text, signer),
        _ => {}
    }
}

/// Whether the name of a key says that its value is secret.
#[must_use]
pub fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_KEYS.iter().any(|part| key.contains(part)) && !HARMLESS_ENDINGS.iter().any(|ending| key.ends_with(ending))
}

fn hide(value: &mut Value, signer: &Signer) {
    match value {
        Value::String(text) if text.is_empty() || text.starts_with('<') && text.ends_with('>') => {}
        Value::String(text) => *text = fingerprint(text, signer),
        Value::Number(number) => *value = Value::String(fingerprint(&number.to_string(), signer)),
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, signer)),
        Value::Object(map) => map.values_mut().for_each(|item| hide(item, signer)),
        Value::Null | Value::Bool(_) => {}
    }
}

fn redact_url(text: &mut String, signer: &Signer) {
    if !text.contains("://") || !text.contains('@') {
        return;
    }
    if let Ok(mut url) = url::Url::parse(text)
        && let Some(password) = url.password().map(str::to_owned)
        && url.set_password(Some(&fingerprint(&password, signer))).is_ok()
    {
        *text = url.into();
    }
}

fn fingerprint(text: &str, signer: &Signer) -> String {
    format!("hidden-{}", signer.fingerprint(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_go_and_what_is_about_them_stays() {
        let signer = Signer::new(b"key");
        let mut value = json!({
            "basic_auth": {"username": "ann", "password": "hunter2", "password_file": "/run/p"},
            "url": "https://ann:hunter2@example.org/x", "smtp_auth_secret": "<secret>", "count": 3
        });
        redact(&mut value, &signer);
        let text = value.to_string();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(
            text.contains("\"username\":\"ann\"") && text.contains("/run/p") && text.contains("<secret>"),
            "{text}"
        );
        let hidden = value["basic_auth"]["password"].as_str().unwrap();
        assert_eq!(hidden, format!("hidden-{}", signer.fingerprint("hunter2")));
    }
}
