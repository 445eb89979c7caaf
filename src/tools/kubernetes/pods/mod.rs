//! Pods: logs, commands, ports, usage.

use crate::toolkit::Entry;

pub(super) const TOOLS: &[Entry] = &[];
