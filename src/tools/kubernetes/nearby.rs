//! What exists near a name that does not.

use super::model::{Metadata, Named};
use crate::backends::Kubernetes;
use crate::backends::kubernetes::{AS_METADATA_LIST, Kind, Refused, Request};

/// Names like one that are told.
const MOST_LIKE: usize = 5;

/// Names that are told of all there are.
const MOST_THERE: usize = 8;

/// What there is where something is missing, the most alike first.
#[derive(Debug)]
pub(super) struct There {
    names: Vec<String>,
    /// How many there are beyond these.
    more: usize,
}

impl There {
    fn new(mut names: Vec<String>, wanted: &str) -> Self {
        let is_part = |name: &str| name.contains(wanted) || wanted.contains(name);
        let same_start = |name: &str| name.chars().zip(wanted.chars()).take_while(|(one, other)| one == other).count();
        names.sort_by_cached_key(|name| (!is_part(name), std::cmp::Reverse(same_start(name)), name.clone()));
        let more = names.len().saturating_sub(MOST_THERE);
        names.truncate(MOST_THERE);
        Self { names, more }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn has_more(&self) -> bool {
        self.more > 0
    }

    /// As in a sentence: `web, web-canary and 3 more`.
    pub(super) fn told(&self) -> String {
        self.joined(str::to_owned)
    }

    /// The same with each name in backticks.
    pub(super) fn quoted(&self) -> String {
        self.joined(|name| format!("`{name}`"))
    }

    fn joined(&self, shown: impl Fn(&str) -> String) -> String {
        let names = self.names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ");
        if self.more == 0 { names } else { format!("{names} and {} more", self.more) }
    }
}

/// What there is of a kind where one of this name is missing; none where that may not be listed.
pub(super) async fn there(cluster: &Kubernetes, kind: &Kind, namespace: Option<&str>, name: &str) -> Option<There> {
    let found = names(cluster, kind, namespace, None).await.ok()?;
    Some(There::new(found.into_iter().map(|named| named.name).collect(), name))
}

/// A sentence or two about an object that does not exist: what has a name like it, and where one of its name is.
pub(super) async fn missing(cluster: &Kubernetes, kind: &Kind, namespace: Option<&str>, name: &str) -> String {
    let place = namespace.map(|namespace| format!(" in namespace `{namespace}`")).unwrap_or_default();
    let mut told = format!("There is no {} `{}`{place}.", kind.kind, name.escape_debug());
    let near = match names(cluster, kind, namespace, None).await {
        Ok(names) => like(names.into_iter().map(|named| named.name).collect(), name),
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
            elsewhere.into_iter().take(MOST_LIKE).map(|named| format!("`{}`", named.namespace)).collect();
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
    let request = Request::get(kind.path(namespace)?).accept(AS_METADATA_LIST).query_some("fieldSelector", fields);
    let found: Vec<Named> = cluster.list_with_secrets(request).await?;
    Ok(found.into_iter().map(|found| found.metadata).collect())
}

/// The names that may have been meant with one.
fn like(names: Vec<String>, wanted: &str) -> Vec<String> {
    let mut scored: Vec<(usize, String)> = names
        .into_iter()
        .filter_map(|name| {
            let is_part = name.contains(wanted) || wanted.len() > 3 && wanted.contains(name.as_str());
            let distance = distance(&name, wanted);
            (is_part || distance <= (wanted.len() / 3).max(2)).then_some((distance, name))
        })
        .collect();
    scored.sort();
    scored.into_iter().take(MOST_LIKE).map(|(_, name)| format!("`{name}`")).collect()
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
        assert_eq!(like(names.clone(), "wbe"), ["`web`"]);
        assert_eq!(like(names.clone(), "chekout"), ["`checkout`"]);
        assert_eq!(like(names, "payments"), Vec::<String>::new());
    }

    #[test]
    fn what_there_is_begins_with_what_is_most_alike() {
        let names = ["checkout", "inventory", "web-canary", "web"].map(str::to_owned).to_vec();
        assert_eq!(There::new(names.clone(), "webb").told(), "web, web-canary, checkout, inventory");
        assert_eq!(There::new(names, "canary").quoted(), "`web-canary`, `checkout`, `inventory`, `web`");
        let many = (0..10).map(|number| format!("web-{number}")).collect();
        assert_eq!(
            There::new(many, "web-9").told(),
            "web-9, web-0, web-1, web-2, web-3, web-4, web-5, web-6 and 2 more"
        );
    }
}
