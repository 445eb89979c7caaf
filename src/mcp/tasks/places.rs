//! Places for tasks that run: some for each caller, more for all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::mcp::Fault;

/// Tasks that run in one process at a time.
const MOST: usize = 256;

/// Those of one caller.
const MOST_OF_ONE: usize = MOST / 4;

/// Who has how many places.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

/// A place that is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    owner: String,
    places: Places,
}

impl Places {
    /// A place for a task of `owner`.
    ///
    /// # Errors
    /// 42900, with what would help.
    pub(super) fn take(&self, owner: &str) -> Result<Place, Fault> {
        let mut taken = self.taken();
        let all: usize = taken.values().sum();
        let own = taken.get(owner).copied().unwrap_or_default();
        let message = if own >= MOST_OF_ONE {
            format!("{own} of your tasks are running or wait for you; let one end, or end one with `tasks/cancel`")
        } else if all >= MOST {
            format!("{all} tasks are running here, which is all that may; try again in a while")
        } else {
            taken.insert(owner.to_owned(), own + 1);
            return Ok(Place { owner: owner.to_owned(), places: self.clone() });
        };
        let mut fault = Fault::from(Error::TooManyCalls { retry_after: Duration::from_secs(5) });
        fault.message = message;
        Err(fault)
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(own) = taken.get_mut(&self.owner) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_cannot_take_the_places_of_others_and_gets_its_own_back() {
        let places = Places::default();
        let mut held: Vec<Place> = (0..MOST_OF_ONE).map(|_| places.take("ann").unwrap()).collect();
        assert!(places.take("ann").unwrap_err().message.contains("tasks/cancel"));
        held.pop();
        held.push(places.take("ann").unwrap());
        for owner in ["bob", "cid", "dan"] {
            held.extend((0..MOST_OF_ONE).map(|_| places.take(owner).unwrap()));
        }
        assert!(places.take("eve").unwrap_err().message.contains("try again"));
        held.clear();
        assert!(places.taken().is_empty());
    }
}
