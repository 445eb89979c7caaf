//! What the fields of a kind mean.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::schema::{Document, Schema};
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{Kind, Refused, Request};
use crate::error::{Error, Result};
use crate::toolkit::args::{Limit, MaxTokens};
use crate::toolkit::{Listing, Permission, Policy, Tool};

/// Fields of one answer. Schemas may contain themselves.
const MOST_FIELDS: usize = 1_000;

/// Fields named where one is not known.
const MOST_NAMED: usize = 30;

/// Explains the fields of a kind from the cluster schema.
///
/// Each row has the first sentence about a field; name it in `path` for the rest. Works for custom kinds too, where
/// their definition has a schema. Kinds are those of `kubernetes_get_api_resources`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(super) struct ExplainResource {
    /// Kind, plural or plural.group, for example `deployment` or `certificates.cert-manager.io`.
    kind: String,
    /// Field path, for example `spec.template.spec`; the whole object when absent.
    path: Option<String>,
    /// Levels shown, at most 6.
    #[serde(default)]
    depth: Limit<1, 6>,
    /// The cluster by name; needed when several are configured.
    cluster: Option<String>,
    /// Budget of the answer in tokens; it shrinks to fit.
    #[serde(default)]
    max_tokens: MaxTokens,
}

/// A field.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Field {
    /// Its path from the one that was asked for.
    field: String,
    #[serde(rename = "type")]
    kind: String,
    /// Whether it must be there.
    required: bool,
    default: Value,
    /// The values it may have, where they are known.
    #[serde(rename = "enum")]
    allowed: Vec<Value>,
    description: String,
}

impl Tool for ExplainResource {
    const NAME: &str = "kubernetes_explain_resource";
    const POLICY: Policy = Policy::read(Permission::ClusterRead).light().cached(300);
    type Backend = Kubernetes;
    type Output = Listing<Field>;

    async fn call(self, cluster: &Kubernetes) -> Result<Listing<Field>> {
        let kind = cluster.kind(&self.kind).await?;
        let document = document(&kind, cluster).await?;
        let root = document.of(&kind).ok_or_else(|| without_schema(&kind, cluster))?;
        let segments = segments(self.path.as_deref().unwrap_or_default(), &kind);
        let (schema, is_required) = descend(&document, root, &segments)?;
        let whole = document.element(&schema);
        let mut rows = Vec::new();
        if whole.properties.is_empty() {
            let name = segments.last().map_or(kind.kind.as_str(), |name| name.as_str());
            let mut leaf = field(&document, name.to_owned(), &schema, is_required, cluster);
            leaf.description = shown(&document.resolved(&schema).description, cluster);
            rows.push(leaf);
        } else {
            collect(&document, &whole, "", self.depth.get(), &mut rows, cluster);
        }
        let mut listing = Listing::new(rows).fact("kind", kind.kind.clone()).fact("version", kind.api_version());
        if !segments.is_empty() {
            listing = listing.fact("path", segments.join("."));
        }
        if !whole.properties.is_empty() {
            let resolved = document.resolved(&schema);
            let description =
                if resolved.description.is_empty() { whole.description.clone() } else { resolved.description };
            listing = listing.fact("type", document.type_of(&schema)).fact("description", shown(&description, cluster));
        }
        if Document::is_open(&whole) {
            listing = listing.note("Fields that the schema does not name are allowed here too.");
        }
        if listing.rows.len() >= MOST_FIELDS {
            listing =
                listing.note(format!("Only the first {MOST_FIELDS} fields are here; give a `path` or less `depth`."));
        }
        Ok(listing)
    }
}

async fn document(kind: &Kind, cluster: &Kubernetes) -> Result<Document> {
    let place = if kind.group.is_empty() { "api" } else { "apis" };
    let path = format!("/openapi/v3/{place}/{}", kind.api_version());
    // Nothing but what is shown passes redaction: a schema is large, and no object.
    match cluster.get_with_secrets(Request::get(path)).await {
        Err(Refused::Status(status)) if status.code == 404 => Err(without_schema(kind, cluster)),
        other => Ok(other?),
    }
}

