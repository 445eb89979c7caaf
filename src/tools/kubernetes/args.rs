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

/// Refuses what cannot be done with a kind.
pub(super) fn check_verb(kind: &Kind, verb: &str) -> Result<()> {
    if kind.can(verb) {
        return Ok(());
    }
    let can = if kind.verbs.is_empty() { "nothing".to_owned() } else { kind.verbs.join(", ") };
    Err(Error::BadArguments(format!("kind: `{}` cannot be asked to {verb}; it can: {can}", kind.full_name())))
}
