//! API keys: random, with a name to find them by; only their hash is kept.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::Recognised;
use crate::caller::{Caller, Effect};
use crate::secrets::{hex, random_token};

/// What every key begins with, so that scanners find one that leaked.
const PREFIX: &str = "cnm_";

/// A key, as the configuration keeps it.
#[derive(Clone, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Whose it is: the subject in logs and silences.
    pub name: String,
    /// SHA-256 of the key, in hexadecimal.
    pub hash: String,
    /// The most it may do: read, write or destroy.
    #[serde(default)]
    pub allow: Effect,
    /// When it ends; never when absent.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub expires: Option<Timestamp>,
}

/// A key that was just made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The key itself: shown once, kept nowhere.
    pub key: String,
    /// What goes into the configuration.
    pub kept: ApiKey,
}

impl ApiKey {
    /// Makes a key for `name`.
    #[must_use]
    pub fn create(name: String, allow: Effect, expires: Option<Timestamp>) -> NewKey {
        let key = random_token(PREFIX);
        NewKey { kept: Self { name, hash: hex(&hash(&key)), allow, expires }, key }
    }
}

/// The keys of a server, by a part of their hash that says nothing about the key.
#[derive(Debug)]
pub(super) struct Keys {
    by_start: HashMap<[u8; 8], Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    hash: [u8; 32],
    expires: Option<Timestamp>,
    caller: Arc<Caller>,
}

impl Keys {
    pub(super) fn new(keys: &[ApiKey]) -> Result<Self, Vec<(String, String)>> {
        let mut by_start: HashMap<[u8; 8], Vec<Known>> = HashMap::new();
        let mut mistakes = Vec::new();
        for (place, key) in keys.iter().enumerate() {
            if key.name.trim().is_empty() {
                mistakes.push((format!("auth.api_keys.{place}.name"), "is empty; name whose key it is".into()));
            }
            let Some(hash) = unhex(&key.hash) else {
                // What was written may be a key, so it is not repeated.
                let message = if key.hash.starts_with(PREFIX) {
                    "is the key itself; put the hash here that `cloud-native-mcp keys create` printed with it"
                } else {
                    "is not 64 hexadecimal digits; `cloud-native-mcp keys create` prints a hash with each key"
                };
                mistakes.push((format!("auth.api_keys.{place}.hash"), message.into()));
                continue;
            };
            let caller = Caller { issuer: "api-key".into(), subject: key.name.clone(), allowed: key.allow };
            let known = Known { hash, expires: key.expires, caller: Arc::new(caller) };
            by_start.entry(start(&hash)).or_default().push(known);
        }
        if mistakes.is_empty() { Ok(Self { by_start }) } else { Err(mistakes) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_start.is_empty()
    }

    /// Whose key this is. The hash is looked up, not the key, and compared in constant time: neither tells how much of a
    /// guess was right.
    pub(super) fn caller(&self, key: &str, now: Timestamp) -> Option<Recognised> {
        // The hash of a word that somebody chose could be guessed from; only keys made here have enough randomness.
        let hash = key.starts_with(PREFIX).then(|| hash(key))?;
        let known = self.by_start.get(&start(&hash))?.iter().find(|known| known.hash.ct_eq(&hash).into())?;
        let recognised = || Recognised { caller: known.caller.clone(), until: known.expires };
        known.expires.is_none_or(|end| now < end).then(recognised)
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

fn start(hash: &[u8; 32]) -> [u8; 8] {
    hash[..8].try_into().expect("32 bytes hold 8")
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_hash_until_it_expires() {
        let end: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        let new = ApiKey::create("ann".into(), Effect::Write, Some(end));
        assert!(!format!("{:?}", new.kept).contains(&new.key));
        let keys = Keys::new(&[new.kept]).unwrap();
        let at = |text: &str| keys.caller(&new.key, text.parse().unwrap()).map(|known| known.caller.subject.clone());
        assert_eq!(at("2026-01-01T23:59:59Z"), Some("ann".into()));
        assert_eq!(at("2026-01-02T00:00:00Z"), None);
        assert!(keys.caller("cnm_other", end).is_none());
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let wrong = |name: &str, hash: &str| ApiKey {
            name: name.into(),
            hash: hash.into(),
            allow: Effect::Read,
            expires: None,
        };
        let mistakes =
            Keys::new(&[wrong("a", "12"), wrong("", &"0".repeat(64)), wrong("b", &"é".repeat(32))]).unwrap_err();
        let paths: Vec<_> = mistakes.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["auth.api_keys.0.hash", "auth.api_keys.1.name", "auth.api_keys.2.hash"]);
    }
}
