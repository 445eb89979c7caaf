//! What is likely wrong with a query that parses.

use std::collections::BTreeSet;
use std::time::Duration;

use promql_parser::label::{METRIC_NAME, MatchOp, Matcher};
use promql_parser::parser::{AggregateExpr, BinaryExpr, Call, Expr, LabelModifier, VectorSelector};

use super::super::metrics::metadata::ByFamily;
use super::super::promql::{Selector, families};
use crate::toolkit::args::Span;

/// Functions for which only the growth of a counter counts.
const OF_COUNTERS: [&str; 3] = ["rate", "irate", "increase"];

/// Functions that make sense of a counter as it is.
const ANY_KIND: [&str; 10] = [
    "resets",
    "changes",
    "absent",
    "absent_over_time",
    "present_over_time",
    "count_over_time",
    "last_over_time",
    "timestamp",
    "label_replace",
    "scalar",
];

/// What a metric is, as far as it matters to functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nature {
    Counter,
    Gauge,
    Unclear,
}

/// Looks for mistakes, by what is known of the metrics.
pub(super) struct Judge<'a> {
    metadata: &'a ByFamily,
    step: Duration,
    warnings: Vec<String>,
}

/// What stands around an expression.
#[derive(Clone, Copy, Default)]
struct Around {
    /// The nearest function.
    function: Option<&'static str>,
    /// Whether a counter is in good hands.
    counters_fit: bool,
}

impl<'a> Judge<'a> {
    /// What is likely wrong with the query when it is evaluated at this step, a sentence each.
    pub(super) fn warnings(query: &Expr, metadata: &'a ByFamily, step: Duration) -> Vec<String> {
        let mut judge = Self { metadata, step, warnings: Vec::new() };
        judge.look(query, Around::default());
        judge.warnings
    }

    fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn look(&mut self, expr: &Expr, around: Around) {
        match expr {
            Expr::VectorSelector(selector) => {
                self.look_at_matchers(selector);
                self.look_at_moment(selector, around);
            }
            Expr::MatrixSelector(selector) => {
                self.look_at_matchers(&selector.vs);
                self.look_at_range(&selector.vs, selector.range, around);
            }
            Expr::Call(call) => self.look_at_call(call, around),
            Expr::Aggregate(aggregate) => self.look_at_aggregation(aggregate, around),
            Expr::Binary(binary) => self.look_at_binary(binary, around),
            Expr::Paren(paren) => self.look(&paren.expr, around),
            Expr::Unary(unary) => self.look(&unary.expr, around),
            Expr::Subquery(subquery) => {
                if OF_COUNTERS.contains(&around.function.unwrap_or_default())
                    && let Expr::Aggregate(aggregate) = without_parens(&subquery.expr)
                {
                    self.warn(format!(
                        "`{0}` over an aggregation loses the resets of single counters: write {1}({0}(...)) instead.",
                        around.function.unwrap_or_default(),
                        aggregate.op
                    ));
                }
                self.look(&subquery.expr, Around { function: None, counters_fit: around.counters_fit });
            }
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
        }
    }

    fn look_at_call(&mut self, call: &Call, around: Around) {
        let name = call.func.name;
        if name == "histogram_quantile" {
            self.look_at_quantile(call);
        }
        let counters_fit = around.counters_fit || OF_COUNTERS.contains(&name) || ANY_KIND.contains(&name);
        for argument in &call.args.args {
            self.look(argument, Around { function: Some(name), counters_fit });
        }
    }

    fn look_at_quantile(&mut self, call: &Call) {
        let [quantile, buckets] = call.args.args.as_slice() else { return };
        if let Expr::NumberLiteral(number) = without_parens(quantile)
            && !(0.0..=1.0).contains(&number.val)
        {
            self.warn(format!("The quantile {} is outside of 0 to 1; for percent divide by 100.", number.val));
        }
        let mut classic = Vec::new();
        find_selectors(buckets, &mut |name| {
            if name.ends_with("_bucket") {
                classic.push(name.to_owned());
            }
        });
        if classic.is_empty() {
            return;
        }
        if let Expr::Aggregate(aggregate) = without_parens(buckets) {
            let keeps_le = match &aggregate.modifier {
                Some(LabelModifier::Include(by)) => by.labels.iter().any(|label| label == "le"),
                Some(LabelModifier::Exclude(without)) => !without.labels.iter().any(|label| label == "le"),
                None => false,
            };
            if !keeps_le {
                self.warn(
                    "The aggregation inside `histogram_quantile` drops the label `le`: add it to `by (...)`.".into(),
                );
            }
        }
    }

