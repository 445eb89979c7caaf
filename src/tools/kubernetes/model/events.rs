//! Events of the core group.

use jiff::Timestamp;
use serde::Deserialize;

use super::Metadata;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct Event {
    pub(in super::super) metadata: Metadata,
    /// `Warning` or `Normal`.
    #[serde(rename = "type")]
    pub(in super::super) level: String,
    pub(in super::super) reason: String,
    pub(in super::super) message: String,
    pub(in super::super) action: String,
    pub(in super::super) source: Source,
    pub(in super::super) involved_object: Involved,
    count: Option<u64>,
    first_timestamp: Option<Timestamp>,
    last_timestamp: Option<Timestamp>,
    event_time: Option<Timestamp>,
    series: Option<Series>,
    reporting_component: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Series {
    count: Option<u64>,
    last_observed_time: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct Source {
    component: String,
    pub(in super::super) host: String,
}

/// What an event is about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in super::super) struct Involved {
    pub(in super::super) kind: String,
    pub(in super::super) namespace: String,
    pub(in super::super) name: String,
    pub(in super::super) field_path: String,
}

impl Event {
    /// When it was seen last; each generation of the API has its own field for that.
    pub(in super::super) fn last(&self) -> Option<Timestamp> {
        let series = self.series.as_ref().and_then(|series| series.last_observed_time);
        let last = series.or(self.last_timestamp).or(self.event_time).or(self.first_timestamp);
        last.or(self.metadata.creation_timestamp)
    }

    /// When it was seen first.
    pub(in super::super) fn first(&self) -> Option<Timestamp> {
        self.first_timestamp.or(self.event_time).or(self.metadata.creation_timestamp)
    }

    /// How often it was seen.
    pub(in super::super) fn count(&self) -> u64 {
        let series = self.series.as_ref().and_then(|series| series.count);
        series.or(self.count).unwrap_or(1).max(1)
    }

    /// Who says it.
    pub(in super::super) fn source(&self) -> &str {
        if self.source.component.is_empty() { &self.reporting_component } else { &self.source.component }
    }
}
