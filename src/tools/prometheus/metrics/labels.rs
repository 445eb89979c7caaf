//! Label names and values.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::evaluation::aside;
use super::super::labels::label_in_promql;
use super::super::times::Window;
use super::ask::{self, Over};
use crate::answers::Row;
use crate::backends::Prometheus;
use crate::error::Result;
use crate::toolkit::args::{Cursor, Instances, Limit, Moment};
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool, join_equal};

/// Lists label names, or the values of one label.
///
/// With `match` the series of each value are counted. Prefer `prometheus_get_series` to see labels together.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct GetLabels {
    /// Values of this label, for example `namespace`; the names of all labels when absent.
    label: Option<String>,
    /// One Prometheus by name, several, or `"*"` for all.
    instance: Option<Instances>,
    /// Only series that one of these selects, for example `up{job="api"}`.
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    selectors: Vec<String>,
    /// Part of the name or value, in any case.
    query: Option<String>,
    /// RFC 3339, Unix seconds, or relative.
    #[serde(default = "six_hours_ago")]
    start: Moment,
    /// RFC 3339, Unix seconds, or relative.
    #[serde(default = "Moment::now")]
    end: Moment,
    /// Rows per page, at most 5000.
    #[serde(default)]
    limit: Limit<100, 5000>,
    /// Position from the previous answer.
    cursor: Option<Cursor>,
}

fn six_hours_ago() -> Moment {
    Moment::ago(6 * 3600)
}

/// A label name, or a value of the label asked for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Label {
    /// Name of a label.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// Value of the label.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// Series that have the value at the end of the time asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<u64>,
}

impl Tool for GetLabels {
    const NAME: &str = "prometheus_get_labels";
    const POLICY: Policy = Policy::read(Permission::MetricsRead).cached(60).light();
    const REPLACES: &[&str] = &["prometheus_get_label_names", "prometheus_get_label_values"];
    type Backend = Prometheus;
    type Output = Listing<Label>;

    async fn call(self, prometheus: &Prometheus) -> Result<Listing<Label>> {
        let window = Window::between(self.start, self.end, prometheus.context.now)?;
        let over = Over::new(window, self.selectors.clone());
        let wanted = self.query.as_deref().unwrap_or_default().to_lowercase();
        let Some(label) = &self.label else {
            let (names, notes) = ask::names(prometheus, &over).await?;
            let names = names.into_iter().filter(|name| name.to_lowercase().contains(&wanted));
            let mut listing =
                Listing::new(names.map(|name| Label { label: Some(name), value: None, series: None }).collect());
            listing.notes = notes;
            return Ok(listing);
        };
        let (found, counts) =
            tokio::join!(ask::values(prometheus, label, &over, None), self.counts(prometheus, label, window));
        let (values, notes) = found?;
        let none = values.is_empty();
        let rows = values
            .into_iter()
            .filter(|value| value.to_lowercase().contains(&wanted))
            .map(|value| {
                let series = counts.as_ref().map(|counts| counts.get(&value).copied().unwrap_or(0));
                Label { label: None, value: Some(value), series }
            })
            .collect();
        let mut listing = Listing::new(rows).fact("label", label.as_str());
        listing.notes = notes;
        if none {
            listing.notes.push(format!(
                "No series has the label `{}` in this time; without `label` all names are listed.",
                label.escape_debug()
            ));
        }
        Ok(listing)
    }
}

impl FanOut for GetLabels {
    fn join(rows: Vec<Row>) -> Vec<Row> {
        join_equal(rows, &["label", "value"])
    }
}

impl GetLabels {
    /// How many series have each value. Only where selectors keep that cheap.
    async fn counts(&self, prometheus: &Prometheus, label: &str, window: Window) -> Option<HashMap<String, u64>> {
        if self.selectors.is_empty() {
            return None;
        }
        let query = format!("count by ({}) ({})", label_in_promql(label), self.selectors.join(" or "));
        let (series, _) = aside(prometheus, &query, window.end).await?;
        Some(series.iter().map(|series| (series.labels.get(label).to_owned(), series.counted())).collect())
    }
}
