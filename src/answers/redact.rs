//! Secrets are replaced: where a configuration names them by a keyed fingerprint, so that "did it change?" stays
//! answerable; in the addresses within any text by a word.

use std::borrow::Cow;

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

/// Names of URL parameters that are secret besides those, all of it.
const SECRET_PARAMETERS: [&str; 9] =
    ["auth", "jwt", "key", "pass", "pwd", "sas", "sig", "signature", "x-amz-signature"];

/// What stands in place of a secret.
const HIDDEN: &str = "hidden";

/// Replaces the secrets in a value, wherever a key's name gives them away, and credentials in addresses.
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
        Value::String(text) => {
            if let Cow::Owned(hidden) = replace(text, &|secret| fingerprint(secret, signer)) {
                *text = hidden;
            }
        }
        _ => {}
    }
}

/// Whether the name of a key says that its value is secret.
#[must_use]
pub fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_KEYS.iter().any(|part| key.contains(part)) && !HARMLESS_ENDINGS.iter().any(|ending| key.ends_with(ending))
}

/// Whether the name of a URL parameter says that its value is secret.
#[must_use]
pub fn is_secret_parameter(name: &str) -> bool {
    is_secret_key(name) || SECRET_PARAMETERS.iter().any(|secret| name.eq_ignore_ascii_case(secret))
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

/// A text without the credentials in its addresses: `user:password@`, `token@`, and parameters such as `?token=`.
#[must_use]
pub fn without_credentials(text: &str) -> Cow<'_, str> {
    replace(text, &|_| HIDDEN.to_owned())
}

fn replace<'a>(text: &'a str, hide: &dyn Fn(&str) -> String) -> Cow<'a, str> {
    if !text.bytes().any(|byte| matches!(byte, b'@' | b'=')) {
        return Cow::Borrowed(text);
    }
    let mut replaced = String::new();
    let mut done = 0;
    while let Some((start, end)) = next_secret(text, done) {
        replaced.push_str(&text[done..start]);
        replaced.push_str(&hide(&text[start..end]));
        done = end;
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    replaced.push_str(&text[done..]);
    Cow::Owned(replaced)
}

/// Where the next secret of an address begins and ends, from a place on.
fn next_secret(text: &str, from: usize) -> Option<(usize, usize)> {
    let mut place = from;
    loop {
        let found = text[place..].find(['/', '?', '&', ';'])? + place;
        place = found + 1;
        let secret = match text.as_bytes()[found] {
            b'/' if text[..found].ends_with(":/") => in_authority(text, place),
            b'/' => None,
            _ => in_parameter(text, place),
        };
        if let Some((start, end)) = secret
            && start >= from
            && !is_hidden_already(&text[start..end])
        {
            return Some((start, end));
        }
    }
}

/// The password, or else the user name, in what stands between `://` and the path (RFC 3986 §3.2.1).
fn in_authority(text: &str, start: usize) -> Option<(usize, usize)> {
    let is_end = |c: char| matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>' | '\\') || c.is_whitespace();
    let end = text[start..].find(is_end).map_or(text.len(), |length| start + length);
    let at = text[start..end].rfind('@')? + start;
    let start = text[start..at].find(':').map_or(start, |colon| start + colon + 1);
    (start < at).then_some((start, at))
}

/// The value of a parameter whose name says that it is secret.
fn in_parameter(text: &str, start: usize) -> Option<(usize, usize)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']');
    let equals = text[start..].find(|c| !is_name(c)).map(|length| start + length)?;
    if !text[equals..].starts_with('=') || !is_secret_parameter(&text[start..equals]) {
        return None;
    }
    let start = equals + 1;
    let is_end =
        |c: char| matches!(c, '&' | ';' | '#' | '"' | '\'' | '<' | '>' | '\\' | ')' | ',') || c.is_whitespace();
    let end = text[start..].find(is_end).map_or(text.len(), |length| start + length);
    (start < end).then_some((start, end))
}

/// Whether somebody replaced it before us: a fingerprint of ours, `xxxxx` as Go writes it, or `<secret>`.
fn is_hidden_already(text: &str) -> bool {
    text.starts_with(HIDDEN) || text.chars().all(|c| matches!(c, 'x' | '*' | '…')) || text == "%3Csecret%3E"
}

/// What stands in place of a secret, and changes when it does.
#[must_use]
pub fn fingerprint(text: &str, signer: &Signer) -> String {
    format!("{HIDDEN}-{}", signer.fingerprint(text))
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

    #[test]
    fn credentials_in_the_addresses_of_a_text_go_and_the_rest_stays() {
        for (text, expected) in [
            (
                "Get \"http://ann:hunter2@db:9187/metrics?x=1&token=hunter2\": dial tcp 10.0.0.1:9187: refused",
                "Get \"http://ann:hidden@db:9187/metrics?x=1&token=hidden\": dial tcp 10.0.0.1:9187: refused",
            ),
            (
                "https://ghp_hunter2@github.com/x and amqp://u:p@ss@mq/",
                "https://hidden@github.com/x and amqp://u:hidden@mq/",
            ),
            (
                "see /a?access_token=hunter2#top, /b?API_KEY=hunter2, /c?sig=a%2Fb",
                "see /a?access_token=hidden#top, /b?API_KEY=hidden, /c?sig=hidden",
            ),
            ("https://x/?key=hunter2&token_type=bearer&tokens=", "https://x/?key=hidden&token_type=bearer&tokens="),
            ("https://h?client_secret=ü", "https://h?client_secret=hidden"),
        ] {
            assert_eq!(without_credentials(text), expected);
            assert_eq!(without_credentials(expected), expected);
        }
        for text in [
            "mail ann@example.org, see https://example.org/@ann?tab=1",
            "http://user:xxxxx@host and http://:@host and https://@host",
            "sum(rate(x{token=\"a\"}[5m])) == 1",
            "ssh git@github.com:x/y; a=b&c=d?e=f",
            "?token= &key",
            "://",
            "=@",
        ] {
            assert!(matches!(without_credentials(text), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn passwords_within_longer_values_of_a_configuration_become_fingerprints() {
        let signer = Signer::new(b"key");
        let mut value = json!({"args": ["--remote=https://ann:hunter2@example.org/x"]});
        redact(&mut value, &signer);
        let expected = format!("--remote=https://ann:hidden-{}@example.org/x", signer.fingerprint("hunter2"));
        assert_eq!(value["args"][0], expected);
        assert_eq!(without_credentials(&expected), expected);
    }
}
