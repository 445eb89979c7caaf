//! What can be called: one folder a backend, one file a topic.

pub mod alertmanager;
pub mod discovery;
pub mod prometheus;
pub mod utilities;

use crate::toolkit::Topic;

/// All tools, in the order in which lists show them.
#[must_use]
pub fn topics() -> Vec<Topic> {
    [prometheus::TOPICS, alertmanager::TOPICS, utilities::TOPICS, discovery::TOPICS].concat()
}