fn without_schema(kind: &Kind, cluster: &Kubernetes) -> Error {
    Error::NotFound(format!(
        "kubernetes/{} publishes no schema of {} ({}): a moment after its definition, because its definition has none, or \
         because another server serves it; `kubernetes_list_resources` with view `yaml` shows what such objects look like",
        cluster.name(),
        kind.kind,
        kind.api_version()
    ))
}

/// The names on a path; a kind in front, indexes and leading dots say nothing.
fn segments(path: &str, kind: &Kind) -> Vec<String> {
    let mut names: Vec<String> = path
        .split('.')
        .map(|part| part.split('[').next().unwrap_or_default().trim().to_owned())
        .filter(|part| !part.is_empty() && part != "$")
        .collect();
    if names.first().is_some_and(|first| first.eq_ignore_ascii_case(&kind.kind) || *first == kind.plural) {
        names.remove(0);
    }
    names
}

/// The schema at a path, and whether it must be there.
fn descend(document: &Document, root: &Schema, segments: &[String]) -> Result<(Schema, bool)> {
    let mut current = document.resolved(root);
    let mut is_required = false;
    for (place, name) in segments.iter().enumerate() {
        let element = document.element(&current);
        let Some(next) = element.properties.get(name) else {
            return Err(Error::BadArguments(unknown(&element, &segments[..place], name)));
        };
        is_required = element.required.contains(name);
        current = document.resolved(next);
    }
    Ok((current, is_required))
}

fn unknown(element: &Schema, before: &[String], name: &str) -> String {
    let place = if before.is_empty() { "the object".to_owned() } else { format!("`{}`", before.join(".")) };
    let mut names: Vec<&str> = element.properties.keys().map(String::as_str).collect();
    if names.is_empty() {
        return format!("path: {place} has no fields that the schema names");
    }
    let wanted = name.to_lowercase();
    names.sort_by_key(|known| {
        let known = known.to_lowercase();
        !(known.contains(&wanted) || wanted.contains(&known))
    });
    names.truncate(MOST_NAMED);
    format!("path: {place} has no field `{}`; it has {}", name.escape_debug(), names.join(", "))
}

fn collect(
    document: &Document,
    schema: &Schema,
    before: &str,
    depth: usize,
    rows: &mut Vec<Field>,
    cluster: &Kubernetes,
) {
    for (name, property) in &schema.properties {
        if rows.len() >= MOST_FIELDS {
            return;
        }
        let path = if before.is_empty() { name.clone() } else { format!("{before}.{name}") };
        rows.push(field(document, path.clone(), property, schema.required.contains(name), cluster));
        if depth > 1 {
            collect(document, &document.element(property), &path, depth - 1, rows, cluster);
        }
    }
}

fn field(document: &Document, field: String, schema: &Schema, required: bool, cluster: &Kubernetes) -> Field {
    let resolved = document.resolved(schema);
    let element = document.element(&resolved);
    let mut default = resolved.default.filter(|default| !is_blank(default)).unwrap_or_default();
    cluster.redact(&mut default);
    Field {
        field,
        kind: document.type_of(schema),
        required,
        default,
        allowed: if resolved.allowed.is_empty() { element.allowed } else { resolved.allowed },
        description: first_sentence(&shown(&resolved.description, cluster)).to_owned(),
    }
}

/// Generated schemas say `{}` and `""` for defaults that nobody chose.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn shown(description: &str, cluster: &Kubernetes) -> String {
    cluster.redact_text(description).into_owned()
}

fn first_sentence(text: &str) -> &str {
    let line = text.split('\n').next().unwrap_or_default();
    line.match_indices(". ")
        .find(|(place, _)| !line[..*place].ends_with("e.g") && !line[..*place].ends_with("i.e"))
        .map_or(line, |(place, _)| &line[..=place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_ends_where_it_ends() {
        assert_eq!(first_sentence("One thing, e.g. this. Another."), "One thing, e.g. this.");
        assert_eq!(first_sentence("Only one\n\nMore"), "Only one");
        assert_eq!(first_sentence(""), "");
    }
}
