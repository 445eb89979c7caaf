//! Exemplars: single observations with the trace they come from.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::labels::{LabelSet, Telling};
use super::super::number::Number;
use super::super::refusal;
use super::super::status::exemplars_are_kept;
use super::super::times::{self, Window};
use crate::answers::Row;
use crate::backends::Prometheus;
use crate::backends::rest::Request;
use crate::error::Result;
use crate::toolkit::args::{Cursor, Instances, Limit, Moment};
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool};

/// Finds exemplars of a query and their trace ids.
///
/// Each is one observation behind a metric, highest value first; its trace id leads to the trace.
/// Buckets of histograms have them most often, for example `http_request_duration_seconds_bucket`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct QueryExemplars {
    /// PromQL selecting the series, for example `http_request_duration_seconds_bucket{job="api"}`.
    query: String,
    /// One Prometheus by name, several, or `"*"` for all.
    instance: Option<Instances>,
    /// RFC 3339, Unix seconds, or relative.
    #[serde(default = "Moment::an_hour_ago")]
    start: Moment,
    /// RFC 3339, Unix seconds, or relative.
    #[serde(default = "Moment::now")]
    end: Moment,
    /// Rows per page, at most 500.
    #[serde(default)]
    limit: Limit<20, 500>,
    /// Position from the previous answer.
    cursor: Option<Cursor>,
}

/// One observation.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Exemplar {
    value: Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
    /// Labels of the series, those that tell series apart first.
    labels: LabelSet,
    /// Labels of the exemplar besides the ids.
    #[serde(skip_serializing_if = "LabelSet::is_empty")]
    exemplar: LabelSet,
}

/// The exemplars of one series.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfSeries {
    series_labels: LabelSet,
    exemplars: Vec<Observed>,
}

#[derive(Debug, Deserialize)]
struct Observed {
    labels: LabelSet,
    value: Number,
    timestamp: f64,
}

impl Tool for QueryExemplars {
    const NAME: &str = "prometheus_query_exemplars";
    const POLICY: Policy = Policy::read(Permission::MetricsRead).cached(15);
    type Backend = Prometheus;
    type Output = Listing<Exemplar>;

    async fn call(self, prometheus: &Prometheus) -> Result<Listing<Exemplar>> {
        #[derive(Serialize)]
        struct Parameters<'a> {
            query: &'a str,
            start: String,
            end: String,
        }
        let window = Window::between(self.start, self.end, prometheus.context.now)?;
        let parameters =
            Parameters { query: &self.query, start: times::unix(window.start), end: times::unix(window.end) };
        let request = Request::read_by_post("api/v1/query_exemplars").form(&parameters)?;
        let answer = prometheus
            .ask::<Option<Vec<OfSeries>>>(request)
            .await
            .map_err(|error| refusal::explain(error, &self.query))?;
        let notes = answer.notes();
        let found = answer.data.unwrap_or_default();
        let telling = Telling::of(found.iter().map(|series| &series.series_labels));
        let rows: Vec<Exemplar> = found
            .into_iter()
            .flat_map(|OfSeries { mut series_labels, exemplars }| {
                telling.arrange(&mut series_labels);
                exemplars.into_iter().map(move |observed| row(observed, series_labels.clone()))
            })
            .collect();
        let none = rows.is_empty();
        let mut listing = Listing::new(rows).ordered(highest_first);
        listing.notes = notes;
        if none {
            let kept = exemplars_are_kept(prometheus).await;
            listing.notes.push(match kept {
                Some(false) => {
                    "This server keeps no exemplars: it runs without --enable-feature=exemplar-storage.".into()
                }
                _ => "No exemplars in this time: select series that carry them, mostly buckets of histograms \
                      (`..._bucket`), or look further back; few are kept."
                    .to_owned(),
            });
        }
        Ok(listing)
    }
}

impl FanOut for QueryExemplars {}

fn row(observed: Observed, labels: LabelSet) -> Exemplar {
    let mut exemplar = observed.labels;
    let trace_id = take_id(&mut exemplar, "traceid");
    let span_id = take_id(&mut exemplar, "spanid");
    let time = times::from_unix(observed.timestamp).to_string();
    Exemplar { value: observed.value.rounded(), trace_id, time, span_id, labels, exemplar }
}

/// Takes an id out, however its name is spelt: `trace_id`, `traceID`, `TraceId`.
fn take_id(labels: &mut LabelSet, wanted: &str) -> Option<String> {
    let plain = |name: &str| name.replace(['_', '-', '.'], "").to_lowercase();
    let name = labels.iter().map(|(name, _)| name).find(|name| plain(name) == wanted)?.to_owned();
    labels.take(&name)
}

/// Of equal ones the newest first.
fn highest_first(a: &Row, b: &Row) -> Ordering {
    let time = |row: &Row| row.get("time").and_then(Value::as_str).and_then(times::from_text);
    Number::in_row(a, "value").descending(Number::in_row(b, "value")).then_with(|| time(b).cmp(&time(a)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_are_found_however_they_are_spelt() {
        for (trace, span) in [("trace_id", "span_id"), ("traceID", "spanID"), ("TraceId", "span-id")] {
            let observed = serde_json::from_value(
                json!({"labels": {trace: "4bf9", span: "00f0", "user": "ann"}, "value": "6", "timestamp": 1.5}),
            );
            let row = row(observed.unwrap(), LabelSet::default());
            assert_eq!((row.trace_id.as_deref(), row.span_id.as_deref()), (Some("4bf9"), Some("00f0")));
            assert_eq!(row.exemplar.get("user"), "ann");
            assert_eq!(row.time, "1970-01-01T00:00:01.5Z");
        }
    }
}
