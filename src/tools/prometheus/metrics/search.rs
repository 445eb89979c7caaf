//! Finding metrics by words.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::evaluation::aside;
use super::super::labels::quote;
use super::super::promql::families;
use super::super::query::similar;
use super::super::times::Window;
use super::ask::{self, Over};
use super::metadata::{self, ByFamily, Metadata};
use crate::answers::Row;
use crate::backends::Prometheus;
use crate::error::{Error, Result};
use crate::toolkit::args::{Cursor, Instances, Limit, MaxTokens};
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool, join_equal};
use crate::tools::patterns;

/// How long ago a metric may have had its last sample.
const LOOK_BACK: Duration = Duration::from_hours(1);

/// Metrics up to which their series are counted.
const FEW: usize = 30;

/// Characters of a help text.
const LONGEST_HELP: usize = 120;

/// Finds metric names by text, with type, help and unit.
///
/// All words must be in the name or the help text; without a query it lists all metrics. Recording rules are listed
/// too, without a type. Next, `prometheus_get_labels` shows by what a metric can be filtered and grouped.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct SearchMetrics {
    /// Part of the name or help, for example `http duration`; a regular expression over names between slashes, for
    /// example `/^node_.*_bytes$/`.
    query: Option<String>,
    /// One Prometheus by name, several, or `"*"` for all.
    instance: Option<Instances>,
    /// Series selectors that must have the metric, for example `{namespace="shop"}`.
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    selectors: Vec<String>,
    /// Metric type.
    #[serde(rename = "type")]
    kind: Option<Kind>,
    /// Selector of targets that expose it, for example `{job="node"}`.
    target: Option<String>,
    /// Rows per page, at most 1000.
    #[serde(default)]
    limit: Limit<50, 1000>,
    /// Position from the previous answer.
    cursor: Option<Cursor>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Counter,
    Gauge,
    Histogram,
    Summary,
    Info,
    Stateset,
    Unknown,
}

impl Kind {
    fn is(self, kind: &str) -> bool {
        match self {
            Self::Counter => kind == "counter",
            Self::Gauge => kind == "gauge",
            Self::Histogram => kind == "histogram" || kind == "gaugehistogram",
            Self::Summary => kind == "summary",
            Self::Info => kind == "info",
            Self::Stateset => kind == "stateset",
            Self::Unknown => kind == "unknown",
        }
    }
}

/// A metric.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub(super) struct Metric {
    /// Its name; for histograms and summaries that of the family.
    metric: String,
    /// `counter`, `gauge`, `histogram`, `summary`, `info`, `stateset` or `unknown`.
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    unit: String,
    /// Series it has now, counted where few metrics were found.
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<u64>,
    /// What comes behind the name of the family in the names of its series.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suffixes: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    help: String,
}

impl Tool for SearchMetrics {
    const NAME: &str = "prometheus_search_metrics";
    const POLICY: Policy = Policy::read(Permission::MetricsRead).cached(120).by_default();
    const REPLACES: &[&str] = &["prometheus_get_metrics_metadata", "prometheus_get_target_metadata"];
    type Backend = Prometheus;
    type Output = Listing<Metric>;

    async fn call(self, prometheus: &Prometheus) -> Result<Listing<Metric>> {
        let wanted = Wanted::read(self.query.as_deref().unwrap_or_default())?;
        let (names, told) = tokio::join!(self.names(prometheus), async {
            match &self.target {
                Some(target) => metadata::of_targets(prometheus, target).await,
                None => metadata::metadata(prometheus, None).await,
            }
        });
        let (names, mut notes) = names?;
        let told = told.unwrap_or_else(|error| {
            notes.push(format!("Types and help are missing: {error}"));
            ByFamily::new()
        });
        let found = gather(&names, &told).into_iter();
        let mut ranked: Vec<(u8, Metric)> = patterns::at_length(|| {
            found
                .filter(|metric| self.kind.is_none_or(|kind| kind.is(&metric.kind)))
                .filter_map(|metric| Some((wanted.rank(&metric)?, metric)))
                .collect()
        });
        ranked.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.metric.cmp(&b.1.metric)));
        let mut metrics: Vec<Metric> = ranked.into_iter().map(|(_, metric)| metric).collect();
        if metrics.is_empty() {
            notes.push(self.advice(&names));
        }
        if metrics.len() <= FEW {
            notes.extend(conflicts(&metrics, &told));
            count(prometheus, &mut metrics).await;
        }
        for metric in &mut metrics {
            if metric.help.chars().count() > LONGEST_HELP {
                metric.help = metric.help.chars().take(LONGEST_HELP - 1).chain(['…']).collect();
            }
        }
        let mut listing = Listing::new(metrics);
        listing.notes = notes;
        Ok(listing)
    }
}

