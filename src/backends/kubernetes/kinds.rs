//! The kinds that a cluster serves, and what callers call them (aggregated discovery, kubernetes.io/docs/concepts/overview/kubernetes-api).

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::error::{Error, Result};

/// Groups that come with Kubernetes, in the order in which a bare name is looked for.
const BUILT_IN: [&str; 20] = [
    "",
    "apps",
    "batch",
    "autoscaling",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "admissionregistration.k8s.io",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "node.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "metrics.k8s.io",
];

/// Other kinds named where one is not known.
const MOST_NAMED: usize = 8;

/// A kind of object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its API group; empty for the core group.
    pub group: String,
    /// The version of its group.
    pub version: String,
    /// Its name, for example `Deployment`.
    pub kind: String,
    /// Its name in paths, for example `deployments`.
    pub plural: String,
    /// Its name for one, for example `deployment`.
    pub singular: String,
    /// Other names, for example `deploy`.
    pub short_names: Vec<String>,
    /// Whether its objects lie in namespaces.
    pub namespaced: bool,
    /// What can be done with it.
    pub verbs: Vec<String>,
    /// Groups of kinds it belongs to, for example `all`.
    pub categories: Vec<String>,
    /// Parts of its objects with paths of their own, for example `scale`.
    pub subresources: Vec<String>,
    /// Whether the cluster prefers this version of the group.
    pub preferred: bool,
}

impl Kind {
    /// Group and version as objects name them, for example `apps/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Plural and group, which name it without doubt: `deployments.apps`.
    #[must_use]
    pub fn full_name(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The path of all its objects, in one namespace or in all of them.
    ///
    /// # Errors
    /// [`Error::BadArguments`] where the namespace cannot be the name of one.
    pub fn path(&self, namespace: Option<&str>) -> Result<String> {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        Ok(match namespace {
            Some(namespace) if self.namespaced => {
                format!("{root}/namespaces/{}/{}", segment("namespace", namespace)?, self.plural)
            }
            _ => format!("{root}/{}", self.plural),
        })
    }

    /// The path of one object.
    ///
    /// # Errors
    /// [`Error::BadArguments`] where name or namespace cannot be names.
    pub fn object_path(&self, namespace: Option<&str>, name: &str) -> Result<String> {
        if self.namespaced && namespace.is_none() {
            return Err(Error::BadArguments(format!("namespace: needed, since each {} lies in one", self.kind)));
        }
        Ok(format!("{}/{}", self.path(namespace)?, segment("name", name)?))
    }

    /// Whether something can be done with it, for example `list`.
    #[must_use]
    pub fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }

    /// Whether it is this built-in kind.
    #[must_use]
    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural
    }

    /// All that callers may call it, without its group.
    fn names(&self) -> impl Iterator<Item = String> {
        let names = [&self.plural, &self.singular].into_iter().chain(&self.short_names).cloned();
        names.chain([self.kind.to_ascii_lowercase()])
    }
}

/// A name as one segment of a path. An empty one would mean all objects, so none but real names pass.
///
/// # Errors
/// [`Error::BadArguments`] where no object can have this name (apimachinery, `IsValidPathSegmentName`).
pub fn segment(argument: &str, name: &str) -> Result<String> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '%']) {
        return Err(Error::BadArguments(format!("{argument}: `{}` is not a name", name.escape_debug())));
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    Ok(name.bytes().fold(String::with_capacity(name.len()), |mut path, byte| {
        if is_plain(byte) {
            path.push(byte.into());
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
        path
    }))
}

/// All kinds of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Kinds {
    kinds: Vec<Arc<Kind>>,
    /// Places in that list by each name without its group, in the order of the list.
    by_name: HashMap<String, Vec<usize>>,
    /// Groups whose own server does not answer, so their kinds may be missing or old.
    pub stale: Vec<String>,
}

