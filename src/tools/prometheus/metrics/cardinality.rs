//! What makes the database large.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::evaluation::{Ask, Outcome, aside};
use super::super::labels::{label_in_promql, named, quote};
use super::super::times::{self, Window};
use super::ask::{self, Over};
use crate::backends::Prometheus;
use crate::backends::rest::Request;
use crate::error::{Error, Result};
use crate::toolkit::args::{Instances, Limit, MaxTokens, Span};
use crate::toolkit::{Facts, FanOut, Permission, Policy, Tool};

/// Labels of one metric that are counted.
const MOST_LABELS: usize = 50;

/// Shows what makes the database large: metrics, labels, pairs.
///
/// With `metric` it breaks that metric down by label. Prefer `prometheus_get_series` with `count_by` to see which
/// values a label has.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct GetCardinality {
    /// One Prometheus by name, several, or `"*"` for all.
    instance: Option<Instances>,
    /// Break this metric down by label, for example `apiserver_request_duration_seconds_bucket`.
    metric: Option<String>,
    /// Entries of each table, at most 200.
    #[serde(default)]
    limit: Limit<20, 200>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// Sizes, largest first.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub(super) struct Cardinality {
    /// What is in memory: series, chunks, and since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<Head>,
    /// The metric that is broken down.
    #[serde(skip_serializing_if = "Option::is_none")]
    metric: Option<String>,
    /// Series of that metric now.
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<u64>,
    /// Series of each metric.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    series_by_metric: Vec<Size>,
    /// Different values of each label.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values_by_label: Vec<Size>,
    /// Bytes that the values of each label take in memory.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    memory_bytes_by_label: Vec<Size>,
    /// Series of each pair of label and value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    series_by_pair: Vec<Size>,
}

/// What is in memory.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Head {
    series: u64,
    chunks: u64,
    label_pairs: u64,
    from: String,
    to: String,
}

/// A name, and how much of it there is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(super) struct Size {
    name: String,
    value: u64,
}

/// The answer of `status/tsdb`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tsdb {
    head_stats: HeadStats,
    #[serde(default, deserialize_with = "super::super::null_is_empty")]
    series_count_by_metric_name: Vec<Size>,
    #[serde(default, deserialize_with = "super::super::null_is_empty")]
    label_value_count_by_label_name: Vec<Size>,
    #[serde(default, deserialize_with = "super::super::null_is_empty")]
    memory_in_bytes_by_label_name: Vec<Size>,
    #[serde(default, deserialize_with = "super::super::null_is_empty")]
    series_count_by_label_value_pair: Vec<Size>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeadStats {
    num_series: u64,
    #[serde(default)]
    num_label_pairs: u64,
    chunk_count: u64,
    min_time: i64,
    max_time: i64,
}

impl Tool for GetCardinality {
    const NAME: &str = "prometheus_get_cardinality";
    const POLICY: Policy = Policy::read(Permission::MetricsRead).cached(300).heavy();
    const REPLACES: &[&str] = &["prometheus_get_tsdb_stats", "prometheus_get_tsdb_status"];
    type Backend = Prometheus;
    type Output = Facts<Cardinality>;

    async fn call(self, prometheus: &Prometheus) -> Result<Facts<Cardinality>> {
        let limit = self.limit.get();
        let (cardinality, notes) = match &self.metric {
            Some(metric) => of_metric(prometheus, metric, limit).await?,
            None => of_database(prometheus, limit).await?,
        };
        let text = cardinality.text();
        Ok(notes.into_iter().fold(Facts::new(cardinality).text(text), Facts::note))
    }
}

impl FanOut for GetCardinality {}

async fn of_database(prometheus: &Prometheus, limit: usize) -> Result<(Cardinality, Vec<String>)> {
    let request = Request::get("api/v1/status/tsdb").query(&[("limit", limit)])?;
    let tsdb = match prometheus.ask::<Tsdb>(request).await {
        Ok(answer) => answer.data,
        Err(Error::Backend { status: 404 | 405 | 501, .. }) => return by_query(prometheus, limit).await,
        Err(error) => return Err(error),
    };
    let shown = |milliseconds| jiff::Timestamp::from_millisecond(milliseconds).map(times::shown).unwrap_or_default();
    // Before 2.45 there is no limit, and ten of each.
    let cut = |mut sizes: Vec<Size>| {
        sizes.truncate(limit);
        sizes
    };
    let head = Head {
        series: tsdb.head_stats.num_series,
        chunks: tsdb.head_stats.chunk_count,
        label_pairs: tsdb.head_stats.num_label_pairs,
        from: shown(tsdb.head_stats.min_time),
        to: shown(tsdb.head_stats.max_time),
    };
    let cardinality = Cardinality {
        head: Some(head),
        series_by_metric: cut(tsdb.series_count_by_metric_name),
        values_by_label: cut(tsdb.label_value_count_by_label_name),
        memory_bytes_by_label: cut(tsdb.memory_in_bytes_by_label_name),
        series_by_pair: cut(tsdb.series_count_by_label_value_pair),
        ..Cardinality::default()
    };
    Ok((cardinality, Vec::new()))
}

