//! Finds labels that lead an alert to a receiver.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use regex_syntax::hir::{Class, Hir, HirKind};

use super::api::Labels;
use super::matchers::{Matcher, Operator};
use super::routes::{Path, Route};

/// Sets of labels that are tried for one route.
const MOST_TRIES: usize = 5_000;

/// Texts that are tried for one pattern.
const MOST_SAMPLES: usize = 12;

/// Characters that are tried for one place of a pattern.
const CHARACTERS: usize = 4;

/// A text that hardly any matcher names.
const OTHER: &str = "other";

/// Labels that lead to `receiver`, to nobody else where that is possible. What is in `given` stays as it is; of `usual`
/// what can.
///
/// # Errors
/// A sentence about why there are none.
pub(super) fn leading_to(root: &Route, receiver: &str, given: &Labels, usual: &Labels) -> Result<Labels, String> {
    let targets = targets(root, receiver, &mut Vec::new());
    if targets.is_empty() {
        return Err("no route leads to it".into());
    }
    let mut best: Option<(usize, Labels)> = None;
    for target in &targets {
        for labels in Choices::new(target, given, usual).take(MOST_TRIES) {
            let paths = root.paths(&labels);
            let arrives = paths.iter().any(|path| path.last().is_some_and(|last| last.settings.receiver == receiver));
            if arrives && best.as_ref().is_none_or(|(count, _)| paths.len() < *count) {
                best = Some((paths.len(), labels));
            }
            if matches!(best, Some((1, _))) {
                break;
            }
        }
        if matches!(best, Some((1, _))) {
            break;
        }
    }
    best.map(|(_, labels)| labels).ok_or_else(|| explain(root, &targets[0], given, usual))
}

/// Why no labels end at a route, seen from the first set that it would take itself.
fn explain(root: &Route, target: &Path<'_>, given: &Labels, usual: &Labels) -> String {
    let wanted = way(target);
    let Some(labels) = Choices::new(target, given, usual).next() else {
        return format!("no labels were found that its route takes ({wanted})");
    };
    let instead: Vec<_> = root.paths(&labels).iter().map(|path| format!("{} ({})", end(path), way(path))).collect();
    format!(
        "its route ({wanted}) is not reached: an alert for it goes to {} instead, which comes before and does not continue, \
         or lies below",
        instead.join(" and ")
    )
}

/// The way of a path, without the root.
pub(super) fn way(path: &Path<'_>) -> String {
    match path.get(1..) {
        Some(below) if !below.is_empty() => below.iter().map(|route| route.name()).collect::<Vec<_>>().join(" → "),
        _ => "all alerts that no other route takes".into(),
    }
}

fn end<'a>(path: &Path<'a>) -> &'a str {
    path.last().map_or("", |route| route.settings.receiver.as_str())
}

/// The routes whose own receiver this is, in order.
fn targets<'a>(route: &'a Route, receiver: &str, above: &mut Path<'a>) -> Vec<Path<'a>> {
    above.push(route);
    let mut found = Vec::new();
    if route.settings.receiver == receiver {
        found.push(above.clone());
    }
    for child in &route.children {
        found.extend(targets(child, receiver, above));
    }
    above.pop();
    found
}

/// Sets of labels that all matchers on a path accept, the plainest first.
struct Choices {
    names: Vec<String>,
    /// The texts to try for each name; the empty one means that the label is absent.
    texts: Vec<Vec<String>>,
    /// Which text of each is next; none at the end.
    next: Option<Vec<usize>>,
    rest: Labels,
}

impl Choices {
    fn new(path: &Path<'_>, given: &Labels, usual: &Labels) -> Self {
        let demanded: Vec<&Matcher> = path.iter().flat_map(|route| &route.matchers).collect();
        // Routes that could take the alert away: those before the path, and those below its end.
        let rivals = path.windows(2).flat_map(|pair| {
            let is_before = |route: &&Route| !std::ptr::eq(*route, pair[1]);
            pair[0].children.iter().take_while(is_before).collect::<Vec<_>>()
        });
        let below = path.last().into_iter().flat_map(|last| &last.children);
        let avoided: Vec<&Matcher> = rivals.chain(below).flat_map(|route| &route.matchers).collect();

        let mut texts: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for matcher in demanded.iter().chain(&avoided) {
            texts.entry(&matcher.name).or_default();
        }
        for (name, texts) in &mut texts {
            if let Some(text) = given.get(*name) {
                texts.push(text.clone());
            } else {
                texts.push(usual.get(*name).cloned().unwrap_or_default());
                for matcher in demanded.iter().chain(&avoided).filter(|matcher| matcher.name == *name) {
                    texts.extend(samples(matcher));
                }
                texts.extend([OTHER.to_owned(), String::new()]);
            }
            let mut seen = BTreeSet::new();
            texts.retain(|text| {
                let fits = demanded.iter().filter(|matcher| matcher.name == *name).all(|matcher| matcher.accepts(text));
                fits && seen.insert(text.clone())
            });
        }
        let (names, texts): (Vec<_>, Vec<_>) = texts.into_iter().map(|(name, texts)| (name.to_owned(), texts)).unzip();
        let possible = texts.iter().all(|texts| !texts.is_empty());
        let mut rest = usual.clone();
        rest.extend(given.clone());
        Self { next: possible.then(|| vec![0; names.len()]), names, texts, rest }
    }
}

