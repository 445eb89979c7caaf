//! What there is to query: metrics, labels, series, and how many of each.

pub(super) mod ask;
mod cardinality;
mod labels;
pub(super) mod metadata;
mod search;
mod series;

use crate::toolkit::{Entry, fan_out};

pub(super) use metadata::unit_of;

pub(super) const TOOLS: &[Entry] = &[
    fan_out::<search::SearchMetrics>(),
    fan_out::<labels::GetLabels>(),
    fan_out::<series::GetSeries>(),
    fan_out::<cardinality::GetCardinality>(),
];
