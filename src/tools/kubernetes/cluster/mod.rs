//! The cluster itself: what it serves, what is allowed there, how it is.

mod explain;
mod overview;
mod permissions;
mod resources;
mod schema;

use crate::toolkit::{Entry, fan_out, tool};

pub(super) const TOOLS: &[Entry] = &[
    fan_out::<overview::GetClusterOverview>(),
    tool::<resources::GetApiResources>(),
    tool::<explain::ExplainResource>(),
    fan_out::<permissions::CheckPermissions>(),
];