impl Kinds {
    /// The kinds of discovery documents: that of the core group, and that of the others.
    #[must_use]
    pub fn new(documents: impl IntoIterator<Item = Groups>) -> Self {
        let mut found = Self::default();
        for group in documents.into_iter().flat_map(|document| document.items) {
            for (place, version) in group.versions.into_iter().enumerate() {
                if version.freshness == "Stale" {
                    found.stale.push(format!("{}/{}", group.metadata.name, version.version));
                }
                found.kinds.extend(
                    version
                        .resources
                        .into_iter()
                        .map(|resource| Arc::new(resource.kind(&group.metadata.name, &version.version, place == 0))),
                );
            }
        }
        for (place, kind) in found.kinds.iter().enumerate() {
            for name in kind.names() {
                let places = found.by_name.entry(name).or_default();
                if places.last() != Some(&place) {
                    places.push(place);
                }
            }
        }
        found
    }

    /// All of them, as the cluster lists them.
    pub fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.kinds.iter().map(Arc::as_ref)
    }

    /// The kind of an `apiVersion` and `kind`, as objects name theirs.
    #[must_use]
    pub fn of_object(&self, api_version: &str, kind: &str) -> Option<&Kind> {
        self.iter().find(|known| known.kind == kind && known.api_version() == api_version)
    }

    /// The built-in kind of this group and plural, where the cluster serves it.
    #[must_use]
    pub fn built_in(&self, group: &str, plural: &str) -> Option<&Kind> {
        self.iter().find(|known| known.is(group, plural) && known.preferred)
    }

    /// The kind that a caller means: kind, plural, singular or short name, with the group where that is needed
    /// (`plural.group` or `plural.version.group`).
    ///
    /// # Errors
    /// [`Error::BadArguments`] where there is none, or several; the message names what is near.
    pub fn find(&self, text: &str) -> Result<&Arc<Kind>> {
        let wanted = text.trim().to_ascii_lowercase();
        let (name, place) = wanted.split_once('.').map_or((wanted.as_str(), None), |(name, place)| (name, Some(place)));
        let places = self.by_name.get(name).into_iter().flatten();
        let named: Vec<&Arc<Kind>> = places
            .map(|place| &self.kinds[*place])
            .filter(|kind| match place {
                None => kind.preferred,
                Some(place) => {
                    kind.group == place && kind.preferred || format!("{}.{}", kind.version, kind.group) == place
                }
            })
            .collect();
        if let Some(built_in) = BUILT_IN.iter().find_map(|group| named.iter().find(|kind| kind.group == *group)) {
            return Ok(built_in);
        }
        match named.as_slice() {
            [one] => Ok(one),
            [] => Err(Error::BadArguments(self.unknown(text, name))),
            several => {
                let names: Vec<_> = several.iter().map(|kind| format!("`{}`", kind.full_name())).collect();
                Err(Error::BadArguments(format!(
                    "kind: `{}` may mean {}; say which",
                    text.escape_debug(),
                    names.join(" or ")
                )))
            }
        }
    }

    fn unknown(&self, text: &str, name: &str) -> String {
        let part = name.trim_end_matches('s');
        let mut near: Vec<_> = self
            .kinds
            .iter()
            .filter(|kind| kind.preferred && !part.is_empty())
            .filter(|kind| kind.plural.contains(part) || part.len() > 3 && part.contains(kind.singular.as_str()))
            .map(|kind| format!("`{}`", kind.full_name()))
            .collect();
        near.truncate(MOST_NAMED);
        let advice = if near.is_empty() { String::new() } else { format!(" Near it: {}.", near.join(", ")) };
        let stale = if self.stale.is_empty() {
            String::new()
        } else {
            format!(" The servers of {} do not answer, so their kinds may be missing.", self.stale.join(", "))
        };
        format!(
            "kind: this cluster serves no `{}`.{advice}{stale} `kubernetes_get_api_resources` lists them",
            text.escape_debug()
        )
    }
}

/// `APIGroupDiscoveryList` (apidiscovery.k8s.io/v2).
#[derive(Debug, Deserialize)]
pub struct Groups {
    #[serde(default)]
    items: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    #[serde(default)]
    metadata: GroupName,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Debug, Default, Deserialize)]
struct GroupName {
    #[serde(default)]
    name: String,
}

#[derive(Debug, Deserialize)]
struct Version {
    version: String,
    #[serde(default)]
    resources: Vec<Resource>,
    #[serde(default)]
    freshness: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    resource: String,
    response_kind: Option<ResponseKind>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    singular_resource: String,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    short_names: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
    #[serde(default)]
    subresources: Vec<Subresource>,
}

#[derive(Debug, Deserialize)]
struct ResponseKind {
    #[serde(default)]
    kind: String,
}

