//! Names of fields, variables and options that say that their values are secret.

use crate::answers::redact::is_secret_key;

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

/// Whether the value of a field or option of this name is a secret, and not only about one.
pub(super) fn is_secret_field(name: &str) -> bool {
    is_secret_name(name) && !HARMLESS_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Whether the name of a field, variable or option says that its value is secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    let is_of = |word: &String, list: &[&str]| list.contains(&word.as_str());
    let is_reference = words.last().is_some_and(|last| is_of(last, &["file", "path", "ref", "url", "type", "name"]));
    !is_reference
        && (is_secret_key(name)
            || words.iter().any(|word| is_of(word, &SECRET_WORDS))
            || words.windows(2).any(|pair| pair[1] == "key" && is_of(&pair[0], &KEYS_OF)))
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
