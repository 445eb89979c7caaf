//! Secrets in objects and texts of a cluster, replaced by keyed fingerprints: whether one changed can still be told.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Map, Value};

use crate::answers::redact::{fingerprint, is_secret_key};
use crate::answers::without_controls;
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

/// Words of names whose values are secret.
const SECRET_WORDS: [&str; 6] = ["pass", "pwd", "jwt", "cookie", "psk", "apikey"];

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

/// Words before `key` that make it a secret one.
const KEYS_OF: [&str; 14] = [
    "encryption",
    "encrypt",
    "signing",
    "sign",
    "session",
    "master",
    "account",
    "storage",
    "shared",
    "ssh",
    "hmac",
    "aes",
    "license",
    "client",
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
            let says_secret = |field: &str| map.get(field).and_then(Value::as_str).is_some_and(is_secret_name);
            if (says_secret("name") || says_secret("key"))
                && let Some(value) = map.get_mut("value")
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

/// Items one by one; where they are the words of a command, an option that takes a secret hides the word after it.
fn redact_items(items: &mut [Value], signer: &Signer) {
    let mut is_next_secret = false;
    for item in items {
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
        Value::String(text) if name == "auth" && text.len() >= 12 && is_base64(text) => hide(value, signer),
        Value::Object(data) if name == "binaryData" => data.values_mut().for_each(|value| hide(value, signer)),
        other => redact_value(other, signer),
    }
}

fn is_secret_field(name: &str) -> bool {
    is_secret_name(name) && !HARMLESS_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Whether the name of a field, variable or option says that its value is secret.
fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    let is_of = |word: &String, list: &[&str]| list.contains(&word.as_str());
    let is_reference = words.last().is_some_and(|last| is_of(last, &["file", "path", "ref", "url", "type", "name"]));
    !is_reference
        && (is_secret_key(name)
            || words.iter().any(|word| is_of(word, &SECRET_WORDS))
            || words.windows(2).any(|pair| pair[1] == "key" && is_of(&pair[0], &KEYS_OF)))
}

/// The words of a name, in small letters: `client-keyData` has three.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_small = false;
    for c in name.chars() {
        let ends = !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && was_small);
        if ends && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(c.to_ascii_lowercase());
        }
        was_small = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    words
}

fn hide(value: &mut Value, signer: &Signer) {
    match value {
        Value::String(text) if !text.is_empty() && !is_fingerprint(text) => *text = fingerprint(text, signer),
        Value::Number(number) => *value = Value::String(fingerprint(&number.to_string(), signer)),
        _ => {}
    }
}

fn is_base64(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
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

/// What a text must have somewhere to hold a secret: most have nothing of it, which is found out fast.
static TRIGGERS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        (?i-u: passw | passphrase | [_-]pass | pwd | secret | token | credential | authorization | bearer | basic
             | api[_-]?key | access[_-]?key | private[_\ -]?key | cookie | jwt
             | (?: encrypt | encryption | sign | signing | session | master | account | storage | shared | ssh | hmac | aes
                 | license | client ) [_-]? key
             | -u\x20 | --user | auth\\?[\x22'] )
      | eyJ | LS0tLS1CRUdJTi | AKIA | ASIA | gh[pousr]_ | github_pat_ | glpat- | glsa_ | xox[abeprs]- | xapp- | sk[-_] | rk_live
      | whsec_ | SG\. | hvs\. | AIza | npm_ | cnm_ | pypi- | dop_v1_ | shp[a-z]{2}_
      | :// [^\s]* @",
    )
    .expect("a pattern of ours")
});

