//! What is broken, and why.

mod evidence;
mod examination;
mod objects;
mod read;
mod references;
mod resource;
mod revisions;
mod rules;
mod trouble;
mod unhealthy;

use crate::toolkit::{Entry, fan_out, tool};

pub(super) const TOOLS: &[Entry] = &[
    fan_out::<unhealthy::GetUnhealthyResources>(),
    tool::<resource::DiagnoseResource>(),
];
