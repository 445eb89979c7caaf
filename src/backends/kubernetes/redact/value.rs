//! Where the value after a name begins and ends, in whatever form a text has it.

use std::ops::Range;

/// Bytes of a value that are looked at before it is known to be one.
const LONGEST_LOOKED_AT: usize = 4096;

/// Bytes before a name that are looked at to see whether it begins its line.
const LOOKED_BACK: usize = 256;

/// What may stand after a value without being a part of it.
const ENDS: [char; 6] = [',', ';', ')', ']', '}', '>'];

/// A value after a name.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) place: Range<usize>,
    /// Whether it is one word without quotes, which a sentence could have as well.
    pub(super) is_word: bool,
    /// Whether it is short enough to be something harmless.
    pub(super) is_short: bool,
}

/// How deep a line is indented that begins with a name; none where something else stands before it.
pub(super) fn indent_of_setting(text: &str, name: usize) -> Option<usize> {
    let line = line_before(text, name)?;
    let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
    let mut rest = line[indent..].trim_end_matches(['"', '\'']);
    while let Some(item) = rest.strip_prefix("- ") {
        rest = item.trim_start();
    }
    ["", "export ", "set ", "ENV ", "env "].contains(&rest).then_some(indent)
}

/// The line as far as a place in it; none where it is long.
pub(super) fn line_before(text: &str, place: usize) -> Option<&str> {
    let from = text.floor_char_boundary(place.saturating_sub(LOOKED_BACK));
    let before = &text[from..place];
    match before.rfind('\n') {
        Some(end) => Some(&before[end + 1..]),
        None => (from == 0).then_some(before),
    }
}

/// The value that stands at a place, after a name and a sign. A setting begins its line, which is so deep indented.
pub(super) fn value(text: &str, from: usize, setting: Option<usize>) -> Option<Value> {
    let mut at = from + blanks(&text[from..]);
    if setting.is_some() {
        // A tag or an anchor (YAML 1.2, 6.9).
        while text[at..].starts_with(['!', '&'])
            && let Some(end) = text[at..].find(|c: char| c.is_whitespace())
            && end <= 64
        {
            at += end + blanks(&text[at + end..]);
        }
    }
    at += scheme(&text[at..]);
    let rest = &text[at..];
    if let Some(indent) = setting
        && let Some(lines) = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')).or_else(|| block(rest))
    {
        return indented(text, text.len() - lines.len(), indent, block(rest).is_some());
    }
    for quotes in ["\"\"\"", "'''"] {
        if let Some(inner) = rest.strip_prefix(quotes) {
            let start = at + quotes.len();
            let end = inner.find(quotes).map_or(text.len(), |length| start + length);
            return found(start..end, false);
        }
    }
    let depth = rest.len() - rest.trim_start_matches('\\').len();
    match rest.as_bytes().get(depth) {
        Some(b'"') => quoted(text, at + depth + 1, depth, b'"'),
        Some(b'\'') => quoted(text, at + depth + 1, depth, b'\''),
        Some(b'[') if depth == 0 => listed(text, at + 1),
        // What stands in a mapping has names of its own.
        Some(b'{') if rest[1..].starts_with(['"', '\'', '\\', ' ', '\n', '{', '}']) => None,
        _ => word(text, at, setting.is_some()),
    }
}

fn found(place: Range<usize>, is_word: bool) -> Option<Value> {
    let is_short = place.len() <= LONGEST_LOOKED_AT;
    (!place.is_empty()).then_some(Value { place, is_word, is_short })
}

/// All items of a list on one line; mappings in it have names of their own.
fn listed(text: &str, start: usize) -> Option<Value> {
    let rest = &text[start..text.floor_char_boundary(start + LONGEST_LOOKED_AT)];
    let rest = rest.lines().next().unwrap_or_default();
    if rest.trim_start().starts_with(['{', ']']) {
        return None;
    }
    found(start..start + rest.find(']').unwrap_or(rest.trim_end().len()), false)
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start_matches([' ', '\t', '\u{a0}']).len()
}

