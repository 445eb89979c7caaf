//! What a caller may do.

use crate::caller::{Caller, Effect};

/// Whether a caller may use a tool of this effect.
#[must_use]
pub fn permits(caller: &Caller, effect: Effect) -> bool {
    effect <= caller.allowed
}
