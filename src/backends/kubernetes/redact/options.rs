//! Options of well-known programs that take a password under a name that says nothing.

use std::ops::Range;

use super::is_fingerprint;

/// Bytes of a command that are looked at.
const LONGEST: usize = 512;

/// Where the secret of an option is.
pub(super) enum Secret {
    /// In the same word, from a place on.
    From(usize),
    /// It is the next word.
    Next,
}

/// The program that a word names, with or without its folder.
pub(super) fn program(word: &str) -> Option<&str> {
    let name = word.rsplit('/').next().unwrap_or(word);
    let starts = ["mysql", "mariadb"].iter().any(|known| name.starts_with(known));
    (starts || ["curl", "redis-cli", "valkey-cli", "sshpass"].contains(&name)).then_some(name)
}

/// What a word of a command tells of a secret.
pub(super) fn secret_of(program: &str, word: &str) -> Option<Secret> {
    let (option, has_next) = match program {
        "curl" => ("-u", true),
        "redis-cli" | "valkey-cli" => ("-a", true),
        "sshpass" => ("-p", true),
        // A blank between would make it the name of a database.
        _ => ("-p", false),
    };
    let rest = word.strip_prefix(option)?;
    match (program, rest) {
        (_, "") => has_next.then_some(Secret::Next),
        ("curl", user) => user.find(':').map(|colon| Secret::From(option.len() + colon + 1)),
        _ => Some(Secret::From(option.len())),
    }
}

/// The first secret among the words after the name of a program.
pub(super) fn secret_in_command(text: &str, program: &str, from: usize) -> Option<Range<usize>> {
    let rest = &text[from..text.floor_char_boundary(from + LONGEST)];
    let rest = rest.split(['\n', '|', ';']).next().unwrap_or_default();
    let mut at = from;
    let mut is_next = false;
    for word in rest.split([' ', '\t']) {
        let start = at;
        at += word.len() + 1;
        if word.is_empty() {
            continue;
        }
        let place = match (std::mem::take(&mut is_next), secret_of(program, word)) {
            (true, _) if program == "curl" => word.find(':').map(|colon| start + colon + 1),
            (true, _) => Some(start),
            (false, Some(Secret::From(place))) => Some(start + place),
            (false, Some(Secret::Next)) => {
                is_next = true;
                None
            }
            (false, None) => None,
        };
        let Some(place) = place else { continue };
        let quotes = ['"', '\''];
        let end = start + word.trim_end_matches(quotes).len();
        let place = place + text[place..].len() - text[place..].trim_start_matches(quotes).len();
        if place < end && !is_fingerprint(&text[place..end]) && !text[place..].starts_with('$') {
            return Some(place..end);
        }
    }
    None
}