    fn look_at_aggregation(&mut self, aggregate: &AggregateExpr, around: Around) {
        let op = aggregate.op.to_string();
        let counts = op == "count" || op == "group" || op == "count_values";
        if let Some(parameter) = &aggregate.param {
            self.look(parameter, Around::default());
        }
        if (op == "avg" || op == "sum")
            && let Expr::VectorSelector(selector) = without_parens(&aggregate.expr)
            && let Some(metric) = Selector::new(selector, None).metric
            && self.kind(&metric) == Some("summary")
            && !metric.ends_with("_sum")
            && !metric.ends_with("_count")
        {
            self.warn(format!("`{metric}` has quantiles: an {op} of quantiles is not a quantile of anything."));
        }
        self.look(&aggregate.expr, Around { counters_fit: around.counters_fit || counts, function: None });
    }

    fn look_at_binary(&mut self, binary: &BinaryExpr, around: Around) {
        let matching = binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref());
        if let (None, Some(left), Some(right)) = (matching, grouped_by(&binary.lhs), grouped_by(&binary.rhs))
            && left != right
            && !binary.op.is_set_operator()
        {
            self.warn(format!(
                "The sides of `{}` are grouped by different labels ({} and {}), so no series match: group both alike, or \
                 use on(...) with group_left().",
                binary.op,
                words(&left),
                words(&right)
            ));
        }
        let inner = Around { counters_fit: around.counters_fit || binary.op.is_set_operator(), function: None };
        self.look(&binary.lhs, Around { counters_fit: around.counters_fit, ..inner });
        self.look(&binary.rhs, inner);
    }

    fn look_at_moment(&mut self, selector: &VectorSelector, around: Around) {
        let Some(metric) = Selector::new(selector, None).metric else { return };
        if self.nature(&metric) == Nature::Counter && !around.counters_fit {
            self.warn(format!(
                "`{metric}` is a counter: its value only grows. Use rate({metric}[5m]) or increase({metric}[1h])."
            ));
        }
    }

    fn look_at_range(&mut self, selector: &VectorSelector, range: Duration, around: Around) {
        let Some(function) = around.function else { return };
        if let Some(metric) = Selector::new(selector, None).metric {
            match self.nature(&metric) {
                Nature::Gauge if OF_COUNTERS.contains(&function) => self.warn(format!(
                    "`{metric}` is a gauge: `{function}` takes every fall of it for a restart. Use delta(), deriv() or \
                     avg_over_time()."
                )),
                Nature::Counter if !around.counters_fit => self.warn(format!(
                    "`{metric}` is a counter: `{function}` of it means little, and jumps at restarts. Use rate() or increase()."
                )),
                _ => {}
            }
        }
        if OF_COUNTERS.contains(&function) && range < Duration::from_mins(1) {
            self.warn(format!(
                "A range of {} needs a scrape interval of at most {}: with fewer than two samples there is no result.",
                Span(range),
                Span(range / 4)
            ));
        }
        if range < self.step {
            self.warn(format!(
                "The range {} is shorter than the step {}: what happens between is not seen.",
                Span(range),
                Span(self.step)
            ));
        }
    }

    fn look_at_matchers(&mut self, selector: &VectorSelector) {
        let matchers = &selector.matchers.matchers;
        let exact = |matcher: &Matcher| matcher.op == MatchOp::Equal && !matcher.value.is_empty();
        if selector.name.is_none() && !matchers.iter().any(exact) {
            self.warn(format!(
                "`{selector}` names neither a metric nor an exact label: all series are looked through."
            ));
        }
        for matcher in matchers {
            let Matcher { name, value, op } = matcher;
            match op {
                MatchOp::Equal if [".*", ".+", "|", "\\d"].iter().any(|mark| value.contains(mark)) => {
                    self.warn(format!("`{matcher}` compares letter by letter; to match a pattern write `{name}=~`."));
                }
                MatchOp::Re(_) if value == ".*" => {
                    self.warn(format!("`{matcher}` fits every series: leave it out."));
                }
                MatchOp::Re(_) if name == METRIC_NAME && value.starts_with('.') => {
                    self.warn(format!("`{matcher}` looks through the names of all metrics."));
                }
                MatchOp::Re(_) if value.starts_with(".*") || value.starts_with(".+") && value.len() > 2 => {
                    self.warn(format!(
                        "`{matcher}` is wide: every value of `{name}` is tried. Begin with fixed text if you can."
                    ));
                }
                MatchOp::Re(_) if !value.is_empty() && !value.contains(|c| ".|*+?()[]{}^$\\".contains(c)) => {
                    self.warn(format!("`{matcher}` is no pattern: `{name}=` says the same and is faster."));
                }
                _ => {}
            }
        }
    }

    fn kind(&self, metric: &str) -> Option<&'a str> {
        let told = families(metric).find_map(|family| self.metadata.get(family))?;
        told.first().map(|told| told.kind.as_str())
    }

    fn nature(&self, metric: &str) -> Nature {
        let counts = ["_bucket", "_count", "_sum"].iter().any(|suffix| metric.ends_with(suffix));
        match self.kind(metric) {
            Some("counter") if !metric.ends_with("_created") => Nature::Counter,
            Some("histogram" | "summary") if counts => Nature::Counter,
            Some("gauge") => Nature::Gauge,
            None if metric.ends_with("_total") => Nature::Counter,
            _ => Nature::Unclear,
        }
    }
}

