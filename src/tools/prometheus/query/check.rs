//! Whether a query is right, and what it costs.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use promql_parser::parser::Expr;
use promql_parser::parser::value::ValueType;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::evaluation::count_aside;
use super::super::metrics::ask::{self, Over};
use super::super::metrics::metadata::{self, ByFamily};
use super::super::promql::{self, Selector, families};
use super::super::refusal;
use super::super::times::{self, Window};
use super::judge::{self, Judge};
use super::nothing;
use crate::backends::Prometheus;
use crate::backends::rest::Request;
use crate::error::{Error, Result};
use crate::toolkit::args::{Moment, Span};
use crate::toolkit::{Facts, Permission, Policy, Tool};

/// Selectors that are looked into.
const MOST_SELECTORS: usize = 10;

/// Samples from which a range query is called heavy: a fifth of what Prometheus loads for one query by default
/// (`--query.max-samples`).
const MANY_SAMPLES: u64 = 10_000_000;

/// Parses and formats PromQL, warns of mistakes, estimates its cost.
///
/// Use it before a heavy or unfamiliar query. The query itself is not run; only the series of its selectors are counted.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct CheckQuery {
    /// PromQL, for example `sum by (job) (rate(http_requests_total[5m]))`.
    query: String,
    /// Which Prometheus; needed when several are configured and none is the default.
    instance: Option<String>,
    /// Start of the range query that is meant: RFC 3339, Unix seconds, or relative.
    #[serde(default = "Moment::an_hour_ago")]
    start: Moment,
    /// Its end.
    #[serde(default = "Moment::now")]
    end: Moment,
    /// Its step, as for `prometheus_query_range`.
    step: Option<Span>,
    /// Count the series each selector touches.
    #[serde(default = "yes")]
    estimate: bool,
}

fn yes() -> bool {
    true
}

/// The verdict on a query.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub(super) struct Verdict {
    valid: bool,
    /// Why it is not, with the place.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// The query, laid out.
    #[serde(skip_serializing_if = "Option::is_none")]
    formatted: Option<String>,
    /// What it gives: `vector`, `matrix`, `scalar` or `string`.
    #[serde(skip_serializing_if = "Option::is_none")]
    gives: Option<&'static str>,
    /// What is likely wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// What it reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    selectors: Vec<Read>,
    /// The cost of the range query.
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<Cost>,
}

/// What one selector reads.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Read {
    selector: String,
    /// Type of the metric.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// Series it finds at the end of the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<u64>,
    /// Samples it reads for each point.
    #[serde(skip_serializing_if = "Option::is_none")]
    samples_per_point: Option<u64>,
}

/// The cost of a range query.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(super) struct Cost {
    start: String,
    end: String,
    step: String,
    /// Points of each series.
    points: u64,
    /// Samples read for all points, estimated.
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<u64>,
}

impl Tool for CheckQuery {
    const NAME: &str = "prometheus_check_query";
    const POLICY: Policy = Policy::read(Permission::MetricsRead).light();
    type Backend = Prometheus;
    type Output = Facts<Verdict>;

    async fn call(self, prometheus: &Prometheus) -> Result<Facts<Verdict>> {
        let window = Window::between(self.start, self.end, prometheus.context.now)?;
        if self.query.trim().is_empty() {
            return Err(Error::BadArguments(
                "query: it is empty; give PromQL such as rate(http_requests_total[5m])".into(),
            ));
        }
        let expression = promql::parse(&self.query);
        let formatted = match format(prometheus, &self.query, expression.as_ref()).await? {
            Ok(formatted) => formatted,
            Err(error) => {
                return Ok(Facts::new(Verdict { valid: false, error: Some(error), ..Verdict::default() }));
            }
        };
        let mut verdict = Verdict { valid: true, formatted: Some(formatted), ..Verdict::default() };
        let Some(expression) = expression else {
            return Ok(Facts::new(verdict)
                .note("It is newer or longer than what is looked into here: no warnings, no estimate."));
        };
        verdict.gives = Some(match expression.value_type() {
            ValueType::Vector => "vector",
            ValueType::Scalar => "scalar",
            ValueType::Matrix => "matrix",
            ValueType::String => "string",
        });
        let step =
            self.step.map_or_else(|| times::step_for(window.length()), |step| times::widened(step.0, window.length()));
        let all = promql::selectors(&expression);
        let selectors = &all[..all.len().min(MOST_SELECTORS)];
        let metadata = told(prometheus, selectors).await;
        verdict.warnings = Judge::warnings(&expression, &metadata, step);
        verdict.selectors = selectors.iter().map(|selector| Read::of(selector, &metadata)).collect();
        let mut notes = Vec::new();
        if selectors.len() < all.len() {
            notes.push(format!("Only the first {MOST_SELECTORS} of {} selectors were looked into.", all.len()));
        }
        if self.estimate {
            notes.extend(estimate(prometheus, &expression, selectors, window, step, &mut verdict).await);
        }
        Ok(notes.into_iter().fold(Facts::new(verdict), Facts::note))
    }
}

