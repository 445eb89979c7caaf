//! Single objects, or a few by name.

use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::args::{check_namespace, check_verb};
use super::super::family::Member;
use super::super::model::Owner;
use super::super::nearby;
use super::super::path::{ObjectPath, Room, check_count};
use super::columns::{heading, shown};
use super::describe::describe;

use crate::answers::{Answer, Row, lines};
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{AS_TABLE, Kind, Refused, Request};
use crate::error::{Error, Result};
use crate::toolkit::args::MaxTokens;
use crate::toolkit::{Listing, Output, Permission, Policy, Tool};
use crate::yaml;

/// Names that one call may have.
const MOST_NAMES: usize = 20;

/// Shows one object, or up to twenty of a kind by name.
///
/// The default view has state, conditions, containers, what it owns and recent events. Use
/// `kubernetes_get_resource_tree` for all that belongs to an object, and `kubernetes_list_resources` to find names.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct GetResource {
    /// Kind, plural, short name or plural.group, for example `deploy` or `certificates.cert-manager.io`.
    kind: String,
    /// One to twenty names.
    names: Vec<String>,
    /// Needed when several clusters are configured.
    cluster: Option<String>,
    /// Needed for kinds that lie in namespaces.
    namespace: Option<String>,
    /// `describe` has conditions, dependents and events; `summary` is a row each, `full` and `yaml` are the whole object.
    #[serde(default)]
    view: View,
    /// JSONPath expressions instead of a view, for example `.spec.template.spec.containers[*].image`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    select: Vec<String>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum View {
    Summary,
    #[default]
    Describe,
    Full,
    Yaml,
}

/// Objects in the view that was asked for.
#[derive(Debug)]
pub(super) enum Shown {
    Rows(Listing<Row>),
    Objects { objects: Vec<Value>, text: String, notes: Vec<String> },
}

impl Output for Shown {
    fn schema(_: &str) -> Option<Map<String, Value>> {
        let schema = json!({
            "type": "object",
            "properties": {
                "objects": {
                    "type": "array", "items": {"type": "object"},
                    "description": "The objects, described or whole, in the order of the names."
                },
                "rows": {
                    "type": "array", "items": {"type": "object"},
                    "description": "A row for each object, for the view `summary` and for `select`."
                },
                "common": {"type": "object", "description": "What all rows share; left out of the rows."},
                "total": {"type": "integer", "description": "Rows that there are."},
                "notes": {
                    "type": "array", "items": {"type": "string"},
                    "description": "Names that do not exist with those near them; warnings, and what was left out."
                },
                "whole": {"type": "string", "description": "Resource with the whole answer."}
            }
        });
        schema.as_object().cloned()
    }

    fn into_answer(self) -> Result<Answer> {
        match self {
            Self::Rows(listing) => listing.into_answer(),
            Self::Objects { objects, text, notes } => {
                Ok(Answer { facts: Some(json!({"objects": objects})), text: Some(text), notes, ..Answer::default() })
            }
        }
    }
}

impl Tool for GetResource {
    const NAME: &str = "kubernetes_get_resource";
    const POLICY: Policy = Policy::read(Permission::ClusterRead).cached(3).by_default();
    const REPLACES: &[&str] = &[
        "kubernetes_get_resource_summary",
        "kubernetes_get_resources_detail",
        "kubernetes_describe_resource",
        "kubernetes_get_resource_details",
        "kubernetes_get_resource_detail_advanced",
    ];
    type Backend = Kubernetes;
    type Output = Shown;

