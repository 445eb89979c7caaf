//! Objects: lists, single ones, what belongs together.

mod list;

use crate::toolkit::{Entry, fan_out};

pub(super) const TOOLS: &[Entry] = &[fan_out::<list::ListResources>()];
