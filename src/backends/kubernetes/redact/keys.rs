//! Private keys over several lines (RFC 7468).

/// Lines of a key: one of RSA with 16384 bits has more, yet what goes on that long is no key.
pub(super) const MOST_LINES: usize = 250;

/// Where a key ends that begins before a place: with the line that says so, or before one that cannot be of a key.
pub(super) fn end_of_key(text: &str, begun: usize) -> usize {
    let mut end = begun;
    let mut at = begun;
    for (number, line) in text[begun..].split_inclusive('\n').enumerate().take(MOST_LINES) {
        if let Some(marker) = line.find("-----END ") {
            let after = marker + "-----END ".len();
            return at
                + line[after..].find("-----").map_or(line.trim_end().len(), |length| after + length + "-----".len());
        }
        if number > 0 && !may_be_of_a_key(line) {
            return end;
        }
        at += line.len();
        end = at - (line.len() - line.trim_end().len());
    }
    end
}

/// Whether a line may stand within a key: encoded, blank, or one of its headers (RFC 1421).
pub(super) fn may_be_of_a_key(line: &str) -> bool {
    let line = line.trim().trim_matches(['"', '\'', ',', '+']).trim();
    let line = line.trim_end_matches("\\n").trim_end_matches("\\r");
    let word = line.rsplit([' ', '\t']).next().unwrap_or_default();
    let is_encoded = word
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\\' | b'-' | b'_'));
    (is_encoded && (word.len() == line.len() || word.len() >= 16))
        || ["Proc-Type:", "DEK-Info:", "Comment:", "X-"].iter().any(|header| line.starts_with(header))
}

/// Whether a line looks like one in the middle of an encoded key, whose beginning was not read (RFC 7468, RFC 2045).
pub(super) fn is_of_a_key(line: &str) -> bool {
    let has = |kind: fn(&u8) -> bool| line.as_bytes().iter().any(kind);
    matches!(line.len(), 64 | 70 | 76)
        && line.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit)
}
