//! PromQL over time.

use std::cmp::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::evaluation::{Ask, MOST_SERIES, Outcome, Point, Series};
use super::super::labels::{LabelSet, Telling};
use super::super::metrics::unit_of;
use super::super::number::Number;
use super::super::promql;
use super::super::times::{self, Window};
use super::instant::took;
use super::nothing;
use super::statistics::{Statistics, jumps, spark_line};
use crate::answers::Row;
use crate::backends::Prometheus;
use crate::error::{Error, Result};
use crate::toolkit::args::{Cursor, Instances, Limit, MaxTokens, Moment, Span};
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool};

/// Series that become columns of points.
const MOST_COLUMNS: usize = 30;

/// Evaluates PromQL over time and describes each series.
///
/// Answers with min, average, max, last, change, a spark line and jumps of each series; view `points` has the values.
/// Counters need `rate()` or `increase()` to mean anything. Prefer `prometheus_query` for the state at one moment.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct QueryRange {
    /// PromQL, for example `sum by (job) (rate(http_requests_total[5m]))`.
    query: String,
    /// One Prometheus by name, several, or `"*"` for all.
    instance: Option<Instances>,
    /// RFC 3339, Unix seconds, or relative such as `now-1d`.
    #[serde(default = "Moment::an_hour_ago")]
    start: Moment,
    /// RFC 3339, Unix seconds, or relative.
    #[serde(default = "Moment::now")]
    end: Moment,
    /// Time between two points, for example `1m`; so that there are about sixty when absent.
    step: Option<Span>,
    /// `summary` describes each series in a row; `points` has a row for each moment, newest first, and a column for
    /// each series; `full` adds exact figures and what the evaluation took.
    #[serde(default)]
    view: View,
    /// How long the evaluation may take, for example `30s`.
    #[serde(default = "half_a_minute")]
    timeout: Span,
    /// Highest first; the largest change either way for `change`.
    #[serde(default)]
    sort_by: SortBy,
    /// Rows per page, at most 500.
    #[serde(default)]
    limit: Limit<20, 500>,
    /// Position from the previous answer.
    cursor: Option<Cursor>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

fn half_a_minute() -> Span {
    Span::seconds(30)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum View {
    #[default]
    Summary,
    Points,
    Full,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SortBy {
    #[default]
    Max,
    Average,
    Last,
    Change,
}

/// A series in figures; or, for points, a moment with the values of all series.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub(super) struct Described {
    /// The labels that tell the series apart.
    #[serde(skip_serializing_if = "LabelSet::is_empty")]
    labels: LabelSet,
    /// Of a native histogram: which of its figures the row describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    figure: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    average: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<Number>,
    /// The last value less the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<Number>,
    /// The course between min and max, oldest left; blank where there were no values.
    #[serde(skip_serializing_if = "Option::is_none")]
    trend: Option<String>,
    /// Moments (UTC) at which it changed far more than usual, or was gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    jumps: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    median: Option<Number>,
    /// Standard deviation.
    #[serde(skip_serializing_if = "Option::is_none")]
    deviation: Option<Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_at: Option<String>,
    /// Points with a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<usize>,
    /// The other labels of the series.
    #[serde(skip_serializing_if = "LabelSet::is_empty")]
    other_labels: LabelSet,
    /// For points: the moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    /// For points: the value of each series, by the labels that tell it apart.
    #[serde(skip_serializing_if = "Map::is_empty")]
    values: Map<String, Value>,
}

impl Tool for QueryRange {
    const NAME: &str = "prometheus_query_range";
    const POLICY: Policy = Policy::read(Permission::MetricsRead).cached(15).heavy().by_default();
    const REPLACES: &[&str] = &["prometheus_query_range"];
    type Backend = Prometheus;
    type Output = Listing<Described>;

    async fn call(self, prometheus: &Prometheus) -> Result<Listing<Described>> {
        let asked = Window::between(self.start, self.end, prometheus.context.now)?;
        let (window, step) = self.steps(asked)?;
        let expression = promql::parse(&self.query);
        let ask = Ask::over(&self.query, window, step, self.timeout).with_stats(self.view == View::Full);
        let (evaluated, unit) = tokio::join!(ask.send(prometheus), unit_of(prometheus, expression.as_ref()));
        let evaluated = evaluated?;
        let Outcome::Series(series) = evaluated.result else {
            return Err(Error::BadArguments("query: it gives no series; ask `prometheus_query` for it".into()));
        };
        let has_histograms = series.iter().any(|series| !series.histograms.is_empty());
        let mut listing = if series.is_empty() {
            let mut listing = Listing::new(Vec::new());
            listing.notes = nothing::explain(prometheus, expression.as_ref(), window).await;
            listing
        } else {
            self.describe(series, window, step)
        };
        for (name, value) in [
            ("start", Value::from(times::shown(window.start))),
            ("end", times::shown(window.end).into()),
            ("step", Span(step).to_string().into()),
        ] {
            listing.facts.insert(name.into(), value);
        }
        if let (Some(mut unit), false) = (unit, listing.rows.is_empty()) {
            // The quantiles of a rate of histograms are no rates.
            unit.per_second &= !has_histograms;
            listing.facts.insert("unit".into(), unit.to_string().into());
        }
        if let Some(stats) = evaluated.stats {
            listing.facts.insert("evaluation".into(), took(&stats));
        }
        if self.step.is_some_and(|asked| asked.0 < step) {
            listing.notes.push(format!(
                "The step was widened to {}: Prometheus gives at most 11000 points of a series. Ask for a shorter time \
                 to see more.",
                Span(step)
            ));
        }
        listing.notes.extend(evaluated.notes);
        Ok(listing)
    }
}

impl FanOut for QueryRange {}

impl QueryRange {
    /// The step, and the moments it leads to: the last is the end that was asked for.
    fn steps(&self, asked: Window) -> Result<(Window, Duration)> {
        let step = match self.step {
            Some(Span(Duration::ZERO)) => {
                return Err(Error::BadArguments("step: must be longer than 0s, for example 1m".into()));
            }
            Some(Span(step)) => times::widened(step, asked.length()),
            None => times::step_for(asked.length()),
        };
        let end = Timestamp::from_second(asked.end.as_second()).unwrap_or(asked.end);
        let steps = asked.length().as_millis() / step.as_millis().max(1);
        let length = step.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX));
        Ok((Window::before(end, length), step))
    }

    fn describe(&self, series: Vec<Series>, window: Window, step: Duration) -> Listing<Described> {
        let telling = Telling::of(series.iter().map(|series| &series.labels));
        let mut courses: Vec<Course> = series.into_iter().flat_map(|series| courses(series, &telling)).collect();
        courses.sort_by(|a, b| self.height(&a.statistics).descending(self.height(&b.statistics)));
        let mut notes = Vec::new();
        if courses.len() > MOST_SERIES {
            notes.push(format!("Only {MOST_SERIES} of {} series are here; aggregate, or add matchers.", courses.len()));
            courses.truncate(MOST_SERIES);
        }
        let mut listing = match self.view {
            View::Points => by_moment(courses, &mut notes).ordered(newest_first),
            view => {
                let rows = courses.into_iter().map(|course| course.describe(view == View::Full, window, step));
                Listing::new(rows.collect()).ordered(self.sort_by.order())
            }
        };
        listing.notes = notes;
        listing
    }

    fn height(&self, statistics: &Statistics) -> Number {
        match self.sort_by {
            SortBy::Max => statistics.max,
            SortBy::Average => statistics.average,
            SortBy::Last => statistics.last,
            SortBy::Change => Number(statistics.change.0.abs()),
        }
    }
}

