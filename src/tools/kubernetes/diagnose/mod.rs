//! What is broken, and why.

mod check_service;
mod evidence;
mod examination;
mod policies;
mod read;
mod references;
mod resource;
mod revisions;
mod routes;
mod rules;
mod trouble;
mod unhealthy;

pub(super) use read::check_namespace_exists;

use crate::toolkit::{Entry, fan_out, tool};

pub(super) const TOOLS: &[Entry] = &[
    fan_out::<unhealthy::GetUnhealthyResources>(),
    tool::<resource::DiagnoseResource>(),
    tool::<check_service::CheckService>(),
];
