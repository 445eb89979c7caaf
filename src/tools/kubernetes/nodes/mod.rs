//! Nodes: how they are, and emptying them.

use crate::toolkit::Entry;

pub(super) const TOOLS: &[Entry] = &[];
