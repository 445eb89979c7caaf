//! Secrets in texts, by what stands before them or by their form.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::is_fingerprint;
use super::names::is_secret_field;
use crate::answers::redact::fingerprint;
use crate::answers::without_controls;
use crate::secrets::Signer;

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
pub(super) fn is_harmless(value: &str) -> bool {
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

/// The fewest bytes of a text that is a secret by its form (`xoxb-` and ten more).
const SHORTEST_FORM: usize = 15;

/// Whether a text is too short to be a secret by its form, and has nothing that could part a name from a value: so are
/// most cells of a table.
fn is_plain(text: &str) -> bool {
    let is_of_a_word =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b'<' | b'>');
    text.len() < SHORTEST_FORM && text.bytes().all(is_of_a_word)
}

/// A text without what looks like a secret.
#[must_use]
pub fn redact_text<'a>(text: &'a str, signer: &Signer) -> Cow<'a, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
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
    use super::super::plain;
    use super::*;

    fn text(text: &str) -> String {
        plain(&redact_text(text, &Signer::new(b"key")))
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
