//! Lists of objects, as the API server lays them out.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::args::{check_namespace, check_verb, only_namespace};
use super::super::path::Room;
use super::columns::{Columns, Order, heading, text_at};
use super::source::{MOST_ROWS, Source};
use crate::answers::{Answer, Row};
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{AS_TABLE, Column, Kind, List, Request, TableRow, part_at};
use crate::error::{Error, Result};
use crate::toolkit::args::{Cursor, Instances, Limit, MaxTokens};
use crate::toolkit::{FanOut, Listing, Output, Permission, Policy, Tool};
use crate::tools::patterns::at_length;
use crate::yaml;

/// Objects that are shown in full at a time.
const MOST_WHOLE: usize = 20;

/// Lists objects of any kind, custom ones too, as a short table.
///
/// Columns are those of `kubectl get`. Use `kubernetes_get_unhealthy_resources` to find what is broken, and
/// `kubernetes_get_resource` for one object.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct ListResources {
    /// Kind, plural, short name or plural.group, for example `deploy` or `certificates.cert-manager.io`.
    kind: String,
    /// One cluster by name, several, or `"*"` for all.
    cluster: Option<Instances>,
    /// Only this namespace; all that may be listed when absent.
    namespace: Option<String>,
    /// Label selector, for example `app=web,tier!=cache`.
    labels: Option<String>,
    /// Field selector, for example `status.phase=Failed`.
    fields: Option<String>,
    /// `summary` counts by status and namespace; `full` and `yaml` show whole objects, at most 20 a page.
    #[serde(default)]
    view: View,
    /// Extra columns: JSONPath such as `.spec.nodeName`, or a column of `kubectl get -o wide` by its name.
    #[serde(default)]
    columns: Vec<String>,
    /// Column or JSONPath; a leading `-` reverses. By name when absent.
    sort_by: Option<String>,
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
enum View {
    #[default]
    Table,
    Summary,
    Full,
    Yaml,
}

/// A list in the view that was asked for.
#[derive(Debug)]
pub(super) enum Listed {
    Rows(Listing<Row>),
    Objects { objects: Vec<Value>, as_yaml: bool, next: Option<String>, notes: Vec<String> },
}

impl Output for Listed {
    fn schema(located: &str) -> Option<Map<String, Value>> {
        Listing::<Row>::schema(located)
    }

    fn into_answer(self) -> Result<Answer> {
        match self {
            Self::Rows(listing) => Ok(listing.answer()),
            Self::Objects { objects, as_yaml, next, notes } => {
                let text = as_yaml.then(|| objects.iter().map(yaml::emit).collect::<Vec<_>>().join("---\n"));
                let rows = objects.into_iter().filter_map(|object| match object {
                    Value::Object(object) => Some(object),
                    _ => None,
                });
                let structured = json!({"rows": rows.collect::<Vec<_>>()});
                Ok(Answer { text, facts: Some(structured), next, notes, ..Answer::default() })
            }
        }
    }
}

impl FanOut for ListResources {}

impl Tool for ListResources {
    const NAME: &str = "kubernetes_list_resources";
    const POLICY: Policy = Policy::read(Permission::ClusterRead).cached(5).by_default();
    const REPLACES: &[&str] = &["kubernetes_list_resources_full", "kubernetes_list_resources_summary"];
    type Backend = Kubernetes;
    type Output = Listed;

    async fn call(self, cluster: &Kubernetes) -> Result<Listed> {
        let kind = cluster.kind(&self.kind).await?;
        check_verb(&kind, "list")?;
        check_namespace(&kind, self.namespace.as_deref())?;
        match self.view {
            View::Table => self.table(&kind, cluster).await.map(Listed::Rows),
            View::Summary => self.summary(&kind, cluster).await.map(Listed::Rows),
            View::Full | View::Yaml => self.objects(&kind, cluster).await,
        }
    }
}