impl SortBy {
    fn order(self) -> fn(&Row, &Row) -> Ordering {
        match self {
            Self::Max => |a, b| Number::in_row(a, "max").descending(Number::in_row(b, "max")),
            Self::Average => |a, b| Number::in_row(a, "average").descending(Number::in_row(b, "average")),
            Self::Last => |a, b| Number::in_row(a, "last").descending(Number::in_row(b, "last")),
            Self::Change => |a, b| {
                Number(Number::in_row(a, "change").0.abs()).descending(Number(Number::in_row(b, "change").0.abs()))
            },
        }
    }
}

/// One line of a chart: a series, or one figure of a series of histograms.
struct Course {
    labels: LabelSet,
    other_labels: LabelSet,
    figure: Option<&'static str>,
    points: Vec<Point>,
    statistics: Statistics,
}

fn courses(series: Series, telling: &Telling) -> Vec<Course> {
    let Series { labels, values, histograms, .. } = series;
    let (labels, other_labels) = telling.split(labels);
    let course = |figure, points: Vec<Point>| Course {
        labels: labels.clone(),
        other_labels: other_labels.clone(),
        figure,
        statistics: Statistics::of(&points),
        points,
    };
    let mut courses = Vec::new();
    if !values.is_empty() {
        courses.push(course(None, values));
    }
    if !histograms.is_empty() {
        let figures: Vec<_> = histograms.iter().map(|(time, histogram)| (*time, histogram.describe())).collect();
        let over_time = |figure: fn(&super::super::number::Distribution) -> Number| {
            figures.iter().map(|(time, figures)| Point(*time, figure(figures))).collect()
        };
        courses.push(course(Some("count"), over_time(|figures| figures.count)));
        courses.push(course(Some("average"), over_time(|figures| figures.average)));
        courses.push(course(Some("p50"), over_time(|figures| figures.p50)));
        courses.push(course(Some("p90"), over_time(|figures| figures.p90)));
        courses.push(course(Some("p99"), over_time(|figures| figures.p99)));
    }
    courses
}

