//! What a cluster serves.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answers::Row;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Kind, Kinds};
use crate::error::{Error, Result};
use crate::toolkit::args::{Cursor, Limit, MaxTokens};
use crate::toolkit::{Listing, Permission, Policy, Tool};

/// What can be done with most kinds.
const USUAL_VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Groups named where one is not known.
const MOST_NAMED: usize = 12;

/// Lists the kinds and versions a cluster serves, with verbs.
///
/// Kinds in several versions are one row with the preferred version. `all` as verbs means create, delete,
/// deletecollection, get, list, patch, update and watch. Use `kubernetes_explain_resource` for the fields of one kind.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct GetApiResources {
    /// The cluster by name; needed when several are configured.
    cluster: Option<String>,
    /// Only this API group, for example `apps`; empty text means the core group.
    group: Option<String>,
    /// Only kinds in namespaces, or with `false` only those of the whole cluster.
    namespaced: Option<bool>,
    /// Part of a kind, plural or short name, for example `deploy`.
    query: Option<String>,
    /// `versions` lists groups and versions only.
    #[serde(default)]
    view: View,
    /// Rows per page, at most 500.
    #[serde(default)]
    limit: Limit<100, 500>,
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
    Resources,
    Versions,
}

impl Tool for GetApiResources {
    const NAME: &str = "kubernetes_get_api_resources";
    const POLICY: Policy = Policy::read(Permission::ClusterRead).light().cached(300);
    const REPLACES: &[&str] = &["kubernetes_get_api_versions"];
    type Backend = Kubernetes;
    type Output = Listing<Row>;

    async fn call(self, cluster: &Kubernetes) -> Result<Listing<Row>> {
        let kinds = cluster.kinds().await?;
        self.check_group(&kinds)?;
        let rows = match self.view {
            View::Resources => self.resources(&kinds),
            View::Versions => self.versions(&kinds),
        };
        let nothing = rows.is_empty();
        let mut listing = Listing::new(rows);
        if nothing {
            listing = listing.note("No kind fits; try fewer conditions, or a shorter `query`.");
        }
        if !kinds.stale.is_empty() {
            let stale = kinds.stale.join(", ");
            listing = listing.note(format!("The servers of {stale} do not answer: their kinds may be missing or old."));
        }
        Ok(listing)
    }
}

impl GetApiResources {
    fn check_group(&self, kinds: &Kinds) -> Result<()> {
        let Some(group) = &self.group else { return Ok(()) };
        if kinds.iter().any(|kind| kind.group == *group) {
            return Ok(());
        }
        let mut groups: Vec<&str> =
            kinds.iter().map(|kind| kind.group.as_str()).filter(|name| !name.is_empty()).collect();
        groups.dedup();
        let first = group.split('.').next().unwrap_or_default();
        groups.sort_by_key(|name| !name.contains(first));
        groups.truncate(MOST_NAMED);
        Err(Error::BadArguments(format!(
            "group: this cluster serves no `{}`; there are {} and the core group, which is empty text",
            group.escape_debug(),
            groups.join(", ")
        )))
    }

    fn fits(&self, kind: &Kind) -> bool {
        let has_name = |query: &String| {
            let query = query.trim().to_lowercase();
            kind.kind.to_lowercase().contains(&query)
                || kind.plural.contains(&query)
                || kind.short_names.iter().any(|name| name.contains(&query))
        };
        self.group.as_ref().is_none_or(|group| kind.group == *group)
            && self.namespaced.is_none_or(|namespaced| kind.namespaced == namespaced)
            && self.query.as_ref().is_none_or(has_name)
    }

    fn resources(&self, kinds: &Kinds) -> Vec<Row> {
        let mut places = BTreeMap::new();
        let mut rows = Vec::<Row>::new();
        for kind in kinds.iter().filter(|kind| self.fits(kind)) {
            let place = *places.entry((kind.group.as_str(), kind.plural.as_str())).or_insert(rows.len());
            match rows.get_mut(place) {
                Some(row) => {
                    if let Some(Value::Array(versions)) = row.get_mut("also") {
                        versions.push(kind.version.clone().into());
                    }
                }
                None => rows.push(row(kind)),
            }
        }
        rows
    }

    fn versions(&self, kinds: &Kinds) -> Vec<Row> {
        let mut places = BTreeMap::new();
        let mut rows = Vec::<Row>::new();
        for kind in kinds.iter().filter(|kind| self.fits(kind)) {
            let place = *places.entry(kind.api_version()).or_insert(rows.len());
            match rows.get_mut(place) {
                Some(row) => row["kinds"] = json!(row["kinds"].as_u64().unwrap_or(0) + 1),
                None => rows.push(
                    [
                        ("version".to_owned(), kind.api_version().into()),
                        ("preferred".to_owned(), kind.preferred.into()),
                        ("kinds".to_owned(), 1.into()),
                    ]
                    .into_iter()
                    .collect(),
                ),
            }
        }
        rows
    }
}

fn row(kind: &Kind) -> Row {
    let is_usual = USUAL_VERBS.iter().all(|verb| kind.can(verb));
    let mut others: Vec<&str> = kind.verbs.iter().map(String::as_str).collect();
    if is_usual {
        others.retain(|verb| !USUAL_VERBS.contains(verb));
        others.insert(0, "all");
    }
    [
        ("plural".to_owned(), json!(kind.plural)),
        ("kind".to_owned(), json!(kind.kind)),
        ("version".to_owned(), json!(kind.api_version())),
        ("namespaced".to_owned(), json!(kind.namespaced)),
        ("short_names".to_owned(), json!(kind.short_names)),
        ("verbs".to_owned(), json!(others)),
        ("subresources".to_owned(), json!(kind.subresources)),
        ("also".to_owned(), json!([])),
    ]
    .into_iter()
    .collect()
}
