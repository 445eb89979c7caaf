//! Pods: logs, commands, ports, usage.

mod exec;
mod logs;
mod port;
mod usage;

use crate::toolkit::{Entry, fan_out, tool};

pub(super) const TOOLS: &[Entry] = &[
    tool::<logs::GetPodLogs>(),
    fan_out::<usage::GetResourceUsage>(),
    tool::<exec::PodExec>(),
    tool::<port::RequestPort>(),
];