impl FanOut for SearchMetrics {
    fn join(rows: Vec<Row>) -> Vec<Row> {
        join_equal(rows, &["metric"])
    }
}

impl SearchMetrics {
    /// Names of series that fit both the selectors and the target.
    async fn names(&self, prometheus: &Prometheus) -> Result<(BTreeSet<String>, Vec<String>)> {
        let window = Window::before(prometheus.context.now, LOOK_BACK);
        let selectors = Over::new(window, self.selectors.clone());
        let (names, notes) = ask::values(prometheus, "__name__", &selectors, None).await?;
        let mut names: BTreeSet<String> = names.into_iter().collect();
        if let Some(target) = &self.target {
            let of_target = Over::new(window, vec![target.clone()]);
            let of_target: BTreeSet<String> =
                ask::values(prometheus, "__name__", &of_target, None).await?.0.into_iter().collect();
            names.retain(|name| of_target.contains(name));
        }
        Ok((names, notes))
    }

    fn advice(&self, names: &BTreeSet<String>) -> String {
        if names.is_empty() {
            return "No series fit: check the selectors with `prometheus_get_series`, or leave them out.".into();
        }
        let names: Vec<String> = names.iter().cloned().collect();
        let similar = similar(self.query.as_deref().unwrap_or_default(), &names);
        let similar =
            if similar.is_empty() { String::new() } else { format!(" Names like it: {}.", similar.join(", ")) };
        format!("None of {} metrics fits.{similar} Try fewer or other words.", names.len())
    }
}

/// What a search asks for.
#[derive(Debug)]
enum Wanted {
    Words(Vec<String>),
    Pattern(Regex),
}

impl Wanted {
    fn read(query: &str) -> Result<Self> {
        let query = query.trim();
        if let Some(pattern) = query.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
            return patterns::compiled(pattern, false).map(Self::Pattern).map_err(|why| {
                Error::BadArguments(format!("query: the regular expression between the slashes is wrong: {why}"))
            });
        }
        let words = query.split(|c: char| c.is_whitespace() || c == '*').filter(|word| !word.is_empty());
        Ok(Self::Words(words.map(str::to_lowercase).collect()))
    }

    /// How well a metric fits, best first: the name itself, its beginning, in the name, only in the help.
    fn rank(&self, metric: &Metric) -> Option<u8> {
        let name = metric.metric.to_lowercase();
        let words = match self {
            Self::Pattern(pattern) => {
                let fits = pattern.is_match(&metric.metric)
                    || metric.suffixes.iter().any(|suffix| pattern.is_match(&format!("{}{suffix}", metric.metric)));
                return fits.then_some(2);
            }
            Self::Words(words) => words,
        };
        let whole = words.join("_");
        if name == whole || metric.suffixes.iter().any(|suffix| format!("{name}{suffix}") == whole) {
            return Some(0);
        }
        let help = metric.help.to_lowercase();
        if words.iter().all(|word| {
            name.contains(word.as_str()) || metric.suffixes.iter().any(|s| format!("{name}{s}").contains(word.as_str()))
        }) {
            return Some(if name.starts_with(&whole) { 1 } else { 2 });
        }
        words.iter().all(|word| name.contains(word.as_str()) || help.contains(word.as_str())).then_some(3)
    }
}

