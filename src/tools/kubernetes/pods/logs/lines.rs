//! Lines of several logs: folded, and as many as fit.

use std::sync::LazyLock;

use jiff::Timestamp;
use regex::Regex;

use crate::answers::tokens;

/// Characters of one line that are shown.
const LONGEST: usize = 2_000;

/// One line, or several equal ones after another.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The place of its source among the sources.
    pub(super) source: usize,
    /// When the first of them was written.
    pub(super) at: Timestamp,
    pub(super) text: String,
    pub(super) count: usize,
    /// How many beside the first were written in its very moment.
    pub(super) shown: usize,
}

impl Line {
    /// As it is shown.
    pub(super) fn write(&self, label: &str, timestamps: bool) -> String {
        let mut written = String::new();
        if !label.is_empty() {
            written.push_str(label);
            written.push_str(" | ");
        }
        if timestamps {
            written.push_str(&self.at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ ").to_string());
        }
        match self.text.char_indices().nth(LONGEST) {
            Some((end, _)) => {
                written.push_str(&self.text[..end]);
                written.push('…');
            }
            None => written.push_str(&self.text),
        }
        if self.count > 1 {
            written.push_str(&format!(" (×{})", self.count));
        }
        written
    }

    /// How many of them were written at one moment.
    pub(super) fn at_the(&self, moment: Timestamp) -> usize {
        if self.at == moment { 1 + self.shown } else { 0 }
    }
}

/// A time that a line begins with, as programs write it themselves.
static OWN_TIME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[\[(]?(?:[IWEF]\d{4} )?\d[\d:.,/+-]*(?:[T ]\d[\d:.,+-]*)?Z?[\])]?").expect("a pattern of ours")
});

/// Folds lines that repeat the one before them from the same source, but for the time that they begin with.
pub(super) fn collapsed(lines: Vec<Line>) -> Vec<Line> {
    let mut folded: Vec<Line> = Vec::with_capacity(lines.len());
    let mut last_of = std::collections::HashMap::<usize, usize>::new();
    for line in lines {
        match last_of.get(&line.source).and_then(|place| folded.get_mut(*place)) {
            Some(last) if words(&last.text) == words(&line.text) => {
                last.shown += usize::from(last.at == line.at);
                last.count += 1;
            }
            _ => {
                last_of.insert(line.source, folded.len());
                folded.push(line);
            }
        }
    }
    folded
}

fn words(text: &str) -> &str {
    let start = OWN_TIME.find(text).map_or(0, |time| time.end());
    // A line that is nothing but a number says what that is.
    if start == text.len() { text } else { &text[start..] }
}

/// The last lines that fit, as they are shown.
pub(super) fn fitting(lines: &[Line], room: usize, write: impl Fn(&Line) -> String) -> Vec<String> {
    let mut shown = Vec::new();
    let mut spent = 0;
    for line in lines.iter().rev() {
        let mut written = write(line);
        let cost = cost(&written);
        if spent + cost > room {
            if !shown.is_empty() {
                break;
            }
            written = written.chars().take(room).collect();
        }
        spent += cost;
        shown.push(written);
    }
    shown.reverse();
    shown
}

/// Tokens of a line within a list of texts.
fn cost(written: &str) -> usize {
    let marks = written.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | b'\t')).count();
    tokens(written) + 3 + marks.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[(usize, &str)]) -> Vec<Line> {
        let line = |(place, (source, text)): (usize, &(usize, &str))| Line {
            source: *source,
            at: Timestamp::from_second(i64::try_from(place).unwrap()).unwrap(),
            text: (*text).to_owned(),
            count: 1,
            shown: 0,
        };
        texts.iter().enumerate().map(line).collect()
    }

    #[test]
    fn equal_lines_of_one_source_are_folded_whatever_time_they_begin_with() {
        let folded = collapsed(lines(&[
            (0, "2026-01-02 10:00:00,123 ERROR no route"),
            (1, "GET /"),
            (0, "2026-01-02 10:00:01,456 ERROR no route"),
            (0, "[10:00:02.000] WARN slow"),
            (1, "GET /cart"),
            (0, "17"),
            (0, "18"),
        ]));
        let shown: Vec<_> = folded.iter().map(|line| line.write("", false)).collect();
        assert_eq!(
            shown,
            [
                "2026-01-02 10:00:00,123 ERROR no route (×2)",
                "GET /",
                "[10:00:02.000] WARN slow",
                "GET /cart",
                "17",
                "18"
            ]
        );
    }

    #[test]
    fn the_newest_lines_are_those_that_stay() {
        let all = lines(&[(0, "one"), (0, "two"), (0, "three")]);
        let write = |line: &Line| line.write("", false);
        assert_eq!(fitting(&all, 10, write), ["two", "three"]);
        assert_eq!(fitting(&all, 2, write), ["th"]);
        assert_eq!(fitting(&all, 1000, write), ["one", "two", "three"]);
    }
}
