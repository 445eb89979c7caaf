//! Workloads on their way: rollouts, replicas, waiting.

mod control;
mod get;
mod restart;
mod revisions;
mod scale;
mod trigger;
mod wait;
mod workload;

use crate::toolkit::{Entry, tool};

pub(super) const TOOLS: &[Entry] = &[
    tool::<get::GetRollout>(),
    tool::<scale::ScaleResource>(),
    tool::<restart::RestartWorkload>(),
    tool::<control::ControlRollout>(),
    tool::<wait::WaitForResource>(),
    tool::<trigger::TriggerCronjob>(),
];
