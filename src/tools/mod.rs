//! What can be called: one folder a backend, one file a topic.

pub mod alertmanager;
pub mod discovery;
pub mod kubernetes;
pub mod prometheus;
pub mod reference;
mod ages;
mod patterns;
mod prompts;
mod resources;
pub mod utilities;

use std::sync::Arc;

pub use resources::BACKENDS;

use crate::toolkit::{PromptEntry, Resource, Topic};

/// All tools, in the order in which lists show them.
#[must_use]
pub fn topics() -> Vec<Topic> {
    [kubernetes::TOPICS, prometheus::TOPICS, alertmanager::TOPICS, utilities::TOPICS, discovery::TOPICS].concat()
}

/// All prompts, in the order in which lists show them.
#[must_use]
pub fn prompts() -> Vec<PromptEntry> {
    [kubernetes::prompts::PROMPTS, prompts::PROMPTS].concat()
}

/// All resources, in the order in which lists show them.
#[must_use]
pub fn resources() -> Vec<Arc<dyn Resource>> {
    let mut resources = resources::resources();
    resources.push(Arc::new(kubernetes::resources::Objects));
    resources
}
