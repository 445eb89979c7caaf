//! Time, waiting, and public web pages.

mod time;
mod web_fetch;

use crate::toolkit::{Topic, tool};

/// Toolsets of the utilities.
pub(super) const TOPICS: &[Topic] = &[Topic {
    name: "utilities",
    tools: &[tool::<time::GetTime>(), tool::<time::Sleep>(), tool::<web_fetch::WebFetch>()],
}];
