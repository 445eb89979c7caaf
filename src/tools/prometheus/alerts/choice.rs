//! Which rules a call asks for. Older servers pass over filters that they do not know, so all is chosen here again.

use promql_parser::label::{METRIC_NAME, Matcher};
use promql_parser::parser::Expr;
use wildmatch::WildMatch;

use super::super::promql;
use super::rules::{Found, Group, Health, Kind, ListRules, State};
use crate::error::{Error, Result};

/// The arguments that choose rules, read.
pub(super) struct Choice<'a> {
    tool: &'a ListRules,
    name: Option<WildMatch>,
    selectors: Vec<Vec<Matcher>>,
    expression: String,
}

impl<'a> Choice<'a> {
    pub(super) fn new(tool: &'a ListRules) -> Result<Self> {
        let selectors = tool.selectors.iter().map(|selector| read_selector(selector)).collect::<Result<_>>()?;
        Ok(Self {
            tool,
            name: tool.name.as_deref().map(WildMatch::new),
            selectors,
            expression: without_blanks(tool.expression.as_deref().unwrap_or_default()),
        })
    }

    pub(super) fn takes_group(&self, group: &Group) -> bool {
        self.tool.group.as_ref().is_none_or(|name| group.name == *name)
            && self.tool.file.as_ref().is_none_or(|file| group.file.ends_with(file.as_str()))
    }

    pub(super) fn takes(&self, rule: &Found) -> bool {
        let kind = if rule.kind == "alerting" { Kind::Alert } else { Kind::Record };
        let health = match rule.health.as_str() {
            "ok" => Health::Ok,
            "err" => Health::Err,
            _ => Health::Unknown,
        };
        self.tool.kind.is_none_or(|wanted| wanted == kind)
            && self.tool.health.is_none_or(|wanted| wanted == health)
            && self.tool.state.is_none_or(|wanted| rule.is(wanted.word()))
            && self.name.as_ref().is_none_or(|name| name.matches(&rule.name))
            && without_blanks(&rule.query).contains(&self.expression)
            && (self.selectors.is_empty() || self.selectors.iter().any(|matchers| fits(rule, matchers)))
    }
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Pending => "pending",
            Self::Inactive => "inactive",
        }
    }
}

fn read_selector(text: &str) -> Result<Vec<Matcher>> {
    match promql::parse(text) {
        Some(Expr::VectorSelector(selector)) if selector.name.is_none() && selector.offset.is_none() => {
            Ok(selector.matchers.matchers)
        }
        _ => Err(Error::BadArguments(format!(
            "match: `{}` is no selector over rule labels; write it like {{severity=\"page\"}}, and choose by rule with `name`",
            text.escape_debug()
        ))),
    }
}

/// Prometheus writes expressions in its own way, people in theirs.
fn without_blanks(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// As the server does it: over the labels that the rule sets.
fn fits(rule: &Found, matchers: &[Matcher]) -> bool {
    matchers.iter().filter(|matcher| matcher.name != METRIC_NAME).all(|m| m.is_match(rule.labels.get(&m.name)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn takes(arguments: Value) -> Vec<String> {
        let tool: ListRules = serde_json::from_value(arguments).unwrap();
        let choice = Choice::new(&tool).unwrap();
        let group: Group = serde_json::from_value(json!({"name": "shop", "file": "/etc/rules/shop.yml", "rules": [
            {"name": "job:rate5m", "query": "sum by (job) (rate(x_total[5m]))", "type": "recording", "health": "err"},
            {"name": "HighLoad", "query": "load > 5", "type": "alerting", "health": "ok", "state": "firing",
                "labels": {"severity": "page", "team": "a"}},
            {"name": "LowLoad", "query": "load < 1", "type": "alerting", "health": "ok", "state": "inactive",
                "labels": {"severity": "info"}},
        ]}))
        .unwrap();
        if !choice.takes_group(&group) {
            return Vec::new();
        }
        group.rules.iter().filter(|rule| choice.takes(rule)).map(|rule| rule.name.clone()).collect()
    }

    #[test]
    fn rules_are_chosen_by_every_argument() {
        for (arguments, names) in [
            (json!({}), vec!["job:rate5m", "HighLoad", "LowLoad"]),
            (json!({"name": "*Load"}), vec!["HighLoad", "LowLoad"]),
            (json!({"name": "Load"}), vec![]),
            (json!({"type": "record"}), vec!["job:rate5m"]),
            (json!({"health": "err"}), vec!["job:rate5m"]),
            (json!({"state": "inactive"}), vec!["LowLoad"]),
            (json!({"expression": "sum by(job)"}), vec!["job:rate5m"]),
            (json!({"match": ["{severity=\"page\"}", "{severity=\"x\"}"]}), vec!["HighLoad"]),
            (json!({"match": ["{severity=~\"p.*\",team=\"b\"}"]}), vec![]),
            (json!({"file": "shop.yml", "group": "shop"}), vec!["job:rate5m", "HighLoad", "LowLoad"]),
            (json!({"group": "sho"}), vec![]),
        ] {
            assert_eq!(takes(arguments.clone()), names, "{arguments}");
        }
    }

    #[test]
    fn a_selector_of_a_metric_is_refused() {
        for selector in ["HighLoad", "severity=page", "{a=}"] {
            let error = read_selector(selector).unwrap_err().to_string();
            assert!(error.contains("{severity=\"page\"}"), "{error}");
        }
    }
}