/// The labels that a query groups, matches or filters by, without those that it makes itself.
pub(super) fn labels_used(expr: &Expr) -> BTreeSet<String> {
    let (mut used, mut made) = (BTreeSet::new(), BTreeSet::new());
    collect_labels(expr, &mut used, &mut made);
    used.retain(|label| !made.contains(label) && label != METRIC_NAME);
    used
}

fn collect_labels(expr: &Expr, used: &mut BTreeSet<String>, made: &mut BTreeSet<String>) {
    let text = |expr: Option<&Expr>| match expr {
        Some(Expr::StringLiteral(literal)) => Some(literal.val.clone()),
        _ => None,
    };
    match expr {
        Expr::Aggregate(aggregate) => {
            if let Some(LabelModifier::Include(by)) = &aggregate.modifier {
                used.extend(by.labels.iter().cloned());
            }
            made.extend(text(aggregate.param.as_deref()));
            collect_labels(&aggregate.expr, used, made);
        }
        Expr::Binary(binary) => {
            if let Some(LabelModifier::Include(on)) =
                binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref())
            {
                used.extend(on.labels.iter().cloned());
            }
            collect_labels(&binary.lhs, used, made);
            collect_labels(&binary.rhs, used, made);
        }
        Expr::Call(call) => {
            if call.func.name == "label_replace" || call.func.name == "label_join" {
                made.extend(text(call.args.args.get(1).map(|argument| &**argument)));
            }
            for argument in &call.args.args {
                collect_labels(argument, used, made);
            }
        }
        Expr::Paren(paren) => collect_labels(&paren.expr, used, made),
        Expr::Unary(unary) => collect_labels(&unary.expr, used, made),
        Expr::Subquery(subquery) => collect_labels(&subquery.expr, used, made),
        _ => {}
    }
}

fn without_parens(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(paren) => without_parens(&paren.expr),
        other => other,
    }
}

/// The labels that an aggregation leaves, where it is one and says so.
fn grouped_by(expr: &Expr) -> Option<BTreeSet<String>> {
    match without_parens(expr) {
        Expr::Aggregate(aggregate)
            if !["topk", "bottomk", "limitk", "limit_ratio", "count_values"]
                .contains(&aggregate.op.to_string().as_str()) =>
        {
            match &aggregate.modifier {
                Some(LabelModifier::Include(by)) => Some(by.labels.iter().cloned().collect()),
                Some(LabelModifier::Exclude(_)) => None,
                None => Some(BTreeSet::new()),
            }
        }
        _ => None,
    }
}