impl Iterator for Choices {
    type Item = Labels;

    fn next(&mut self) -> Option<Labels> {
        let places = self.next.take()?;
        let mut labels = self.rest.clone();
        for ((name, texts), place) in self.names.iter().zip(&self.texts).zip(&places) {
            match texts[*place].as_str() {
                "" => labels.remove(name),
                text => labels.insert(name.clone(), text.to_owned()),
            };
        }
        let mut following = places;
        for (place, texts) in following.iter_mut().zip(&self.texts) {
            *place += 1;
            if *place < texts.len() {
                self.next = Some(following);
                break;
            }
            *place = 0;
        }
        Some(labels)
    }
}

/// Texts that a matcher is about: it accepts them, or refuses just these.
fn samples(matcher: &Matcher) -> Vec<String> {
    match matcher.operator {
        Operator::Equal | Operator::NotEqual => vec![matcher.value.clone()],
        Operator::Like | Operator::NotLike => {
            regex_syntax::parse(&matcher.value).map(|pattern| texts(&pattern)).unwrap_or_default()
        }
    }
}

/// Some texts that a pattern matches, plain ones first.
fn texts(pattern: &Hir) -> Vec<String> {
    let mut found = match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => vec![String::new()],
        HirKind::Literal(literal) => vec![String::from_utf8_lossy(&literal.0).into_owned()],
        HirKind::Class(class) => characters(class).map(String::from).collect(),
        HirKind::Capture(capture) => texts(&capture.sub),
        HirKind::Alternation(parts) => parts.iter().flat_map(texts).collect(),
        HirKind::Concat(parts) => parts.iter().map(texts).fold(vec![String::new()], |before, part| {
            let joined = before.iter().flat_map(|before| part.iter().map(move |part| format!("{before}{part}")));
            joined.take(MOST_SAMPLES).collect()
        }),
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX);
            let once = repetition.min.max(1).min(most);
            let counts = [once, repetition.min, once.saturating_add(1).min(most)];
            let parts = texts(&repetition.sub);
            counts.iter().flat_map(|count| parts.iter().map(|part| part.repeat((*count).min(100) as usize))).collect()
        }
    };
    found.truncate(MOST_SAMPLES);
    found
}

/// A few characters of a class, those that people write first.
fn characters(class: &Class) -> impl Iterator<Item = char> {
    let ranges: Vec<(char, char)> = match class {
        Class::Unicode(class) => class.ranges().iter().map(|range| (range.start(), range.end())).collect(),
        Class::Bytes(class) => {
            class.ranges().iter().map(|range| (char::from(range.start()), char::from(range.end()))).collect()
        }
    };
    let usual = ('a'..='z').chain('1'..='9').chain('A'..='Z').chain("0-_./: ".chars());
    let unusual: Vec<char> = ranges.iter().map(|(start, _)| *start).collect();
    let usual =
        iter::once('x').chain(usual).filter(move |c| ranges.iter().any(|(start, end)| (start..=end).contains(&c)));
    usual.chain(unusual).take(CHARACTERS)
}

#[cfg(test)]
mod tests {
    use super::super::configuration::Configuration;
    use super::super::matchers;
    use super::*;
    use crate::secrets::Signer;

