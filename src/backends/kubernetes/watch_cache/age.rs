//! Ages as the API server writes them into tables (apimachinery, `pkg/util/duration`).

use jiff::Timestamp;

/// Seconds that the API server's clock may be before ours.
const AHEAD: i64 = 2;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// How long ago a moment is, in the units of the API server.
pub(super) fn human(since: Timestamp, now: Timestamp) -> String {
    of_seconds(now.duration_since(since).as_secs())
}

/// Whether the API server could have written this age of a moment, at most so many seconds ago.
pub(super) fn explains(since: Timestamp, text: &str, now: Timestamp, late: i64) -> bool {
    let seconds = now.duration_since(since).as_secs();
    (-AHEAD..=late).any(|late| of_seconds(seconds - late) == text)
}

fn of_seconds(seconds: i64) -> String {
    let two = |large: i64, unit: &str, small: i64, smaller: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{smaller}"),
    };
    match seconds {
        ..-1 => "<invalid>".into(),
        -1 => "0s".into(),
        0..120 => format!("{seconds}s"),
        120..600 => two(seconds / MINUTE, "m", seconds % MINUTE, "s"),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(seconds / HOUR, "h", seconds % HOUR / MINUTE, "m"),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(seconds / DAY, "d", seconds % DAY / HOUR, "h"),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => two(seconds / YEAR, "y", seconds % YEAR / DAY, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_those_of_kubectl() {
        for (seconds, expected) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (179, "2m59s"),
            (599, "9m59s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (10_860, "3h1m"),
            (28_799, "7h59m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (691_199, "7d23h"),
            (691_200, "8d"),
            (63_071_999, "729d"),
            (63_072_000, "2y"),
            (63_158_400, "2y1d"),
            (252_288_000, "8y"),
        ] {
            assert_eq!(of_seconds(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn an_age_is_explained_by_a_moment_that_fits_it() {
        let now: Timestamp = "2026-01-02T12:00:00Z".parse().unwrap();
        let since: Timestamp = "2026-01-02T11:59:00Z".parse().unwrap();
        assert!(explains(since, "60s", now, 9) && explains(since, "51s", now, 9) && explains(since, "62s", now, 9));
        assert!(!explains(since, "50s", now, 9) && !explains(since, "70s", now, 9) && !explains(since, "2d", now, 9));
    }
}
