//! Moments and ranges as the query API takes them, and as answers show them.

use std::time::Duration;

use jiff::Timestamp;

use crate::error::{Error, Result};
use crate::toolkit::args::Moment;

/// Unix seconds with milliseconds, as the API takes moments.
pub(super) fn unix(at: Timestamp) -> String {
    #[expect(clippy::cast_precision_loss, reason = "exact for longer than calendars")]
    let seconds = at.as_millisecond() as f64 / 1000.0;
    format!("{seconds:.3}")
}

/// A moment to the second, for answers.
pub(super) fn shown(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// A moment that the API gives in Unix seconds, to the millisecond as Prometheus keeps it.
pub(super) fn from_unix(seconds: f64) -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and is refused then")]
    let milliseconds = (seconds * 1000.0).round() as i64;
    Timestamp::from_millisecond(milliseconds).unwrap_or_default()
}

/// A moment that the API gives as text; Go's zero time means never.
pub(super) fn from_text(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().filter(|at| *at > Timestamp::UNIX_EPOCH)
}

/// From when to when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
}

impl Window {
    /// The time between two moments.
    pub(super) fn between(start: Moment, end: Moment, now: Timestamp) -> Result<Self> {
        let window = Self { start: start.when(now), end: end.when(now) };
        if window.start >= window.end {
            return Err(Error::BadArguments(format!(
                "start: {} is not before the end, {}; give for example start now-1h and end now",
                shown(window.start),
                shown(window.end)
            )));
        }
        Ok(window)
    }

    /// The time of this length that ends at this moment.
    pub(super) fn before(end: Timestamp, length: Duration) -> Self {
        Self { start: end.checked_sub(length).unwrap_or(Timestamp::MIN), end }
    }

    pub(super) fn length(self) -> Duration {
        self.end.duration_since(self.start).unsigned_abs()
    }
}

/// Lengths that read well, in seconds.
const NICE: [u64; 23] = [
    1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400,
    172_800, 604_800, 1_209_600,
];

/// Points that a series should have when nobody says.
const POINTS: f64 = 60.0;

/// Points that Prometheus gives for one series at most (`web/api/v1/api.go`, `query_range`).
const MOST_POINTS: u64 = 11_000;

/// The step that gives about sixty points, and reads well.
pub(super) fn step_for(length: Duration) -> Duration {
    let wanted = length.as_secs_f64() / POINTS;
    let distance = |seconds: &u64| {
        #[expect(clippy::cast_precision_loss, reason = "some days at most")]
        let seconds = *seconds as f64;
        (seconds / wanted).ln().abs()
    };
    let nearest = NICE.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).copied().unwrap_or(60);
    Duration::from_secs(nearest).max(narrowest(length))
}

/// The step asked for, or the next that reads well and keeps within what Prometheus gives.
pub(super) fn widened(step: Duration, length: Duration) -> Duration {
    if step >= narrowest(length) {
        return step;
    }
    let least = narrowest(length).as_millis().div_ceil(1000);
    let least = u64::try_from(least).unwrap_or(u64::MAX / 2);
    Duration::from_secs(
        NICE.iter().copied().find(|nice| *nice >= least).unwrap_or_else(|| least.next_multiple_of(86_400)),
    )
}

fn narrowest(length: Duration) -> Duration {
    // Both ends count, so it is one step less than points.
    let milliseconds = length.as_millis().div_ceil(u128::from(MOST_POINTS - 1));
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;

    #[test]
    fn a_step_gives_about_sixty_points_and_reads_well() {
        for (length, step) in [
            (10, 1),
            (300, 5),
            (HOUR, 60),
            (3 * HOUR, 120),
            (6 * HOUR, 300),
            (24 * HOUR, 1_200),
            (7 * 24 * HOUR, 10_800),
            (30 * 24 * HOUR, 43_200),
            (20 * 365 * 24 * HOUR, 1_209_600),
        ] {
            assert_eq!(step_for(Duration::from_secs(length)), Duration::from_secs(step), "{length}");
        }
    }

    #[test]
    fn a_step_that_gives_too_many_points_is_widened() {
        let day = Duration::from_secs(24 * HOUR);
        assert_eq!(widened(Duration::from_secs(30), day), Duration::from_secs(30));
        assert_eq!(widened(Duration::from_millis(500), day / 24), Duration::from_millis(500));
        assert_eq!(widened(Duration::from_secs(1), day), Duration::from_secs(10));
        assert_eq!(widened(Duration::from_millis(1), Duration::from_secs(HOUR)), Duration::from_secs(1));
        assert_eq!(widened(Duration::from_secs(1), day * 365 * 900).as_secs() % 86_400, 0);
    }

    #[test]
    fn moments_are_written_as_seconds_with_milliseconds() {
        assert_eq!(unix("2026-01-02T12:00:00.250Z".parse().unwrap()), "1767355200.250");
        assert_eq!(unix(Timestamp::from_millisecond(-1).unwrap()), "-0.001");
        assert_eq!(from_text("0001-01-01T00:00:00Z"), None);
    }

    #[test]
    fn a_window_that_ends_before_it_begins_is_refused() {
        let now = "2026-01-02T12:00:00Z".parse().unwrap();
        let error = Window::between(Moment::NOW, Moment::ago(60), now).unwrap_err().to_string();
        assert!(error.contains("2026-01-02T12:00:00Z is not before the end"), "{error}");
    }
}
