//! Manifests: the objects in a text, each with its kind and place.

use serde_json::{Map, Value};

use super::super::model::label;
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Hidden, Kind, Kinds, Request, has_fingerprint};
use crate::error::{Error, Result};
use crate::yaml;

/// Bytes of all manifests.
const LARGEST: usize = 1 << 20;

/// Objects in all manifests.
const MOST_OBJECTS: usize = 100;

/// One object that is to be there.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub(super) kind: Kind,
    pub(super) namespace: Option<String>,
    /// Its name; empty where the API server is to make one.
    pub(super) name: String,
    pub(super) object: Map<String, Value>,
    /// Whether its namespace is among the same manifests.
    pub(super) in_new_namespace: bool,
}

impl Manifest {
    /// What it is, in words: `Deployment shop/web`.
    pub(super) fn label(&self) -> String {
        let name = if self.name.is_empty() { format!("{}*", self.generate_name()) } else { self.name.clone() };
        label(&self.kind.kind, self.namespace.as_deref(), &name)
    }

    fn generate_name(&self) -> &str {
        self.object["metadata"]["generateName"].as_str().unwrap_or_default()
    }

    /// A request for the object itself.
    pub(super) fn request(&self) -> Result<Request> {
        Ok(Request::get(self.kind.object_path(self.namespace.as_deref(), &self.name)?))
    }

    /// A request for all objects of its kind and place.
    pub(super) fn collection(&self) -> Result<Request> {
        Ok(Request::get(self.kind.path(self.namespace.as_deref())?))
    }

    /// The object as it is now, with its secrets replaced, and what was hidden in it; none where there is none.
    pub(super) async fn current(&self, cluster: &Kubernetes) -> Result<Option<(Value, Hidden)>> {
        match cluster.get_and_hidden(self.request()?).await {
            Ok(object) => Ok(Some(object)),
            Err(refused) if refused.code() == Some(404) => Ok(None),
            Err(refused) => Err(refused.into()),
        }
    }
}

/// Reads manifests: namespaces and definitions of kinds first, the others in their order.
///
/// # Errors
/// [`Error::BadArguments`] with all mistakes.
pub(super) async fn read(
    cluster: &Kubernetes,
    text: &str,
    namespace: Option<&str>,
    may_generate: bool,
) -> Result<Vec<Manifest>> {
    if text.len() > LARGEST {
        return Err(wrong(format!("at most {} KiB; apply them in parts", LARGEST >> 10)));
    }
    let mut objects = Vec::new();
    for document in yaml::documents(text).map_err(wrong)? {
        let items = match &document.value["items"] {
            Value::Array(items) if document.value["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) => items,
            _ => std::slice::from_ref(&document.value),
        };
        objects.extend(items.iter().map(|item| (document.line, item.clone())));
    }
    match objects.len() {
        0 => return Err(wrong("there is no object in it".into())),
        count if count > MOST_OBJECTS => {
            return Err(wrong(format!("{count} objects, at most {MOST_OBJECTS}; apply them in parts")));
        }
        _ => {}
    }
    let mut kinds = cluster.kinds().await?;
    let is_known = |kinds: &Kinds| objects.iter().all(|(_, object)| kind_of(kinds, object).is_some());
    if !is_known(&kinds) {
        kinds = cluster.cluster().kinds_again(&cluster.context).await?;
    }
    let mut manifests = Vec::with_capacity(objects.len());
    let mut mistakes = Vec::new();
    for (line, object) in &objects {
        match manifest(&kinds, object, namespace, may_generate) {
            Ok(manifest) => manifests.push(manifest),
            Err(mistake) => mistakes.push(format!("line {line}: {mistake}")),
        }
    }
    let mut known = std::collections::HashSet::new();
    for manifest in manifests.iter().filter(|manifest| !manifest.name.is_empty()) {
        let label = format!("{} ({})", manifest.label(), manifest.kind.group);
        if !known.insert(label) {
            mistakes.push(format!("{} is in it twice", manifest.label()));
        }
    }
    if !mistakes.is_empty() {
        return Err(wrong(mistakes.join("; ")));
    }
    manifests.sort_by_key(|manifest| match manifest.kind.plural.as_str() {
        "namespaces" => 0,
        "customresourcedefinitions" => 1,
        _ => 2,
    });
    let made: Vec<String> =
        manifests.iter().filter(|one| one.kind.is("", "namespaces")).map(|one| one.name.clone()).collect();
    for manifest in &mut manifests {
        manifest.in_new_namespace = manifest.namespace.as_ref().is_some_and(|namespace| made.contains(namespace));
    }
    Ok(manifests)
}

fn wrong(mistake: String) -> Error {
    Error::BadArguments(format!("manifests: {mistake}"))
}

fn kind_of<'a>(kinds: &'a Kinds, object: &Value) -> Option<&'a Kind> {
    kinds.of_object(object["apiVersion"].as_str()?, object["kind"].as_str()?)
}

fn manifest(kinds: &Kinds, object: &Value, default: Option<&str>, may_generate: bool) -> Result<Manifest, String> {
    let Value::Object(map) = object else { return Err("this is not an object".into()) };
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let api_version = text("/apiVersion").ok_or("`apiVersion` is missing")?;
    let named = text("/kind").ok_or("`kind` is missing")?;
    let kind = kind_of(kinds, object).ok_or_else(|| {
        let elsewhere: Vec<_> = kinds
            .iter()
            .filter(|known| known.kind == named && known.preferred)
            .map(|known| format!("`{}`", known.api_version()))
            .collect();
        let advice = if elsewhere.is_empty() {
            "apply the definition of the kind on its own first, or see `kubernetes_get_api_resources`".to_owned()
        } else {
            format!("it is served as {}", elsewhere.join(", "))
        };
        format!("this cluster serves no {named} of {api_version}; {advice}")
    })?;
    let name = text("/metadata/name").unwrap_or_default().to_owned();
    if name.is_empty() && (!may_generate || text("/metadata/generateName").is_none()) {
        return Err(format!("{named} needs `metadata.name`; `generateName` is for create_only"));
    }
    let namespace = match (kind.namespaced, text("/metadata/namespace").or(default)) {
        (false, _) => None,
        (true, Some(namespace)) => Some(namespace.to_owned()),
        (true, None) => {
            return Err(format!("{named} {name} names no namespace; give one, or the argument `namespace`"));
        }
    };
    if has_fingerprint(object) {
        return Err(format!(
            "{named} {name} has a fingerprint (hidden-…) in place of a secret, which applying it would destroy; leave the \
             field out, or give its real value"
        ));
    }
    let mut map = map.clone();
    map.shift_remove("status");
    if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
        for field in ["managedFields", "creationTimestamp", "uid", "generation", "selfLink"] {
            metadata.shift_remove(field);
        }
    }
    Ok(Manifest { kind: kind.clone(), namespace, name, object: map, in_new_namespace: false })
}