impl ListResources {
    fn request(&self, kind: &Kind) -> Result<Request> {
        Ok(Request::get(kind.path(self.within(kind))?)
            .query_some("labelSelector", self.labels.as_deref())
            .query_some("fieldSelector", self.fields.as_deref()))
    }

    fn within(&self, kind: &Kind) -> Option<&str> {
        only_namespace(kind, self.namespace.as_deref(), self.fields.as_deref())
    }

    /// Whether several clusters are asked, whose rows come together: then there is no place to go on from.
    fn is_shared(&self) -> bool {
        !matches!(&self.cluster, None | Some(Instances::One(_)))
            || matches!(&self.cluster, Some(Instances::One(name)) if name == "*")
    }

    /// Where the rows of a table come from.
    async fn source<'a>(&self, kind: &Arc<Kind>, object: &'static str, cluster: &'a Kubernetes) -> Result<Source<'a>> {
        let kept = match object {
            "Object" => None,
            _ => cluster.kept(kind, self.within(kind), self.labels.as_deref(), self.fields.as_deref()).await,
        };
        Ok(Source { cluster, request: self.request(kind)?.accept(AS_TABLE), object, kept })
    }

    async fn table(&self, kind: &Arc<Kind>, cluster: &Kubernetes) -> Result<Listing<Row>> {
        let wanted = Columns::new(&self.columns)?;
        let order = self.sort_by.as_deref().map(Order::parse).transpose()?;
        let has_namespaces = kind.namespaced && self.namespace.is_none();
        let paths = !wanted.paths.is_empty() || order.as_ref().is_some_and(|order| order.path.is_some());
        let by_age = order.as_ref().is_some_and(|order| order.column == "age");
        let object = match (paths, has_namespaces || by_age) {
            (true, _) => "Object",
            (false, true) => "Metadata",
            (false, false) => "None",
        };
        let source = self.source(kind, object, cluster).await?;
        let mut room = Room::default();
        let mut listing = if order.is_none() && !self.is_shared() {
            let resume = cluster.context.inputs.resume.clone();
            let part = source.part(self.limit.get(), resume).await?;
            let mut listing = Listing::new(Vec::with_capacity(part.rows.len()));
            let remaining = part.metadata.remaining_item_count;
            listing.total = remaining.map(|remaining| remaining + part.rows.len() as u64);
            let (columns, rows) = (part.column_definitions, part.rows);
            arranging(paths, || wanted.add(&mut listing.rows, &columns, rows, has_namespaces, &mut room))?;
            listing.next = Some(part.metadata.next).filter(|next| !next.is_empty());
            listing
        } else {
            let mut listing = Listing::new(Vec::new());
            let mut keys = Vec::new();
            let take = |columns: &[Column], rows: Vec<TableRow>| {
                arranging(paths, || {
                    if let Some(order) = &order {
                        keys.extend(order.keys(columns, &rows, &mut room)?);
                    }
                    wanted.add(&mut listing.rows, columns, rows, has_namespaces, &mut room)
                })
            };
            let more = source.whole(take).await?;
            if let Some(order) = &order {
                order.sort(keys, &mut listing.rows);
            }
            if let Some(more) = more {
                listing.total = Some(listing.rows.len() as u64 + more);
                listing.notes.push(format!(
                    "Only the first {MOST_ROWS} are here; ask for one namespace or labels to see and sort the others."
                ));
            }
            listing
        };
        if listing.rows.is_empty() {
            listing.notes.extend(self.why_empty(kind));
        }
        Ok(listing)
    }

    /// What to try where nothing was found.
    fn why_empty(&self, kind: &Kind) -> Option<String> {
        let namespace = self.namespace.as_ref()?;
        Some(format!(
            "There may be some in other namespaces than `{namespace}`: leave `namespace` out to list all {}.",
            kind.plural
        ))
    }

