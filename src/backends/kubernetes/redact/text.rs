//! Secrets in texts, by what stands before them or by their form.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::is_fingerprint;
use super::keys::end_of_key;
use super::names::{is_method_or_count, is_secret_field, is_weakly_secret};
use super::options::secret_in_command;
use super::place::Place;
use super::value::{self, Value};
use crate::answers::without_controls;
use crate::secrets::Signer;

/// What a text must have somewhere to hold a secret: most have nothing of it, which is found out fast.
static TRIGGERS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        (?i-u: pass | pwd | secret | token | credential | authorization | bearer | basic | cookie | jwt | psk | masterauth
             | (?: api | access | private | preshared | encrypt | encryption | sign | signing | session | master | account
                 | storage | shared | ssh | hmac | aes | license | client | app ) [_\ -]? key
             | -u | --user | stats\ +auth | identified\ +by | redis-cli | valkey-cli | mysql | mariadb )
      | (?i-u: (?: pw | pin | auth ) ) \\*[\x22']? [\ \t\x{a0}]* [:=]
      | eyJ | LS0tLS1CRUdJTi | AKIA | ASIA | gh[pousr]_ | github_pat_ | glpat- | glsa_ | xox[abeprs]- | xapp- | sk[-_] | rk_live
      | whsec_ | SG\. | hvs\. | AIza | npm_ | cnm_ | pypi- | dop_v1_ | shp[a-z]{2}_ | ya29\. | \$(?:2[aby]|apr1|[1567y])\$
      | \{SHA\} | hooks\.slack\.com | /api/webhooks/ | bot[0-9]+: | @(?:tcp|unix|udp)\( | :// [^\s]* @",
    )
    .expect("a pattern of ours")
});

