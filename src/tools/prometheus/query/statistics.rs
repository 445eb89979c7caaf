//! A series over time in a few figures, a spark line, and the moments at which it jumped.

use std::time::Duration;

use jiff::Timestamp;

use super::super::evaluation::Point;
use super::super::number::Number;
use super::super::times;

/// Characters of a spark line.
const WIDTH: usize = 16;

/// Heights of its bars.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Jumps that are told.
const MOST_JUMPS: usize = 3;

/// How many usual changes from one point to the next make a jump.
const UNUSUAL: f64 = 8.0;

/// The least part of the whole range that is a jump.
const LEAST_PART: f64 = 0.3;

/// The least part of the values themselves that is a jump.
const LEAST_SHARE: f64 = 0.1;

/// Differences of less than this part of the values are drawn as none: they would look like much.
const FLAT: f64 = 0.005;

/// Differences of less than this part of the values come from calculating.
const NOISE: f64 = 1e-9;

/// A series over time.
#[derive(Clone, Debug)]
pub(super) struct Statistics {
    pub(super) first: Number,
    pub(super) last: Number,
    pub(super) min: Number,
    pub(super) max: Number,
    pub(super) average: Number,
    pub(super) median: Number,
    pub(super) deviation: Number,
    /// The last value less the first.
    pub(super) change: Number,
    pub(super) min_at: Timestamp,
    pub(super) max_at: Timestamp,
    /// Points without NaN.
    pub(super) points: usize,
}