/// Brings the names of series together in families, with what targets tell of them.
fn gather(names: &BTreeSet<String>, told: &ByFamily) -> Vec<Metric> {
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in names {
        let family = families(name).find(|family| told.contains_key(*family)).unwrap_or(name);
        found.entry(family).or_default().push(name);
    }
    found
        .into_iter()
        .map(|(family, names)| {
            let first = told.get(family).and_then(|told| told.first());
            let Metadata { kind, help, unit } = first.cloned().unwrap_or_else(|| Metadata {
                kind: String::new(),
                help: String::new(),
                unit: String::new(),
            });
            let (metric, suffixes) = match names.as_slice() {
                [only] => ((*only).to_owned(), Vec::new()),
                several => {
                    let suffixes = several.iter().map(|name| name[family.len()..].to_owned());
                    (family.to_owned(), suffixes.filter(|suffix| !suffix.is_empty()).collect())
                }
            };
            let kind = if kind.is_empty() { "unknown".to_owned() } else { kind };
            Metric { metric, kind, unit, series: None, suffixes, help }
        })
        .collect()
}

/// Which metrics the targets tell different things of.
fn conflicts(metrics: &[Metric], told: &ByFamily) -> Vec<String> {
    let mut notes = Vec::new();
    for metric in metrics {
        let several = families(&metric.metric).find_map(|family| told.get(family)).filter(|told| told.len() > 1);
        let Some(several) = several else { continue };
        let mut kinds: Vec<&str> = several.iter().map(|told| told.kind.as_str()).collect();
        kinds.dedup();
        notes.push(if kinds.len() > 1 {
            format!("Targets disagree on the type of `{}`: {}.", metric.metric, kinds.join(", "))
        } else {
            format!("Targets give {} different help texts for `{}`.", several.len(), metric.metric)
        });
    }
    notes
}

/// Counts the series that each metric has now.
async fn count(prometheus: &Prometheus, metrics: &mut [Metric]) {
    if metrics.is_empty() {
        return;
    }
    let names: Vec<String> = metrics.iter().flat_map(Metric::names).map(|name| regex::escape(&name)).collect();
    let query = format!("count by (__name__) ({{__name__=~{}}})", quote(&names.join("|")));
    let Some((counts, _)) = aside(prometheus, &query, prometheus.context.now).await else { return };
    for metric in metrics {
        let names = metric.names();
        let of_metric = counts.iter().filter(|series| names.iter().any(|name| name == series.labels.get("__name__")));
        metric.series = Some(of_metric.map(super::super::evaluation::Series::counted).sum());
    }
}

impl Metric {
    /// The names of its series.
    fn names(&self) -> Vec<String> {
        if self.suffixes.is_empty() {
            return vec![self.metric.clone()];
        }
        let family = std::iter::once(self.metric.clone());
        family.chain(self.suffixes.iter().map(|suffix| format!("{}{suffix}", self.metric))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: &str, help: &str) -> Vec<Metadata> {
        vec![Metadata { kind: kind.into(), help: help.into(), unit: String::new() }]
    }

    fn found(query: &str) -> Vec<String> {
        let names =
            ["http_requests_total", "http_duration_seconds_bucket", "http_duration_seconds_sum", "job:rate5m", "up"];
        let told = ByFamily::from([
            ("http_requests".to_owned(), told("counter", "Requests served.")),
            ("http_duration_seconds".to_owned(), told("histogram", "Latency of requests.")),
            ("up".to_owned(), told("gauge", "")),
        ]);
        let wanted = Wanted::read(query).unwrap();
        let mut ranked: Vec<_> = gather(&names.map(str::to_owned).into(), &told)
            .into_iter()
            .filter_map(|metric| Some((wanted.rank(&metric)?, format!("{} {}", metric.metric, metric.kind))))
            .collect();
        ranked.sort();
        ranked.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn metrics_are_found_by_name_family_help_and_pattern() {
        let (counter, histogram) = ("http_requests_total counter", "http_duration_seconds histogram");
        assert_eq!(found("requests"), [counter, histogram]);
        assert_eq!(found("HTTP  latency"), [histogram]);
        assert_eq!(found("http_duration_seconds_bucket"), [histogram]);
        assert_eq!(found("http_*"), [histogram, counter]);
        assert_eq!(found("/_total$/"), [counter]);
        assert_eq!(found("rate5m"), ["job:rate5m unknown"]);
        assert_eq!(found("").len(), 4);
        assert!(found("kafka").is_empty());
    }

    #[test]
    fn a_wrong_pattern_is_explained() {
        let error = Wanted::read("/(/").unwrap_err().to_string();
        assert!(error.starts_with("query: the regular expression"), "{error}");
    }
}
