//! Alerts that rules hold, and the rules.

mod active;
mod choice;
mod rules;

use crate::toolkit::{Entry, fan_out};

pub(super) const TOOLS: &[Entry] = &[fan_out::<active::ListAlerts>(), fan_out::<rules::ListRules>()];
