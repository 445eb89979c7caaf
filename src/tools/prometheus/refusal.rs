//! What Prometheus says of a query it does not take, with the place in the text and what to do about it.

use crate::error::Error;

/// What to do, by what the message contains. The first that fits is given.
const ADVICE: [(&str, &str); 19] = [
    ("got instant vector", "give a range in brackets, for example metric[5m]"),
    (
        "got range vector",
        "take the range in brackets away, or put a function such as rate() or avg_over_time() around it",
    ),
    ("expected type instant vector", "take the range in brackets away, or wrap it in a function such as rate()"),
    (
        "ranges only allowed for vector selectors",
        "for the range of an expression write a subquery, for example (a / b)[10m:1m]",
    ),
    (
        "unknown function",
        "check its name; some functions need a newer Prometheus or --enable-feature=promql-experimental-functions",
    ),
    ("missing unit", "durations need a unit, for example [5m]"),
    ("not a valid duration", "durations look like 30s, 5m, 1h30m or 7d"),
    ("bad number or duration", "durations look like 30s, 5m, 1h30m or 7d"),
    ("unclosed left", "close what was opened"),
    ("unexpected right", "something before it was not opened, or is missing"),
    ("unexpected character", "write quotes as \" or ' and names with letters, digits, _ and : only"),
    ("must contain at least one non-empty matcher", "name a metric, or give a matcher that empty text does not fulfil"),
    (
        "many-to-many matching",
        "several series on one side share the labels that are matched: aggregate that side, for example sum by (label) (...), or match more labels with on(...)",
    ),
    (
        "many-to-one matching must be explicit",
        "write group_left() or group_right() after on(...) for the side with more series",
    ),
    ("same labelset", "two series become equal: keep a label that tells them apart, or aggregate"),
    ("too many samples", "ask for fewer series, a shorter range or a longer step, or aggregate earlier"),
    ("exceeded maximum resolution", "give a longer step"),
    ("deadline exceeded", "ask for less, or raise `timeout`"),
    ("query timed out", "ask for less, or raise `timeout`"),
];

/// What to do where a query was copied from a dashboard.
const VARIABLES: &str = "fill in the variables of the dashboard, for example 5m for $__rate_interval";

/// Adds to a refusal where in the query it is, and what to do.
pub(super) fn explain(error: Error, query: &str) -> Error {
    let explained = |message: &str| {
        let mut text = message.trim_end_matches('.').to_owned();
        if let Some(place) = place(message, query) {
            text.push_str(&format!("; it stops at ⟨⟩ in {place}"));
        }
        let has_variable =
            message.contains("parse error") && ["$__", "[$", "${"].iter().any(|mark| query.contains(mark));
        let fits = |(symptom, _): &&(&str, &str)| message.contains(symptom);
        if let Some(advice) =
            if has_variable { Some(VARIABLES) } else { ADVICE.iter().find(fits).map(|(_, advice)| *advice) }
        {
            text.push_str(&format!(". What helps: {advice}"));
        }
        if !text.ends_with(['.', '?', '!']) {
            text.push('.');
        }
        text
    };
    match error {
        Error::BadArguments(message) => Error::BadArguments(explained(&message)),
        Error::Backend { backend, status, message } => Error::Backend { backend, status, message: explained(&message) },
        other => other,
    }
}

/// Characters shown before and after the place.
const AROUND: usize = 30;

/// The part of the query around the `line:column:` in the message, with `⟨⟩` at the place.
fn place(message: &str, query: &str) -> Option<String> {
    let (before, _) = message.split_once(": parse error")?;
    let (before, column) = before.rsplit_once(':')?;
    let line = before.rsplit(|c: char| !c.is_ascii_digit()).next()?;
    let text = query.split('\n').nth(line.parse::<usize>().ok()?.checked_sub(1)?)?;
    // Columns count bytes from one (promql/parser/parse.go, `ParseErr.Error`).
    let mut split = column.parse::<usize>().ok()?.saturating_sub(1).min(text.len());
    while !text.is_char_boundary(split) {
        split -= 1;
    }
    let (before, after) = text.split_at(split);
    let start = before.char_indices().rev().nth(AROUND).map_or(0, |(place, _)| place);
    let end = after.char_indices().nth(AROUND).map_or(after.len(), |(place, _)| place);
    let (left, right) = (if start > 0 { "…" } else { "" }, if end < after.len() { "…" } else { "" });
    Some(format!("`{left}{}⟨⟩{}{right}`", &before[start..], &after[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, query: &str, expected: &str) {
        assert_eq!(explain(Error::BadArguments(message.into()), query).to_string(), expected);
    }

    #[test]
    fn a_parse_error_is_shown_in_its_place_with_advice() {
        check(
            "invalid parameter \"query\": 1:6: parse error: expected type range vector in call to function \"rate\", got \
             instant vector",
            "rate(up)",
            "invalid parameter \"query\": 1:6: parse error: expected type range vector in call to function \"rate\", got \
             instant vector; it stops at ⟨⟩ in `rate(⟨⟩up)`. What helps: give a range in brackets, for example \
             metric[5m].",
        );
    }

    #[test]
    fn the_place_is_found_in_long_texts_of_several_lines() {
        let query = format!("sum(\n{}ü{{x=}}\n)", "a + ".repeat(30));
        let message = format!("2:{}: parse error: unexpected", 120 + 6);
        assert_eq!(place(&message, &query).unwrap(), "`… + a + a + a + a + a + a + ü{x=⟨⟩}`");
        assert_eq!(place("9:9: parse error: x", "up"), None);
        assert_eq!(place("1:99: parse error: x", "up").unwrap(), "`up⟨⟩`");
    }

    #[test]
    fn what_no_advice_fits_stays_as_it_is() {
        check("prometheus/main refuses it: something new", "up", "prometheus/main refuses it: something new.");
    }
}
