//! Why a query found nothing: an unknown name, a matcher that fits no series, or a condition that none fulfils.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::Expr;

use super::super::evaluation::count_aside;
use super::super::labels::{LabelSet, named};
use super::super::metrics::ask::{self, Over};
use super::super::promql::{self, Selector};
use super::super::times::Window;
use crate::backends::Prometheus;

/// How far back a metric is looked for before it counts as unknown.
pub(super) const LOOK_BACK: Duration = Duration::from_hours(6);

/// Selectors that are looked into.
const MOST_SELECTORS: usize = 4;

/// Values of a label that are named.
const MOST_VALUES: usize = 12;

/// Names that are suggested.
const MOST_NAMES: usize = 5;

/// Sentences on why the query found nothing in this window.
pub(super) async fn explain(prometheus: &Prometheus, query: Option<&Expr>, window: Window) -> Vec<String> {
    let Some(query) = query else {
        return vec![
            "The query is right and found nothing; `prometheus_check_query` counts what its selectors find.".into(),
        ];
    };
    let mut selectors = promql::selectors(query);
    let several = selectors.len();
    selectors.truncate(MOST_SELECTORS);
    let notes: Vec<String> = join_all(selectors.iter().map(|selector| why_not(prometheus, selector, window)))
        .await
        .into_iter()
        .flatten()
        .collect();
    if !notes.is_empty() {
        return notes;
    }
    vec![match several {
        0 => "The expression gives nothing.".to_owned(),
        1 => "There are such series, but none that fulfils the condition.".to_owned(),
        _ => "All selectors have series, but none is left: no series fulfils the condition, or those on both sides of an \
              operator differ in a label; then match fewer with `on(...)`."
            .to_owned(),
    }]
}

/// Why one selector finds nothing; none if it finds something.
pub(super) async fn why_not(prometheus: &Prometheus, selector: &Selector, window: Window) -> Option<String> {
    let text = selector.text();
    let count = match selector.range {
        None => format!("count({text})"),
        Some(range) => format!("count(last_over_time({text}[{}s]))", range.as_secs().max(1)),
    };
    if count_aside(prometheus, &count, window.end).await.is_none_or(|(series, _)| series > 0) {
        return None;
    }
    let over = Over::new(window, vec![text.to_owned()]);
    if !ask::series(prometheus, &over, 1).await.ok()?.0.is_empty() {
        return Some(format!("`{text}` has no samples at that moment, but it had before: its targets may be gone."));
    }
    let Some(metric) = &selector.metric else {
        return Some(format!("`{text}` fits no series; `prometheus_get_labels` shows labels and their values."));
    };
    let over = Over::new(window, vec![named(metric)]);
    let some = ask::series(prometheus, &over, 1000).await.ok()?.0;
    if some.is_empty() {
        return Some(unknown(prometheus, metric, window).await);
    }
    let wrong = selector.matchers.iter().filter_map(|matcher| why_no_match(metric, matcher, &some));
    Some(
        wrong
            .collect::<Vec<_>>()
            .first()
            .cloned()
            .unwrap_or_else(|| format!("`{metric}` has series, but none that all matchers of `{text}` fit together.")),
    )
}

fn why_no_match(metric: &str, matcher: &Matcher, series: &[LabelSet]) -> Option<String> {
    if series.iter().any(|labels| matcher.is_match(labels.get(&matcher.name))) {
        return None;
    }
    let mut values: Vec<&str> =
        series.iter().map(|labels| labels.get(&matcher.name)).filter(|value| !value.is_empty()).collect();
    values.sort_unstable();
    values.dedup();
    if values.is_empty() {
        let mut names: Vec<&str> = series.iter().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| *name != "__name__");
        return Some(format!("`{metric}` has no label `{}`; it has {}.", matcher.name, names.join(", ")));
    }
    let more = values.len().saturating_sub(MOST_VALUES);
    values.truncate(MOST_VALUES);
    let hint = match matcher.op {
        MatchOp::Equal if matcher.value.contains(['*', '|']) => " To match a pattern write `=~`.",
        _ => "",
    };
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!(
        "No series of `{metric}` fits `{matcher}`; values of `{}`: {}{more}.{hint}",
        matcher.name,
        values.join(", ")
    ))
}

/// That there is no such metric, with names that look like it.
async fn unknown(prometheus: &Prometheus, metric: &str, window: Window) -> String {
    let names = ask::values(prometheus, "__name__", &Over::new(window, Vec::new()), None).await.map(|found| found.0);
    let names = names.unwrap_or_default();
    let similar = similar(metric, &names);
    let similar = if similar.is_empty() { String::new() } else { format!(" Names like it: {}.", similar.join(", ")) };
    format!("There is no metric `{metric}`.{similar} `prometheus_search_metrics` finds metrics by words.")
}

/// The names most like the one given, by the pairs of letters they share (Dice's coefficient).
pub(in super::super) fn similar<'a>(wanted: &str, names: &'a [String]) -> Vec<&'a str> {
    let wanted = pairs(wanted);
    let mut ranked: Vec<(f64, &str)> = names
        .iter()
        .map(|name| {
            let pairs = pairs(name);
            #[expect(clippy::cast_precision_loss, reason = "some dozens")]
            let share = 2.0 * wanted.intersection(&pairs).count() as f64 / (wanted.len() + pairs.len()).max(1) as f64;
            (share, name.as_str())
        })
        .filter(|(share, _)| *share >= 0.55)
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.into_iter().take(MOST_NAMES).map(|(_, name)| name).collect()
}

fn pairs(text: &str) -> HashSet<(char, char)> {
    let text = text.to_lowercase();
    text.chars().zip(text.chars().skip(1)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use promql_parser::parser;

    use super::*;

    #[test]
    fn similar_names_come_most_like_first() {
        let names: Vec<String> = [
            "http_requests_total",
            "http_request_duration_seconds_count",
            "go_goroutines",
            "http_requests_failed_total",
        ]
        .map(str::to_owned)
        .to_vec();
        assert_eq!(similar("http_request_total", &names)[..2], ["http_requests_total", "http_requests_failed_total"]);
        assert!(similar("kafka_lag", &names).is_empty());
        assert!(similar("", &names).is_empty());
    }

    #[test]
    fn a_matcher_that_fits_nothing_is_answered_with_what_there_is() {
        let series: Vec<LabelSet> = ["api-1", "api-2"]
            .map(|pod| {
                BTreeMap::from([("pod".to_owned(), pod.to_owned()), ("__name__".to_owned(), "up".to_owned())]).into()
            })
            .to_vec();
        let check = |selector: &str| {
            let parser::Expr::VectorSelector(selector) = parser::parse(selector).unwrap() else { panic!() };
            why_no_match("up", &selector.matchers.matchers[0], &series)
        };
        assert_eq!(check("up{pod=\"api-1\"}"), None);
        assert_eq!(
            check("up{pod=\"api-*\"}").unwrap(),
            "No series of `up` fits `pod=\"api-*\"`; values of `pod`: api-1, api-2. To match a pattern write `=~`."
        );
        assert_eq!(check("up{node=\"n\"}").unwrap(), "`up` has no label `node`; it has pod.");
    }
}
