//! What is broken, and why.

mod objects;
mod read;
mod rules;
mod trouble;
mod unhealthy;

use crate::toolkit::{Entry, fan_out};

pub(super) const TOOLS: &[Entry] = &[fan_out::<unhealthy::GetUnhealthyResources>()];
