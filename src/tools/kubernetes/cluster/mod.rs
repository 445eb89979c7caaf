//! The cluster itself: what it serves, what is allowed there, how it is.

use crate::toolkit::Entry;

pub(super) const TOOLS: &[Entry] = &[];
