//! What the credentials of this server may do in a cluster.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::args::check_namespace;
use crate::answers::Row;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Kind, Refused, Request};
use crate::caller::Effect;
use crate::error::{Error, Result};
use crate::toolkit::args::Instances;
use crate::toolkit::{FanOut, Listing, Permission, Policy, Tool};

/// The namespace whose rules are listed where none is named.
const DEFAULT_NAMESPACE: &str = "default";

/// Answers whether the caller may do something, or lists what it may.
///
/// With `verb` and `kind` it answers yes or no; with `kind` alone it answers for each verb; with neither it lists all
/// rules. Also says where this server itself forbids what the cluster would allow.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct CheckPermissions {
    /// For example `create`; absent means all verbs of the kind, or all rules.
    verb: Option<String>,
    /// Kind or plural.group, for example `deployments.apps`; `*` for any.
    kind: Option<String>,
    /// One object by its name; any when absent.
    name: Option<String>,
    /// Part of the object, for example `log`, `exec` or `scale`.
    subresource: Option<String>,
    /// One cluster by name, several, or `"*"` for all.
    cluster: Option<Instances>,
    /// For kinds in namespaces: the one that is meant; all namespaces at once when absent.
    namespace: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AccessReview {
    status: AccessStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AccessStatus {
    allowed: bool,
    reason: String,
    evaluation_error: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RulesReview {
    status: Rules,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Rules {
    resource_rules: Vec<Rule>,
    #[serde(rename = "nonResourceRules")]
    url_rules: Vec<Rule>,
    incomplete: bool,
    evaluation_error: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Rule {
    verbs: Vec<String>,
    api_groups: Vec<String>,
    resources: Vec<String>,
    resource_names: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    urls: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SelfReview {
    status: SelfStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SelfStatus {
    user_info: UserInfo,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct UserInfo {
    username: String,
    groups: Vec<String>,
}

impl FanOut for CheckPermissions {}

impl Tool for CheckPermissions {
    const NAME: &str = "kubernetes_check_permissions";
    const POLICY: Policy = Policy::read(Permission::ClusterRead).light();
    type Backend = Kubernetes;
    type Output = Listing<Row>;

    async fn call(self, cluster: &Kubernetes) -> Result<Listing<Row>> {
        let listing = if let Some(kind) = &self.kind {
            self.accesses(kind, cluster).await?
        } else {
            let needless = [("verb", &self.verb), ("name", &self.name), ("subresource", &self.subresource)];
            if let Some((name, _)) = needless.iter().find(|(_, value)| value.is_some()) {
                return Err(Error::BadArguments(format!(
                    "kind: needed with `{name}`, for example pods; leave both out to list all rules"
                )));
            }
            self.rules(cluster).await?
        };
        let who = self_review(cluster).await?;
        Ok(match who {
            Some(who) => listing.fact("user", who.username).fact("groups", json!(who.groups)),
            None => listing,
        })
    }
}

impl CheckPermissions {
    async fn accesses(&self, kind: &str, cluster: &Kubernetes) -> Result<Listing<Row>> {
        let (group, plural, verbs) = if kind == "*" {
            ("*".to_owned(), "*".to_owned(), vec!["*".to_owned()])
        } else {
            let kind = cluster.kind(kind).await?;
            check_namespace(&kind, self.namespace.as_deref())?;
            self.check_subresource(&kind)?;
            let verbs = match self.subresource.as_deref() {
                // Discovery has no verbs of subresources in this form.
                Some(_) => ["get", "create", "update", "patch"].map(str::to_owned).to_vec(),
                None => kind.verbs.clone(),
            };
            (kind.group.clone(), kind.plural.clone(), verbs)
        };
        let verbs = self.verb.as_ref().map_or(verbs, |verb| vec![verb.trim().to_lowercase()]);
        let rows = try_join_all(verbs.iter().map(|verb| self.access(verb, &group, &plural, cluster))).await?;
        let listing = Listing::new(rows);
        Ok(match &self.namespace {
            None if kind != "*" => listing.note(
                "This is about all namespaces at once, where the kind has them; with `namespace` more may be allowed.",
            ),
            _ => listing,
        })
    }

    fn check_subresource(&self, kind: &Kind) -> Result<()> {
        let Some(part) = &self.subresource else { return Ok(()) };
        if kind.subresources.contains(part) {
            return Ok(());
        }
        let known = if kind.subresources.is_empty() { "none".into() } else { kind.subresources.join(", ") };
        Err(Error::BadArguments(format!("subresource: {} has no `{}`; it has {known}", kind.kind, part.escape_debug())))
    }

    async fn access(&self, verb: &str, group: &str, plural: &str, cluster: &Kubernetes) -> Result<Row> {
        let attributes = json!({
            "verb": verb,
            "group": group,
            "resource": plural,
            "subresource": self.subresource.as_deref().unwrap_or_default(),
            "name": self.name.as_deref().unwrap_or_default(),
            "namespace": self.namespace.as_deref().unwrap_or_default(),
        });
        let body = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let status: AccessReview = cluster.change(Method::POST, Request::get(path), "application/json", &body).await?;
        let status = status.status;
        let forbidden = self.forbidden_here(verb, cluster);
        let reason = match (status.allowed, &forbidden) {
            (true, Some(forbidden)) => format!("the cluster allows it, but {forbidden}"),
            (true, None) => status.reason,
            (false, _) if !status.evaluation_error.is_empty() => status.evaluation_error,
            (false, _) if !status.reason.is_empty() => status.reason,
            (false, _) => "no role of the cluster allows it".into(),
        };
        let target = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        let mut row = Row::new();
        row.insert("verb".into(), verb.into());
        row.insert("kind".into(), if plural == "*" { "*".into() } else { target.into() });
        row.insert("allowed".into(), (status.allowed && forbidden.is_none()).into());
        row.insert("reason".into(), reason.into());
        let others =
            [("subresource", &self.subresource), ("name", &self.name), ("namespace", &self.namespace)].into_iter();
        row.extend(others.filter_map(|(name, value)| Some((name.to_owned(), Value::String(value.clone()?)))));
        Ok(row)
    }

    /// Why this server would not do it, whatever the cluster says.
    fn forbidden_here(&self, verb: &str, cluster: &Kubernetes) -> Option<String> {
        let needed = effect(verb, self.subresource.as_deref());
        let context = &cluster.context;
        if needed == Effect::Read {
            return None;
        }
        if context.scope.readonly {
            return Some("the client asked this server for reading only (X-MCP-Readonly)".into());
        }
        (needed > context.caller.allowed).then(|| {
            format!(
                "this server grants its caller only `{}`, and this needs `{}`; an operator can grant more",
                context.caller.allowed.label(),
                needed.label()
            )
        })
    }

    async fn rules(&self, cluster: &Kubernetes) -> Result<Listing<Row>> {
        let namespace = self.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        let body = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
        let review: RulesReview = cluster.change(Method::POST, Request::get(path), "application/json", &body).await?;
        let review = review.status;
        let mut merged = BTreeMap::<(Vec<String>, Vec<String>), Vec<String>>::new();
        for mut rule in review.resource_rules {
            rule.verbs.sort();
            let kinds = merged.entry((rule.verbs.clone(), rule.resource_names.clone())).or_default();
            for kind in kinds_of(&rule) {
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
        }
        let mut rows: Vec<Row> = Vec::new();
        for ((verbs, names), kinds) in merged {
            let mut row = Row::new();
            row.insert("verbs".into(), json!(verbs));
            row.insert("kinds".into(), json!(kinds));
            row.insert("names".into(), json!(names));
            rows.push(row);
        }
        let mut urls: Vec<String> = review.url_rules.iter().flat_map(|rule| rule.urls.clone()).collect();
        urls.sort();
        urls.dedup();
        let mut listing = Listing::new(rows).fact("namespace", namespace).fact("urls", json!(urls));
        if self.namespace.is_none() {
            listing = listing.note(format!(
                "These are the rules in the namespace `{DEFAULT_NAMESPACE}`, with those of the whole cluster; give \
                 `namespace` for another one."
            ));
        }
        if review.incomplete {
            let why = if review.evaluation_error.is_empty() {
                String::new()
            } else {
                format!(" ({})", review.evaluation_error)
            };
            listing = listing.note(format!("There may be more: not all authorisers can list their rules{why}."));
        }
        let granted = cluster.context.caller.allowed;
        if granted < Effect::Destroy {
            listing = listing.note(format!("This server itself grants its caller only `{}`.", granted.label()));
        }
        Ok(listing)
    }
}

/// Who this server is there; unknown where the cluster is older than this question, or does not answer it.
async fn self_review(cluster: &Kubernetes) -> Result<Option<UserInfo>> {
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let request = Request::get("/apis/authentication.k8s.io/v1/selfsubjectreviews");
    match cluster.change::<SelfReview>(Method::POST, request, "application/json", &body).await {
        Ok(review) => Ok(Some(review.status.user_info)),
        Err(Refused::Status(_)) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// Kinds as callers name them: plural, group, and the part after a slash.
fn kinds_of(rule: &Rule) -> Vec<String> {
    let mut kinds = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            let (plural, part) = resource.split_once('/').map_or((resource.as_str(), None), |(a, b)| (a, Some(b)));
            let mut kind = match group.as_str() {
                "" => plural.to_owned(),
                "*" if plural == "*" => "*".to_owned(),
                group => format!("{plural}.{group}"),
            };
            if let Some(part) = part {
                kind.push('/');
                kind.push_str(part);
            }
            kinds.push(kind);
        }
    }
    kinds
}

/// What this server takes a verb for.
fn effect(verb: &str, subresource: Option<&str>) -> Effect {
    match (verb, subresource) {
        (_, Some("exec" | "attach" | "portforward" | "eviction")) => Effect::Destroy,
        ("get" | "list" | "watch", _) => Effect::Read,
        ("delete" | "deletecollection" | "*", _) => Effect::Destroy,
        _ => Effect::Write,
    }
}
