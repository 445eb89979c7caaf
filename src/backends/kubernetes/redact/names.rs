//! Names of fields, variables and options that say that their values are secret.

use std::sync::LazyLock;

use regex::Regex;

use crate::answers::redact::is_secret_key;

/// What every name has that could be a secret one: most have nothing of it, which is found out fast.
static PARTS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("(?i-u:pass|pw|secret|token|key|cred|auth|cookie|jwt|pin|psk|bearer)").expect("a pattern of ours")
});

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
const SECRET_WORDS: [&str; 8] = ["pass", "pwd", "pw", "jwt", "cookie", "psk", "apikey", "masterauth"];

/// Words that end like them, and are no secrets.
const LIKE_SECRET_WORDS: [&str; 7] = ["bypass", "compass", "encompass", "overpass", "surpass", "trespass", "underpass"];

/// First words of directives that pass requests on.
const PASSING: [&str; 6] = ["proxy", "fastcgi", "uwsgi", "scgi", "grpc", "memcached"];

/// Last words of names whose values are secret unless they are a method or a count.
const WEAK_WORDS: [&str; 2] = ["auth", "pin"];

/// Words before `key` that make it a secret one.
const KEYS_OF: [&str; 17] = [
    "app",
    "private",
    "preshared",
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

/// Whether the value of a field or option of this name is a secret, and not only about one.
pub(super) fn is_secret_field(name: &str) -> bool {
    is_secret_name(name) && !HARMLESS_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Whether the name of a field, variable or option says that its value is secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    if !PARTS.is_match(name) {
        return false;
    }
    let words = words(name);
    let is_of = |word: &String, list: &[&str]| list.contains(&word.as_str());
    let is_reference = words.last().is_some_and(|last| is_of(last, &["file", "path", "ref", "url", "type", "name"]));
    let is_passing = words.first().is_some_and(|first| is_of(first, &PASSING)) && words.len() == 2;
    !is_reference
        && (is_secret_key(name)
            || words.iter().any(|word| is_of(word, &SECRET_WORDS) && !is_passing)
            || words.iter().any(|word| {
                (word.ends_with("pass") || word.ends_with("pw")) && !is_of(word, &LIKE_SECRET_WORDS) && !is_passing
            })
            || words.last().is_some_and(|last| is_of(last, &WEAK_WORDS))
            || words.windows(2).any(|pair| pair[1] == "key" && is_of(&pair[0], &KEYS_OF)))
}

/// Whether a name is a secret one only for its last word, whose value may as well be a method or a count.
pub(super) fn is_weakly_secret(name: &str) -> bool {
    let mut words = words(name);
    let last = words.pop().unwrap_or_default();
    WEAK_WORDS.contains(&last.as_str()) && !is_secret_name(&words.join("_"))
}

/// Whether such a value is a method, a switch or a count.
pub(super) fn is_method_or_count(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        || (value.len() < 4 && value.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether the cells under a heading are secret, given where they come from as the API server describes it
/// (`Custom resource definition column (in JSONPath format): .spec.secretName`).
pub(in crate::backends::kubernetes) fn is_secret_heading(heading: &str, description: &str) -> bool {
    let field = description.split_once("(in JSONPath format): ").map(|(_, path)| {
        path.trim().trim_end_matches(['"', '\'', ']', '}']).rsplit(['.', '"', '\'']).next().unwrap_or_default()
    });
    match field {
        // A column `Secret` mostly has the names of secrets.
        Some(field) if heading.eq_ignore_ascii_case("secret") => is_secret_field(field),
        Some(field) => is_secret_field(field) || is_secret_field(heading),
        None => is_secret_field(heading),
    }
}

/// The words of a name, in small letters: `client-keyData` has three.
pub(super) fn words(name: &str) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_go_by_their_names_and_by_the_fields_behind_them() {
        let of = |path: &str| format!("Custom resource definition column (in JSONPath format): {path}");
        for (heading, description) in [
            ("Password", of(".spec.a")),
            ("Password", String::new()),
            ("A", of(".spec.adminPassword")),
            ("A", of(".spec['adminPassword']")),
            ("Secret", of(".spec.secret")),
            ("Secret", "A description.".to_owned()),
        ] {
            assert!(is_secret_heading(heading, &description), "{heading} {description}");
        }
        for (heading, description) in
            [("Secret", of(".spec.secretName")), ("Ready", of(".status.ready")), ("Age", String::new())]
        {
            assert!(!is_secret_heading(heading, &description), "{heading} {description}");
        }
    }
}