/// Counts what the selectors read, and what that makes for the range query; returns what is to be said of it.
async fn estimate(
    prometheus: &Prometheus,
    expression: &Expr,
    selectors: &[Selector],
    window: Window,
    step: Duration,
    verdict: &mut Verdict,
) -> Vec<String> {
    let mut notes = Vec::new();
    let (counts, unknown) = tokio::join!(
        join_all(selectors.iter().map(|selector| count(prometheus, selector, window))),
        unknown_labels(prometheus, expression, selectors, window)
    );
    verdict.warnings.extend(unknown);
    for (read, (counted, why)) in verdict.selectors.iter_mut().zip(counts) {
        verdict.warnings.extend(why);
        if let Some((series, samples)) = counted {
            read.series = Some(series);
            read.samples_per_point = (samples > 0).then_some(samples);
        } else {
            notes.push(format!("`{}` could not be counted in time: it is heavy.", read.selector));
        }
    }
    let points = u64::try_from(window.length().as_millis() / step.as_millis().max(1)).unwrap_or(u64::MAX) + 1;
    let per_point: Option<u64> = verdict.selectors.iter().map(|read| read.samples_per_point.or(read.series)).sum();
    let samples = per_point.map(|per_point| per_point.saturating_mul(points));
    if samples.is_some_and(|samples| samples > MANY_SAMPLES) {
        verdict.warnings.push("The range query is heavy: add matchers, shorten the time, or widen the step.".into());
    }
    if has_subquery(expression) {
        notes.push("The subquery reads its selectors many times for each point, which the estimate leaves out.".into());
    }
    verdict.range = Some(Cost {
        start: times::shown(window.start),
        end: times::shown(window.end),
        step: Span(step).to_string(),
        points,
        samples,
    });
    notes
}

impl Read {
    fn of(selector: &Selector, metadata: &ByFamily) -> Self {
        let told = selector.metric.as_deref().and_then(|metric| families(metric).find_map(|name| metadata.get(name)));
        let range = selector.range.map_or(String::new(), |range| format!("[{}]", Span(range)));
        Self {
            selector: format!("{}{range}", selector.text()),
            kind: told.and_then(|told| told.first()).map(|told| told.kind.clone()),
            series: None,
            samples_per_point: None,
        }
    }
}

/// The query laid out by Prometheus, or why it refuses it. Its word counts; what it lacks is done here.
async fn format(prometheus: &Prometheus, query: &str, parsed: Option<&Expr>) -> Result<Result<String, String>> {
    let request = Request::read_by_post("api/v1/format_query").form(&[("query", query)])?;
    match prometheus.ask::<String>(request).await {
        Ok(answer) => Ok(Ok(answer.data)),
        Err(error @ Error::BadArguments(_)) => Ok(Err(refusal::explain(error, query).to_string())),
        Err(Error::Backend { status: 404 | 405 | 501, .. }) => Ok(match parsed {
            Some(expression) => Ok(expression.prettify()),
            None => Err(promql::try_parse(query).err().unwrap_or_default()),
        }),
        Err(error) => Err(error),
    }
}

/// What targets tell of the metrics that are read.
async fn told(prometheus: &Prometheus, selectors: &[Selector]) -> ByFamily {
    let metrics: BTreeSet<&str> = selectors.iter().filter_map(|selector| selector.metric.as_deref()).collect();
    let told = join_all(metrics.into_iter().map(|metric| async move {
        for family in families(metric) {
            match metadata::metadata(prometheus, Some(family)).await {
                Ok(found) if !found.is_empty() => return found,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        ByFamily::new()
    }));
    told.await.into_iter().flatten().collect()
}

/// Series of a selector and samples it reads for a point; and why there are none.
async fn count(prometheus: &Prometheus, selector: &Selector, window: Window) -> (Option<(u64, u64)>, Option<String>) {
    let text = selector.text();
    let query = match selector.range {
        None => format!("count({text})"),
        Some(range) => format!("count(last_over_time({text}[{}s]))", range.as_secs().max(1)),
    };
    let counted = count_aside(prometheus, &query, window.end).await;
    let why = match counted {
        Some((0, _)) => nothing::why_not(prometheus, selector, window).await,
        _ => None,
    };
    (counted, why)
}

/// Labels that the query groups or matches by, and that none of its series has.
async fn unknown_labels(
    prometheus: &Prometheus,
    expression: &Expr,
    selectors: &[Selector],
    window: Window,
) -> Option<String> {
    let mut used = judge::labels_used(expression);
    if used.is_empty() {
        return None;
    }
    let over = Over::new(window, selectors.iter().map(|selector| selector.text().to_owned()).collect());
    let (known, _) = ask::names(prometheus, &over).await.ok()?;
    if known.is_empty() {
        return None;
    }
    used.retain(|label| !known.contains(label));
    if used.is_empty() {
        return None;
    }
    let used: Vec<String> = used.into_iter().map(|label| format!("`{label}`")).collect();
    let known: Vec<String> = known.into_iter().filter(|label| label != "__name__").collect();
    Some(format!("No series read here has the label {}; they have {}.", used.join(", "), known.join(", ")))
}

fn has_subquery(expression: &Expr) -> bool {
    struct Find(bool);
    impl promql_parser::util::ExprVisitor for Find {
        type Error = std::convert::Infallible;

        fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Self::Error> {
            self.0 |= matches!(expr, Expr::Subquery(_));
            Ok(!self.0)
        }
    }
    let mut find = Find(false);
    let Ok(_) = promql_parser::util::walk_expr(&mut find, expression);
    find.0
}
