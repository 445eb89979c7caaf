//! Lengths of time as an on-call engineer says them: `3d4h`, in two units at most.

use std::time::Duration;

use jiff::Timestamp;

use crate::toolkit::args::Span;

/// How long it is from one moment to the next, in its two largest units; nothing when it is the other way round.
pub(super) fn between(from: Timestamp, to: Timestamp) -> String {
    let exact = Duration::try_from(to.duration_since(from)).unwrap_or_default().as_secs();
    let unit = match exact {
        0..3_600 => 1,
        3_600..86_400 => 60,
        _ => 3_600,
    };
    Span::seconds(exact / unit * unit).to_string()
}

/// A moment to the second, in UTC.
pub(super) fn at(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The length that such a text stands for; to bring rows in order.
pub(super) fn length(text: &str) -> Duration {
    text.parse().unwrap_or(Span::seconds(0)).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units_are_enough() {
        let now: Timestamp = "2026-01-02T12:00:00Z".parse().unwrap();
        for (from, expected) in [
            ("2026-01-02T12:00:00Z", "0s"),
            ("2026-01-02T11:59:15.5Z", "44s"),
            ("2026-01-02T11:50:15Z", "9m45s"),
            ("2026-01-02T09:47:59Z", "2h12m"),
            ("2025-12-30T05:47:59Z", "3d6h"),
            ("2026-01-02T13:00:00Z", "0s"),
        ] {
            assert_eq!(between(from.parse().unwrap(), now), expected, "{from}");
        }
        assert_eq!(length("3d6h"), Duration::from_hours(78));
    }
}
