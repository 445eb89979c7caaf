//! Series: listed, or counted by a label.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::evaluation::{Ask, MOST_SERIES, Outcome};
use super::super::labels::{LabelSet, Telling, label_in_promql};
use super::super::number::Number;
use super::super::times::Window;
use super::ask::{self, Over};
use crate::answers::Row;
use crate::backends::Prometheus;
use crate::error::{Error, Result};
use crate::toolkit::args::{Cursor, Instances, Limit, MaxTokens, Moment, Span};
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool};

/// Lists series matching selectors, or counts them by label.
///
/// Shows which labels a metric has and with which values; `prometheus_query` has the values of the series.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct GetSeries {
    /// Series selectors, for example `up` or `{job="api"}`; a series needs to fit one.
    #[serde(rename = "match")]
    selectors: Vec<String>,
    /// One Prometheus by name, several, or `"*"` for all.
    instance: Option<Instances>,
    /// RFC 3339, Unix seconds, or relative.
    #[serde(default = "Moment::an_hour_ago")]
    start: Moment,
    /// RFC 3339, Unix seconds, or relative.
    #[serde(default = "Moment::now")]
    end: Moment,
    /// Count by this label instead of listing.
    count_by: Option<String>,
    /// Rows per page, at most 5000.
    #[serde(default)]
    limit: Limit<100, 5000>,
    /// Position from the previous answer.
    cursor: Option<Cursor>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// A series, or a value of the label that series are counted by.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Series {
    /// Series with this value.
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<u64>,
    /// Value of the label they are counted by; empty for series without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// Labels, those that tell series apart first.
    #[serde(skip_serializing_if = "LabelSet::is_empty")]
    labels: LabelSet,
}

impl Tool for GetSeries {
    const NAME: &str = "prometheus_get_series";
    const POLICY: Policy = Policy::read(Permission::MetricsRead).cached(30);
    const REPLACES: &[&str] = &["prometheus_get_series"];
    type Backend = Prometheus;
    type Output = Listing<Series>;

    async fn call(self, prometheus: &Prometheus) -> Result<Listing<Series>> {
        let window = Window::between(self.start, self.end, prometheus.context.now)?;
        if self.selectors.iter().all(|selector| selector.trim().is_empty()) {
            return Err(Error::BadArguments(
                "match: give at least one selector, for example up or {job=\"api\"}; \
                 `prometheus_search_metrics` finds names"
                    .into(),
            ));
        }
        let listing = match &self.count_by {
            Some(label) => self.count(prometheus, label, window).await?,
            None => self.list(prometheus, window).await?,
        };
        if listing.rows.is_empty() {
            return Ok(listing.note(
                "No series fits in this time: look further back with start, or find names with \
                 `prometheus_search_metrics` and values with `prometheus_get_labels`.",
            ));
        }
        Ok(listing)
    }
}

impl FanOut for GetSeries {}

impl GetSeries {
    async fn list(&self, prometheus: &Prometheus, window: Window) -> Result<Listing<Series>> {
        let over = Over::new(window, self.selectors.clone());
        let (mut sets, notes) = ask::series(prometheus, &over, MOST_SERIES).await?;
        let telling = Telling::of(sets.iter());
        for set in &mut sets {
            telling.arrange(set);
        }
        let rows = sets.into_iter().map(|labels| Series { series: None, value: None, labels });
        let mut listing = Listing::new(rows.collect());
        listing.notes = notes;
        Ok(listing)
    }

    async fn count(&self, prometheus: &Prometheus, label: &str, window: Window) -> Result<Listing<Series>> {
        let seconds = window.length().as_secs().max(1);
        let selected: Vec<String> =
            self.selectors.iter().map(|selector| format!("last_over_time({selector}[{seconds}s])")).collect();
        let query = format!("count by ({}) ({})", label_in_promql(label), selected.join(" or "));
        let evaluated = Ask::at(&query, window.end, Span::seconds(30)).send(prometheus).await?;
        let Outcome::Series(found) = evaluated.result else { return Ok(Listing::new(Vec::new())) };
        let total: u64 = found.iter().map(super::super::evaluation::Series::counted).sum();
        let rows = found.iter().map(|series| Series {
            series: Some(series.counted()),
            value: Some(series.labels.get(label).to_owned()),
            labels: LabelSet::default(),
        });
        let mut listing =
            Listing::new(rows.collect()).fact("counted_by", label).fact("series", total).ordered(most_first);
        listing.notes = evaluated.notes;
        Ok(listing)
    }
}

fn most_first(a: &Row, b: &Row) -> Ordering {
    Number::in_row(a, "series").descending(Number::in_row(b, "series"))
}
