//! Matchers: `severity="page"`, `instance=~"db.*"`, as Alertmanager reads and applies them.
//!
//! Alertmanager has two grammars, and prefers the classic one wherever both can read a text (`matcher/compat`).

use std::fmt;

use regex::Regex;

use super::api::{self, Labels};
use crate::error::{Error, Result};
use crate::tools::patterns;

/// What an alert's label must be like. A label that an alert does not have counts as empty text.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) operator: Operator,
    /// The value as a pattern for the whole of a label.
    pattern: Option<Regex>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Like,
    NotLike,
}

impl Operator {
    fn text(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Like => "=~",
            Self::NotLike => "!~",
        }
    }

    fn is_regex(self) -> bool {
        matches!(self, Self::Like | Self::NotLike)
    }

    fn is_equal(self) -> bool {
        matches!(self, Self::Equal | Self::Like)
    }
}

impl Matcher {
    /// # Errors
    /// A sentence when the value should be a regular expression and is none.
    pub(super) fn new(name: &str, operator: Operator, value: &str) -> Result<Self, String> {
        let pattern = operator.is_regex().then(|| patterns::compiled(&format!("^(?:{value})$"), true)).transpose();
        let pattern = pattern.map_err(|why| format!("`{value}` is not a regular expression: {why}"))?;
        Ok(Self { name: name.to_owned(), value: value.to_owned(), operator, pattern })
    }

    /// Whether a label may have this text.
    pub(super) fn accepts(&self, text: &str) -> bool {
        match (&self.pattern, self.operator) {
            (Some(pattern), operator) => pattern.is_match(text) == operator.is_equal(),
            (None, Operator::Equal) => text == self.value,
            (None, Operator::NotEqual) => text != self.value,
            (None, Operator::Like | Operator::NotLike) => false,
        }
    }

    /// Whether an alert with these labels is meant.
    pub(super) fn matches(&self, labels: &Labels) -> bool {
        self.accepts(labels.get(&self.name).map_or("", String::as_str))
    }
}

impl From<&api::Matcher> for Matcher {
    fn from(matcher: &api::Matcher) -> Self {
        let operator = match (matcher.is_regex, matcher.is_equal) {
            (false, true) => Operator::Equal,
            (false, false) => Operator::NotEqual,
            (true, true) => Operator::Like,
            (true, false) => Operator::NotLike,
        };
        // Go reads a few patterns that this program cannot; such a matcher is shown, and taken to accept nothing.
        Self::new(&matcher.name, operator, &matcher.value).unwrap_or_else(|_| Self {
            name: matcher.name.clone(),
            value: matcher.value.clone(),
            operator,
            pattern: None,
        })
    }
}

impl From<&Matcher> for api::Matcher {
    fn from(matcher: &Matcher) -> Self {
        Self {
            name: matcher.name.clone(),
            value: matcher.value.clone(),
            is_regex: matcher.operator.is_regex(),
            is_equal: matcher.operator.is_equal(),
        }
    }
}

/// As Alertmanager writes it, so that both of its grammars read it back.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
        if self.name.chars().any(is_reserved) {
            let name = self.name.replace('\\', "\\\\").replace('"', "\\\"");
            write!(f, "\"{name}\"{}\"{value}\"", self.operator.text())
        } else {
            write!(f, "{}{}\"{value}\"", self.name, self.operator.text())
        }
    }
}

/// Matchers in one text, as a person would write them.
pub(super) fn in_words<'a>(matchers: impl IntoIterator<Item = &'a Matcher>) -> String {
    matchers.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether all matchers agree with these labels.
pub(super) fn match_all(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels))
}

/// Reads an argument: a list of texts, each with one matcher or several.
///
/// # Errors
/// [`Error::BadArguments`] that quotes the text and says what is wrong with it.
pub(super) fn parse_argument(argument: &str, texts: &[String]) -> Result<Vec<Matcher>> {
    let mut matchers = Vec::new();
    for text in texts {
        let found = parse(text).map_err(|reason| {
            Error::BadArguments(format!(
                "{argument}: `{text}`: {reason}; a matcher looks like severity=\"page\", instance=~\"db.*\" or team!=\"x\""
            ))
        })?;
        matchers.extend(found);
    }
    Ok(matchers)
}

