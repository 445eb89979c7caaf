//! What can be told of a query from its text: its selectors, and the unit of what it gives.

use promql_parser::label::{METRIC_NAME, MatchOp, Matcher};
use promql_parser::parser::{self, Expr, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};

use super::labels::quote;

/// Operators in a query up to which it is looked into. Each may nest once, and nesting takes stack in the parser.
const MOST_OPERATORS: usize = 500;

/// Parses a query, if it is one that this parser knows. The word on whether it is valid is Prometheus' own.
pub(super) fn parse(query: &str) -> Option<Expr> {
    try_parse(query).ok()
}

/// The same, with what this parser says where it fails.
pub(super) fn try_parse(query: &str) -> Result<Expr, String> {
    let marks = query.matches(|c: char| "(+-*/%^=!<>@".contains(c)).count();
    let words: usize = ["or", "and", "unless", "atan2", "offset"].iter().map(|word| query.matches(word).count()).sum();
    if marks + words > MOST_OPERATORS {
        return Err("it has too many operators to be looked into here".into());
    }
    parser::parse(query)
}

/// A selector in a query, without its modifiers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Selector {
    pub(super) metric: Option<String>,
    pub(super) matchers: Vec<Matcher>,
    /// The range in brackets, for selectors of ranges.
    pub(super) range: Option<std::time::Duration>,
    text: String,
}

impl Selector {
    pub(super) fn new(selector: &VectorSelector, range: Option<std::time::Duration>) -> Self {
        let mut plain = selector.clone();
        plain.at = None;
        plain.offset = None;
        let exact = |matcher: &&Matcher| matcher.name == METRIC_NAME && matcher.op == MatchOp::Equal;
        let all = &selector.matchers.matchers;
        let metric = selector.name.clone().or_else(|| all.iter().find(exact).map(|matcher| matcher.value.clone()));
        let matchers = all.iter().filter(|matcher| metric.is_none() || !exact(matcher)).cloned().collect();
        let text = match &selector.name {
            // `Display` writes the name as it is; from 3.0 any text can be one, in quotes within the braces.
            Some(name) if name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':') => {
                plain.name = None;
                let rest = plain.matchers.to_string();
                format!("{{{}{}{rest}}}", quote(name), if rest.is_empty() { "" } else { "," })
            }
            _ => plain.to_string(),
        };
        Self { metric, matchers, range, text }
    }

    /// As PromQL, without range, offset and `@`.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// The selectors of a query, each once.
pub(super) fn selectors(query: &Expr) -> Vec<Selector> {
    struct Collect(Vec<Selector>);
    impl ExprVisitor for Collect {
        type Error = std::convert::Infallible;

        fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Self::Error> {
            let found = match expr {
                Expr::VectorSelector(selector) => Selector::new(selector, None),
                Expr::MatrixSelector(selector) => Selector::new(&selector.vs, Some(selector.range)),
                // The walk passes by the parameters of aggregations, which may be queries of their own.
                Expr::Aggregate(aggregate) => {
                    if let Some(parameter) = &aggregate.param {
                        let Ok(_) = walk_expr(self, parameter);
                    }
                    return Ok(true);
                }
                _ => return Ok(true),
            };
            if !self.0.contains(&found) {
                self.0.push(found);
            }
            Ok(true)
        }
    }
    let mut found = Collect(Vec::new());
    let Ok(_) = walk_expr(&mut found, query);
    found.0
}

/// Whether the query itself says in which order the result comes.
pub(super) fn sorts_itself(query: &Expr) -> bool {
    match query {
        Expr::Call(call) => call.func.name.starts_with("sort"),
        Expr::Paren(paren) => sorts_itself(&paren.expr),
        _ => false,
    }
}

/// What the values of a result are: those of one metric, as they are or by the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Measure {
    pub(super) metric: String,
    pub(super) per_second: bool,
}

