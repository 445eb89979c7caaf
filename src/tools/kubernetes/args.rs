//! Argument types that several tools share.

use crate::backends::kubernetes::Kind;
use crate::error::{Error, Result};

/// Refuses a namespace for a kind that has none, so that nobody takes the answer for that of one namespace.
pub(super) fn check_namespace(kind: &Kind, namespace: Option<&str>) -> Result<()> {
    if namespace.is_some() && !kind.namespaced {
        return Err(Error::BadArguments(format!("namespace: {} is not in namespaces; leave it out", kind.kind)));
    }
    Ok(())
}

/// The one namespace that a list is about: named, or chosen by its field. A list of all namespaces that is narrowed by that
/// field cannot be paged: the API server (1.36) repeats or drops rows after the first page.
pub(super) fn only_namespace<'a>(kind: &Kind, namespace: Option<&'a str>, fields: Option<&'a str>) -> Option<&'a str> {
    namespace.or_else(|| terms(fields?).find_map(chosen_namespace).filter(|_| kind.namespaced))
}

/// The terms of a field selector: between commas, but not those after a backslash, which belong to a value.
fn terms(selector: &str) -> impl Iterator<Item = &str> {
    let mut is_rest = false;
    selector.split(',').filter(move |part| !std::mem::replace(&mut is_rest, part.ends_with('\\')))
}

/// The namespace that a term of a field selector asks for.
fn chosen_namespace(term: &str) -> Option<&str> {
    let value = term.trim().strip_prefix("metadata.namespace=")?;
    let name = value.strip_prefix('=').unwrap_or(value);
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_name.then_some(name)
}

/// Refuses what cannot be done with a kind.
pub(super) fn check_verb(kind: &Kind, verb: &str) -> Result<()> {
    if kind.can(verb) {
        return Ok(());
    }
    let can = if kind.verbs.is_empty() { "nothing".to_owned() } else { kind.verbs.join(", ") };
    Err(Error::BadArguments(format!("kind: `{}` cannot be asked to {verb}; it can: {can}", kind.full_name())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_selector_may_choose_one_namespace_among_other_things() {
        let chosen = |fields: &'static str| terms(fields).find_map(chosen_namespace);
        for fields in [
            "metadata.namespace=shop",
            "metadata.namespace==shop",
            "metadata.namespace=shop,metadata.name!=web",
            "status.phase=Running, metadata.namespace=shop",
        ] {
            assert_eq!(chosen(fields), Some("shop"), "{fields}");
        }
        for fields in
            ["", "metadata.namespace=", "metadata.namespace!=shop", "metadata.name=a\\,metadata.namespace=shop"]
        {
            assert_eq!(chosen(fields), None, "{fields}");
        }
    }
}
