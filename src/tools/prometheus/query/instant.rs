//! PromQL at one moment.

use std::cmp::Ordering;

use promql_parser::parser::Expr;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::evaluation::{Ask, MOST_SERIES, Outcome, Point, Series, Stats};
use super::super::labels::{LabelSet, Telling};
use super::super::metrics::unit_of;
use super::super::number::Number;
use super::super::{promql, times};
use super::nothing;
use crate::answers::Row;
use crate::backends::Prometheus;
use crate::error::Result;
use crate::toolkit::args::{Cursor, Instances, Limit, MaxTokens, Moment, Span, View};
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool};

/// Rows shown of each end of a result in the summary.
const ENDS: usize = 5;

/// Evaluates PromQL at one moment.
///
/// Answers with a row for each series: its value and the labels that differ. Prefer `prometheus_query_range` for how
/// values went over time, and find names with `prometheus_search_metrics` and `prometheus_get_labels` first.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct Query {
    /// PromQL, for example `sum by (job) (rate(http_requests_total[5m]))`.
    query: String,
    /// One Prometheus by name, several, or `"*"` for all.
    instance: Option<Instances>,
    /// When: RFC 3339, Unix seconds, or relative such as `now-1h`.
    #[serde(default = "Moment::now")]
    time: Moment,
    /// How long the evaluation may take, for example `30s`.
    #[serde(default = "half_a_minute")]
    timeout: Span,
    /// `summary` gives count, spread, top and bottom; `full` exact values, their times, and what the evaluation took.
    #[serde(default)]
    view: View,
    /// Highest value first, or by labels. A query that sorts by itself keeps its order.
    #[serde(default)]
    sort_by: SortBy,
    /// Rows per page, at most 5000.
    #[serde(default)]
    limit: Limit<100, 5000>,
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
enum SortBy {
    #[default]
    Value,
    Labels,
}

/// One sample of a result.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub(super) struct Sample {
    /// The value; text where it is `NaN`, `+Inf` or `-Inf`.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Number>,
    /// Of a native histogram: observations.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<Number>,
    /// Of a native histogram: all observed values added up.
    #[serde(skip_serializing_if = "Option::is_none")]
    sum: Option<Number>,
    /// Of a native histogram: the median, estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    p50: Option<Number>,
    /// Of a native histogram: what nine of ten stay below, estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    p90: Option<Number>,
    /// Of a native histogram: what 99 of 100 stay below, estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    p99: Option<Number>,
    /// A result that is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// When it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    /// Labels, those that tell series apart first.
    #[serde(skip_serializing_if = "LabelSet::is_empty")]
    labels: LabelSet,
}

impl Tool for Query {
    const NAME: &str = "prometheus_query";
    const POLICY: Policy = Policy::read(Permission::MetricsRead).cached(5).by_default();
    const REPLACES: &[&str] = &["prometheus_query"];
    type Backend = Prometheus;
    type Output = Listing<Sample>;

    async fn call(self, prometheus: &Prometheus) -> Result<Listing<Sample>> {
        let time = self.time.when(prometheus.context.now);
        let ask = Ask::at(&self.query, time, self.timeout).with_stats(self.view == View::Full);
        let expression = promql::parse(&self.query);
        let (evaluated, unit) = tokio::join!(ask.send(prometheus), unit_of(prometheus, expression.as_ref()));
        let evaluated = evaluated?;
        let mut listing = match evaluated.result {
            Outcome::Scalar(value) => Listing::new(vec![Sample { value: Some(value), ..Sample::default() }]),
            Outcome::Text(text) => Listing::new(vec![Sample { text: Some(text), ..Sample::default() }]),
            Outcome::Series(series) if series.is_empty() => {
                let mut listing = Listing::new(Vec::new());
                listing.notes =
                    nothing::explain(prometheus, expression.as_ref(), times::Window::before(time, nothing::LOOK_BACK))
                        .await;
                listing
            }
            Outcome::Series(series) => self.list(series, expression.as_ref()),
        };
        if let (Some(mut unit), Some(first)) = (unit, listing.rows.first()) {
            // The quantiles of a rate of histograms are no rates.
            unit.per_second &= first.p50.is_none();
            listing.facts.insert("unit".into(), unit.to_string().into());
        }
        if let Some(stats) = evaluated.stats {
            listing.facts.insert("evaluation".into(), took(&stats));
        }
        listing.notes.extend(evaluated.notes);
        Ok(listing)
    }
}

impl FanOut for Query {}

impl Query {
    fn list(&self, mut series: Vec<Series>, expression: Option<&Expr>) -> Listing<Sample> {
        let telling = Telling::of(series.iter().map(|series| &series.labels));
        for series in &mut series {
            telling.arrange(&mut series.labels);
        }
        let raw = series.iter().any(|series| !series.values.is_empty() || !series.histograms.is_empty());
        let mut rows: Vec<Sample> = series.into_iter().flat_map(|series| samples(series, raw)).collect();
        let keeps_order = raw || expression.is_some_and(promql::sorts_itself);
        let mut listing = if self.view == View::Summary {
            rows.sort_by(|a, b| a.height().descending(b.height()));
            summary(rows)
        } else {
            for row in rows.iter_mut().filter(|_| self.view == View::Table) {
                row.round();
                // All samples of a moment have its time.
                row.time = row.time.take().filter(|_| raw);
            }
            Listing::new(rows)
        };
        if raw {
            listing = listing.note(
                "A range selector gives raw samples; `prometheus_query_range` describes how series went over time.",
            );
        } else if !keeps_order || self.view == View::Summary {
            listing = listing.ordered(match self.sort_by {
                SortBy::Value => by_value,
                SortBy::Labels => by_labels,
            });
        }
        cut(listing)
    }
}

