//! Text of backends is data: nothing in it may steer a terminal, a reader's eye or a model.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::redact::without_credentials;

/// Whether a character shows nothing, or changes how others are shown (Unicode TR36 §3, TR9 §2).
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2069}' | '\u{3164}' | '\u{FE00}'..='\u{FE0E}' | '\u{FFA0}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E01EF}')
}

fn is_bad(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t') || is_hidden(c)
}

/// Whether a text is clean as it is. Nearly all are plain ASCII, which bytes tell faster than characters.
fn is_clean(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t')) || !text.chars().any(is_bad)
}

/// Text without control and direction characters, and without credentials in addresses; line breaks and tabs stay.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    match without_controls(text) {
        Cow::Borrowed(text) => without_credentials(text),
        Cow::Owned(text) => Cow::Owned(without_credentials(&text).into_owned()),
    }
}

/// Text without control and direction characters; line breaks and tabs stay.
#[must_use]
pub fn without_controls(text: &str) -> Cow<'_, str> {
    if is_clean(text) {
        return Cow::Borrowed(text);
    }
    let text = strip_escapes(text);
    Cow::Owned(text.chars().filter(|c| !is_bad(*c)).collect())
}

/// Drops terminal sequences (ECMA-48 §5.4) whole, so that no `[31m` stays behind.
fn strip_escapes(text: &str) -> String {
    let mut stripped = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\u{1B}' {
            stripped.push(c);
        } else if chars.next_if_eq(&'[').is_some() {
            while chars.next_if(|c| matches!(c, '\u{20}'..='\u{3F}')).is_some() {}
            chars.next_if(|c| matches!(c, '\u{40}'..='\u{7E}'));
        }
    }
    stripped
}

/// Cleans a text in place.
pub(super) fn clean_text(text: &mut String) {
    if let Cow::Owned(cleaned) = clean(text) {
        *text = cleaned;
    }
}

/// Cleans every text and key in a row, in place.
pub(super) fn clean_row(map: &mut Map<String, Value>) {
    if !map.keys().all(|key| is_clean(key)) {
        *map = std::mem::take(map).into_iter().map(|(key, value)| (clean(&key).into_owned(), value)).collect();
    }
    map.values_mut().for_each(clean_value);
}

/// Cleans every text and key in a value, in place.
pub(super) fn clean_value(value: &mut Value) {
    match value {
        Value::String(text) => clean_text(text),
        Value::Array(items) => items.iter_mut().for_each(clean_value),
        Value::Object(map) => clean_row(map),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_direction_and_terminal_sequences_go_and_line_breaks_stay() {
        assert_eq!(clean("plain ✓ äöü\n\tline"), "plain ✓ äöü\n\tline");
        assert_eq!(clean("\u{1B}[31;1mred\u{1B}[0m \u{202E}evil\u{2066}\u{0}\u{E0041}"), "red evil");
        assert_eq!(clean("\u{1B}"), "");
    }
}
