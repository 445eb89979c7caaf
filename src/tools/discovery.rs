//! About this server itself: its tools, and the systems behind it.

use crate::toolkit::Topic;

/// Toolsets about the server.
pub(super) const TOPICS: &[Topic] = &[];
