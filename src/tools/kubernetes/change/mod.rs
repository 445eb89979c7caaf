//! Changes of any object: apply, patch, delete.

use crate::toolkit::Entry;

pub(super) const TOOLS: &[Entry] = &[];
