//! What exists near a name that does not.

use super::super::model::{Metadata, Named};
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{AS_METADATA_LIST, Kind, List, Refused, Request};

/// Objects whose names are compared.
const MOST_COMPARED: &str = "500";

/// Names that are told.
const MOST_TOLD: usize = 5;

/// A sentence or two about an object that does not exist: what has a name like it, and where one of its name is.
pub(super) async fn missing(cluster: &Kubernetes, kind: &Kind, namespace: Option<&str>, name: &str) -> String {
    let place = namespace.map(|namespace| format!(" in namespace `{namespace}`")).unwrap_or_default();
    let mut told = format!("There is no {} `{}`{place}.", kind.kind, name.escape_debug());
    let near = match names(cluster, kind, namespace, None).await {
        Ok(names) => near(names.into_iter().map(|named| named.name).collect(), name),
        Err(_) => return told,
    };
    if !near.is_empty() {
        told.push_str(&format!(" Names like it: {}.", near.join(", ")));
    }
    let selector = format!("metadata.name={name}");
    if namespace.is_some()
        && let Ok(elsewhere) = names(cluster, kind, None, Some(selector)).await
        && !elsewhere.is_empty()
    {
        let places: Vec<String> =
            elsewhere.into_iter().take(MOST_TOLD).map(|named| format!("`{}`", named.namespace)).collect();
        told.push_str(&format!(" There is one in {}.", places.join(", ")));
    } else if near.is_empty() {
        told.push_str(&format!(" `kubernetes_list_resources` with kind `{}` shows what there is.", kind.full_name()));
    }
    told
}

async fn names(
    cluster: &Kubernetes,
    kind: &Kind,
    namespace: Option<&str>,
    fields: Option<String>,
) -> Result<Vec<Metadata>, Refused> {
    let request = Request::get(kind.path(namespace)?)
        .accept(AS_METADATA_LIST)
        .query("limit", MOST_COMPARED)
        .query_some("fieldSelector", fields);
    let list: List<Named> = cluster.get(request).await?;
    Ok(list.items.into_iter().map(|item| item.metadata).collect())
}

/// The names that are most like one.
fn near(names: Vec<String>, wanted: &str) -> Vec<String> {
    let mut scored: Vec<(usize, String)> = names
        .into_iter()
        .filter_map(|name| {
            let is_part = name.contains(wanted) || wanted.len() > 3 && wanted.contains(name.as_str());
            let distance = distance(&name, wanted);
            (is_part || distance <= (wanted.len() / 3).max(2)).then_some((distance, name))
        })
        .collect();
    scored.sort();
    scored.into_iter().take(MOST_TOLD).map(|(_, name)| format!("`{name}`")).collect()
}

/// Letters that have to be put in, taken out or replaced (Wagner and Fischer, 1974).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, wanted) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *wanted);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_few_other_letters_are_near() {
        assert_eq!(distance("kitten", "sitting"), 3);
        let names = ["web", "checkout", "web-canary", "inventory"].map(str::to_owned).to_vec();
        assert_eq!(near(names.clone(), "wbe"), ["`web`"]);
        assert_eq!(near(names.clone(), "chekout"), ["`checkout`"]);
        assert_eq!(near(names, "payments"), Vec::<String>::new());
    }
}