/// For stores without statistics of their own (Thanos, Mimir).
async fn by_query(prometheus: &Prometheus, limit: usize) -> Result<(Cardinality, Vec<String>)> {
    let query = format!("topk({limit}, count by (__name__) ({{__name__!=\"\"}}))");
    let evaluated = Ask::at(&query, prometheus.context.now, Span::seconds(30)).send(prometheus).await?;
    let Outcome::Series(series) = evaluated.result else { return Ok(Default::default()) };
    let sizes =
        series.iter().map(|series| Size { name: series.labels.get("__name__").to_owned(), value: series.counted() });
    let cardinality = Cardinality { series_by_metric: sorted(sizes.collect()), ..Cardinality::default() };
    let note = "This store keeps no statistics of its own: metrics were counted by a query, labels were not.";
    Ok((cardinality, evaluated.notes.into_iter().chain([note.to_owned()]).collect()))
}

async fn of_metric(prometheus: &Prometheus, metric: &str, limit: usize) -> Result<(Cardinality, Vec<String>)> {
    let now = prometheus.context.now;
    let selector = named(metric);
    let over = Over::new(Window::before(now, std::time::Duration::from_hours(1)), vec![selector.clone()]);
    let (names, mut notes) = ask::names(prometheus, &over).await?;
    let mut names: Vec<String> = names.into_iter().filter(|name| name != "__name__").collect();
    if names.len() > MOST_LABELS {
        notes.push(format!("Only {MOST_LABELS} of its {} labels were counted.", names.len()));
        names.truncate(MOST_LABELS);
    }
    // One request for all labels: each count carries the name of its label.
    let counts: Vec<String> =
        std::iter::once(format!("label_replace(count({selector}), \"counted\", \"\", \"\", \"\")"))
            .chain(names.iter().map(|name| {
                let label = label_in_promql(name);
                format!(
                    "label_replace(count(count by ({label}) ({selector})), \"counted\", {}, \"\", \"\")",
                    quote(name)
                )
            }))
            .collect();
    let Some((counts, _)) = aside(prometheus, &counts.join(" or "), now).await else {
        return Err(Error::TimedOut(format!(
            "the series of `{}` could not be counted in time; count one label with `prometheus_get_series` and count_by",
            metric.escape_debug()
        )));
    };
    let sizes =
        counts.iter().map(|count| Size { name: count.labels.get("counted").to_owned(), value: count.counted() });
    let (whole, sizes): (Vec<_>, Vec<_>) = sizes.partition(|size| size.name.is_empty());
    let Some(Size { value: series, .. }) = whole.first() else {
        return Err(Error::NotFound(format!(
            "there is no metric `{}` with series now; find names with `prometheus_search_metrics`",
            metric.escape_debug()
        )));
    };
    let mut values_by_label = sorted(sizes);
    values_by_label.truncate(limit);
    let cardinality = Cardinality {
        metric: Some(metric.to_owned()),
        series: Some(*series),
        values_by_label,
        ..Cardinality::default()
    };
    Ok((cardinality, notes))
}

fn sorted(mut sizes: Vec<Size>) -> Vec<Size> {
    sizes.sort_by(|a, b| b.value.cmp(&a.value).then_with(|| a.name.cmp(&b.name)));
    sizes
}

impl Cardinality {
    /// One line an entry, under a line for each table.
    fn text(&self) -> String {
        let mut text = String::new();
        if let Some(head) = &self.head {
            let Head { series, chunks, label_pairs, from, to } = head;
            let _ = writeln!(
                text,
                "In memory: {series} series, {chunks} chunks, {label_pairs} label pairs, {from} to {to}."
            );
        }
        if let (Some(metric), Some(series)) = (&self.metric, self.series) {
            let _ = writeln!(text, "{metric}: {series} series");
        }
        for (title, sizes) in [
            ("Series by metric", &self.series_by_metric),
            ("Values by label", &self.values_by_label),
            ("Bytes in memory by label", &self.memory_bytes_by_label),
            ("Series by label and value", &self.series_by_pair),
        ] {
            if sizes.is_empty() {
                continue;
            }
            let _ = writeln!(text, "\n{title}:");
            for Size { name, value } in sizes {
                let _ = writeln!(text, "  {value}  {name}");
            }
        }
        text.trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_laid_out_under_their_titles() {
        let size = |name: &str, value| Size { name: name.into(), value };
        let cardinality = Cardinality {
            metric: Some("up".into()),
            series: Some(3),
            values_by_label: sorted(vec![size("job", 1), size("pod", 3), size("az", 1)]),
            ..Cardinality::default()
        };
        assert_eq!(cardinality.text(), "up: 3 series\n\nValues by label:\n  3  pod\n  1  az\n  1  job");
    }
}