/// Reads one matcher or several, with or without braces around them.
///
/// # Errors
/// A sentence about the first mistake.
pub(super) fn parse(text: &str) -> Result<Vec<Matcher>, String> {
    let mut rest = text.trim();
    let braced = rest.starts_with('{');
    if braced {
        rest = rest[1..].strip_suffix('}').ok_or("the closing brace is missing")?.trim();
    } else if rest.ends_with('}') && !rest.contains('{') {
        return Err("the opening brace is missing".into());
    }
    if rest.is_empty() {
        return if braced { Ok(Vec::new()) } else { Err("it is empty".into()) };
    }
    let mut matchers = Vec::new();
    while !rest.is_empty() {
        let (matcher, after) = parse_one(rest)?;
        matchers.push(matcher);
        rest = after.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',').ok_or_else(|| format!("a comma is missing before `{rest}`"))?.trim_start();
        }
    }
    Ok(matchers)
}

/// The first matcher of a text, and the text after it.
fn parse_one(text: &str) -> Result<(Matcher, &str), String> {
    let (name, rest) = parse_name(text)?;
    let rest = rest.trim_start();
    let operators = [Operator::Like, Operator::NotLike, Operator::NotEqual, Operator::Equal];
    let operator = operators
        .into_iter()
        .find(|operator| rest.starts_with(operator.text()))
        .ok_or_else(|| format!("after `{name}` comes none of =, !=, =~, !~"))?;
    let rest = rest[operator.text().len()..].trim_start();
    if rest.starts_with(['=', '~']) {
        return Err(format!("`{}{}` is no operator; there are =, !=, =~ and !~", operator.text(), &rest[..1]));
    }
    let (value, rest) = parse_value(rest, is_classic(&name))?;
    Ok((Matcher::new(&name, operator, &value)?, rest))
}

fn parse_name(text: &str) -> Result<(String, &str), String> {
    if text.starts_with('"') {
        let (quoted, rest) = split_quoted(text)?;
        return Ok((unescape(quoted)?, rest));
    }
    let end = text.find(is_reserved).unwrap_or(text.len());
    if end == 0 {
        return Err(format!("a label name is missing before `{text}`"));
    }
    Ok((text[..end].to_owned(), &text[end..]))
}

fn parse_value(text: &str, classic: bool) -> Result<(String, &str), String> {
    if text.starts_with('"') {
        let (quoted, rest) = split_quoted(text)?;
        let value = if classic { unescape_classic(quoted) } else { unescape(quoted)? };
        return Ok((value, rest));
    }
    let end = text.find(',').unwrap_or(text.len());
    let value = text[..end].trim_end();
    if value.contains('"') {
        return Err(format!("a quote is out of place in `{value}`"));
    }
    Ok((unescape_classic(value), &text[end..]))
}

/// What stands between the quotes at the beginning, and what comes after them.
fn split_quoted(text: &str) -> Result<(&str, &str), String> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return Ok((&text[1..at], &text[at + 1..])),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    Err("the closing quote is missing".into())
}

/// The classic grammar knows three escapes; any other backslash is one.
fn unescape_classic(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, false) => plain.push(c),
            _ => match chars.next() {
                Some('n') => plain.push('\n'),
                Some(c @ ('"' | '\\')) => plain.push(c),
                Some(other) => plain.extend(['\\', other]),
                None => plain.push('\\'),
            },
        }
    }
    plain
}

/// The escapes of a Go string, which the grammar for names beyond ASCII takes.
fn unescape(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let mut after = rest[at + 1..].chars();
        let letter = after.next().unwrap_or_default();
        let wrong = || format!("`\\{letter}` is no escape");
        let digits = match letter {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        rest = after.as_str();
        if digits > 0 {
            let code = rest.get(..digits).and_then(|hex| u32::from_str_radix(hex, 16).ok()).ok_or_else(wrong)?;
            plain.push(char::from_u32(code).ok_or_else(wrong)?);
            rest = &rest[digits..];
            continue;
        }
        plain.push(match letter {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{C}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{B}',
            '\\' | '"' => letter,
            _ => return Err(wrong()),
        });
    }
    plain.push_str(rest);
    Ok(plain)
}