impl Statistics {
    /// Figures of the points that are numbers; `NaN` throughout where there are none.
    pub(super) fn of(points: &[Point]) -> Self {
        let numbers: Vec<Point> = points.iter().copied().filter(|point| !point.1.0.is_nan()).collect();
        let mut sorted: Vec<f64> = numbers.iter().map(|point| point.1.0).collect();
        sorted.sort_by(f64::total_cmp);
        let nothing = Point(0.0, Number(f64::NAN));
        let extreme =
            |value: Option<&f64>| numbers.iter().find(|point| Some(&point.1.0) == value).copied().unwrap_or(nothing);
        let (lowest, highest) = (extreme(sorted.first()), extreme(sorted.last()));
        let first = numbers.first().copied().unwrap_or(nothing).1.0;
        let last = numbers.last().copied().unwrap_or(nothing).1.0;
        let average = mean(&sorted);
        let deviation = mean(&sorted.iter().map(|number| (number - average).powi(2)).collect::<Vec<_>>()).sqrt();
        Self {
            first: Number(first),
            last: Number(last),
            min: lowest.1,
            max: highest.1,
            average: Number(average),
            median: Number(sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)),
            deviation: Number(deviation),
            change: Number(if (last - first).abs() < NOISE * last.abs().max(first.abs()) { 0.0 } else { last - first }),
            min_at: times::from_unix(lowest.0),
            max_at: times::from_unix(highest.0),
            points: numbers.len(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// The course of a series between its lowest and highest value; blank where it has no points.
pub(super) fn spark_line(points: &[Point], window: times::Window) -> String {
    let start = seconds(window.start);
    let length = window.length().as_secs_f64().max(1.0);
    let mut slots = vec![Vec::new(); WIDTH];
    for Point(time, value) in points {
        if value.0.is_finite() {
            slots[place((time - start) / length, WIDTH)].push(value.0);
        }
    }
    let heights: Vec<Option<f64>> = slots.iter().map(|slot| (!slot.is_empty()).then(|| mean(slot))).collect();
    let known = || heights.iter().flatten().copied();
    let (lowest, highest) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
    heights
        .iter()
        .map(|height| match height {
            None => ' ',
            Some(_) if highest - lowest <= FLAT * highest.abs().max(lowest.abs()) => BARS[0],
            Some(height) => BARS[place((height - lowest) / (highest - lowest), BARS.len())],
        })
        .collect()
}

/// Which of so many equal parts a share from 0 to 1 lies in.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "small numbers, and kept in range"
)]
fn place(share: f64, parts: usize) -> usize {
    ((share.clamp(0.0, 1.0) * parts as f64) as usize).min(parts - 1)
}

/// The moments at which a series changed far more than it usually does, or was gone, in order of time.
pub(super) fn jumps(points: &[Point], step: Duration) -> Vec<String> {
    let finite: Vec<Point> = points.iter().copied().filter(|point| point.1.0.is_finite()).collect();
    let range = finite.iter().map(|point| point.1.0).fold(f64::NEG_INFINITY, f64::max)
        - finite.iter().map(|point| point.1.0).fold(f64::INFINITY, f64::min);
    let mut changes: Vec<f64> = finite.windows(2).map(|pair| (pair[1].1.0 - pair[0].1.0).abs()).collect();
    changes.sort_by(f64::total_cmp);
    let usual = changes.get(changes.len() / 2).copied().unwrap_or(0.0);
    let least = (usual * UNUSUAL).max(range * LEAST_PART);
    let step = step.as_secs_f64();
    let mut found: Vec<(f64, f64, String)> = Vec::new();
    for pair in finite.windows(2) {
        let [Point(before, old), Point(time, new)] = pair else { continue };
        let change = (new.0 - old.0).abs();
        if time - before > step * 1.5 {
            let gap = format!("gap {} to {}", clock(before + step, step), clock(time - step, step));
            found.push((f64::INFINITY, *time, gap));
        } else if finite.len() > 4 && change > 0.0 && change >= least.max(LEAST_SHARE * old.0.abs().max(new.0.abs())) {
            found.push((change, *time, format!("{} {}→{}", clock(*time, step), old.rounded(), new.rounded())));
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.truncate(MOST_JUMPS);
    found.sort_by(|a, b| a.1.total_cmp(&b.1));
    found.into_iter().map(|(_, _, text)| text).collect()
}

/// A moment as short as the step allows, in UTC.
fn clock(time: f64, step: f64) -> String {
    let format = match step {
        s if s < 60.0 => "%H:%M:%S",
        s if s < 1_200.0 => "%H:%M",
        s if s < 43_200.0 => "%m-%d %H:%M",
        _ => "%Y-%m-%d",
    };
    times::from_unix(time).strftime(format).to_string()
}

fn seconds(at: Timestamp) -> f64 {
    at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_mins(1);

    fn points(values: &[f64]) -> Vec<Point> {
        (0_u32..).zip(values).map(|(n, value)| Point(f64::from(n) * 60.0, Number(*value))).collect()
    }

    fn window(count: i64) -> times::Window {
        times::Window { start: Timestamp::UNIX_EPOCH, end: Timestamp::from_second((count - 1) * 60).unwrap() }
    }

    #[test]
    fn figures_leave_out_what_is_no_number() {
        let figures = Statistics::of(&points(&[2.0, f64::NAN, 8.0, 5.0]));
        assert_eq!((figures.first, figures.last, figures.change), (Number(2.0), Number(5.0), Number(3.0)));
        assert_eq!((figures.min, figures.max, figures.average), (Number(2.0), Number(8.0), Number(5.0)));
        assert_eq!(figures.max_at.as_second(), 120);
        assert_eq!(figures.points, 3);
        assert_eq!(Statistics::of(&points(&[0.1 + 0.2, 0.3])).change, Number(0.0));
        let nothing = Statistics::of(&points(&[f64::NAN]));
        assert!(nothing.min.0.is_nan() && nothing.average.0.is_nan() && nothing.points == 0);
        assert_eq!(Statistics::of(&points(&[1.0, f64::INFINITY])).max, Number(f64::INFINITY));
    }

    #[test]
    fn a_spark_line_shows_the_course_and_gaps() {
        let rising: Vec<f64> = (0..16).map(f64::from).collect();
        assert_eq!(spark_line(&points(&rising), window(16)), "▁▁▂▂▃▃▄▄▅▅▆▆▇▇██");
        assert_eq!(spark_line(&points(&[3.0; 4]), window(4)), "▁    ▁    ▁    ▁");
        let half: Vec<f64> = [vec![f64::NAN; 8], vec![1.0; 8]].concat();
        assert_eq!(spark_line(&points(&half), window(16)).trim_start().chars().count(), 8);
        assert_eq!(spark_line(&[], window(4)).trim(), "");
    }

    #[test]
    fn jumps_are_told_and_noise_is_not() {
        let step_up: Vec<f64> = [vec![1.0; 10], vec![9.5; 10]].concat();
        assert_eq!(jumps(&points(&step_up), STEP), ["00:10 1→9.5"]);
        let noise: Vec<f64> = (0..60).map(|n| f64::from((n * 37) % 11)).collect();
        assert!(jumps(&points(&noise), STEP).is_empty());
        let steady: Vec<f64> = (0..60).map(f64::from).collect();
        assert!(jumps(&points(&steady), STEP).is_empty());
        let almost_steady: Vec<f64> = [vec![3.0; 30], vec![3.006; 30]].concat();
        assert!(jumps(&points(&almost_steady), STEP).is_empty());
        let mut gone = points(&[1.0; 10]);
        gone.drain(3..6);
        assert_eq!(jumps(&gone, STEP), ["gap 00:03 to 00:05"]);
    }
}
