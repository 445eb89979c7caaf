//! Objects: lists, single ones, what belongs together.

mod describe;
mod events;
mod get;
mod links;
mod columns;
mod list;
mod search;
mod source;
mod tree;

use crate::toolkit::{Entry, fan_out, tool};

pub(super) const TOOLS: &[Entry] = &[
    fan_out::<list::ListResources>(),
    tool::<get::GetResource>(),
    fan_out::<events::GetEvents>(),
    tool::<tree::GetResourceTree>(),
    fan_out::<search::SearchResources>(),
];
