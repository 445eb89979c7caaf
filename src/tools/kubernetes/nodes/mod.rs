//! Nodes: how they are, what they log, and taking them out of use.

mod cordon;
mod drain;
mod eviction;
mod find;
mod logs;
mod status;

use crate::toolkit::{Entry, fan_out, tool};

pub(super) const TOOLS: &[Entry] = &[
    fan_out::<status::GetNodeStatus>(),
    tool::<cordon::CordonNode>(),
    tool::<drain::DrainNode>(),
    tool::<logs::GetNodeLogs>(),
];
