//! Requests for series, label names and label values.

use serde::Serialize;

use super::super::labels::{LabelSet, label_in_path};
use super::super::{refusal, times};
use crate::backends::Prometheus;
use crate::backends::rest::Request;
use crate::error::Result;

/// Names or values that are read at most; from 2.51 the server cuts, before that it is done here.
pub(in super::super) const MOST: usize = 50_000;

/// Which series are looked at, and when they must have been there.
#[derive(Clone, Debug, Serialize)]
pub(in super::super) struct Over {
    #[serde(rename = "match[]")]
    selectors: Vec<String>,
    start: String,
    end: String,
    limit: usize,
}

impl Over {
    /// Series of any of the selectors, or all, in a window of time.
    pub(in super::super) fn new(window: times::Window, selectors: Vec<String>) -> Self {
        Self { selectors, start: times::unix(window.start), end: times::unix(window.end), limit: MOST }
    }

    /// One answer more than wanted shows whether there are more.
    fn at_most(&self, limit: usize) -> Self {
        Self { limit: limit + 1, ..self.clone() }
    }

    fn selectors(&self) -> String {
        self.selectors.join(", ")
    }
}

/// What was found, and what is to be said of it: warnings, and that there is more.
pub(in super::super) type Found<T> = (Vec<T>, Vec<String>);

/// The series, at most so many.
pub(in super::super) async fn series(prometheus: &Prometheus, over: &Over, most: usize) -> Result<Found<LabelSet>> {
    let request = Request::read_by_post("api/v1/series").form(&over.at_most(most))?;
    send(prometheus, request, over, most).await
}

/// The label names of the series.
pub(in super::super) async fn names(prometheus: &Prometheus, over: &Over) -> Result<Found<String>> {
    let request = Request::read_by_post("api/v1/labels").form(&over.at_most(MOST))?;
    send(prometheus, request, over, MOST).await
}

/// The values of a label of the series.
pub(in super::super) async fn values(
    prometheus: &Prometheus,
    label: &str,
    over: &Over,
    most: Option<usize>,
) -> Result<Found<String>> {
    let most = most.unwrap_or(MOST);
    let request =
        Request::get("api/v1/label").segment(&label_in_path(label)).segment("values").query(&over.at_most(most))?;
    send(prometheus, request, over, most).await
}

async fn send<T>(prometheus: &Prometheus, request: Request, over: &Over, most: usize) -> Result<Found<T>>
where
    T: serde::de::DeserializeOwned + Send + 'static,
{
    // An empty result of `series` is `null` on some stores that speak this API.
    let answer =
        prometheus.ask::<Option<Vec<T>>>(request).await.map_err(|error| refusal::explain(error, &over.selectors()))?;
    let mut notes = answer.notes();
    let mut found = answer.data.unwrap_or_default();
    if found.len() > most {
        found.truncate(most);
        notes.retain(|note| !note.contains("truncated"));
        notes.push(format!("There are more than {most}; give matchers to see the others."));
    }
    Ok((found, notes))
}
