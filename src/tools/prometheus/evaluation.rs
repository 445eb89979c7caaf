//! Evaluating PromQL: requests, results, and small questions that tools ask on the side.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::labels::LabelSet;
use super::number::{Histogram, Number};
use super::{refusal, times};
use crate::backends::Prometheus;
use crate::backends::rest::Request;
use crate::error::{Error, Result};
use crate::toolkit::args::Span;

/// Series that a result may have; from 3.0 the server cuts, before that it is done here.
pub(super) const MOST_SERIES: usize = 10_000;

/// Bytes of a result that is read away from the threads that serve.
const LARGE: usize = 256 * 1024;

/// How long questions on the side may take: an answer without them is better than none.
const ASIDE: Span = Span::seconds(5);

/// Parameters of `query` and `query_range`.
#[derive(Debug, Serialize)]
pub(super) struct Ask<'a> {
    pub(super) query: &'a str,
    /// The moment, for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<String>,
    /// The first moment, for many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<String>,
    /// Seconds between moments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<f64>,
    pub(super) timeout: Span,
    pub(super) limit: usize,
    /// `all`, to be told what the evaluation took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stats: Option<&'static str>,
}

impl<'a> Ask<'a> {
    /// Asks for one moment.
    pub(super) fn at(query: &'a str, time: Timestamp, timeout: Span) -> Self {
        Self {
            query,
            time: Some(times::unix(time)),
            start: None,
            end: None,
            step: None,
            timeout,
            limit: MOST_SERIES,
            stats: None,
        }
    }

    /// Asks for many moments.
    pub(super) fn over(query: &'a str, window: times::Window, step: std::time::Duration, timeout: Span) -> Self {
        Self {
            time: None,
            start: Some(times::unix(window.start)),
            end: Some(times::unix(window.end)),
            step: Some(step.as_secs_f64()),
            ..Self::at(query, window.end, timeout)
        }
    }

    /// Asks to be told what the evaluation took, too.
    pub(super) fn with_stats(mut self, wanted: bool) -> Self {
        self.stats = wanted.then_some("all");
        self
    }

    /// Has it evaluated.
    pub(super) async fn send(&self, prometheus: &Prometheus) -> Result<Evaluated> {
        #[derive(Deserialize)]
        struct Data {
            #[serde(rename = "resultType")]
            kind: Kind,
            result: Box<RawValue>,
            stats: Option<Stats>,
        }
        if self.query.trim().is_empty() {
            return Err(Error::BadArguments(
                "query: it is empty; give PromQL such as up or rate(http_requests_total[5m]); \
                 `prometheus_search_metrics` finds metrics"
                    .into(),
            ));
        }
        let path = if self.time.is_some() { "api/v1/query" } else { "api/v1/query_range" };
        let answer = prometheus
            .ask::<Data>(Request::read_by_post(path).form(self)?)
            .await
            .map_err(|error| refusal::explain(error, self.query))?;
        let notes = answer.notes();
        let result = match answer.data.kind {
            Kind::Vector | Kind::Matrix => Outcome::Series(read(answer.data.result).await?),
            Kind::Scalar => Outcome::Scalar(read::<Point>(answer.data.result).await?.1),
            Kind::String => Outcome::Text(read::<(f64, String)>(answer.data.result).await?.1),
        };
        Ok(Evaluated { result, stats: answer.data.stats, notes })
    }
}

/// What a result is depends on its type, so it is read in a second step; a large one away from the threads that serve.
async fn read<T: DeserializeOwned + Send + 'static>(result: Box<RawValue>) -> Result<T> {
    let parsed = if result.get().len() > LARGE {
        tokio::task::spawn_blocking(move || serde_json::from_str(result.get())).await.map_err(Error::internal)?
    } else {
        serde_json::from_str(result.get())
    };
    parsed.map_err(Error::internal)
}

/// An answer of the query API.
#[derive(Debug)]
pub(super) struct Evaluated {
    pub(super) result: Outcome,
    pub(super) stats: Option<Stats>,
    /// Warnings and remarks.
    pub(super) notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Vector,
    Matrix,
    Scalar,
    String,
}

/// What a query gave.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Series, each with a sample or with many.
    Series(Vec<Series>),
    Scalar(Number),
    Text(String),
}

/// Unix seconds, and the value then.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Point(pub(super) f64, pub(super) Number);

/// One series of a result.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Series {
    #[serde(rename = "metric")]
    pub(super) labels: LabelSet,
    /// The sample of a moment.
    pub(super) value: Option<Point>,
    /// The samples of many.
    #[serde(default)]
    pub(super) values: Vec<Point>,
    /// The sample of a moment, where it is a native histogram.
    pub(super) histogram: Option<(f64, Histogram)>,
    /// The native histograms of many.
    #[serde(default)]
    pub(super) histograms: Vec<(f64, Histogram)>,
}

/// What an evaluation took.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Stats {
    #[serde(default)]
    pub(super) timings: Timings,
    #[serde(default)]
    pub(super) samples: Samples,
}

/// Seconds that an evaluation took.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Timings {
    pub(super) exec_total_time: f64,
}

/// Samples that an evaluation touched.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Samples {
    pub(super) total_queryable_samples: u64,
    pub(super) peak_samples: u64,
}

/// A question on the side: the series it gives, or nothing where it fails or takes long.
pub(super) async fn aside(
    prometheus: &Prometheus,
    query: &str,
    time: Timestamp,
) -> Option<(Vec<Series>, Option<Stats>)> {
    let evaluated = Ask::at(query, time, ASIDE).with_stats(true).send(prometheus).await.ok()?;
    match evaluated.result {
        Outcome::Series(series) => Some((series, evaluated.stats)),
        _ => None,
    }
}

/// A count on the side, of one number; an empty result counts none.
pub(super) async fn count_aside(prometheus: &Prometheus, query: &str, time: Timestamp) -> Option<(u64, u64)> {
    let (series, stats) = aside(prometheus, query, time).await?;
    let samples = stats.map_or(0, |stats| stats.samples.total_queryable_samples);
    Some((series.first().map_or(0, Series::counted), samples))
}

impl Series {
    /// Its sample as a count.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are whole and not negative")]
    pub(super) fn counted(&self) -> u64 {
        self.value.map_or(0, |Point(_, Number(count))| count as u64)
    }
}