/// What gives a secret away within a text.
static SECRETS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?x)
        # A name that says so, and its value: password=…, "token": "…", --api-key …
        (?P<name> [0-9A-Za-z_.-]*
            (?i-u: passw(?:or)?d | passphrase | [_-]pass | pwd | secret | token | credential | authorization | cookie | jwt
                 | api[_-]?key | access[_-]?key | private[_-]?key
                 | (?: encrypt | encryption | sign | signing | session | master | account | storage | shared | ssh | hmac
                     | aes | license | client ) [_-]? key )
            [0-9A-Za-z_.-]* )
        (?: \\?["']? [\ \t]* (?P<sign> :=? | => | = ) [\ \t]* (?: [|>][+-]? [\ \t]* \n [\ \t]+ )?
          | [\ \t]+ (?i-u: is | was ) [\ \t]+
          | (?P<blank> [\ \t]+ ) )
        (?: (?i-u: bearer | basic | digest | token ) [\ \t]+ )?
        (?: \\" (?P<escaped> (?: [^"\\] | \\[^"] )+ )
          | " (?P<quoted> (?: [^"\\] | \\. )+ )
          | \\?' (?P<single> [^'\\]+ )
          | (?P<value> [^\s"'\\&]+ ) )
        # How credentials are sent.
      | (?i-u: \b (?: bearer | basic ) [\ \t]+ ) (?P<sent> [0-9A-Za-z_.~+/=-]{8,} )
        # What a registry is signed in to with.
      | \\?["'] auth \\?["'] \s* : \s* \\?["'] (?P<auth> [0-9A-Za-z+/=]{8,} )
        # What curl takes.
      | (?: ^ | \s ) (?: -u | --user ) [\ =]+ ["']? [^\s:"']+ : (?P<user> [^\s"']+ )
        # Texts that are keys by their form.
      | (?P<form> -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY[A-Z\ ]*----- [\s\S]*?
              (?: -----END\ [A-Z\ ]*PRIVATE\ KEY[A-Z\ ]*----- | \z )
            | LS0tLS1CRUdJTi (?: BQUklWQVRF | BSU0EgUFJJVkFUR | BFQyBQUklWQVRF | BPUEVOU1NI | BFTkNSWVBURUQg ) [0-9A-Za-z+/=]*
            | (?-u:\b) (?: eyJ[0-9A-Za-z_-]{8,} \. [0-9A-Za-z_-]{8,} \. [0-9A-Za-z_-]*
                | (?: AKIA | ASIA ) [0-9A-Z]{16} (?-u:\b)
                | gh[pousr]_ [0-9A-Za-z_]{30,}
                | github_pat_ [0-9A-Za-z_]{30,}
                | glpat- [0-9A-Za-z_-]{16,}
                | glsa_ [0-9A-Za-z_]{20,}
                | xox[abeprs]- [0-9A-Za-z_-]{10,}
                | xapp- [0-9A-Za-z-]{20,}
                | sk- [0-9A-Za-z_-]{20,}
                | [sr]k_live_ [0-9A-Za-z]{16,}
                | whsec_ [0-9A-Za-z+/=]{16,}
                | SG\. [0-9A-Za-z_-]{16,} \. [0-9A-Za-z_-]{16,}
                | hvs\. [0-9A-Za-z_-]{20,}
                | AIza [0-9A-Za-z_-]{35}
                | npm_ [0-9A-Za-z_]{30,}
                | pypi- [0-9A-Za-z_-]{30,}
                | dop_v1_ [0-9a-f]{32,}
                | shp[a-z]{2}_ [0-9a-f]{32}
                | cnm_ [0-9A-Za-z_]{16,} ) )
        # The password in an address.
      | :// [^\s/?\#"'<>:@]* : (?P<password> [^\s/?\#"'<>]+ | [^\s/?\#"'<>0-9] [^\s"'<>]* ) @
        "#,
    )
    .expect("a pattern of ours")
});

/// The groups of that pattern which hold what must not be seen.
const HELD_IN: [&str; 9] = ["escaped", "quoted", "single", "value", "sent", "auth", "user", "form", "password"];

/// Whether a value after a name stands for none, or for where it is.
fn is_harmless(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "" | "null" | "nil" | "none" | "true" | "false" | "undefined")
        || value.strip_prefix(['$', '<']).is_some_and(|name| {
            name.trim_matches(['(', ')', '{', '}', '>'])
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        })
}

/// Whether a match of a name and a value is none, or only talks about a secret.
fn is_about(text: &str, found: &Captures<'_>) -> bool {
    let Some(name) = found.name("name") else { return false };
    let Some(value) = ["escaped", "quoted", "single", "value"].iter().find_map(|group| found.name(group)) else {
        return true;
    };
    let option = name.as_str().trim_start_matches('-');
    if !is_secret_field(option) || is_harmless(value.as_str().trim_end_matches(ENDS)) {
        return true;
    }
    if found.name("blank").is_some() {
        // `--password hunter2`; a sentence about a token has no dashes.
        return !name.as_str().starts_with("--") || value.as_str().starts_with('-');
    }
    if found.name("value").is_none() || option.to_ascii_lowercase().contains("pass") {
        return false;
    }
    let value = value.as_str().trim_end_matches(ENDS);
    if value.len() <= 6 && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return true;
    }
    // `cannot get token: unauthorized` goes on with a word; a setting begins its line with the name.
    let line = text[..name.start()].rfind('\n').map_or(0, |end| end + 1);
    let follows_words = text[line..name.start()].bytes().any(|byte| byte.is_ascii_alphabetic());
    let is_colon = found.name("sign").is_some_and(|sign| sign.as_str() == ":");
    follows_words && is_colon && value.len() <= 14 && value.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// What may stand after a value without being a part of it.
const ENDS: [char; 6] = [',', ';', ')', ']', '}', '>'];

/// Replaces the secrets in a text that comes line by line, where a key may span several.
#[derive(Debug)]
pub struct LineRedactor<'a> {
    signer: &'a Signer,
    is_in_key: bool,
}

