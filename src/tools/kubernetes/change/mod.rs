//! Changes of any object: apply, patch, delete.

mod apply;
mod delete;
mod dependents;
pub(super) mod diff;
mod diff_manifests;
mod manifests;
mod patch;
pub(super) mod server_side;

use crate::toolkit::{Entry, fan_out, tool};

pub(super) const TOOLS: &[Entry] = &[
    fan_out::<diff_manifests::DiffManifests>(),
    tool::<apply::Apply>(),
    tool::<patch::PatchResource>(),
    tool::<delete::DeleteResource>(),
];
