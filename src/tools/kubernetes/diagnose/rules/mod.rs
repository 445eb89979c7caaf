//! What is wrong with an object, by its own fields.

mod autoscalers;
mod claims;
mod jobs;
mod nodes;
mod pods;
mod services;
mod workloads;

pub(super) use autoscalers::autoscaler;
pub(super) use claims::claim;
pub(super) use jobs::{cron_job, job};
pub(super) use nodes::node;
pub(super) use pods::{pod, unready_since};
pub(super) use services::service;
pub(super) use workloads::{daemon_set, deployment, stateful_set};
