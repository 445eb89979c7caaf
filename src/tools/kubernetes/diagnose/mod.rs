//! What is broken, and why.

use crate::toolkit::Entry;

pub(super) const TOOLS: &[Entry] = &[];
