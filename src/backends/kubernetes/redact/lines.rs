//! Secrets in a text that comes line by line.

use std::borrow::Cow;

use super::text::redact_text;
use crate::answers::redact::fingerprint;
use crate::answers::without_controls;
use crate::secrets::Signer;

/// Replaces the secrets in a text that comes line by line, where a key may span several.
#[derive(Debug)]
pub struct LineRedactor<'a> {
    signer: &'a Signer,
    is_in_key: bool,
}

impl<'a> LineRedactor<'a> {
    pub(in super::super) fn new(signer: &'a Signer) -> Self {
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