    async fn summary(&self, kind: &Arc<Kind>, cluster: &Kubernetes) -> Result<Listing<Row>> {
        let has_namespaces = kind.namespaced && self.namespace.is_none();
        let object = if has_namespaces { "Metadata" } else { "None" };
        let source = self.source(kind, object, cluster).await?;
        let mut counts = BTreeMap::<(String, String), u64>::new();
        let take = |columns: &[Column], rows: Vec<TableRow>| {
            for row in &rows {
                let namespace = text_at(&row.object, "/metadata/namespace");
                *counts.entry((namespace, status_of(columns, row))).or_default() += 1;
            }
            Ok(())
        };
        let more = source.whole(take).await?;
        let mut by_status = BTreeMap::<String, u64>::new();
        for ((_, status), count) in &counts {
            *by_status.entry(status.clone()).or_default() += count;
        }
        let mut found: Vec<Row> = counts
            .into_iter()
            .map(|((namespace, status), count)| {
                let mut row = Row::new();
                if has_namespaces {
                    row.insert("namespace".into(), namespace.into());
                }
                row.insert("status".into(), status.into());
                row.insert("count".into(), count.into());
                row
            })
            .collect();
        found.sort_by_key(|row| std::cmp::Reverse(row["count"].as_u64()));
        let total = by_status.values().sum::<u64>() + more.unwrap_or(0);
        let listing = Listing::new(found).fact("objects", total).fact("by_status", json!(by_status));
        Ok(match more {
            Some(_) => listing.note(format!("Counted are the first {MOST_ROWS}.")),
            None => listing,
        })
    }

    async fn objects(&self, kind: &Kind, cluster: &Kubernetes) -> Result<Listed> {
        if let Some(order) = &self.sort_by {
            return Err(Error::BadArguments(format!(
                "sort_by: `{order}` sorts the table; leave it out for whole objects"
            )));
        }
        let limit = self.limit.get().min(MOST_WHOLE);
        let limit = if self.is_shared() { MOST_WHOLE } else { limit };
        let resume = cluster.context.inputs.resume.as_deref().filter(|_| !self.is_shared());
        let request = self.request(kind)?.query("limit", limit.to_string());
        let list: List<Map<String, Value>> = part_at(request, resume, |part| cluster.get(part)).await?;
        let notes =
            list.metadata.remaining_item_count.map(|more| format!("{more} more after these.")).into_iter().collect();
        let objects = list.items.into_iter().map(|item| Value::Object(named(kind, item))).collect();
        let next = Some(list.metadata.next).filter(|next| !next.is_empty() && !self.is_shared());
        Ok(Listed::Objects { objects, as_yaml: self.view == View::Yaml, next, notes })
    }
}

/// An object of a list with what its list left out: version and kind.
fn named(kind: &Kind, item: Map<String, Value>) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("apiVersion".into(), kind.api_version().into());
    object.insert("kind".into(), kind.kind.clone().into());
    object.extend(item);
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.shift_remove("managedFields");
    }
    object
}

/// Makes rows. Paths are looked for in whole objects, which takes long.
fn arranging<T>(has_paths: bool, work: impl FnOnce() -> T) -> T {
    if has_paths { at_length(work) } else { work() }
}

/// What state an object is in: its column for that, or whether all of it is ready.
fn status_of(columns: &[Column], row: &TableRow) -> String {
    let cell = |names: &[&str]| {
        let place = columns.iter().position(|column| names.contains(&heading(&column.name).as_str()))?;
        row.cells.get(place)
    };
    if let Some(status) = cell(&["status", "phase", "state"]) {
        return status.as_str().map_or_else(|| status.to_string(), str::to_owned);
    }
    match cell(&["ready"]) {
        Some(Value::String(ready)) => match ready.split_once('/') {
            Some((ready, wanted)) if ready == wanted => "ready".into(),
            Some(_) => "not ready".into(),
            None => format!("ready: {ready}"),
        },
        Some(ready) => {
            let wanted = cell(&["desired"]).unwrap_or(&Value::Null);
            if wanted.is_null() || wanted == ready { "ready".into() } else { "not ready".into() }
        }
        None => "present".into(),
    }
}