/// How credentials are sent: `Bearer `, before what is sent.
fn scheme(text: &str) -> usize {
    let word = text.bytes().take(8).position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(0);
    let is_one = ["bearer", "basic", "digest", "token"].iter().any(|known| text[..word].eq_ignore_ascii_case(known));
    if is_one { word + blanks(&text[word..]) } else { 0 }
}

/// The lines of a block scalar (YAML 1.2, 8.1), where one begins.
fn block(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(['|', '>'])?;
    let rest = rest.trim_start_matches(['+', '-', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    let rest = &rest[blanks(rest)..];
    rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n'))
}

/// Lines that are deeper indented than the name they belong to; a mapping or a list is looked at on its own.
fn indented(text: &str, from: usize, indent: usize, is_block: bool) -> Option<Value> {
    let mut start = None;
    let mut end = from;
    let mut at = from;
    for line in text[from..].split_inclusive('\n') {
        let content = line.trim();
        if !content.is_empty() {
            let depth = line.len() - line.trim_start_matches([' ', '\t']).len();
            if depth <= indent {
                break;
            }
            if start.is_none() {
                let is_other = content.starts_with("- ") || content.starts_with('{') || content.starts_with('[');
                let is_mapping = content.ends_with(':') || content.contains(": ") || content.contains('=');
                if !is_block && (is_other || is_mapping) {
                    return None;
                }
                start = Some(at + depth);
            }
            end = at + line.trim_end().len();
        }
        at += line.len();
    }
    let mut place = start?..end;
    if !is_block && text[place.clone()].starts_with(['"', '\'']) && place.len() > 2 {
        place = place.start + 1..place.end - 1;
    }
    if !text.is_char_boundary(place.end) {
        return None;
    }
    found(place, false)
}

/// Up to the quote that ends it: the next with no more backslashes before it than the first one has.
fn quoted(text: &str, start: usize, depth: usize, quote: u8) -> Option<Value> {
    let bytes = text.as_bytes();
    let mut backslashes = 0;
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => {
                backslashes += 1;
                at += 1;
                continue;
            }
            // Doubled within single quotes (YAML), or one text after another (shells).
            b'\'' if quote == b'\'' && depth == 0 && bytes.get(at + 1) == Some(&b'\'') && at > start => at += 1,
            byte if byte == quote => {
                let is_end = if depth == 0 { backslashes % 2 == 0 } else { backslashes <= depth };
                if is_end {
                    return found(start..at - backslashes.min(depth).min(at - start), false);
                }
            }
            b'\n' if quote == b'\'' && at - start > LONGEST_LOOKED_AT => break,
            _ => {}
        }
        backslashes = 0;
        at += 1;
    }
    // It has no end: what follows on its line is hidden, or all where a text may span lines.
    let end = match quote {
        b'\'' => text[start..].find('\n').map_or(text.len(), |length| start + length),
        _ => text.len(),
    };
    found(start..end, false)
}

/// Up to a blank or a quote; in a setting, the words after it too.
fn word(text: &str, start: usize, is_setting: bool) -> Option<Value> {
    let rest = &text[start..];
    let mut end = rest.find(ends_a_word).unwrap_or(rest.len());
    // Another parameter of an address follows.
    let is_parameter = |after: &str| {
        let length = after.find(|c: char| !(c.is_ascii_alphanumeric() || "_.-[]".contains(c))).unwrap_or(after.len());
        after.is_empty() || (length > 0 && after[length..].starts_with('='))
    };
    if let Some((other, _)) = rest[..end].match_indices('&').find(|(place, _)| is_parameter(&rest[place + 1..end])) {
        end = other;
    }
    let mut is_word = true;
    if is_setting && end > 0 {
        while !rest[..end].ends_with(ENDS) {
            let next = end + blanks(&rest[end..]);
            let length = rest[next..].find(ends_a_word).unwrap_or(rest.len() - next);
            let word = &rest[next..next + length];
            let is_other =
                word.starts_with(['#', '$', '-', '|', '>', '<']) || word.contains('=') || word.ends_with(':');
            if next == end || word.is_empty() || is_other {
                break;
            }
            (end, is_word) = (next + length, false);
        }
    }
    let shown = rest[..end].trim_end_matches(ENDS).len();
    found(start..start + shown, is_word)
}

fn ends_a_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '\\')
}