    fn find(routes: &str, receiver: &str, given: &str) -> Result<String, String> {
        let root =
            Configuration::read(&format!("route: {{receiver: root, routes: [{routes}]}}"), &Signer::random())?.root;
        let given: Labels = if given.is_empty() {
            Labels::new()
        } else {
            matchers::parse(given).unwrap().into_iter().map(|matcher| (matcher.name, matcher.value)).collect()
        };
        let usual = [("alertname".to_owned(), "Test".to_owned())].into();
        let labels = leading_to(&root, receiver, &given, &usual)?;
        let ends: Vec<_> = root.paths(&labels).iter().map(|path| end(path).to_owned()).collect();
        assert!(ends.iter().any(|end| end == receiver), "{labels:?} lead to {ends:?}");
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Ok(format!("{} → {}", labels.join(" "), ends.join(" ")))
    }

    #[test]
    fn labels_are_found_that_lead_to_a_receiver() {
        for (routes, receiver, expected) in [
            ("", "root", "alertname=Test → root"),
            ("{receiver: a, matchers: [x=1]}", "a", "alertname=Test x=1 → a"),
            ("{receiver: a, matchers: [x=1]}", "root", "alertname=Test → root"),
            ("{receiver: a}, {receiver: b}", "a", "alertname=Test → a"),
            ("{receiver: a, matchers: ['x=~\"(foo|bar)[0-9]+\"']}", "a", "alertname=Test x=foo1 → a"),
            ("{receiver: a, matchers: ['x!=\"\"']}", "a", "alertname=Test x=other → a"),
            ("{receiver: a, matchers: ['x=\"\"']}", "root", "alertname=Test x=other → root"),
            ("{receiver: a, matchers: [alertname=~Kube.+]}", "a", "alertname=Kubex → a"),
            ("{receiver: a, matchers: [alertname!=Test]}", "a", "alertname=other → a"),
            ("{receiver: a, matchers: [x=1]}, {receiver: b, matchers: ['x=~\"1|2\"']}", "b", "alertname=Test x=2 → b"),
            (
                "{receiver: a, matchers: [y=1]}, {receiver: b, matchers: [y=1, x=2]}, {receiver: c, matchers: [y!=1, x=2]}",
                "c",
                "alertname=Test x=2 → c",
            ),
            (
                "{receiver: a, matchers: [x=1], continue: true}, {receiver: b, matchers: [x=1]}",
                "b",
                "alertname=Test x=1 → a b",
            ),
            (
                "{receiver: a, matchers: ['x=~\"1|2\"'], continue: true}, {receiver: b, matchers: ['x=~\"[1-3]\"']}",
                "b",
                "alertname=Test x=3 → b",
            ),
            (
                "{matchers: [x=1], routes: [{receiver: a, matchers: [y=1]}, {receiver: b, matchers: [y!=1]}]}",
                "b",
                "alertname=Test x=1 → b",
            ),
            (
                "{receiver: p, matchers: [x=1], routes: [{receiver: a, matchers: ['y=\"\"']}]}",
                "p",
                "alertname=Test x=1 y=other → p",
            ),
            ("{receiver: a, matchers: [x!=1, y!~b.]}", "root", "alertname=Test x=1 → root"),
            (
                "{receiver: a, matchers: [x=1]}, {receiver: b, matchers: [x=1]}, {receiver: b, matchers: [z=1]}",
                "b",
                "alertname=Test z=1 → b",
            ),
        ] {
            assert_eq!(find(routes, receiver, "").as_deref(), Ok(expected), "{routes}");
        }
        let routes = "{receiver: a, matchers: [x=1]}, {receiver: a, matchers: [y=1]}";
        assert_eq!(find(routes, "a", "x=2,z=9").as_deref(), Ok("alertname=Test x=2 y=1 z=9 → a"));
    }

    #[test]
    fn it_is_told_why_there_are_none() {
        for (routes, receiver, given, expected) in [
            ("", "a", "", "no route leads to it"),
            (
                "{receiver: a}, {receiver: b, matchers: [x=1]}",
                "b",
                "",
                "an alert for it goes to a (all alerts) instead",
            ),
            (
                "{receiver: a, matchers: ['x=~\".*\"']}, {receiver: b, matchers: [x=1]}",
                "b",
                "",
                "goes to a (x=~\".*\")",
            ),
            ("{receiver: a, matchers: [x=1, x=2]}", "a", "", "no labels were found"),
            ("{receiver: a, matchers: [x=1]}", "a", "x=2", "no labels were found that its route takes (x=\"1\")"),
            ("{receiver: p, matchers: [x=1], routes: [{receiver: a}]}", "p", "", "goes to a"),
        ] {
            let error = find(routes, receiver, given).unwrap_err();
            assert!(error.contains(expected), "{routes}: {error}");
        }
    }
}