/// What gives a secret away within a text: what stands before its value, or all of it.
///
/// Values are looked for afterwards, so that what this matches stays short, however long the text.
static HEADS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?x)
        # The name of a variable, and the name of its value.
        (?: (?i-u: \b (?: name | key )) \\*["']? [\ \t]* [:=] [\ \t]* \\*["']? (?P<named> [0-9A-Za-z_.-]{2,80} ) \\*["']?
            [\ \t\r\n,;-]{1,80} \\*["']? (?i-u: value ) \\*["']? [\ \t]* [:=] )
        # Programs that take one as an option.
      | (?P<program> (?-u:\b) (?: curl | redis-cli | valkey-cli | sshpass | mysql[a-z]* | mariadb[a-z-]* ) ) [\ \t]
        # A name that says so, and a sign: password=…, "token": "…", --api-key …
      | (?P<name> [0-9A-Za-z_.-]*
            (?: (?i-u: pass | pwd | secret | token | credential | authorization | cookie | jwt | psk | masterauth
                     | (?: api | access | private | preshared | encrypt | encryption | sign | signing | session | master
                         | account | storage | shared | ssh | hmac | aes | license | client | app ) [_-]? key )
                [0-9A-Za-z_.-]*
              | (?i-u: pw | pin | auth ) ) )
        (?: \\*["']? [\ \t\x{a0}]* (?P<sign> :=? | => | = )
          | [\ \t]+ (?i-u: is | was ) [\ \t]+
          | (?P<blank> [\ \t]+ ) )
        # How credentials are sent.
      | (?i-u: \b (?: bearer | basic ) [\ \t]+ ) (?P<sent> [0-9A-Za-z_.~+/=-]{8,} )
        # Statements and directives.
      | (?i-u: \b identified [\ \t]+ (?: with [\ \t]+ [0-9A-Za-z_.\x22']{1,40} [\ \t]+ )? (?: by | as ) [\ \t]+ (?: password [\ \t]+ )? )
            (?P<statement> ["'] )
      | (?-u:\b) stats [\ \t]+ auth [\ \t]+ [0-9A-Za-z_.@-]{1,80} : (?P<stats> \S+ )
        # What curl takes, wherever that is written.
      | (?: ^ | \s ) (?: -u | --user ) [\ =]+ ["']? [0-9A-Za-z_.@+-]{1,80} : (?P<user> [^\s"']+ )
        # An element of XML.
      | < (?P<element> [0-9A-Za-z_.:-]{1,80} ) [\s>]
        # Texts that are keys by their form.
      | (?P<pem> -----BEGIN\ [A-Z\ ]{0,40}PRIVATE\ KEY[A-Z\ ]{0,20}----- )
      | (?P<form> LS0tLS1CRUdJTi (?: BQUklWQVRF | BSU0EgUFJJVkFUR | BFQyBQUklWQVRF | BPUEVOU1NI | BFTkNSWVBURUQg ) [0-9A-Za-z+/=]*
            | \$ (?: 2[aby] | apr1 | [1567y] ) \$ [0-9A-Za-z./$=,_-]{20,}
            | \{SHA\} [0-9A-Za-z+/=]{20,}
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
                | ya29\. [0-9A-Za-z_-]{20,}
                | npm_ [0-9A-Za-z_]{30,}
                | pypi- [0-9A-Za-z_-]{30,}
                | dop_v1_ [0-9a-f]{32,}
                | shp[a-z]{2}_ [0-9a-f]{32}
                | cnm_ [0-9A-Za-z_]{16,} ) )
        # Addresses that whoever knows them may write to.
      | (?: hooks\.slack\.com/[a-z]+/ | /api/webhooks/[0-9]+/ ) (?P<hook> [0-9A-Za-z_/-]{8,} )
      | (?-u:\b) bot [0-9]{6,12} : (?P<bot> [0-9A-Za-z_-]{20,} )
        # The password in an address, and in a data source of Go.
      | (?P<address> :// [^\s/?\#"'<>:@]* : )
      | (?P<source> @(?:tcp|unix|udp)\( )
        "#,
    )
    .expect("a pattern of ours")
});

/// The groups of that pattern which hold what must not be seen.
const HELD_IN: [&str; 7] = ["sent", "stats", "user", "form", "hook", "bot", "pem"];

/// Bytes of a password in an address.
const LONGEST_PASSWORD: usize = 1024;

/// Bytes of user and password in a data source of Go.
const LONGEST_SOURCE: usize = 256;

/// Bytes of the attributes of an element.
const LONGEST_TAG: usize = 256;

/// What a match says: what must not be seen, and where it goes on.
struct Found {
    hidden: Option<Range<usize>>,
    next: usize,
}

/// Whether a value after a name stands for none, or for where it is.
pub(super) fn is_harmless(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "" | "null" | "nil" | "none" | "true" | "false" | "undefined")
        || value.strip_prefix(['$', '<']).is_some_and(|name| {
            name.trim_matches(['(', ')', '{', '}', '>'])
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        })
}

/// What a match of the pattern above hides.
fn look(text: &str, found: &Captures<'_>) -> Found {
    let whole = found.get_match();
    let end = whole.end();
    let hide = |hidden: Range<usize>| Found { next: hidden.end.max(whole.start() + 1), hidden: Some(hidden) };
    let pass_over = |next: usize| Found { hidden: None, next };
    if let Some(name) = found.name("name") {
        return match after_name(text, found, name.range(), end) {
            Some(value) => hide(value),
            // The value may begin with another name.
            None => pass_over(name.end()),
        };
    }
    if let Some(named) = found.name("named") {
        let secret = is_secret_field(named.as_str()).then(|| value::value(text, end, None)).flatten();
        let secret = secret.filter(|value| !is_none(text, value));
        return secret.map_or_else(|| pass_over(named.start()), |value| hide(value.place));
    }
    if found.name("statement").is_some() {
        return value::value(text, end - 1, None).map_or_else(|| pass_over(end), |value| hide(value.place));
    }
    if let Some(program) = found.name("program") {
        return secret_in_command(text, program.as_str(), end).map_or_else(|| pass_over(end - 1), hide);
    }
    if let Some(element) = found.name("element") {
        return in_element(text, element.as_str(), element.end()).map_or_else(|| pass_over(element.end()), hide);
    }
    if found.name("address").is_some() {
        return in_address(text, end).map_or_else(|| pass_over(end), hide);
    }
    if found.name("source").is_some() {
        let from = text.floor_char_boundary(whole.start().saturating_sub(LONGEST_SOURCE));
        let before = &text[from..whole.start()];
        let word = from + before.rfind([' ', '\t', '\n', '"', '\'', '=']).map_or(0, |place| place + 1);
        let colon = text[word..whole.start()].find(':').map(|length| word + length + 1);
        return Found { hidden: colon.map(|colon| colon..whole.start()), next: end };
    }
    if let Some(pem) = found.name("pem") {
        return hide(pem.start()..end_of_key(text, pem.end()));
    }
    HELD_IN.iter().find_map(|group| found.name(group)).map_or_else(|| pass_over(end), |held| hide(held.range()))
}

/// What stands in an element of XML whose name says that it is secret.
fn in_element(text: &str, name: &str, end: usize) -> Option<Range<usize>> {
    if !is_secret_field(name.rsplit(':').next().unwrap_or_default()) {
        return None;
    }
    let tag = &text[end..text.floor_char_boundary(end + LONGEST_TAG)];
    let start = end + tag.find(['<', '>']).filter(|place| tag[*place..].starts_with('>'))? + 1;
    let length = text[start..].find('<').filter(|length| text[start + length..].starts_with("</"))?;
    (!is_harmless(text[start..start + length].trim())).then_some(start..start + length)
}

/// The password after `://user:`: up to the last `@` before the address goes on.
fn in_address(text: &str, start: usize) -> Option<Range<usize>> {
    let rest = &text[start..text.floor_char_boundary(start + LONGEST_PASSWORD)];
    let run = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>')).unwrap_or(rest.len());
    let host = rest[..run].find(['/', '?', '#']).unwrap_or(run);
    let at = match rest[..host].rfind('@') {
        Some(at) => at,
        // A number there is a port.
        None if rest.starts_with(|c: char| c.is_ascii_digit()) => return None,
        None => rest[..run].rfind('@')?,
    };
    (at > 0).then_some(start..start + at)
}

/// The value after a name that says it is secret; none where the text only talks about one.
fn after_name(text: &str, found: &Captures<'_>, name: Range<usize>, end: usize) -> Option<Range<usize>> {
    let word = &text[name.clone()];
    let option = word.trim_start_matches('-');
    if !is_secret_field(option) {
        return None;
    }
    if found.name("blank").is_some() {
        return after_blank(text, option, name, end);
    }
    let sign = found.name("sign").map(|sign| sign.as_str());
    let setting =
        sign.filter(|sign| matches!(*sign, ":" | "=")).and_then(|_| value::indent_of_setting(text, name.start));
    let is_weak = is_weakly_secret(option);
    let value = value::value(text, end, setting.filter(|_| !is_weak))?;
    let shown = &text[value.place.clone()];
    if is_none(text, &value) {
        return None;
    }
    if is_weak {
        return (!is_method_or_count(shown)).then_some(value.place);
    }
    if !value.is_word || !value.is_short || option.to_ascii_lowercase().contains("pass") {
        return Some(value.place);
    }
    if shown.len() <= 6 && shown.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // `cannot get token: unauthorized` goes on with a word; a setting begins its line with the name.
    let before = value::line_before(text, name.start);
    let follows_words = before.is_none_or(|line| line.bytes().any(|byte| byte.is_ascii_alphabetic()));
    let is_talk = follows_words && sign == Some(":") && shown.len() <= 14;
    (!is_talk || !shown.bytes().all(|byte| byte.is_ascii_lowercase())).then_some(value.place)
}

/// The value after a name and a blank, which most sentences about a password have too.
fn after_blank(text: &str, option: &str, name: Range<usize>, end: usize) -> Option<Range<usize>> {
    let starts = |with: &[char]| text[end..].starts_with(with);
    let small = option.to_ascii_lowercase();
    let is_password = small.contains("pass") || small.contains("pwd") || small == "masterauth";
    let is_option = text[name.start..].starts_with("--") && !starts(&['-']);
    if !is_option && (!is_password || starts(&['"', '-', '=', ':', '|', '<', '>'])) {
        return None;
    }
    let value = value::value(text, end, None).filter(|value| !is_none(text, value))?;
    if is_option || starts(&['\'']) || small == "insecure-password" {
        return Some(value.place);
    }
    // A directive is a line of its own: `requirepass x`; in a netrc, the login stands before.
    let is_last = text[value.place.end..].chars().find(|c| !matches!(c, ' ' | '\t' | '\r')).is_none_or(|c| c == '\n');
    let line = value::line_before(text, name.start)?;
    let is_directive = is_last && (value::indent_of_setting(text, name.start).is_some() || line.contains("auth-pass"));
    let is_netrc = line.split_whitespace().rev().nth(1) == Some("login");
    (is_directive || is_netrc).then_some(value.place)
}

/// Whether a value stands for none, or for where it is.
fn is_none(text: &str, value: &Value) -> bool {
    value.is_short && is_harmless(&text[value.place.clone()])
}

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
    redact_text_at(text, &Place::nowhere(signer))
}

/// A text at some place without what looks like a secret.
pub(super) fn redact_text_at<'a>(text: &'a str, at: &Place<'_>) -> Cow<'a, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    // What shows nothing could stand within a name and keep it from being known.
    match without_controls(text) {
        Cow::Borrowed(text) => redact_plain(text, at),
        Cow::Owned(text) => Cow::Owned(redact_plain(&text, at).into_owned()),
    }
}

fn redact_plain<'a>(text: &'a str, at: &Place<'_>) -> Cow<'a, str> {
    if !TRIGGERS.is_match(text) {
        return Cow::Borrowed(text);
    }
    let mut redacted = String::new();
    let mut done = 0;
    let mut place = 0;
    let mut numbers = HashMap::new();
    while place <= text.len()
        && let Some(found) = HEADS.captures_at(text, place)
    {
        let Found { hidden, next } = look(text, &found);
        place = text.ceil_char_boundary(next.max(place + 1));
        let Some(hidden) = hidden.map(|hidden| hidden.start.max(done)..hidden.end) else { continue };
        let Some(secret) = text.get(hidden.clone()).filter(|secret| !secret.is_empty() && !is_fingerprint(secret))
        else {
            continue;
        };
        redacted.push_str(&text[done..hidden.start]);
        let name = found.name("name").or_else(|| found.name("named")).map_or("", |name| name.as_str());
        let number = numbers.entry(name).or_insert(0);
        redacted.push_str(&at.at(name, *number).fingerprint(secret));
        *number += 1;
        done = hidden.end;
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

    #[test]
    fn further_forms_of_settings_and_statements_are_known() {
        for (shown, expected) in [
            ("pass: hunter2", "pass: ***"),
            ("{\"pass\": \"hunter2\"}", "{\"pass\": \"***\"}"),
            ("DBPASS=hunter2 PGPASS=hunter2 SMTP_PW=hunter2", "DBPASS=*** PGPASS=*** SMTP_PW=***"),
            ("PIN=4711 APP_KEY=base64:abc= AUTH=ann:hunter2", "PIN=*** APP_KEY=*** AUTH=***"),
            ("ALTER ROLE ann WITH PASSWORD 'hunter2';", "ALTER ROLE ann WITH PASSWORD '***';"),
            ("CREATE USER ann IDENTIFIED BY 'hunter2'", "CREATE USER ann IDENTIFIED BY '***'"),
            ("port 1\nrequirepass hunter2\nmasterauth hunter2\n", "port 1\nrequirepass ***\nmasterauth ***\n"),
            ("machine x login ann password hunter2", "machine x login ann password ***"),
            ("user ann insecure-password hunter2", "user ann insecure-password ***"),
            ("stats auth ann:hunter2", "stats auth ann:***"),
            ("ann:hunter2@tcp(db:3306)/shop", "ann:***@tcp(db:3306)/shop"),
            ("mysql -uann -phunter2 shop", "mysql -uann -p*** shop"),
            ("redis-cli -h x -a hunter2 ping", "redis-cli -h x -a *** ping"),
            ("sshpass -p hunter2 ssh x", "sshpass -p *** ssh x"),
            ("curl -s -uann:hunter2 https://x", "curl -s -uann:*** https://x"),
            ("<dbPassword>hunter2</dbPassword>", "<dbPassword>***</dbPassword>"),
            ("<add key=\"Password\" value=\"hunter2\"/>", "<add key=\"Password\" value=\"***\"/>"),
            ("{Name:\"DB_PASSWORD\", Value:\"hunter2\"}", "{Name:\"DB_PASSWORD\", Value:\"***\"}"),
            ("- name: DB_PASSWORD\n  value: hunter2\n", "- name: DB_PASSWORD\n  value: ***\n"),
            ("password = \"\"\"\nhunter2\nx\"\"\"\n", "password = \"\"\"***\"\"\"\n"),
            ("a:\n  password:\n    hunter2\n  b: c\n", "a:\n  password:\n    ***\n  b: c\n"),
            ("password: |\n  one\n  hunter2\nb: c\n", "password: |\n  ***\nb: c\n"),
            ("password: &anchor hunter2\n", "password: &anchor ***\n"),
            ("password: !!str hunter2\n", "password: !!str ***\n"),
            ("password: correct horse hunter2 # x\nb: c\n", "password: *** # x\nb: c\n"),
            ("password: 'a''hunter2'\n", "password: '***'\n"),
            ("password\u{a0}= hunter2", "password\u{a0}= ***"),
            ("[Peer]\nPresharedKey = c2VjcmV0c2VjcmV0=\n", "[Peer]\nPresharedKey = ***\n"),
            ("ann:$2y$05$abcdefghijklmnopqrstuv", "ann:***"),
            ("https://hooks.slack.com/services/T00/B00/hunter2hunter2", "https://hooks.slack.com/services/***"),
            (
                "https://api.telegram.org/bot123456789:AAhunter2hunter2hunter2/x",
                "https://api.telegram.org/bot123456789:***/x",
            ),
            (r#"{\\\"token\\\":\\\"hunter2\\\"}"#, r#"{\\\"token\\\":\\\"***\\\"}"#),
            ("x?token=hunter2&page=2", "x?token=***&page=2"),
            ("PASSWORD=hunter&2", "PASSWORD=***"),
            ("passwords: [hunter2, hunter3]", "passwords: [***]"),
            ("{\"tokens\":[\"hunter2\",\"hunter3\"],\"a\":1}", "{\"tokens\":[***],\"a\":1}"),
            ("export PASSWORD=hunter2 $HOME; ls", "export PASSWORD=*** $HOME; ls"),
        ] {
            assert_eq!(text(shown), expected);
        }
        for harmless in [
            "proxy_pass http://backend;",
            "auth: oidc",
            "spinning: 4711",
            "bypass=x1",
            "password policy was changed for ann",
            "credentials:\n  user: ann\n",
            "name: web\nvalue: 3",
            "<name>hunter</name>",
            "imagePullSecrets: [{name: registry}]",
            "credentials: {\"user\": \"ann\"}",
            "auth:\n  enabled: true\n",
        ] {
            assert_eq!(text(harmless), harmless);
        }
    }

    /// Twice the text, twice the time; what is quadratic takes thousands of times as long for the last of these.
    #[test]
    fn long_texts_take_time_in_proportion_to_their_length() {
        for piece in [
            "token_file=",
            "token ",
            "token=$",
            "://u:token_file=",
            "://u:",
            "password: \\",
            "pass:\n",
            "curl ",
            "<token ",
            "token='",
            "token=\"",
            "name: token\n",
            "-----BEGIN PRIVATE KEY-----\n",
            "--token -",
            "<token>",
            "@tcp(",
            "token:\n a:\n",
            "token: &",
        ] {
            let long = format!("{} x://ann:hunter2@x", piece.repeat((64 << 10) / piece.len()));
            let started = std::time::Instant::now();
            let _ = redact_text(&long, &Signer::new(b"key"));
            let took = started.elapsed();
            println!("{piece:?}: {took:?}");
            assert!(took < std::time::Duration::from_secs(5), "{piece:?} took {took:?}");
        }
    }
}
