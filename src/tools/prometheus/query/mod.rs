//! Queries: at one moment, over time, their exemplars, and whether they are right.

mod check;
mod exemplars;
mod instant;
mod judge;
mod nothing;
mod range;
mod statistics;

use crate::toolkit::{Entry, fan_out, tool};

pub(super) use nothing::similar;

pub(super) const TOOLS: &[Entry] = &[
    fan_out::<instant::Query>(),
    fan_out::<range::QueryRange>(),
    fan_out::<exemplars::QueryExemplars>(),
    tool::<check::CheckQuery>(),
];
