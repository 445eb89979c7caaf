//! What targets tell of their metrics: type, unit and help.

use std::collections::BTreeMap;

use promql_parser::parser::Expr;
use serde::{Deserialize, Serialize};

use super::super::promql::{Measure, Unit, families};
use crate::backends::Prometheus;
use crate::backends::rest::Request;
use crate::error::Result;

/// What a target tells of a metric.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(in super::super) struct Metadata {
    #[serde(rename = "type", default)]
    pub(in super::super) kind: String,
    #[serde(default)]
    pub(in super::super) help: String,
    #[serde(default)]
    pub(in super::super) unit: String,
}

/// By the name of the family; more than one where targets disagree.
pub(in super::super) type ByFamily = BTreeMap<String, Vec<Metadata>>;

/// Metadata of one family, or of all.
pub(in super::super) async fn metadata(prometheus: &Prometheus, family: Option<&str>) -> Result<ByFamily> {
    #[derive(Serialize)]
    struct Parameters<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        metric: Option<&'a str>,
    }
    let request = Request::get("api/v1/metadata").query(&Parameters { metric: family })?;
    Ok(prometheus.ask::<ByFamily>(request).await?.data)
}

/// Metadata of the targets that a selector of targets fits.
pub(in super::super) async fn of_targets(prometheus: &Prometheus, targets: &str) -> Result<ByFamily> {
    #[derive(Serialize)]
    struct Parameters<'a> {
        match_target: &'a str,
    }
    #[derive(Deserialize)]
    struct OfTarget {
        #[serde(default)]
        metric: String,
        #[serde(flatten)]
        metadata: Metadata,
    }
    let request = Request::get("api/v1/targets/metadata").query(&Parameters { match_target: targets })?;
    let answer = prometheus
        .ask::<Vec<OfTarget>>(request)
        .await
        .map_err(|error| super::super::refusal::explain(error, targets))?;
    let mut families = ByFamily::new();
    for OfTarget { metric, metadata } in answer.data {
        let known = families.entry(metric).or_default();
        if !known.contains(&metadata) {
            known.push(metadata);
        }
    }
    Ok(families)
}

/// Metadata of the family of a series' name: `requests_total` may belong to `requests`.
pub(in super::super) async fn of_name(prometheus: &Prometheus, name: &str) -> Option<Metadata> {
    for family in families(name) {
        if let Some(first) = metadata(prometheus, Some(family)).await.ok()?.into_values().flatten().next() {
            return Some(first);
        }
    }
    None
}

/// The unit of what a query gives: from the name as conventions ask, else from the metadata.
pub(in super::super) async fn unit_of(prometheus: &Prometheus, query: Option<&Expr>) -> Option<Unit> {
    let measure = Measure::of(query?)?;
    if let Some(unit) = measure.known_unit() {
        return Some(unit);
    }
    let name = of_name(prometheus, &measure.metric).await?.unit;
    (!name.is_empty()).then_some(Unit { name, per_second: measure.per_second })
}
