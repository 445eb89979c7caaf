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

/// The one namespace that a list is about: named, or chosen by its field alone. A list of all namespaces that is narrowed by
/// that field cannot be paged: the API server (1.36) repeats or drops rows after the first page.
pub(super) fn only_namespace<'a>(kind: &Kind, namespace: Option<&'a str>, fields: Option<&'a str>) -> Option<&'a str> {
    let chosen = || fields?.trim().strip_prefix("metadata.namespace=").map(|name| name.trim_start_matches('='));
    let is_name =
        |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') && !name.is_empty();
    namespace.or_else(|| chosen().filter(|_| kind.namespaced).filter(is_name))
}

/// Refuses what cannot be done with a kind.
pub(super) fn check_verb(kind: &Kind, verb: &str) -> Result<()> {
    if kind.can(verb) {
        return Ok(());
    }
    let can = if kind.verbs.is_empty() { "nothing".to_owned() } else { kind.verbs.join(", ") };
    Err(Error::BadArguments(format!("kind: `{}` cannot be asked to {verb}; it can: {can}", kind.full_name())))
}
