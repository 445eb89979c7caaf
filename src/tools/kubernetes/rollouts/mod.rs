//! Rollouts: judging, restarting, undoing, scaling, waiting.

use crate::toolkit::Entry;

pub(super) const TOOLS: &[Entry] = &[];
