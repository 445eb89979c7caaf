//! Secrets in a text that comes line by line.

use std::borrow::Cow;

use super::keys::{MOST_LINES, is_of_a_key, may_be_of_a_key};
use super::place::Place;
use super::text::redact_text_at;
use crate::answers::without_controls;
use crate::secrets::Signer;

/// Replaces the secrets in a text that comes line by line, where a key may span several.
#[derive(Debug)]
pub struct LineRedactor<'a> {
    place: Place<'a>,
    /// Lines of a key that came, and may go on.
    of_key: usize,
}

impl<'a> LineRedactor<'a> {
    pub(in super::super) fn new(signer: &'a Signer, source: &'a str) -> Self {
        Self { place: Place::nowhere(signer).object(source), of_key: 0 }
    }

    /// The next line, without what looks like a secret, and without control characters.
    pub fn redact<'t>(&mut self, line: &'t str) -> Cow<'t, str> {
        let line = without_controls(line);
        let begin = line.rfind("-----BEGIN ").filter(|begin| line[*begin..].contains("PRIVATE KEY"));
        let end = line.rfind("-----END ");
        let was_in_key = self.of_key > 0;
        if begin.is_some_and(|begin| end.is_none_or(|end| end < begin)) {
            self.of_key = 1;
        } else if end.is_some() {
            self.of_key = 0;
            if was_in_key {
                return Cow::Owned(self.place.fingerprint(&line));
            }
        } else if (was_in_key && self.of_key < MOST_LINES && may_be_of_a_key(&line)) || is_of_a_key(line.trim()) {
            self.of_key += 1;
            return Cow::Owned(if line.is_empty() { String::new() } else { self.place.fingerprint(&line) });
        } else {
            self.of_key = 0;
        }
        match line {
            Cow::Borrowed(line) => redact_text_at(line, &self.place),
            Cow::Owned(line) => Cow::Owned(redact_text_at(&line, &self.place).into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let signer = Signer::new(b"key");
        let mut redactor = LineRedactor::new(&signer, "web-1/web");
        text.lines().map(|line| plain(&redactor.redact(line))).collect()
    }

    #[test]
    fn the_lines_of_a_key_go_and_what_cannot_be_of_one_stays() {
        let encoded = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";
        let whole = format!("one\n-----BEGIN PRIVATE KEY-----\n{encoded}\nhunter2=\n-----END PRIVATE KEY-----\ntwo");
        assert_eq!(lines(&whole), ["one", "***", "***", "***", "***", "two"]);
        // Its beginning was not read.
        assert_eq!(
            lines(&format!("{encoded}\nhunter2=\n-----END PRIVATE KEY-----\ntwo")),
            ["***", "***", "***", "two"]
        );
        assert_eq!(
            lines("-----BEGIN PRIVATE KEY-----\n2026-01-02 GET /cart 200\nGET /"),
            ["***", "2026-01-02 GET /cart 200", "GET /"]
        );
        let endless = format!("-----BEGIN PRIVATE KEY-----\n{}", "a\n".repeat(2 * MOST_LINES));
        assert_eq!(lines(&endless).last().unwrap(), "a");
    }
}