/// Characters that a name has only between quotes.
fn is_reserved(c: char) -> bool {
    c.is_whitespace() || "{}!=~,\\\"'`".contains(c)
}

/// Whether a name is one of the classic grammar: a letter, then letters, digits and underscores.
fn is_classic(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        parse(text).map_or_else(
            |error| format!("error: {error}"),
            |matchers| matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" & "),
        )
    }

    #[test]
    fn matchers_are_read_in_every_spelling() {
        for (text, expected) in [
            ("a=b", r#"a="b""#),
            (r#" a = "b" "#, r#"a="b""#),
            (r#"a!="b""#, r#"a!="b""#),
            (r#"a=~"b.*""#, r#"a=~"b.*""#),
            (r#"a!~"b|c""#, r#"a!~"b|c""#),
            ("a=", r#"a="""#),
            (r#"a="""#, r#"a="""#),
            ("a=b c", r#"a="b c""#),
            ("a=b,c=d", r#"a="b" & c="d""#),
            (r#"{a="b", c=~"d,e",}"#, r#"a="b" & c=~"d,e""#),
            ("{ a=b }", r#"a="b""#),
            ("{}", ""),
            ("a=~[a-z]{2}", r#"a=~"[a-z]{2}""#),
            (r#"{a=~"x{2}"}"#, r#"a=~"x{2}""#),
            (r#"a="say \"hi\" \\ \n""#, r#"a="say \"hi\" \\ \n""#),
            (r#"a=~"\d+\.x""#, r#"a=~"\\d+\\.x""#),
            (r#"a="\t""#, r#"a="\\t""#),
            (r#""a b"="c""#, r#""a b"="c""#),
            (r#""größe"="\u00e4\x41""#, r#"größe="äA""#),
            ("größe=x", r#"größe="x""#),
            ("service.name=api", r#"service.name="api""#),
            (r#"{"x\"y"!~"z"}"#, r#""x\"y"!~"z""#),
        ] {
            assert_eq!(read(text), expected, "{text}");
            assert_eq!(read(&format!("{{{}}}", expected.replace(" & ", ","))), expected, "{text}, read back");
        }
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, expected) in [
            ("", "it is empty"),
            ("a", "after `a` comes none of"),
            ("=b", "a label name is missing"),
            ("a==b", "`==` is no operator"),
            ("{a=b", "the closing brace is missing"),
            ("a=b}", "the opening brace is missing"),
            (r#"a="b"#, "the closing quote is missing"),
            (r#"a="b"c"#, "a comma is missing before `c`"),
            (r#"a=b"c""#, "a quote is out of place"),
            ("a=b,,c=d", "a label name is missing"),
            ("a=~\"(\"", "`(` is not a regular expression: unclosed group"),
            (r#""ä"="\q""#, "`\\q` is no escape"),
        ] {
            let error = read(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
        let error = parse_argument("filter", &["x".into()]).unwrap_err().to_string();
        assert!(error.starts_with("filter: `x`: ") && error.contains("severity=\"page\""), "{error}");
    }

    #[test]
    fn patterns_are_for_the_whole_label_and_a_missing_one_is_empty() {
        let labels: Labels = [("team".to_owned(), "db".to_owned()), ("text".to_owned(), "a\nb".to_owned())].into();
        for (text, expected) in [
            ("team=db", true),
            ("team=d", false),
            ("team!=d", true),
            ("team=~d", false),
            ("team=~d.", true),
            ("team=~d|db", true),
            ("team=~", false),
            ("team!~d", true),
            ("team!~.*", false),
            ("none=", true),
            ("none!=", false),
            ("none=~.*", true),
            ("none=~.+", false),
            ("none!~.+", true),
            ("none!=x", true),
            ("text=~a.b", false),
            ("text=~(?s)a.b", true),
        ] {
            assert_eq!(match_all(&parse(text).unwrap(), &labels), expected, "{text}");
        }
    }
}