/// Servers before 3.0 do not know `limit`.
fn cut(mut listing: Listing<Sample>) -> Listing<Sample> {
    let count = listing.rows.len();
    if count <= MOST_SERIES {
        return listing;
    }
    listing.rows.sort_by(|a, b| a.height().descending(b.height()));
    listing.rows.truncate(MOST_SERIES);
    listing.note(format!("Only the {MOST_SERIES} highest of {count} are here; aggregate, or add matchers."))
}

fn samples(series: Series, raw: bool) -> Vec<Sample> {
    let Series { labels, value, values, histogram, histograms } = series;
    let floats = value
        .into_iter()
        .chain(values)
        .map(|Point(time, value)| (time, Sample { value: Some(value), ..Sample::default() }));
    let distributions = histogram.into_iter().chain(histograms).map(|(time, histogram)| {
        let figures = histogram.describe();
        let sample = Sample {
            count: Some(figures.count),
            sum: Some(figures.sum),
            p50: Some(figures.p50),
            p90: Some(figures.p90),
            p99: Some(figures.p99),
            ..Sample::default()
        };
        (time, sample)
    });
    let mut samples: Vec<Sample> = floats
        .chain(distributions)
        .map(|(time, sample)| Sample {
            time: Some(times::from_unix(time).to_string()),
            labels: labels.clone(),
            ..sample
        })
        .collect();
    if raw {
        samples.reverse();
    }
    samples
}

impl Sample {
    /// What it is sorted by: the value, or how many observations.
    fn height(&self) -> Number {
        self.value.or(self.count).unwrap_or(Number(f64::NAN))
    }

    fn round(&mut self) {
        for number in [&mut self.value, &mut self.count, &mut self.sum, &mut self.p50, &mut self.p90, &mut self.p99] {
            *number = number.map(Number::rounded);
        }
    }
}

fn by_value(a: &Row, b: &Row) -> Ordering {
    let height = |row: &Row| Number::in_row(row, if row.contains_key("value") { "value" } else { "count" });
    height(a).descending(height(b))
}

fn by_labels(a: &Row, b: &Row) -> Ordering {
    let labels = |row: &Row| {
        let map = row.get("labels").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut pairs: Vec<_> = map.into_iter().map(|(name, value)| (name, value.to_string())).collect();
        pairs.sort();
        pairs
    };
    labels(a).cmp(&labels(b))
}

/// Both ends of the result, and figures of the whole. The rows are sorted.
fn summary(rows: Vec<Sample>) -> Listing<Sample> {
    let numbers: Vec<f64> = rows.iter().map(|row| row.height().0).filter(|number| !number.is_nan()).collect();
    let count = rows.len();
    let mut spread = serde_json::Map::new();
    if let (Some(highest), Some(lowest)) = (numbers.first(), numbers.last()) {
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let average = numbers.iter().sum::<f64>() / numbers.len() as f64;
        let median = numbers[numbers.len() / 2];
        for (name, number) in [
            ("min", *lowest),
            ("median", median),
            ("average", average),
            ("max", *highest),
            ("sum", numbers.iter().sum()),
        ] {
            spread.insert(name.to_owned(), json!(Number(number).rounded()));
        }
    }
    let mut shown: Vec<Sample> = rows;
    if count > 2 * ENDS {
        shown.drain(ENDS..count - ENDS);
    }
    for row in &mut shown {
        row.round();
        row.time = None;
    }
    let mut listing = Listing::new(shown).fact("series", count).fact("spread", spread);
    if numbers.len() < count {
        listing = listing.fact("not_a_number", count - numbers.len());
    }
    if count > 2 * ENDS {
        listing = listing.note(format!("Rows are the {ENDS} highest and the {ENDS} lowest; view `table` has all."));
    }
    listing
}

/// What an evaluation took, for people.
pub(super) fn took(stats: &Stats) -> Value {
    json!({
        "seconds": Number(stats.timings.exec_total_time).rounded(),
        "samples": stats.samples.total_queryable_samples,
        "most_samples_at_once": stats.samples.peak_samples,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[f64]) -> Vec<Sample> {
        values.iter().map(|value| Sample { value: Some(Number(*value)), ..Sample::default() }).collect()
    }

    #[test]
    fn a_summary_shows_both_ends_and_the_spread() {
        let values: Vec<f64> = (0..30).rev().map(f64::from).chain([f64::NAN]).collect();
        let listing = summary(rows(&values));
        let shown: Vec<f64> = listing.rows.iter().map(|row| row.height().0).collect();
        assert_eq!(shown[..6], [29.0, 28.0, 27.0, 26.0, 25.0, 3.0]);
        assert_eq!(listing.facts["spread"], json!({"min": 0, "median": 14, "average": 14.5, "max": 29, "sum": 435}));
        assert_eq!((&listing.facts["series"], &listing.facts["not_a_number"]), (&json!(31), &json!(1)));
    }

    #[test]
    fn rows_are_ordered_by_value_or_by_labels() {
        let row =
            |value: Value, label: &str| json!({"value": value, "labels": {"x": label}}).as_object().unwrap().clone();
        let mut rows = [row(json!("NaN"), "b"), row(json!(1), "c"), row(json!("+Inf"), "d"), row(json!(2.5), "a")];
        rows.sort_by(by_value);
        assert_eq!(
            rows.iter().map(|row| row["value"].to_string()).collect::<Vec<_>>(),
            ["\"+Inf\"", "2.5", "1", "\"NaN\""]
        );
        rows.sort_by(by_labels);
        assert_eq!(rows[0]["labels"]["x"], "a");
    }
}
