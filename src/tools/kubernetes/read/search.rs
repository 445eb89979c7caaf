//! Finds objects by a text somewhere in them.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Instant;

use futures_util::{StreamExt as _, stream};
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::args::check_verb;
use super::super::family::Member;
use super::super::pointer::pod_spec;
use super::super::status::age;
use crate::answers::Row;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{AS_METADATA_LIST, Kind, LAST_APPLIED, Refused, Request};
use crate::error::{Error, Result};
use crate::toolkit::args::{Cursor, Instances, Limit, MaxTokens};
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool};
use crate::tools::patterns::{at_length, pattern};

/// Kinds that are searched when none are named.
const USUAL: [&str; 10] = [
    "deployments.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "jobs.batch",
    "cronjobs.batch",
    "pods",
    "services",
    "ingresses.networking.k8s.io",
    "configmaps",
    "persistentvolumeclaims",
];

/// Kinds that are read at the same time.
const AT_ONCE: usize = 4;

/// Characters of what matched that are shown.
const LONGEST_MATCH: usize = 120;

/// What was found of one kind.
type Found = Result<Vec<Row>, Refused>;

/// Finds objects by a text in their names, labels and images, and where else `scope` says.
///
/// Use `kubernetes_list_resources` for all objects of a kind, or those with a label.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct SearchResources {
    /// Text to find.
    query: String,
    /// How the text is compared.
    #[serde(default, rename = "match")]
    comparison: Comparison,
    /// Tell upper from lower case.
    #[serde(default)]
    case_sensitive: bool,
    /// Where to look. `keys` are those of the data of ConfigMaps; Secrets are found by name and labels only.
    #[serde(default = "usual_scope")]
    scope: Vec<Scope>,
    /// Kinds to search; workloads, pods, services, ingresses, configmaps and claims when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    kinds: Vec<String>,
    /// One cluster by name, several, or `"*"` for all.
    cluster: Option<Instances>,
    /// Only this namespace; all that may be listed when absent.
    namespace: Option<String>,
    /// Label selector, for example `app=web,tier!=cache`.
    labels: Option<String>,
    /// Rows per page, at most 500.
    #[serde(default)]
    limit: Limit<50, 500>,
    /// Position from the previous answer.
    cursor: Option<Cursor>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Comparison {
    #[default]
    Contains,
    Exact,
    Prefix,
    Suffix,
    Glob,
    Regex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Scope {
    Name,
    Labels,
    Annotations,
    Images,
    Env,
    Keys,
}

fn usual_scope() -> Vec<Scope> {
    vec![Scope::Name, Scope::Labels, Scope::Images]
}

impl FanOut for SearchResources {}

impl Tool for SearchResources {
    const NAME: &str = "kubernetes_search_resources";
    const POLICY: Policy = Policy::read(Permission::ClusterRead).cached(10).heavy().by_default();
    type Backend = Kubernetes;
    type Output = Listing<Row>;

    async fn call(mut self, cluster: &Kubernetes) -> Result<Listing<Row>> {
        self.scope.sort();
        self.scope.dedup();
        let pattern = self.pattern()?;
        let kinds = self.kinds(cluster).await?;
        let parts: Vec<(Arc<Kind>, Found)> = stream::iter(kinds.clone())
            .map(|kind| {
                let (search, pattern) = (&self, &pattern);
                async move {
                    let found = search.of_kind(&kind, pattern, cluster).await;
                    (kind, found)
                }
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let mut rows = Vec::new();
        let mut notes = Vec::new();
        let mut first = None;
        for (kind, part) in parts {
            match part {
                Ok(found) => rows.extend(found),
                Err(refused) => {
                    let error = Error::from(refused);
                    notes.push(format!("Not searched: {} ({error}).", kind.full_name()));
                    first.get_or_insert(error);
                }
            }
        }
        if let Some(error) = first.filter(|_| notes.len() == kinds.len()) {
            return Err(error);
        }
        if rows.is_empty() {
            let names: Vec<String> = kinds.iter().map(|kind| kind.plural.clone()).collect();
            notes.push(format!("Searched: {}; `scope` and `kinds` widen it.", names.join(", ")));
        }
        let mut listing = Listing::new(rows).ordered(best_first);
        listing.notes = notes;
        Ok(listing)
    }
}

impl SearchResources {
    fn pattern(&self) -> Result<Regex> {
        if self.query.is_empty() || self.scope.is_empty() {
            let name = if self.query.is_empty() { "query" } else { "scope" };
            return Err(Error::BadArguments(format!("{name}: is empty")));
        }
        let text = regex::escape(&self.query);
        let expression = match self.comparison {
            Comparison::Contains => text,
            Comparison::Exact => format!("^(?:{text})$"),
            Comparison::Prefix => format!("^(?:{text})"),
            Comparison::Suffix => format!("(?:{text})$"),
            Comparison::Glob => format!("^(?s:{})$", text.replace("\\*", ".*").replace("\\?", ".")),
            Comparison::Regex => self.query.clone(),
        };
        pattern("query", &expression, self.case_sensitive)
    }

    async fn kinds(&self, cluster: &Kubernetes) -> Result<Vec<Arc<Kind>>> {
        let mut found: Vec<Arc<Kind>> = Vec::new();
        if self.kinds.is_empty() {
            let known = cluster.kinds().await?;
            found.extend(USUAL.iter().filter_map(|name| known.find(name).ok().cloned()));
        }
        for name in &self.kinds {
            let kind = cluster.kind(name).await?;
            check_verb(&kind, "list")?;
            if self.namespace.is_some() && !kind.namespaced {
                return Err(Error::BadArguments(format!(
                    "kinds: {} is not in namespaces; leave it or `namespace` out",
                    kind.kind
                )));
            }
            if !found.contains(&kind) {
                found.push(kind);
            }
        }
        Ok(found)
    }

    async fn of_kind(&self, kind: &Kind, pattern: &Regex, cluster: &Kubernetes) -> Found {
        let request =
            Request::get(kind.path(self.namespace.as_deref())?).query_some("labelSelector", self.labels.as_deref());
        let request = if self.needs_whole(kind) { request } else { request.accept(AS_METADATA_LIST) };
        let now = cluster.context.now;
        let deadline = cluster.context.deadline;
        let mut is_late = false;
        let mut found = |item: Value| {
            is_late |= Instant::now() > deadline;
            if is_late {
                return None;
            }
            let member = Member::new(kind, item);
            let (scope, text) = self
                .places(&member)
                .into_iter()
                .find_map(|(scope, text)| Some((scope, excerpt(&text, place(pattern, &text)?))))?;
            let mut row = Row::new();
            row.insert("kind".into(), kind.kind.clone().into());
            row.insert("namespace".into(), member.namespace().into());
            row.insert("name".into(), member.name().into());
            row.insert("matched".into(), if scope == "name" { scope.into() } else { format!("{scope} {text}").into() });
            row.insert("age".into(), age(&member.object, now).into());
            Some(row)
        };
        let rows =
            cluster.list_of(request, |items| at_length(|| items.into_iter().filter_map(&mut found).collect())).await?;
        if is_late {
            return Err(Error::TimedOut("comparing took too long; search fewer kinds or one namespace".into()).into());
        }
        Ok(rows)
    }

    /// Whether more than the metadata of its objects is to be searched.
    fn needs_whole(&self, kind: &Kind) -> bool {
        let wants = |scopes: &[Scope]| self.scope.iter().any(|scope| scopes.contains(scope));
        match (kind.group.as_str(), kind.plural.as_str()) {
            ("", "configmaps") => wants(&[Scope::Keys]),
            ("", "secrets" | "services" | "persistentvolumeclaims" | "events") | ("networking.k8s.io", _) => false,
            _ => wants(&[Scope::Images, Scope::Env]),
        }
    }

    /// The texts of an object that are compared, by where they are.
    fn places(&self, member: &Member) -> Vec<(&'static str, String)> {
        let object = &member.object;
        let mut places = Vec::new();
        for scope in &self.scope {
            match scope {
                Scope::Name => places.push(("name", member.name().to_owned())),
                Scope::Labels => places.extend(pairs(object.pointer("/metadata/labels"), "label")),
                Scope::Annotations if !is_secret(&member.kind) => {
                    places.extend(pairs(object.pointer("/metadata/annotations"), "annotation"));
                }
                Scope::Keys if member.is("", "configmaps") => {
                    for field in ["data", "binaryData"] {
                        let keys = object.get(field).and_then(Value::as_object);
                        places.extend(keys.into_iter().flat_map(Map::keys).map(|key| ("key", key.clone())));
                    }
                }
                Scope::Images => {
                    let images = containers(object).filter_map(|container| container.get("image")?.as_str());
                    places.extend(images.map(|image| ("image", image.to_owned())));
                }
                Scope::Env => {
                    let variables = containers(object).filter_map(|container| container.get("env")?.as_array());
                    places.extend(variables.flatten().map(|variable| {
                        let text = |name: &str| variable.get(name).and_then(Value::as_str).unwrap_or_default();
                        ("env", format!("{}={}", text("name"), text("value")))
                    }));
                }
                Scope::Annotations | Scope::Keys => {}
            }
        }
        places
    }
}

fn is_secret(kind: &Kind) -> bool {
    kind.is("", "secrets")
}

fn pairs<'a>(map: Option<&'a Value>, place: &'static str) -> impl Iterator<Item = (&'static str, String)> + use<'a> {
    let pairs = map.and_then(Value::as_object).into_iter().flatten();
    pairs
        .filter(|(name, _)| *name != LAST_APPLIED)
        .map(move |(name, value)| (place, format!("{name}={}", value.as_str().unwrap_or_default())))
}

/// The containers of a pod, or of the pods that an object makes.
fn containers(object: &Value) -> impl Iterator<Item = &Value> {
    let spec = pod_spec(object);
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    spec.into_iter().flat_map(move |spec| lists.into_iter().filter_map(|name| spec.get(name)?.as_array()).flatten())
}

/// Where a text fits, or its part after the `=`.
fn place(pattern: &Regex, text: &str) -> Option<usize> {
    let whole = pattern.find(text).map(|found| found.start());
    whole.or_else(|| {
        let (name, value) = text.split_once('=')?;
        pattern.find(value).map(|found| name.len() + 1 + found.start())
    })
}

/// The part of a text in which something was found.
fn excerpt(text: &str, found: usize) -> String {
    if text.chars().count() <= LONGEST_MATCH {
        return text.to_owned();
    }
    let before = text[..found].chars().count().saturating_sub(LONGEST_MATCH / 3);
    let part: String = text.chars().skip(before).take(LONGEST_MATCH).collect();
    format!("{}{part}…", if before > 0 { "…" } else { "" })
}

/// Matches of names first, and of those the shortest, which has least besides what was looked for.
fn best_first(one: &Row, other: &Row) -> Ordering {
    let key = |row: &Row| {
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let places = ["name", "label", "image", "key", "env", "annotation"];
        let matched = text("matched");
        let place = places.iter().position(|place| matched.split(' ').next() == Some(place));
        let length = if place == Some(0) { text("name").len() } else { 0 };
        (place, length, text("name"), text("kind"), text("namespace"))
    };
    key(one).cmp(&key(other))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn finds(arguments: Value, text: &str) -> bool {
        serde_json::from_value::<SearchResources>(arguments).unwrap().pattern().unwrap().is_match(text)
    }

    #[test]
    fn texts_are_compared_as_asked() {
        assert!(finds(json!({"query": "a.b"}), "xA.Bx"));
        assert!(!finds(json!({"query": "a.b"}), "axb"));
        assert!(!finds(json!({"query": "a", "case_sensitive": true}), "A"));
        assert!(finds(json!({"query": "web-*-?", "match": "glob"}), "web-front-1"));
        assert!(!finds(json!({"query": "web", "match": "exact"}), "web-1"));
        assert!(finds(json!({"query": "1", "match": "suffix"}), "web-1"));
        assert!(finds(json!({"query": "^w.b$", "match": "regex"}), "web"));
    }

    #[test]
    fn a_long_text_is_shown_around_what_was_found() {
        let text = format!("{}needle{}", "ä".repeat(300), "b".repeat(300));
        let shown = excerpt(&text, text.find("needle").unwrap());
        assert!(shown.starts_with('…') && shown.ends_with('…') && shown.contains("needle"), "{shown}");
    }
}