impl Measure {
    /// Whose values a query gives; none where it counts, or makes something new of them.
    pub(super) fn of(query: &Expr) -> Option<Self> {
        match query {
            Expr::VectorSelector(selector) => Self::of_selector(selector),
            Expr::MatrixSelector(selector) => Self::of_selector(&selector.vs),
            Expr::Paren(paren) => Self::of(&paren.expr),
            Expr::Unary(unary) => Self::of(&unary.expr),
            Expr::Subquery(subquery) => Self::of(&subquery.expr),
            Expr::Aggregate(aggregate) => match aggregate.op.to_string().as_str() {
                "sum" | "min" | "max" | "avg" | "topk" | "bottomk" | "quantile" | "limitk" | "limit_ratio" => {
                    Self::of(&aggregate.expr)
                }
                _ => None,
            },
            Expr::Call(call) => {
                let argument = |place: usize| call.args.args.get(place).and_then(|argument| Self::of(argument));
                match call.func.name {
                    "rate" | "irate" | "deriv" => argument(0).map(|of| Self { per_second: true, ..of }),
                    "histogram_quantile" => argument(1).map(Self::behind_histogram),
                    "quantile_over_time" => argument(1),
                    "increase" | "delta" | "idelta" | "avg_over_time" | "min_over_time" | "max_over_time"
                    | "sum_over_time" | "last_over_time" | "predict_linear" | "abs" | "ceil" | "floor" | "round"
                    | "clamp" | "clamp_min" | "clamp_max" | "sort" | "sort_desc" | "label_replace" | "label_join"
                    | "histogram_sum" | "histogram_avg" => argument(0),
                    _ => None,
                }
            }
            Expr::Binary(binary) => {
                let scalar = |side: &Expr| matches!(side, Expr::NumberLiteral(_));
                let filters = binary.op.is_comparison_operator()
                    && !binary.modifier.as_ref().is_some_and(|modifier| modifier.return_bool);
                match (Self::of(&binary.lhs), Self::of(&binary.rhs)) {
                    (Some(left), _) if filters => Some(left),
                    (None, Some(right)) if filters && scalar(&binary.lhs) => Some(right),
                    (Some(left), Some(right)) if ["+", "-", "or"].contains(&binary.op.to_string().as_str()) => {
                        (left.known_unit() == right.known_unit() && left.known_unit().is_some()).then_some(left)
                    }
                    (Some(left), _) if ["and", "unless"].contains(&binary.op.to_string().as_str()) => Some(left),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn of_selector(selector: &VectorSelector) -> Option<Self> {
        Selector::new(selector, None).metric.map(|metric| Self { metric, per_second: false })
    }

    /// Buckets count, and are told apart by the unit that a quantile of them has.
    fn behind_histogram(self) -> Self {
        let metric = self.metric.strip_suffix("_bucket").unwrap_or(&self.metric).to_owned();
        Self { metric, per_second: false }
    }

    /// The unit that the name ends in, as conventions ask (prometheus.io/docs/practices/naming).
    pub(super) fn known_unit(&self) -> Option<Unit> {
        const UNITS: [&str; 15] = [
            "seconds",
            "milliseconds",
            "microseconds",
            "nanoseconds",
            "bytes",
            "bits",
            "ratio",
            "percent",
            "celsius",
            "meters",
            "volts",
            "amperes",
            "watts",
            "joules",
            "hertz",
        ];
        let name = self.metric.as_str();
        let base = ["_total", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        let last = base.rsplit(['_', ':']).next()?;
        UNITS.contains(&last).then(|| Unit { name: last.to_owned(), per_second: self.per_second })
    }
}

/// What values are measured in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) name: String,
    pub(super) per_second: bool,
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.name, if self.per_second { " per second" } else { "" })
    }
}

/// The name under which the metadata of a series' name is kept: that of its family.
pub(super) fn families(name: &str) -> impl Iterator<Item = &str> {
    ["", "_total", "_bucket", "_count", "_sum", "_created", "_info"]
        .into_iter()
        .filter_map(move |suffix| name.strip_suffix(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_found_wherever_they_stand() {
        let query = parse(
            "topk(scalar(n), sum by (a) (rate(x_total{a=~\"b.*\"}[5m] offset 1h))) / on() (up or {__name__=\"up\"})",
        )
        .unwrap();
        let found = selectors(&query);
        let texts: Vec<_> = found.iter().map(Selector::text).collect();
        assert_eq!(texts, ["n", "x_total{a=~\"b.*\"}", "up", "{__name__=\"up\"}"]);
        assert_eq!(found[1].range, Some(std::time::Duration::from_mins(5)));
        assert_eq!(found[3].metric.as_deref(), Some("up"));
        assert!(found[3].matchers.is_empty());
    }

    #[test]
    fn names_of_any_text_keep_their_quotes() {
        let query = parse("{\"http.requests\", code=\"200\"}").unwrap();
        let found = selectors(&query);
        assert_eq!(found[0].metric.as_deref(), Some("http.requests"));
        assert!(parse(found[0].text()).is_some(), "{}", found[0].text());
    }

    #[test]
    fn the_unit_follows_the_metric_through_the_query() {
        let unit = |query: &str| Measure::of(&parse(query).unwrap()).and_then(|measure| measure.known_unit());
        for (query, expected) in [
            ("node_memory_free_bytes", Some("bytes")),
            ("sum by (pod) (rate(container_cpu_usage_seconds_total[5m]))", Some("seconds per second")),
            ("histogram_quantile(0.9, sum by (le) (rate(latency_seconds_bucket[5m])))", Some("seconds")),
            ("free_bytes > 5", Some("bytes")),
            ("used_bytes - free_bytes", Some("bytes")),
            ("used_bytes / free_bytes", None),
            ("count(free_bytes)", None),
            ("free_bytes > bool 5", None),
            ("latency_seconds_count", None),
            ("up", None),
        ] {
            assert_eq!(unit(query).map(|unit| unit.to_string()).as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn a_query_too_deep_to_look_into_is_left_alone() {
        for deep in ["(", "-", "1+", "a or ", "a and(b)and "] {
            assert!(
                parse(&format!("{}1{}", deep.repeat(600), if deep == "(" { ")".repeat(600) } else { String::new() }))
                    .is_none()
            );
        }
        assert!(parse(&format!("{}1{}", "(".repeat(400), ")".repeat(400))).is_some());
    }
}
