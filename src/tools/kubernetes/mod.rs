//! Kubernetes: objects of any kind, what is wrong with them, and changes.

mod change;
mod cluster;
mod diagnose;
mod nodes;
mod pods;
mod read;
mod rollouts;

pub(super) mod prompts;
pub(super) mod resources;

mod args;
mod family;
mod model;
mod nearby;
mod path;
mod pointer;
mod quantity;
mod selector;
mod sort;
mod state;
mod status;

use crate::toolkit::Topic;

/// Toolsets of Kubernetes.
pub(super) const TOPICS: &[Topic] = &[
    Topic { name: "kubernetes/read", tools: read::TOOLS },
    Topic { name: "kubernetes/cluster", tools: cluster::TOOLS },
    Topic { name: "kubernetes/pods", tools: pods::TOOLS },
    Topic { name: "kubernetes/nodes", tools: nodes::TOOLS },
    Topic { name: "kubernetes/rollouts", tools: rollouts::TOOLS },
    Topic { name: "kubernetes/change", tools: change::TOOLS },
    Topic { name: "kubernetes/diagnose", tools: diagnose::TOOLS },
];