impl Course {
    fn describe(self, full: bool, window: Window, step: Duration) -> Described {
        let Statistics { first, last, min, max, average, median, deviation, change, min_at, max_at, points } =
            self.statistics;
        let shown = |number: Number| Some(if full { number } else { number.rounded() });
        let row = Described {
            labels: self.labels,
            figure: self.figure,
            max: shown(max),
            average: shown(average),
            last: shown(last),
            min: shown(min),
            change: shown(change),
            trend: Some(spark_line(&self.points, window)),
            jumps: jumps(&self.points, step),
            other_labels: self.other_labels,
            ..Described::default()
        };
        if !full {
            return row;
        }
        Described {
            first: shown(first),
            median: shown(median),
            deviation: shown(deviation),
            max_at: Some(times::shown(max_at)),
            min_at: Some(times::shown(min_at)),
            points: Some(points),
            ..row
        }
    }

    /// A name short enough for a column.
    fn name(&self) -> String {
        let labels: Vec<&str> = match self.labels.iter().count() {
            0 => self.other_labels.iter().filter(|(name, _)| *name == "__name__").map(|(_, value)| value).collect(),
            _ => self.labels.iter().map(|(_, value)| value).collect(),
        };
        let name: Vec<&str> = labels.into_iter().chain(self.figure).collect();
        if name.is_empty() { "value".into() } else { name.join(" ") }
    }
}

/// Rows of moments, newest first.
fn by_moment(mut courses: Vec<Course>, notes: &mut Vec<String>) -> Listing<Described> {
    let count = courses.len();
    if count > MOST_COLUMNS {
        courses.truncate(MOST_COLUMNS);
        notes.push(format!("Columns are the first {MOST_COLUMNS} of {count} series; add matchers, or view `summary`."));
    }
    let mut told_apart: Vec<&str> =
        courses.iter().flat_map(|course| course.labels.iter().map(|(name, _)| name)).collect();
    told_apart.sort_unstable();
    told_apart.dedup();
    let told_apart = told_apart.join(" ");
    let mut moments: std::collections::BTreeMap<i64, Map<String, Value>> = std::collections::BTreeMap::new();
    for course in &courses {
        let name = course.name();
        for Point(time, value) in &course.points {
            let moment = times::from_unix(*time).as_millisecond();
            moments.entry(moment).or_default().insert(name.clone(), json!(value.rounded()));
        }
    }
    let rows = moments.into_iter().rev().map(|(moment, values)| Described {
        time: Timestamp::from_millisecond(moment).ok().map(|at| at.to_string()),
        values,
        ..Described::default()
    });
    let listing = Listing::new(rows.collect());
    if told_apart.is_empty() { listing } else { listing.fact("columns_are", told_apart) }
}

fn newest_first(a: &Row, b: &Row) -> Ordering {
    let time = |row: &Row| row.get("time").and_then(Value::as_str).and_then(times::from_text);
    time(b).cmp(&time(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(arguments: &Value) -> QueryRange {
        serde_json::from_value(arguments.clone()).unwrap()
    }

    #[test]
    fn the_last_point_is_at_the_end_and_the_step_within_what_is_given() {
        let end: Timestamp = "2026-01-02T12:00:00.7Z".parse().unwrap();
        let asked = Window::before(end, Duration::from_hours(1));
        let (window, step) = tool(&json!({"query": "up"})).steps(asked).unwrap();
        assert_eq!((window.end.to_string().as_str(), step.as_secs()), ("2026-01-02T12:00:00Z", 60));
        assert_eq!(window.length().as_secs(), 3600);
        let (window, _) = tool(&json!({"query": "up", "step": "7m"})).steps(asked).unwrap();
        assert_eq!(window.length().as_secs(), 8 * 420);
        assert!(tool(&json!({"query": "up", "step": "0s"})).steps(asked).is_err());
    }

    #[test]
    fn rows_are_sorted_by_the_figure_asked_for() {
        let row = |max: f64, change: f64| json!({"max": max, "change": change}).as_object().unwrap().clone();
        let mut rows = [row(1.0, -9.0), row(3.0, 1.0), row(2.0, 5.0)];
        rows.sort_by(SortBy::Max.order());
        assert_eq!(rows[0]["max"], 3.0);
        rows.sort_by(SortBy::Change.order());
        assert_eq!(rows[0]["change"], -9.0);
    }

    #[test]
    fn points_become_columns_named_by_what_tells_them_apart() {
        let series = |pod: &str, at: f64, value: f64| -> Series {
            serde_json::from_value(json!({"metric": {"pod": pod, "job": "x"}, "values": [[at, value.to_string()]]}))
                .unwrap()
        };
        let listing = tool(&json!({"query": "up", "view": "points"})).describe(
            vec![series("a", 60.0, 1.0), series("b", 120.0, 2.5)],
            Window { start: Timestamp::UNIX_EPOCH, end: Timestamp::from_second(120).unwrap() },
            Duration::from_mins(1),
        );
        assert_eq!(
            serde_json::to_value(&listing.rows).unwrap(),
            json!([
                {"time": "1970-01-01T00:02:00Z", "values": {"b": 2.5}},
                {"time": "1970-01-01T00:01:00Z", "values": {"a": 1}},
            ])
        );
        assert_eq!(listing.facts["columns_are"], "pod");
    }
}