    async fn call(mut self, cluster: &Kubernetes) -> Result<Shown> {
        let kind = cluster.kind(&self.kind).await?;
        check_verb(&kind, "get")?;
        check_namespace(&kind, self.namespace.as_deref())?;
        self.check_names()?;
        check_count("select", self.select.len())?;
        let paths: Vec<ObjectPath> =
            self.select.iter().map(|path| ObjectPath::parse("select", path)).collect::<Result<_>>()?;
        if paths.is_empty() && self.view == View::Summary {
            return self.summary(&kind, cluster).await;
        }
        let reads = self.names.iter().map(|name| Member::read(cluster, &kind, self.namespace.as_deref(), name));
        let (members, notes) = self.split(join_all(reads).await, &kind, cluster).await?;
        if !paths.is_empty() {
            // Large objects take a while.
            let rows = tokio::task::spawn_blocking(move || selected(&members, &paths)).await;
            let mut listing = Listing::new(rows.map_err(Error::internal)??);
            listing.notes = notes;
            return Ok(Shown::Rows(listing));
        }
        let objects: Vec<Value> = match self.view {
            View::Describe => join_all(members.iter().map(|member| describe(member, cluster)))
                .await
                .into_iter()
                .collect::<Result<_>>()?,
            _ => members.into_iter().map(|member| member.object).collect(),
        };
        let text = if self.view == View::Yaml {
            objects.iter().map(yaml::emit).collect::<Vec<_>>().join("---\n")
        } else {
            objects.iter().map(lines).collect::<Vec<_>>().join("\n\n")
        };
        Ok(Shown::Objects { objects, text, notes })
    }
}

impl GetResource {
    fn check_names(&mut self) -> Result<()> {
        let mut seen = std::collections::HashSet::new();
        self.names.retain(|name| seen.insert(name.clone()));
        match self.names.len() {
            0 => Err(Error::BadArguments("names: give at least one name".into())),
            1..=MOST_NAMES => Ok(()),
            more => Err(Error::BadArguments(format!(
                "names: {more} are too many, {MOST_NAMES} is the most; ask in parts, or use `kubernetes_list_resources`"
            ))),
        }
    }

    /// What was read, and a note for each name that does not exist.
    async fn split<T>(
        &self,
        reads: Vec<Result<T, Refused>>,
        kind: &Kind,
        cluster: &Kubernetes,
    ) -> Result<(Vec<T>, Vec<String>)> {
        let mut found = Vec::with_capacity(reads.len());
        let mut missing = Vec::new();
        for (name, read) in self.names.iter().zip(reads) {
            match read {
                Ok(read) => found.push(read),
                Err(refused) if refused.code() == Some(404) => {
                    missing.push(nearby::missing(cluster, kind, self.namespace.as_deref(), name));
                }
                Err(refused) => return Err(refused.into()),
            }
        }
        let notes = join_all(missing).await;
        if found.is_empty() {
            return Err(Error::NotFound(notes.join(" ").trim_end_matches('.').to_owned()));
        }
        Ok((found, notes))
    }

    async fn summary(&self, kind: &Kind, cluster: &Kubernetes) -> Result<Shown> {
        let reads = self.names.iter().map(|name| async move {
            let path = kind.object_path(self.namespace.as_deref(), name)?;
            cluster.table(Request::get(path).accept(AS_TABLE).query("includeObject", "Metadata")).await
        });
        let (tables, notes) = self.split(join_all(reads).await, kind, cluster).await?;
        let mut rows = Vec::with_capacity(tables.len());
        for table in tables {
            for found in table.rows {
                let member = Member::new(kind, found.object);
                let mut row = Row::new();
                for (column, cell) in table.column_definitions.iter().zip(found.cells) {
                    row.insert(heading(&column.name), shown(cell));
                }
                let owners: Vec<String> = member.owners().iter().map(Owner::title).collect();
                row.insert("owner".into(), owners.join(", ").into());
                rows.push(row);
            }
        }
        let mut listing = Listing::new(rows);
        listing.notes = notes;
        Ok(Shown::Rows(listing))
    }
}

fn selected(members: &[Member], paths: &[ObjectPath]) -> Result<Vec<Row>> {
    let mut room = Room::default();
    let rows = members.iter().map(|member| {
        let mut row = Row::new();
        row.insert("name".into(), member.name().into());
        for path in paths {
            row.insert(path.text().to_owned(), path.of(&member.object, &mut room)?);
        }
        Ok(row)
    });
    rows.collect()
}