#[derive(Debug, Deserialize)]
struct Subresource {
    subresource: String,
}

impl Resource {
    fn kind(self, group: &str, version: &str, preferred: bool) -> Kind {
        Kind {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: self.response_kind.map(|kind| kind.kind).unwrap_or_default(),
            plural: self.resource,
            singular: self.singular_resource,
            short_names: self.short_names,
            namespaced: self.scope == "Namespaced",
            verbs: self.verbs,
            categories: self.categories,
            subresources: self.subresources.into_iter().map(|part| part.subresource).collect(),
            preferred,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resource(plural: &str, kind: &str, short: &[&str]) -> serde_json::Value {
        json!({
            "resource": plural, "responseKind": {"kind": kind}, "scope": "Namespaced",
            "singularResource": kind.to_lowercase(), "verbs": ["get", "list"], "shortNames": short
        })
    }

    fn kinds() -> Kinds {
        let document = json!({"items": [
            {"metadata": {}, "versions": [{"version": "v1", "resources": [
                resource("services", "Service", &["svc"]), resource("events", "Event", &["ev"])
            ]}]},
            {"metadata": {"name": "apps"}, "versions": [{"version": "v1", "resources": [
                resource("deployments", "Deployment", &["deploy"])
            ]}]},
            {"metadata": {"name": "events.k8s.io"}, "versions": [{"version": "v1", "resources": [
                resource("events", "Event", &["ev"])
            ]}]},
            {"metadata": {"name": "serving.knative.dev"}, "versions": [{"version": "v1", "resources": [
                resource("services", "Service", &["ksvc"]), resource("routes", "Route", &[])
            ]}]},
            {"metadata": {"name": "route.openshift.io"}, "versions": [
                {"version": "v2", "resources": [resource("routes", "Route", &[])]},
                {"version": "v1", "resources": [resource("routes", "Route", &[])]}
            ]},
        ]});
        Kinds::new([serde_json::from_value(document).unwrap()])
    }

    fn found(text: &str) -> String {
        match kinds().find(text) {
            Ok(kind) => format!("{}/{}", kind.api_version(), kind.plural),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_kind_goes_by_any_of_its_names() {
        for name in ["Deployment", "deployments", "deployment", "deploy", "deployments.apps", "Deployment.v1.apps"] {
            assert_eq!(found(name), "apps/v1/deployments", "{name}");
        }
    }

    #[test]
    fn built_in_kinds_come_first_and_the_core_group_before_others() {
        assert_eq!(found("svc"), "v1/services");
        assert_eq!(found("service"), "v1/services");
        assert_eq!(found("events"), "v1/events");
        assert_eq!(found("services.serving.knative.dev"), "serving.knative.dev/v1/services");
    }

    #[test]
    fn a_name_of_several_custom_kinds_names_the_choices() {
        assert_eq!(
            found("route"),
            "kind: `route` may mean `routes.serving.knative.dev` or `routes.route.openshift.io`; say which"
        );
        assert_eq!(found("routes.v1.route.openshift.io"), "route.openshift.io/v1/routes");
    }

    #[test]
    fn an_unknown_name_names_what_is_near() {
        assert_eq!(
            found("deploymentz"),
            "kind: this cluster serves no `deploymentz`. Near it: `deployments.apps`. `kubernetes_get_api_resources` lists them"
        );
    }

    #[test]
    fn paths_hold_one_namespace_or_none() {
        let kinds = kinds();
        let kind = kinds.find("deploy").unwrap();
        assert_eq!(kind.path(None).unwrap(), "/apis/apps/v1/deployments");
        assert_eq!(kind.object_path(Some("a"), "b c").unwrap(), "/apis/apps/v1/namespaces/a/deployments/b%20c");
    }

    #[test]
    fn what_is_no_name_never_becomes_a_path() {
        let kinds = kinds();
        let kind = kinds.find("deploy").unwrap();
        for name in ["", ".", "..", "a/b", "%2e"] {
            kind.object_path(Some("a"), name).unwrap_err();
            kind.path(Some(name)).unwrap_err();
        }
        assert_eq!(
            kind.object_path(None, "a").unwrap_err().to_string(),
            "namespace: needed, since each Deployment lies in one"
        );
    }
}