impl<'a> LineRedactor<'a> {
    pub(super) fn new(signer: &'a Signer) -> Self {
        Self { signer, is_in_key: false }
    }

    /// The next line, without what looks like a secret, and without control characters.
    pub fn redact<'t>(&mut self, line: &'t str) -> Cow<'t, str> {
        let line = without_controls(line);
        let was_in_key = self.is_in_key;
        if line.contains("-----") {
            self.is_in_key = match (line.rfind("-----BEGIN "), line.rfind("-----END ")) {
                (Some(begin), end) if end.is_none_or(|end| end < begin) => line[begin..].contains("PRIVATE KEY"),
                (_, Some(_)) => false,
                _ => was_in_key,
            };
            if was_in_key {
                return Cow::Owned(fingerprint(&line, self.signer));
            }
        } else if was_in_key || is_of_a_key(line.trim()) {
            return Cow::Owned(if line.is_empty() { String::new() } else { fingerprint(&line, self.signer) });
        }
        match line {
            Cow::Borrowed(line) => redact_text(line, self.signer),
            Cow::Owned(line) => Cow::Owned(redact_text(&line, self.signer).into_owned()),
        }
    }
}

/// Whether a line looks like one in the middle of an encoded key, whose beginning was not read (RFC 7468, RFC 2045).
fn is_of_a_key(line: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| line.as_bytes().iter().any(kind);
    matches!(line.len(), 64 | 76)
        && line.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit)
}

/// A text without what looks like a secret.
#[must_use]
pub fn redact_text<'a>(text: &'a str, signer: &Signer) -> Cow<'a, str> {
    // What shows nothing could stand within a name and keep it from being known.
    match without_controls(text) {
        Cow::Borrowed(text) => redact_plain(text, signer),
        Cow::Owned(text) => Cow::Owned(redact_plain(&text, signer).into_owned()),
    }
}

fn redact_plain<'a>(text: &'a str, signer: &Signer) -> Cow<'a, str> {
    if !TRIGGERS.is_match(text) {
        return Cow::Borrowed(text);
    }
    let mut redacted = String::new();
    let mut done = 0;
    let mut place = 0;
    while let Some(found) = SECRETS.captures_at(text, place) {
        let whole = found.get_match();
        if is_about(text, &found) {
            // The value may begin with another name.
            place = found.name("name").map_or(whole.end(), |name| name.end());
            continue;
        }
        place = whole.end();
        let Some(secret) = HELD_IN.iter().find_map(|group| found.name(group)) else { continue };
        let shown =
            if found.name("value").is_some() { secret.as_str().trim_end_matches(ENDS) } else { secret.as_str() };
        if shown.is_empty() || is_fingerprint(shown) {
            continue;
        }
        redacted.push_str(&text[done..secret.start()]);
        redacted.push_str(&fingerprint(shown, signer));
        done = secret.start() + shown.len();
        place = done;
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
        for (shown, expected) in [
            (r#"{"password": "correct horse", "a": 1}"#, r#"{"password": "***", "a": 1}"#),
            (r#"{\"token\":\"a b\",\"x\":1}"#, r#"{\"token\":\"***\",\"x\":1}"#),
            ("credentials:\n  password: \"a: b\"\n", "credentials:\n  password: \"***\"\n"),
            ("password: |\n  hunter2\n", "password: |\n  ***\n"),
            ("DB_PASS=hunter2 MYSQL_PWD=hunter2", "DB_PASS=*** MYSQL_PWD=***"),
            ("run --password hunter2 --token=abc -v", "run --password *** --token=*** -v"),
            ("curl -u ann:hunter2 https://x", "curl -u ann:*** https://x"),
            ("amqp://u:p@ss@mq and postgres://u:pa/ss@db", "amqp://u:***@mq and postgres://u:***@db"),
            ("pass\u{200b}word=hunter2 \u{1b}[31mtoken\u{1b}[0m=abc1", "password=*** token=***"),
            ("{\"auths\":{\"r\":{\"auth\":\"YW5uOmh1bnRlcjI=\"}}}", "{\"auths\":{\"r\":{\"auth\":\"***\"}}}"),
            ("client-key-data: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQ==", "client-key-data: ***"),
            ("x (token=abc1), y", "x (token=***), y"),
        ] {
            assert_eq!(text(shown), expected);
        }
        for harmless in [
            "cannot get token: unauthorized",
            "password=${DB_PASSWORD}",
            "max_tokens=4096",
            "the secret db was made, its token is",
            "--secret-name db",
            "\"token\":null,",
        ] {
            assert_eq!(text(harmless), harmless);
        }
        for harmless in ["secret \"db\" not found", "secretName: db", "token_file: /run/token", "5 tokens left", ""] {
            assert_eq!(text(harmless), harmless);
        }
    }
}