fn words(labels: &BTreeSet<String>) -> String {
    if labels.is_empty() { "nothing".into() } else { labels.iter().cloned().collect::<Vec<_>>().join(", ") }
}

fn find_selectors(expr: &Expr, found: &mut dyn FnMut(&str)) {
    for selector in super::super::promql::selectors(expr) {
        if let Some(metric) = &selector.metric {
            found(metric);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::metrics::metadata::Metadata;
    use super::super::super::promql::parse;
    use super::*;

    fn warnings(query: &str) -> Vec<String> {
        let told = |kind: &str| vec![Metadata { kind: kind.into(), help: String::new(), unit: String::new() }];
        let metadata = ByFamily::from([
            ("requests_total".to_owned(), told("counter")),
            ("latency_seconds".to_owned(), told("histogram")),
            ("pause_seconds".to_owned(), told("summary")),
            ("temperature".to_owned(), told("gauge")),
        ]);
        Judge::warnings(&parse(query).unwrap(), &metadata, Duration::from_mins(1))
    }

    #[test]
    fn good_queries_are_left_alone() {
        for query in [
            "up",
            "sum by (job) (rate(requests_total{code=~\"5..\"}[5m]))",
            "histogram_quantile(0.99, sum by (le, job) (rate(latency_seconds_bucket[5m])))",
            "increase(requests_total[1h]) > 5 and on (job) requests_total",
            "avg_over_time(temperature[10m])",
            "count(requests_total)",
            "absent(requests_total)",
            "sum by (a) (temperature) / sum by (a) (temperature)",
            "sum(rate(pause_seconds_sum[5m])) / sum(rate(pause_seconds_count[5m]))",
            "max_over_time(sum(rate(requests_total[5m]))[1h:1m])",
        ] {
            assert_eq!(warnings(query), Vec::<String>::new(), "{query}");
        }
    }

    #[test]
    fn likely_mistakes_are_named() {
        for (query, part) in [
            ("rate(temperature[5m])", "`temperature` is a gauge"),
            ("sum(requests_total)", "`requests_total` is a counter"),
            ("unknown_total > 5", "`unknown_total` is a counter"),
            ("latency_seconds_count", "is a counter"),
            ("deriv(requests_total[5m])", "`deriv` of it means little"),
            ("rate(sum(requests_total)[5m:1m])", "write sum(rate(...)) instead"),
            ("histogram_quantile(0.9, sum by (job) (rate(latency_seconds_bucket[5m])))", "drops the label `le`"),
            ("histogram_quantile(99, rate(latency_seconds_bucket[5m]))", "outside of 0 to 1"),
            ("histogram_quantile(0.9, latency_seconds_bucket)", "is a counter"),
            ("avg(pause_seconds)", "quantile of anything"),
            ("rate(requests_total[30s])", "shorter than the step"),
            ("rate(requests_total[30s])", "scrape interval of at most 7s500ms"),
            ("up{pod=\"api-.*\"}", "write `pod=~`"),
            ("up{pod=~\".*\"}", "fits every series"),
            ("up{pod=~\".*api\"}", "is wide"),
            ("up{pod=~\"api\"}", "is no pattern"),
            ("{pod=~\"api.+\"}", "all series are looked through"),
            ("sum by (a) (temperature) / sum by (b) (temperature)", "different labels (a and b)"),
        ] {
            let found = warnings(query);
            assert!(found.iter().any(|warning| warning.contains(part)), "{query}: {found:?}");
        }
    }

    #[test]
    fn labels_are_collected_without_those_the_query_makes() {
        let query =
            "label_replace(sum by (a, made) (x), \"made\", \"$1\", \"a\", \"(.*)\") / on (b) group_left (c) y{d=\"1\"}";
        assert_eq!(words(&labels_used(&parse(query).unwrap())), "a, b");
    }
}
